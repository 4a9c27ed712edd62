"""What is recorded of a decision: who asked, what was decided, and on which grounds.

From a request and its outcome come the fields of the webhook's log line and the annotations of the
API server's audit event. Both hold names and counts, never a value, and both are bounded: reviews
arrive before the API server has checked the size of anything in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from injector.core import errors
from webhook.core.review import Head, Outcome, Request

MAX_NAME = 256
"""Characters of one name: enough for the user name of any ServiceAccount but the longest."""
MAX_ENTRIES = 32
MAX_ANNOTATION = 2048
"""Characters of one audit annotation."""
ANNOTATED = ("codes", "stores", "policies", "foreign", "audits")
"""The facts that the audit event gets, each under its own name."""


def fields(request: Head, outcome: Outcome) -> dict[str, object]:
    """Return the fields of the log line about a decision; without its objects it has fewer."""
    raw: Mapping[str, Any] = {}
    if isinstance(request, Request):
        raw = request.object or request.old_object or {}
    if outcome.bounded is None:
        facts = {name: _bounded(fact) for name, fact in outcome.facts.items()}
        object.__setattr__(outcome, "bounded", facts)
    found: dict[str, object] = {
        **(outcome.bounded or {}),
        "uid": _name(request.uid),
        "kind": _name(request.kind.kind),
        "namespace": _name(request.namespace),
        "name": _name(request.name or _mapping(raw, "metadata").get("generateName")),
        "operation": _name(request.operation),
        "dry_run": request.dry_run,
        "user": _name(request.user_info.username),
    }
    if isinstance(request, Request) and request.kind.kind == "Pod":
        found["service_account"] = (
            _name(_mapping(raw, "spec").get("serviceAccountName")) or "default"
        )
        found["owner"] = _owner(raw)
    found["outcome"] = outcome.kind
    found["reason"] = outcome.reason
    found["warnings"] = len(outcome.warnings)
    return found


def notes(outcome: Outcome) -> Mapping[str, str]:
    """Return the annotations of the API server's audit event; it puts the webhook's name in front.

    A pod that is sent again (reinvocation) gets the same ones, since the API server refuses to
    overwrite an annotation: so the reason is given only where nothing is injected.
    """
    if outcome.noted is None:
        object.__setattr__(outcome, "noted", _notes(outcome))
    return outcome.noted or {}


def _notes(outcome: Outcome) -> dict[str, str]:
    found = {"outcome": outcome.kind}
    if outcome.kind != "inject":
        found["reason"] = outcome.reason
    for name in ANNOTATED:
        fact = outcome.facts.get(name)
        if isinstance(fact, list | tuple) and fact:
            entries = _bounded(fact)
            text = ("; " if name == "audits" else ",").join(map(str, entries))
            found[name] = _cut(text, MAX_ANNOTATION)
    return found


def _owner(raw: Mapping[str, Any]) -> str:
    """Return kind and name of the controller that made the object, or an empty string."""
    owners = _mapping(raw, "metadata").get("ownerReferences")
    for owner in owners[:MAX_ENTRIES] if isinstance(owners, list) else ():
        if isinstance(owner, Mapping) and owner.get("controller") is True:
            return f"{_name(owner.get('kind'))}/{_name(owner.get('name'))}"
    return ""


def _mapping(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of an object; a neighbour's review may hold anything in its place."""
    part = raw.get(name)
    return part if isinstance(part, Mapping) else {}


def _bounded(fact: object) -> Any:
    """Return a fact with at most so many entries, each at most so long."""
    if type(fact) is int:  # most are
        return fact
    if isinstance(fact, str):
        return _name(fact)
    if isinstance(fact, list | tuple):
        more = [f"and {len(fact) - MAX_ENTRIES} more"] if len(fact) > MAX_ENTRIES else []
        return [_bounded(each) for each in fact[:MAX_ENTRIES]] + more
    return fact


def _name(text: object) -> str:
    if not isinstance(text, str):
        return ""
    return text if len(text) <= MAX_NAME and text.isprintable() else _cut(text, MAX_NAME)


def _cut(text: str, limit: int) -> str:
    """Return the text, printable and no longer than the limit."""
    short = text if len(text) <= limit else text[: limit - 3] + "..."
    return short if short.isprintable() else _cut(errors.printable(short), limit)
