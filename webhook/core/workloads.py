"""Judging workloads when they are stored: what the pods of their templates would be told.

A Deployment whose pods are refused is created without a word; the denial stands in an event of its
ReplicaSet. So each pod template is decided about as a pod of it would be, on the same catalog, and
the lines of that decision are warnings for whoever stores the workload.

    stored by a person or a pipeline      judged, and never denied
    written by a controller               not judged: nobody reads its warnings
    on its way out, or without templates  not judged
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from injector.core import budget, errors
from injector.core.errors import Problem
from webhook.core import pod as pods
from webhook.core import review, shapes
from webhook.core.annotations import PREFIX, ours
from webhook.core.catalog import Catalog
from webhook.core.decide import decide
from webhook.core.our_container import Injection
from webhook.core.pod_templates import TEMPLATES, PodTemplate, path_of, pod_templates
from webhook.core.review import Head, Kind, Outcome, Request, warning

MOST_LINES = 10
"""Lines about one workload; the last one counts the others."""

_MAX_LISTED = 96
_CONTROLLERS = ("system:serviceaccount:kube-system:", "system:node:")
_CONTROLLER_MANAGER = "system:kube-controller-manager"
_POD = Kind(kind="Pod", version="v1")
_NOT_YET = frozenset({errors.IMPORT.id, errors.STORE_UNKNOWN.id})
"""What may have been stored a moment ago, in the same `kubectl apply`."""


def is_workload(head: Head) -> bool:
    """Say whether a review is about neither a pod nor one of our own resources."""
    return head.kind.kind != "Pod" and head.kind.kind not in review.RESOURCES


def judge(request: Request, catalog: Catalog, injection: Injection) -> Outcome:
    """Return the warnings for whoever stores the workload: the outcome always allows.

    Problems that would refuse the pods come before warnings about them.
    """
    raw = request.object
    if raw is None or not _is_stored_by_somebody(request, raw):
        return Outcome(kind="allow", reason="not_judged")
    found = _Found(request)
    templates = () if catalog.lacks(request.namespace) else _templates(request, raw)
    for template in templates:
        found.add(template, decide(_request(request, template.pod), catalog, injection))
    return found.outcome(misplaced(raw))


class _Found:
    """What is found about the pods of one workload."""

    def __init__(self, request: Request) -> None:
        self._kind = request.kind.kind
        self._refused: list[str] = []
        self._warned: list[str] = []
        self._codes: set[str] = set()
        self._said: set[Problem] = set()
        self._more = 0
        self._is_judged = False

    def add(self, template: PodTemplate, outcome: Outcome) -> None:
        """Take in what a pod of a template would be told; what was said of another is not again."""
        place = template.path if template.path != _path(self._kind) else ""
        if outcome.reason not in ("not_asked", "opted_out", "namespace_excluded"):
            self._is_judged = True
        for lines, problems in (
            (self._refused, outcome.problems),
            (self._warned, outcome.warned),
        ):
            for problem in problems:
                budget.spend()
                if problem in self._said:
                    continue
                self._said.add(problem)
                self._codes.add(problem.code.id)
                if len(lines) < MOST_LINES:
                    lines.append(review.told(problem, place=place))
                else:
                    self._more += 1
        self._more += outcome.more
        if outcome.reason == "nothing_to_inject":
            self._warned.append(outcome.warnings[-1])

    def outcome(self, beside: Sequence[str]) -> Outcome:
        """Return the outcome; `beside` are warnings about the workload itself."""
        lines = (*beside, *self._refused, *self._warned)
        reason = "judged" if self._is_judged else "not_judged"
        if self._refused:
            reason = "would_be_refused"
        elif self._warned:
            reason = "would_be_warned_of"
        elif beside:
            reason = "annotation_misplaced"
        codes = sorted(self._codes)
        return Outcome(
            kind="allow",
            reason=reason,
            warnings=_first(lines, self._more),
            facts={"codes": codes} if codes else {},
            awaits_news=not _NOT_YET.isdisjoint(codes),
        )


def misplaced(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a warning when our annotations stand on a workload instead of on its pods.

    Some controllers hand an object's own annotations on to its pods: there they are in their place.
    """
    names = sorted(ours(pods.annotations_of(raw)))
    found = next(pod_templates(raw, namespace=""), None) if names else None
    if found is None or "metadata.annotations" in found.annotated:
        return ()
    listed = ", ".join(PREFIX + name for name in names[:3])
    if len(listed) > _MAX_LISTED:  # what to do must stand within the first characters
        listed = PREFIX + names[0][: _MAX_LISTED - len(PREFIX)]
    if not listed.endswith(names[-1]):
        listed += ", ..."
    kind = str(raw.get("kind") or "")
    text = f"secret-injector: {listed} on a {kind} does nothing; move it to {found.annotated[-1]}"
    return (warning(text),)


def passed(undecided: Outcome) -> Outcome:
    """Return the outcome that lets a workload pass about which nothing could be decided.

    Its author hears of it only where the workload itself is the reason.
    """
    warnings = tuple(review.told(_unjudged(problem)) for problem in undecided.problems)
    is_too_much = undecided.reason == "over_budget"
    return replace(
        undecided, kind="allow", problems=(), more=0, warnings=warnings if is_too_much else ()
    )


def _unjudged(problem: Problem) -> Problem:
    what = "this workload takes more work to judge than a warning is worth; its pods are judged"
    hint = "secret-injector mutate -f FILE judges it without a limit"
    return Problem(code=problem.code, what=what, source="pod template", hint=hint)


def _is_stored_by_somebody(request: Request, raw: Mapping[str, Any]) -> bool:
    """Say whether a person or a pipeline writes the object, and not the controller above it."""
    if request.operation not in ("CREATE", "UPDATE") or request.sub_resource:
        return False
    user = request.user_info.username
    if user == _CONTROLLER_MANAGER or user.startswith(_CONTROLLERS):
        return False
    metadata = raw.get("metadata") or {}
    if metadata.get("deletionTimestamp"):
        return False
    owners = metadata.get("ownerReferences") or ()
    return not any(owner.get("controller") is True for owner in owners)


def _templates(request: Request, raw: dict[str, Any]) -> Iterator[PodTemplate]:
    """Yield the pod templates that can be judged.

    Of a kind that the API server has no types for anything may stand in the fields of a pod.
    """
    for template in pod_templates(raw, namespace=request.namespace):
        if not shapes.mistake("Pod", template.pod):
            yield template


def _path(kind: str) -> str:
    return path_of(TEMPLATES.get(kind, ""))


def _request(workload: Request, pod: dict[str, Any]) -> Request:
    """Return the request that the API server would send for a pod of the workload."""
    return Request(
        uid=workload.uid,
        kind=_POD,
        operation="CREATE",
        namespace=workload.namespace,
        name=workload.name,
        dry_run=workload.dry_run,
        user_info=workload.user_info,
        object=pod,
    )


def _first(lines: Sequence[str], more: int) -> tuple[str, ...]:
    """Return the lines, ten at most: the last one then says how many there are beside the nine."""
    count = len(lines) + more
    if count <= MOST_LINES:
        return tuple(lines)
    shown = lines[: MOST_LINES - 1]
    rest = f"{errors.LIMIT.id} and {count - len(shown)} more"
    return (*shown, f"{rest}: secret-injector mutate -f FILE shows them all")
