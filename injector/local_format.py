"""What a local store's file says once it is decrypted: secrets with versions, to JSON and back.

{"format": 1, "secrets": {"shop/db": {"versions": [
    {"version": 1, "created": "2026-01-31T12:00:00Z", "expires": null or "2027-01-31",
     "data": {"user": "shop", "key.der": {"base64": "..."}}}]}}}
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping

from injector.core import errors, secret
from injector.core.errors import Code
from injector.core.record import Record, hidden, replace
from injector.core.secret import NotJson

FORMAT = 1
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class LocalFileError(Exception):
    """The file cannot be used: code, what and hint for a problem; never anything of its content."""

    def __init__(self, code: Code, what: str, hint: str = "") -> None:
        """Keep the three."""
        self.code, self.what, self.hint = code, what, hint
        super().__init__(what)


class Version(Record):
    """One state of a secret; `created` is an ISO time in UTC, `expires` an ISO date or None."""

    number: int
    created: str
    expires: str | None
    data: Mapping[str, str | bytes] = hidden()


class LocalSecrets(Record):
    """All secrets of a file: name → versions, oldest first, never none."""

    secrets: Mapping[str, tuple[Version, ...]]


EMPTY = LocalSecrets(secrets={})


def encode(secrets: LocalSecrets) -> bytes:
    """Return the content as canonical JSON."""
    document = {
        "format": FORMAT,
        "secrets": {
            name: {
                "versions": [
                    {
                        "version": version.number,
                        "created": version.created,
                        "expires": version.expires,
                        "data": {key: _written(value) for key, value in version.data.items()},
                    }
                    for version in versions
                ]
            }
            for name, versions in secrets.secrets.items()
        },
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def decode(data: bytes) -> LocalSecrets:
    """Return the content that a JSON text holds; raises LocalFileError."""
    try:
        document = secret.parse_json(data)
        if not isinstance(document, Mapping) or not isinstance(document.get("secrets"), Mapping):
            raise _not_ours("it is no JSON of ours")
        if document.get("format") != str(FORMAT):
            raise _not_ours(f"its format is not {FORMAT}", "use a newer secret-injector")
        return LocalSecrets(
            secrets={
                name: _versions(name, entry)
                for name, entry in _mapping(document["secrets"]).items()
            }
        )
    except NotJson as error:
        raise _not_ours(str(error)) from None
    except UnicodeEncodeError:
        raise _not_ours("a text has half a surrogate pair") from None


def put(
    secrets: LocalSecrets,
    name: str,
    data: Mapping[str, str | bytes],
    *,
    created: str,
    expires: str | None = None,
) -> LocalSecrets:
    """Return the secrets with a new version of one: its data anew, the old versions as they are."""
    versions = secrets.secrets.get(name, ())
    number = versions[-1].number + 1 if versions else 1
    new = Version(number=number, created=created, expires=expires, data=dict(data))
    return replace(secrets, secrets={**secrets.secrets, name: (*versions, new)})


def delete(secrets: LocalSecrets, name: str) -> LocalSecrets:
    """Return the secrets without one and all its versions; a name that is not there is no error."""
    kept = {other: versions for other, versions in secrets.secrets.items() if other != name}
    return replace(secrets, secrets=kept)


def _versions(name: str, entry: object) -> tuple[Version, ...]:
    listed = _mapping(entry).get("versions")
    found = tuple(_version(name, each) for each in listed) if isinstance(listed, list) else ()
    numbers = [version.number for version in found]
    if not found or numbers != sorted(set(numbers)):
        raise _not_ours(f'the versions of "{name}" are not in order')
    return found


def _version(name: str, entry: object) -> Version:
    version = _mapping(entry)
    number, created, expires = (version.get(key) for key in ("version", "created", "expires"))
    if not isinstance(number, secret.Number) or not _NUMBER.fullmatch(number):
        raise _not_ours(f'a version of "{name}" has no number')
    if expires is not None and not (isinstance(expires, str) and _DATE.fullmatch(expires)):
        raise _not_ours(f'version {number} of "{name}" expires at no date')
    data = {key: _read(name, value) for key, value in _mapping(version.get("data")).items()}
    return Version(
        number=int(number),
        created=created if isinstance(created, str) else "",
        expires=expires,
        data=data,
    )


def _written(value: str | bytes) -> object:
    if isinstance(value, str):
        return value
    return {"base64": base64.b64encode(value).decode()}


def _read(name: str, value: object) -> str | bytes:
    if isinstance(value, str) and not isinstance(value, secret.Number):
        value.encode()
        return value
    text = value.get("base64") if isinstance(value, Mapping) else None
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    raise _not_ours(f'a value of "{name}" is neither a text nor base64')


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _not_ours("a mapping is missing")
    return value


def _not_ours(why: str, hint: str = "") -> LocalFileError:
    what = f"the file opens, and its content is not what we write: {why}"
    return LocalFileError(errors.CONTENT, what, hint or "was it made by secret-injector?")
