"""AdmissionReview v1 on the wire: what the API server asks, and how we answer.

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
Requests are decoded to the fields we use and nothing else; the object stays the raw mapping, so
fields of newer API versions survive. Answers are bytes, ready to send.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from injector.core import budget, errors
from injector.core.errors import Problem, Refused

API_VERSION = "admission.k8s.io/v1"

Form = TypeVar("Form")

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
    speak on deny; `operations` change the object on inject, and `patch` is them on the wire;
    `warnings` reach the person who ran kubectl; `facts` are counts and names fit for a log line,
    never values.
    """

    kind: str
    reason: str
    problems: tuple[Problem, ...] = ()
    operations: tuple[Operation, ...] = ()
    patch: str = ""
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


BYTES_A_STEP = 1024

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
        what = f"expected {API_VERSION} AdmissionReview, got {review.api_version} {review.kind}"
        raise Refused([Problem(code=errors.REVIEW, what=what)])
    return review.request


def head(body: bytes) -> Head:
    """Return the head of a review wherever it stands, at a tenth of the cost of `parse`.

    Raises Refused (SI-114) for what is no JSON or has no head.
    """
    return _decoded(body, _HEAD_DECODER).request


def work_of(body: bytes) -> int:
    """Return the steps that decoding takes: one for each value at most, and some for its text."""
    return len(body) // BYTES_A_STEP + body.count(b",")


def _decoded(body: bytes, decoder: msgspec.json.Decoder[Form]) -> Form:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # msgspec names the place and the types, and quotes nothing of the body.
        what = str(error) if isinstance(error, msgspec.ValidationError) else "the body is not JSON"
        raise Refused([Problem(code=errors.REVIEW, what=what)]) from None


def answer(request: Head, outcome: Outcome, notes: Mapping[str, str] = {}) -> bytes:
    """Return the AdmissionReview that answers the request with the outcome.

    `notes` are annotations for the API server's audit event; see `audit.notes`.
    """
    response: dict[str, object] = {"uid": request.uid, "allowed": outcome.kind != "deny"}
    if notes:
        response["auditAnnotations"] = notes
    if outcome.kind == "deny":
        code, word = STATUSES.get(outcome.reason, (403, "Forbidden"))
        response["status"] = {"code": code, "reason": word, "message": message(outcome)}
    if outcome.operations:
        response["patchType"] = "JSONPatch"
        response["patch"] = outcome.patch or patch_text(outcome.operations)
    if outcome.warnings:
        response["warnings"] = list(outcome.warnings)
    return _ENCODER.encode(
        {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
    )


def patch_text(operations: Sequence[Operation]) -> str:
    """Return the operations as an answer carries them: JSON in base64."""
    return base64.b64encode(_ENCODER.encode(operations)).decode()


def message(outcome: Outcome) -> str:
    """Return the denial as people read it: every problem with its hint, on lines of its own."""
    return "\n".join(problem.render() for problem in outcome.problems)


def warning(text: str) -> str:
    """Return the text cut to what the API server passes on: 256 characters of one line each."""
    line = errors.printable(text)
    return line if len(line) <= 256 else line[:253] + "..."
