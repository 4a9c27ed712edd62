"""Judging our own resources when they are stored: what their schemas cannot say.

A resource with mistakes is refused with all of them. Pods that use one which was stored while the
webhook was away are denied by the same checks, so nothing depends on this having run.
"""

from __future__ import annotations

from injector.core import stores
from injector.core.errors import Problem, Refused
from webhook.core import resources
from webhook.core.catalog import Catalog
from webhook.core.review import Outcome, Request


def validate(request: Request, catalog: Catalog) -> Outcome:
    """Return whether the object of the request may be stored. Raises nothing."""
    del catalog
    if (
        request.operation not in ("CREATE", "UPDATE")
        or request.object is None
        or request.sub_resource
    ):
        return Outcome(kind="allow", reason="not_judged")
    problems = _problems(request.kind.kind, request.object)
    if problems:
        facts = {"codes": sorted({problem.code.id for problem in problems})}
        return Outcome(kind="deny", reason="refused", problems=problems, facts=facts)
    return Outcome(kind="allow", reason="valid")


def _problems(kind: str, raw: dict[str, object]) -> tuple[Problem, ...]:
    match kind:
        case "ClusterSecretStore":
            metadata = raw.get("metadata")
            name = str(metadata.get("name") or "") if isinstance(metadata, dict) else ""
            try:
                stores.parse(name, raw.get("spec") or {})
            except Refused as refused:
                return refused.problems
            return ()
        case "ServiceSecrets":
            return resources.service(raw).problems
        case "EnvironmentSecrets":
            return resources.environment(raw).problems
        case "ClusterInjectionPolicy":
            return resources.policy(raw).problems
        case _:
            return ()
