"""The status of our resources: one `Ready` condition, made from what is wrong with the object.

Source: the API conventions' `metav1.Condition` (type, status, reason, message, lastTransitionTime,
observedGeneration). No value and no hash of one ever stands in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from injector.core import budget, stores
from injector.core.budget import OverBudget
from injector.core.errors import Problem
from webhook.core.catalog import Catalog
from webhook.core.validate import mistakes

MAX_MESSAGE = 1024
MAX_NAMED = 50
JUDGING_STEPS = 100_000
"""As many steps as a decision may take: to judge a service is to resolve it."""


def status(
    kind: str, raw: Mapping[str, Any], catalog: Catalog, *, now: str
) -> dict[str, Any] | None:
    """Return the status that the object should have, None when it has it.

    `now` is RFC 3339 in UTC; it is used where Ready changes between True and False.
    """
    found = _mistakes(kind, raw, catalog)
    generation = (raw.get("metadata") or {}).get("generation") or 0
    there = raw.get("status") or {}
    before: Mapping[str, Any] = next(
        (c for c in there.get("conditions") or () if c.get("type") == "Ready"), {}
    )
    ready = "False" if found else "True"
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": _reason(found),
        "message": _message(found),
        "observedGeneration": generation,
        "lastTransitionTime": before.get("lastTransitionTime")
        if before.get("status") == ready
        else now,
    }
    wanted = {"observedGeneration": generation, **_facts(kind, raw), "conditions": [condition]}
    return None if wanted == {key: there.get(key) for key in wanted} else wanted


def _mistakes(kind: str, raw: Mapping[str, Any], catalog: Catalog) -> tuple[Problem, ...]:
    """Return what is wrong with the object, at last that it takes too much work to say so."""
    with budget.limited(JUDGING_STEPS) as meter:
        try:
            found = mistakes(kind, dict(raw), catalog)
        except OverBudget as over:
            return over.problems
    return budget.over().problems if meter.is_exceeded else found


def _facts(kind: str, raw: Mapping[str, Any]) -> dict[str, str]:
    """Return what the printed columns of a kind show beside the condition."""
    if kind != "ClusterSecretStore":
        return {}
    named = [name for name in stores.PROVIDERS if name in (raw.get("spec") or {})]
    return {"provider": named[0]} if len(named) == 1 else {}


def _reason(found: tuple[Problem, ...]) -> str:
    """Return a CamelCase reason: the code of the first problem, which is stable."""
    return found[0].code.id.replace("-", "") if found else "Valid"


def _message(found: tuple[Problem, ...]) -> str:
    text = "; ".join(problem.line() for problem in found[:MAX_NAMED])
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 3] + "..."
