"""Secrets as values: the only types that ever hold what a store gave.

A `Secret` prints as `***` whatever one does with it; only `reveal` opens it, and a test lists every
place that calls `reveal`. A `Failure` is what a store gave instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn

from injector.core import errors
from injector.core.errors import Code, Problem
from injector.core.record import Record

MAX_BYTES = 1024 * 1024
"""The largest value; `pick` holds every store's values to it."""

MAX_DOCUMENT_BYTES = 8 * MAX_BYTES
"""The largest answer or file that values are taken out of. JSON may write six bytes for one (Go's
encoder, Vault's, does it to `<`, `>` and `&`), and there is more around a value."""

MAX_DEPTH = 32

Json = Mapping[str, "Json"] | list["Json"] | str | bool | None
"""Parsed JSON; a number is a `Number`, which keeps its source text."""

Fields = Mapping[str, Json | bytes]
"""What a store keeps under names; bytes are a value that is no UTF-8 text."""


class Number(str):
    """A JSON number as it was written: 10 stays 10, 1e400 and 2**60 lose nothing."""

    __slots__ = ()


class Lease(Record):
    """How long a dynamic secret lives: `duration_s` from when it was read, `id` to renew it by."""

    id: str
    duration_s: float
    is_renewable: bool


class Secret:
    """What a read gave: bytes, or the mapping of a store that keeps fields.

    `version` and `lease` are not secret. Two secrets never compare equal, are not hashed by content
    and cannot be pickled.
    """

    __slots__ = ("_data", "lease", "version")

    def __init__(
        self,
        data: bytes | Fields,
        *,
        version: str | None = None,
        lease: Lease | None = None,
    ) -> None:
        """Hide the data."""
        self._data = data
        self.version = version
        self.lease = lease

    def reveal(self) -> bytes | Fields:
        """Return the data; never bind the result to a name that lives on."""
        return self._data

    def __repr__(self) -> str:
        """Never the data."""
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """Never the data, whatever the format."""
        return "***"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be copied or pickled."""
        message = "a secret is not pickled or copied"
        raise TypeError(message)


class Failure(Record):
    """Why a read gave no secret: `what` and `hint` are our own words, never a provider's body.

    `retry_after_s` is the wait the store asked for, if it did; `is_away` says that it is not there
    at all, or sealed, so that a login would be wasted until it answers again.
    """

    code: Code
    what: str
    hint: str = ""
    identity: str = ""
    retry_after_s: float | None = None
    is_away: bool = False

    @property
    def is_passing(self) -> bool:
        """Say whether the same read may succeed later without anybody's doing."""
        return self.code in (errors.DOWN, errors.THROTTLED, errors.TLS)

    def problem(self, source: str) -> Problem:
        """Return what is reported of it; `source` is where it comes from, such as `store shop`."""
        return Problem(
            code=self.code,
            what=self.what,
            source=source,
            hint=self.hint,
            identity=self.identity,
        )


def failed_with(answer: Secret | Failure, code: Code) -> bool:
    """Say whether an answer is a failure with this code."""
    return isinstance(answer, Failure) and answer.code is code


class LoginFailed(Exception):
    """A session could not be opened; `failure` says why. Raised by providers only."""

    def __init__(self, failure: Failure) -> None:
        """Keep the failure."""
        self.failure = failure
        super().__init__(failure.what)


def text_or_bytes(data: bytes) -> str | bytes:
    """Return the text where it is UTF-8, else the bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


_TWICE = "it has a key twice"


class NotJson(ValueError):
    """The bytes are not JSON in the strict form we read; the message quotes nothing of them."""


def parse_json(data: bytes) -> Json:
    """Return the JSON that the bytes hold: UTF-8, no doubled key, no NaN, at most `MAX_DEPTH` deep.

    Raises NotJson, which says in which line and column.
    """
    text = ""
    try:
        text = data.decode("utf-8")
        found = json.loads(
            text,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_no_constant,
            object_pairs_hook=_unique,
        )
    except NotJson as error:
        raise NotJson(_with_place(text, str(error))) from None
    except RecursionError:
        message = f"it is nested more than {MAX_DEPTH} deep"
        raise NotJson(message) from None
    except ValueError as error:
        raise NotJson(_no_json(data, error)) from None
    if _is_deeper(found, MAX_DEPTH):
        message = f"it is nested more than {MAX_DEPTH} deep"
        raise NotJson(message)
    return found  # type: ignore[no-any-return]  # json.loads is untyped; the hooks make it Json


def format_json(value: Json) -> str:
    """Return the value as compact JSON, numbers as they were written, keys in their order."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Mapping):
        return (
            "{"
            + ",".join(
                f"{json.dumps(k, ensure_ascii=False)}:{format_json(v)}" for k, v in value.items()
            )
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(format_json(entry) for entry in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _no_json(data: bytes, error: ValueError) -> str:
    """Return what is wrong with a text that is no JSON, and where."""
    from injector.core import json_slip  # for texts that are refused only

    if isinstance(error, UnicodeDecodeError):
        return f"it is not JSON in UTF-8: {json_slip.of_bytes(data, error)}"
    if isinstance(error, json.JSONDecodeError):
        return f"it is not JSON in UTF-8: {json_slip.of_syntax(error)}"
    return "it is not JSON in UTF-8"


def _with_place(text: str, what: str) -> str:
    """Return what is wrong with JSON that is stricter than its syntax, and where."""
    from injector.core import json_slip  # for texts that are refused only

    find = json_slip.of_doubled_key if what == _TWICE else json_slip.of_constant
    return f"{what}: {where}" if (where := find(text)) else what


def _no_constant(name: str) -> NoReturn:
    message = f"it holds {name}, which is no JSON"
    raise NotJson(message)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJson(_TWICE)
    return found


def _is_deeper(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth == 0 or any(_is_deeper(entry, depth - 1) for entry in value.values())
    if isinstance(value, list):
        return depth == 0 or any(_is_deeper(entry, depth - 1) for entry in value)
    return False
