"""AdmissionReview v1 on the wire: what the API server asks, and how we answer.

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
Requests are decoded to the fields we use and nothing else; the object stays the raw mapping, so
fields of newer API versions survive. Answers are bytes, ready to send.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from injector.core import budget, errors
from injector.core.errors import Problem, Refused

API_VERSION = "admission.k8s.io/v1"
RESOURCES = ("ServiceSecrets", "EnvironmentSecrets", "ClusterSecretStore", "ClusterInjectionPolicy")
"""The kinds that are ours."""

Form = TypeVar("Form")
Asked = TypeVar("Asked", bound="Head")

MAX_PROBLEMS = 50
"""Problems that an answer names, and warnings that it carries."""

MAX_ANSWER_BYTES = 32 * 1024
"""Bytes of an answer, the patch apart."""

MAX_UID = 128
MAX_TOLD = 200
"""Characters of a warning that also says what to do."""
_MAX_PLACE = 44
_MAX_WARNINGS_BYTES = 4096
"""What the API server passes on of all warnings of one request."""
_FRAME_BYTES = 1024
"""What an answer takes without texts, and its last lines."""

Operation = Mapping[str, object]
"""One JSON Patch operation (RFC 6902): op, path, value."""


class Kind(msgspec.Struct, frozen=True):
    """The group, version and kind of the object under review."""

    kind: str
    group: str = ""
    version: str = ""


class User(msgspec.Struct, frozen=True, rename="camel"):
    """Who sent the request to the API server."""

    username: str = ""


class Head(msgspec.Struct, frozen=True, rename="camel"):
    """One admission request but for the objects: whose it is, and how it is answered.

    `namespace` is authoritative: an object made with generateName may carry none of its own.
    """

    uid: str
    kind: Kind
    operation: str
    namespace: str = ""
    name: str = ""
    dry_run: bool = False
    user_info: User = User()
    sub_resource: str = ""


class Request(Head, frozen=True):
    """One admission request; `object` is None on DELETE, `old_object` on CREATE."""

    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = None


class _Review(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    request: Request


class _HeadOfReview(msgspec.Struct, frozen=True):
    request: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was decided about a request.

    `kind` is inject, skip, allow or deny; `reason` a stable id for logs and metrics; `problems`
    speak on deny, and `more` is how many others there are; `operations` change the object on
    inject, and `patch` is them on the wire; `warnings` reach the person who ran kubectl, and those
    with a code stand in `warned` as well; `facts` are counts and names fit for a log line, never
    values; `awaits_news` says that another replica, or this one in a moment, may know
    more than this snapshot holds.
    """

    kind: str
    reason: str
    problems: tuple[Problem, ...] = ()
    more: int = 0
    operations: tuple[Operation, ...] = ()
    patch: str = ""
    warnings: tuple[str, ...] = ()
    warned: tuple[Problem, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    awaits_news: bool = False
    noted: Mapping[str, str] | None = field(default=None, init=False, compare=False, repr=False)
    """What `audit` made of it, which alone sets these two: pods of a template share an outcome."""
    bounded: Mapping[str, object] | None = field(
        default=None, init=False, compare=False, repr=False
    )


_HEAD_BYTES = 8192
"""An API server's head is a tenth of it, but for users of many groups."""

BYTES_A_STEP, VALUES_A_STEP = 4096, 4

STATUSES = {"queue_full": (429, "TooManyRequests"), "too_late": (504, "Timeout")}
"""Denials that say nothing about the object, by reason: the API server passes the status on."""

_DECODER = msgspec.json.Decoder(_Review)
_HEAD_DECODER = msgspec.json.Decoder(_HeadOfReview)
_ENCODER = msgspec.json.Encoder()


def parse(body: bytes) -> Request:
    """Return the request of an AdmissionReview; raises Refused (SI-114) when the body is none."""
    budget.spend(work_of(body))
    review = _decoded(body, _DECODER)
    if review.api_version != API_VERSION or review.kind != "AdmissionReview":
        got = f"{review.api_version[:MAX_UID]} {review.kind[:MAX_UID]}"
        what = f"expected {API_VERSION} AdmissionReview, got {got}"
        raise Refused([Problem(code=errors.REVIEW, what=what)])
    return _identified(review.request)


def head(body: bytes) -> Head:
    """Return the head of a review wherever it stands, at a tenth of the cost of `parse`.

    An API server writes it before the objects, and what follows is not looked at then: whoever
    makes a review up may say something else there, so the head is good for turns and no decision.
    Raises Refused (SI-114) for what is no JSON or has no head.
    """
    before, found, _ = body[:_HEAD_BYTES].partition(b',"object":')
    if found:
        with contextlib.suppress(Refused):
            return _identified(_decoded(before + b"}}", _HEAD_DECODER).request)
    return _identified(_decoded(body, _HEAD_DECODER).request)


def work_of(body: bytes) -> int:
    """Return the steps that decoding takes, by length and by commas: as many as values, or more."""
    return len(body) // BYTES_A_STEP + body.count(b",") // VALUES_A_STEP


def _decoded(body: bytes, decoder: msgspec.json.Decoder[Form]) -> Form:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # msgspec names the place and the types, and quotes nothing of the body.
        what = str(error) if isinstance(error, msgspec.ValidationError) else "the body is not JSON"
        raise Refused([Problem(code=errors.REVIEW, what=what)]) from None


def _identified(request: Asked) -> Asked:
    """Return the request if its uid is one: the answer repeats it. Raises Refused (SI-114)."""
    if len(request.uid) > MAX_UID:
        what = f"its uid is longer than {MAX_UID} characters"
        raise Refused([Problem(code=errors.REVIEW, what=what)])
    return request


def denial(
    problems: Sequence[Problem],
    *,
    reason: str = "refused",
    warnings: tuple[str, ...] = (),
    warned: tuple[Problem, ...] = (),
    facts: Mapping[str, object] = {},
) -> Outcome:
    """Return the outcome that denies: the first problems and the number of the others."""
    return Outcome(
        kind="deny",
        reason=reason,
        problems=tuple(problems[:MAX_PROBLEMS]),
        more=max(0, len(problems) - MAX_PROBLEMS),
        warnings=warnings,
        warned=warned,
        facts={**facts, "codes": sorted({problem.code.id for problem in problems})},
    )


def answer(request: Head, outcome: Outcome, notes: Mapping[str, str] = {}) -> bytes:
    """Return the AdmissionReview that answers the request with the outcome.

    `notes` are annotations for the API server's audit event; see `audit.notes`. What an answer has
    no room for is a number in its last line.
    """
    response: dict[str, object] = {"uid": request.uid, "allowed": outcome.kind != "deny"}
    if notes:
        response["auditAnnotations"] = notes
    if outcome.warnings:
        response["warnings"] = _fitting(outcome.warnings)
    if outcome.kind == "deny":
        room = MAX_ANSWER_BYTES - _FRAME_BYTES - len(_ENCODER.encode(response))
        code, word = STATUSES.get(outcome.reason, (403, "Forbidden"))
        response["status"] = {"code": code, "reason": word, "message": message(outcome, room)}
    if outcome.operations:
        response["patchType"] = "JSONPatch"
        response["patch"] = outcome.patch or patch_text(outcome.operations)
    return _ENCODER.encode(
        {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
    )


def patch_text(operations: Sequence[Operation]) -> str:
    """Return the operations as an answer carries them: JSON in base64."""
    return base64.b64encode(_ENCODER.encode(operations)).decode()


def message(outcome: Outcome, room: int = MAX_ANSWER_BYTES) -> str:
    """Return the denial as people read it: problems with their hints, on lines of their own.

    `room` is how many bytes it may take in an answer.
    """
    lines: list[str] = []
    for problem in outcome.problems[:MAX_PROBLEMS]:
        text = problem.render()
        room -= _on_the_wire(text)
        if room < 0:
            break
        lines.append(text)
    more = outcome.more + len(outcome.problems) - len(lines)
    return "\n".join([*lines, _more(more)] if more else lines)


def warning(text: str) -> str:
    """Return the text cut to what the API server passes on: 256 characters of one line each."""
    line = errors.printable(text[:257])
    return line if len(line) <= 256 else line[:253] + "..."


def warnings(problems: Sequence[Problem]) -> tuple[str, ...]:
    """Return the problems as warnings: the first ones, and the number of the others."""
    shown = [warning(problem.line()) for problem in problems[:MAX_PROBLEMS]]
    more = len(problems) - len(shown)
    return (*shown, _more(more)) if more else tuple(shown)


def told(problem: Problem, *, place: str = "") -> str:
    """Return the problem with its cure on one line, in 200 characters: each part is cut to fit.

    The API server cuts long warnings of a request anywhere. `place` is where in the object the
    problem's own place is to be found.
    """
    cure = errors.printable(problem.hint or problem.code.advice)
    line = problem.line()
    if not place and len(line) + len("; ") + len(cure) <= MAX_TOLD:
        return f"{line}; {cure}"
    parts = [_cut(place, _MAX_PLACE), _cut(problem.source, _MAX_PLACE)]
    if problem.target:
        parts += ["for", _cut(problem.target, _MAX_PLACE)]
    if problem.origin:
        parts.append(f"({_cut(problem.origin, _MAX_PLACE)})")
    # Wherever it is, there must be room for what to do about it.
    where = _cut(" ".join(part for part in parts if part), MAX_TOLD // 2)
    head = f"{problem.code.id} {where}: " if where else f"{problem.code.id} "
    what = errors.printable(problem.what[:MAX_TOLD])
    room = MAX_TOLD - len(head) - len("; ")
    # A short sentence leaves its room to the other one. The first one names what is to be changed,
    # and often what to write; of the second one the beginning says most.
    cure = _cut(cure, max(room - len(what), room // 3))
    return f"{head}{_cut(what, room - len(cure))}; {cure}"


def _cut(text: str, most: int) -> str:
    """Return the text in so many characters, printable."""
    short = errors.printable(text[: most + 1])
    return short if len(short) <= most else f"{short[: most - 3]}..."


def _more(count: int) -> str:
    return (
        f"{errors.LIMIT.id} and {count} more: an answer names at most {MAX_PROBLEMS} problems"
        f" and takes at most {MAX_ANSWER_BYTES // 1024} KiB"
    )


def _fitting(texts: Sequence[str]) -> list[str]:
    """Return the warnings that fit into an answer, and the number of the others."""
    found: list[str] = []
    left = _MAX_WARNINGS_BYTES - 256
    for text in texts:
        left -= _on_the_wire(text)
        if left < 0:
            return [*found, _more(len(texts) - len(found))]
        found.append(text)
    return found


def _on_the_wire(text: str) -> int:
    """Return how many bytes a text and what parts it from the next take in an answer."""
    return len(_ENCODER.encode(text)) + 2
