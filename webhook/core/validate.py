"""Judging objects when they are stored or deleted: what their schemas cannot say.

    our resources, stored     refused with every mistake in them; what they refer to and is not
                              there yet is a warning: manifests of one set arrive in any order
    our resources, deleted    refused while something refers to them; the denial lists who
    workloads                 warned when our annotations stand on them instead of on their pods;
                              `workloads` judges their templates, too

Pods that use a wrong resource are denied by the same checks, so nothing depends on this having run.
"""

from __future__ import annotations

from typing import Any

from injector.core import errors, stores
from injector.core.errors import Problem, Refused
from webhook.core import lookalikes, manifests, review, usage, workloads
from webhook.core.catalog import Catalog
from webhook.core.definitions import Definitions, FileDef, KeyDef
from webhook.core.resolve import Asked, ContainerAsk, resolve
from webhook.core.review import RESOURCES, Outcome, Request, denial

_NAMESPACE_CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"
_NOT_YET = (errors.IMPORT, errors.STORE_UNKNOWN, errors.FOREIGN)
"""What another object has wrong, or has not got yet: it may still change without this one."""
MAX_LISTED = 10


def validate(request: Request, catalog: Catalog) -> Outcome:
    """Return whether the object of the request may be stored or deleted. Raises nothing."""
    kind = request.kind.kind
    if request.sub_resource:
        return Outcome(kind="allow", reason="not_judged")
    if request.operation == "DELETE":
        return _deletion(request, catalog)
    if request.operation not in ("CREATE", "UPDATE") or request.object is None:
        return Outcome(kind="allow", reason="not_judged")
    if kind in RESOURCES:
        return _stored(kind, request, request.object, catalog)
    if kind in manifests.TEMPLATES and kind != "Pod":
        return _workload(request.object)
    return Outcome(kind="allow", reason="not_judged")


def mistakes(kind: str, raw: dict[str, Any], catalog: Catalog) -> tuple[Problem, ...]:
    """Return everything wrong with a resource, its references into the catalog included."""
    metadata = raw.get("metadata") or {}
    name, namespace = str(metadata.get("name") or ""), str(metadata.get("namespace") or "")
    seen = catalog.with_object(kind, raw)
    match kind:
        case "ClusterSecretStore":
            try:
                stores.parse(name, raw.get("spec") or {})
            except Refused as refused:
                return refused.problems
            return ()
        case "ServiceSecrets":
            service = seen.services[namespace or "default", name]
            asked = Asked(
                namespace=service.namespace,
                service_account="default",
                service=name,
                imports=Definitions(),
                containers=(ContainerAsk(name="any"),),
            )
            return tuple(dict.fromkeys((*service.problems, *resolve(asked, seen)[1])))
        case "EnvironmentSecrets":
            return seen.environments[name].problems
        case "ClusterInjectionPolicy":
            return seen.policies[name].problems
        case _:
            return ()


def misread(kind: str, raw: dict[str, Any], catalog: Catalog) -> tuple[Problem, ...]:
    """Return a warning for each value of a resource that looks like a reference and stays text."""
    metadata = raw.get("metadata") or {}
    name, namespace = str(metadata.get("name") or ""), str(metadata.get("namespace") or "")
    seen = catalog.with_object(kind, raw)
    match kind:
        case "ServiceSecrets":
            written = seen.services[namespace or "default", name].definitions
            keys: tuple[KeyDef | FileDef, ...] = (*written.env, *written.files)
        case "EnvironmentSecrets":
            keys = seen.environments[name].env
        case _:
            return ()
    stores = {name for name, store in catalog.stores.items() if store.serves(namespace)}
    return tuple(lookalikes.in_keys(keys, stores=stores))


def _stored(kind: str, request: Request, raw: dict[str, Any], catalog: Catalog) -> Outcome:
    metadata = {"namespace": request.namespace, "name": request.name, **(raw.get("metadata") or {})}
    found = mistakes(kind, {**raw, "metadata": metadata}, catalog)
    problems = [problem for problem in found if problem.code not in _NOT_YET]
    warnings = review.warnings(
        [problem for problem in found if problem.code in _NOT_YET]
        + list(misread(kind, {**raw, "metadata": metadata}, catalog))
    )
    if problems:
        return denial(problems, warnings=warnings)
    return Outcome(kind="allow", reason="valid", warnings=warnings)


def _deletion(request: Request, catalog: Catalog) -> Outcome:
    kind = request.kind.kind
    if kind not in RESOURCES or request.user_info.username == _NAMESPACE_CONTROLLER:
        # A namespace that goes takes its services along; to hold one back would hold the namespace.
        return Outcome(kind="allow", reason="not_judged")
    target = f"{request.namespace}/{request.name}" if kind == "ServiceSecrets" else request.name
    users = usage.users_of(catalog, kind, target)
    if not users:
        return Outcome(kind="allow", reason="unused")
    listed = sorted({f"{user.by} {user.place}" for user in users})
    more = f" and {len(listed) - MAX_LISTED} more" if len(listed) > MAX_LISTED else ""
    what = f"it is referred to by {', '.join(listed[:MAX_LISTED])}{more}"
    problem = Problem(code=errors.IN_USE, what=what, source=f"{kind} {target}")
    return denial([problem], reason="in_use")


def _workload(raw: dict[str, Any]) -> Outcome:
    warnings = workloads.misplaced(raw)
    reason = "annotation_misplaced" if warnings else "not_judged"
    return Outcome(kind="allow", reason=reason, warnings=warnings)
