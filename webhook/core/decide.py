"""The decision about a pod: a function of the request, one snapshot of the cluster, and settings.

    skip: not a pod's creation, not asked for, opted out, mirror pod      nothing is touched
    deny: any problem in any step, all of them together                   the pod is refused
    inject: the operations, or none when the pod already carries them

A pod that carries parts of ours, of whatever release, is never refused for them: see `again`.

Everything here may be asked again and again with the same answer; nothing is remembered but what
the snapshot itself determines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from injector.core import errors
from injector.core.errors import Problem
from webhook.core import again, asking, brought, jsonpatch, meshes, patch, planning, renewal, review
from webhook.core import pod as pods
from webhook.core.annotations import PREFIX, Wish, ours
from webhook.core.catalog import Catalog
from webhook.core.our_container import Injection
from webhook.core.planning import Judged, Made, Planned
from webhook.core.review import Outcome, Request, denial, warning

__all__ = ["Injection", "Made", "decide", "first", "make"]

EXCLUDED_NAMESPACES = frozenset({"kube-system"})

_ENCODER = msgspec.json.Encoder()


def decide(request: Request, catalog: Catalog, injection: Injection) -> Outcome:
    """Return what happens to the object of the request. Raises nothing."""
    reason, found = _skipped(request)
    if reason == "not_asked" and request.object is not None:
        lost = again.lost_annotations(request.object)
        if lost and lost.get("inject") != "false":
            return _asking_again(request, lost, catalog, injection)
    if reason or request.object is None:
        return Outcome(kind="skip", reason=reason)
    if catalog.lacks(request.namespace):
        return denial([_unknown(request.namespace)])
    pod = request.object
    if pods.is_windows(pod):
        return denial([_for_windows()])
    if not again.carries_parts(pod):
        return first(request.namespace, pod, found, catalog, injection)
    clashes = again.clashes(pod)
    if clashes:
        return denial(clashes)
    return _renewed(request.namespace, pod, found, catalog, injection)


def _asking_again(
    request: Request, lost: Mapping[str, str], catalog: Catalog, injection: Injection
) -> Outcome:
    """Return the outcome for a copy that has lost its annotations: they are put back first."""
    pod = request.object or {}
    there = (pod.get("metadata") or {}).get("annotations")
    names = {f"{PREFIX}{name}": text for name, text in lost.items()}
    put_back = [jsonpatch.add("/metadata/annotations", names)]
    if there:
        put_back = [
            jsonpatch.add(f"/metadata/annotations/{name.replace('/', '~1')}", text)
            for name, text in names.items()
        ]
    asking = msgspec.structs.replace(request, object=jsonpatch.apply(pod, put_back))
    outcome = decide(asking, catalog, injection)
    if outcome.kind == "deny":
        return outcome
    told = warning(
        "secret-injector: the pod carries our container, so its annotations are put back"
    )
    return replace(
        outcome,
        reason="injected_anew" if outcome.kind == "inject" else outcome.reason,
        operations=(*put_back, *outcome.operations),
        patch="",
        warnings=(*outcome.warnings, told),
    )


def _renewed(
    namespace: str,
    pod: Mapping[str, Any],
    found: Mapping[str, object],
    catalog: Catalog,
    injection: Injection,
) -> Outcome:
    """Return the outcome for a pod that carries parts of ours: today's in their stead."""
    undone = again.taken_out(pod)
    known = undone.served or None
    outcome = first(namespace, undone.pod, found, catalog, injection, known_before=known)
    if outcome.kind == "deny":
        return outcome
    wanted = jsonpatch.apply(undone.pod, outcome.operations)
    operations = renewal.operations(pod, wanted, outcome.operations, injection)
    if undone.is_cut and found.get("inject") == "true":
        what = "it was taken out, and with it the references that stood in env: write them again"
        lost = Problem(code=errors.POD, what=what, source=f"container {pods.NAME}")
        outcome = replace(outcome, warnings=(*outcome.warnings, warning(lost.line())))
    reason = outcome.reason
    if outcome.kind == "inject":
        reason = "injected_anew" if operations else "already_injected"
    return replace(outcome, reason=reason, operations=tuple(operations), patch="")


def _unknown(namespace: str) -> Problem:
    what = f"nothing is known of namespace {namespace} yet, and a selector looks at its labels"
    return Problem(code=errors.NAMESPACE, what=what)


def _skipped(request: Request) -> tuple[str, dict[str, object]]:
    """Return why the object is not looked at, or an empty text; and its annotations of ours."""
    is_new_pod = request.kind.kind == "Pod" and request.operation == "CREATE"
    if not is_new_pod or request.sub_resource or request.object is None:
        return "not_a_new_pod", {}
    found = ours(pods.annotations_of(request.object))
    if not found:
        return "not_asked", found
    if found.get("inject") == "false":
        return "opted_out", found
    if request.namespace in EXCLUDED_NAMESPACES:
        return "namespace_excluded", found
    return "mirror_pod" if pods.is_mirror(request.object) else "", found


def make(
    namespace: str, pod: Mapping[str, Any], catalog: Catalog, injection: Injection
) -> tuple[Made | None, Wish, tuple[Problem, ...], tuple[str, ...]]:
    """Return the plan for a pod that carries no parts of ours, the wish, problems and warnings.

    The plan is None when there are problems or nothing is asked for.
    """
    judged = planning.judged(namespace, pod, ours(pods.annotations_of(pod)), catalog, injection)
    found = planning.planned(pod, judged, catalog, injection)
    return found.made, found.wish, found.problems, review.warnings(found.warnings)


def first(
    namespace: str,
    pod: Mapping[str, Any],
    found: Mapping[str, object],
    catalog: Catalog,
    injection: Injection,
    *,
    known_before: frozenset[str] | None = None,
) -> Outcome:
    """Return the outcome for a pod without parts of ours; pods of one template share one.

    `known_before` are the containers that an earlier decision served; see `asking.targets`.
    """
    count = pods.count(pod)
    if count > asking.MAX_CONTAINERS:
        what = f"it has {count} containers, the limit is {asking.MAX_CONTAINERS}"
        return denial([Problem(code=errors.LIMIT, what=what)])
    judged = planning.judged(namespace, pod, found, catalog, injection)
    key = _key(pod, judged, known_before)
    outcome = catalog.decisions.get(key)
    if outcome is None:
        outcome = _outcome(pod, judged, catalog, injection, known_before)
        catalog.decisions.put(key, outcome)
    return outcome


def _key(pod: Mapping[str, Any], judged: Judged, known_before: frozenset[str] | None) -> bytes:
    """Return all that the outcome depends on, the snapshot and the settings apart.

    A pod differs from its siblings in its name, some labels and the name of its token's volume:
    none of them is part of it.
    """
    body = pods.spec(pod)
    free = pods.writable_volumes(pod)
    return _ENCODER.encode(
        (
            judged.subject.namespace,
            judged.subject.service_account,
            [policy.name for policy in judged.policies],
            judged.annotations,
            None if known_before is None else sorted(known_before),
            judged.native.reason,
            judged.skipped,
            sorted(judged.defaulted),
            body.get("restartPolicy") == "Never",
            meshes.of(pod, judged.skipped),
            bool(body.get("volumes")),
            body.get("securityContext"),
            body.get("resources"),
            body.get("imagePullSecrets"),
            [pods.annotations_of(pod).get(name) for name in patch.READ_ANNOTATIONS],
            brought.copied(pod),
            [_containers_key(body.get(part), free) for part in ("initContainers", "containers")],
        )
    )


def _containers_key(
    containers: Sequence[Mapping[str, Any]] | None, free: frozenset[str]
) -> list[object]:
    """Return all of the containers but the names of their volumes, of which the writable count."""
    return [
        (
            {name: value for name, value in raw.items() if name != "volumeMounts"},
            [
                (
                    mount.get("mountPath"),
                    mount.get("subPathExpr"),
                    mount.get("name") in free and not mount.get("readOnly"),
                )
                for mount in raw.get("volumeMounts") or ()
            ],
        )
        for raw in containers or ()
    ]


def _outcome(
    pod: Mapping[str, Any],
    judged: Judged,
    catalog: Catalog,
    injection: Injection,
    known_before: frozenset[str] | None,
) -> Outcome:
    found = planning.planned(pod, judged, catalog, injection, known_before=known_before)
    warnings = review.warnings(found.warnings)
    grounds = _grounds(found, judged)
    if found.problems:
        return denial(found.problems, warnings=warnings, warned=found.warnings, facts=grounds)
    if found.made is None:
        text = "secret-injector: injection is asked for and nothing is to be injected"
        return Outcome(
            kind="skip",
            reason="nothing_to_inject",
            warnings=(*warnings, warning(text)),
            warned=found.warnings,
            facts=grounds,
        )
    operations = patch.operations(
        pod,
        found.made.plan,
        found.made.encoded,
        injection,
        wish=found.wish,
        packed_sources=found.made.packed_sources,
    )
    return Outcome(
        kind="inject",
        reason="injected",
        operations=tuple(operations),
        patch=review.patch_text(operations),
        warnings=warnings,
        warned=found.warnings,
        facts={**_facts(found.made), **grounds},
    )


def _grounds(found: Planned, judged: Judged) -> dict[str, object]:
    """Return what a decision rests on: stores, policies, and what was found without a denial."""
    told = (*found.warnings, *found.audits)
    audits = found.audits[: review.MAX_PROBLEMS]
    return {
        "stores": list(found.stores),
        "policies": [policy.name for policy in judged.policies],
        **({"codes": sorted({problem.code.id for problem in told})} if told else {}),
        **({"audits": [problem.line() for problem in audits]} if audits else {}),
        **({"foreign": list(found.foreign)} if found.foreign else {}),
    }


def _facts(made: Made) -> dict[str, object]:
    plan = made.plan
    return {
        "containers": len(plan.containers),
        "variables": sum(len(part.env) for part in plan.containers),
        "files": sum(len(part.files) for part in plan.containers),
        "reads": len(plan.reads),
        "plan_bytes": len(made.encoded),
        "versions": list(made.resolution.versions),
    }


def _for_windows() -> Problem:
    what = "a pod for Windows nodes cannot be injected"
    return Problem(code=errors.POD, what=what, hint="run it on Linux nodes")
