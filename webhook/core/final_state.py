"""The final state: a new pod as it would be stored, when everybody has changed it.

The guard in the API server holds fields and volumes. Here stands what it cannot judge: the plan,
and the audiences of tokens. Nothing that is in the pod is believed. Our parts are taken out, the
decision is made anew, and what is there must be what that decision would have put there:

    image of this release        the same as today's decision, or one of a moment ago
    image of the release before  that release decided by rules of its own: nothing that this pod
                                 could not have asked for under today's stores and policies
    another image                the next release's, while an upgrade goes on, since the guard lets
                                 no other pass: as above, and a plan that only it can read passes

A plan that only the release before can read passes as well while the release changes, which is
when this replica has just started: after a rollback, the release before is the later one.

Another replica may have heard of a change first: what is refused awaits news for a second. It may
also have other settings while these change: see `_settings`.
A container that is in no plan may have come after us, from a mesh: it is not missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from injector.core import budget, errors, plan_codec
from injector.core.errors import Problem, Refused
from injector.core.plan import NATIVE, ContainerPlan, Plan
from injector.core.record import replace as replace_fields
from webhook.core import (
    again,
    decide,
    jsonpatch,
    our_container,
    patch,
    plan_bound,
    renewal,
    review,
    sources_text,
)
from webhook.core import pod as pods
from webhook.core.annotations import ours
from webhook.core.catalog import Catalog
from webhook.core.images import Images, Release
from webhook.core.likeness import covers
from webhook.core.our_container import Injection
from webhook.core.plan_difference import differences
from webhook.core.review import Outcome, Request, warning
from webhook.core.source_volumes import sources

_OURS = f"container {pods.NAME}"
_ADDED = ("lifecycle", "restartPolicy", "volumeDevices")
_UNREAD = (Release.UNKNOWN,)
_UNREAD_AT_FIRST = (Release.UNKNOWN, Release.BEFORE)
_WITH_ANNOTATIONS = "copy the annotations too: kubectl debug --copy-to NAME --keep-annotations"


def judge(
    request: Request,
    catalogs: Sequence[Catalog],
    injection: Injection,
    images: Images,
    *,
    is_enforced: bool = True,
    is_new: bool = False,
) -> Outcome:
    """Return whether the pod may be stored. Raises nothing.

    `catalogs` are today's snapshot and then those of a moment ago; `is_enforced` says whether a
    problem is a denial or a warning; `is_new` that this replica has just started.
    """
    pod = request.object
    if request.operation != "CREATE" or request.sub_resource or pod is None or pods.is_mirror(pod):
        return Outcome(kind="allow", reason="not_judged")
    if request.namespace in decide.EXCLUDED_NAMESPACES:
        return Outcome(kind="allow", reason="namespace_excluded")
    found = ours(pods.annotations_of(pod))
    is_asking = bool(found) and found.get("inject") != "false"
    fetcher = _fetcher(pod)
    if fetcher is None:
        if not is_asking:
            return Outcome(kind="allow", reason="not_asked")
        outcome = _without(request.namespace, pod, found, catalogs, injection)
    elif not is_asking:
        what = "the pod carries it and does not ask for injection"
        problem = _problem(what, source=_OURS)
        outcome = _denied([replace_fields(problem, hint=_WITH_ANNOTATIONS)])
    else:
        unread = _UNREAD_AT_FIRST if is_new else _UNREAD
        outcome = _with(
            request.namespace, pod, fetcher, found, catalogs, injection, images, unread=unread
        )
    if outcome.kind == "deny" and not is_enforced:
        lines = tuple(warning(problem.line()) for problem in outcome.problems)
        return replace(outcome, kind="allow", problems=(), more=0, warnings=lines)
    return outcome


def _without(
    namespace: str,
    pod: Mapping[str, Any],
    found: Mapping[str, object],
    catalogs: Sequence[Catalog],
    injection: Injection,
) -> Outcome:
    """Judge a pod that asks and has no container of ours: there must be nothing to inject."""
    if again.carries_parts(pod):
        return _denied([_problem("it is missing, and volumes of it are there", source=_OURS)])
    outcomes = []
    for catalog in catalogs:
        outcome = decide.first(namespace, pod, found, catalog, injection)
        if outcome.kind == "skip":
            return Outcome(kind="allow", reason=outcome.reason)
        outcomes.append(outcome)
    if outcomes[0].kind == "deny":
        return replace(outcomes[0], awaits_news=True)
    what = "it is missing from a pod that asks for injection"
    return replace(_denied([_problem(what, source=_OURS)]), awaits_news=True)


def _with(
    namespace: str,
    pod: Mapping[str, Any],
    fetcher: Mapping[str, Any],
    found: Mapping[str, object],
    catalogs: Sequence[Catalog],
    injection: Injection,
    images: Images,
    *,
    unread: tuple[Release, ...],
) -> Outcome:
    """Judge a pod that asks and has our container.

    `unread` are the releases whose image vouches for a plan that we cannot read.
    """
    release = images.release_of(str(fetcher.get("image")))
    undone = again.before(pod)
    plan = None if undone is None else undone.plan
    if undone is None or plan is None:
        if release in unread and _is_sole(pod, fetcher):
            return Outcome(kind="allow", reason="of_another_release")
        what = "it is not there exactly once, or cannot be read"
        return _denied([_problem(what, source=f"{_OURS}, env {our_container.PLAN_VARIABLE}")])
    if release is not Release.THIS:
        asked = replace_fields(plan, sources=undone.sources)
        problems = plan_bound.beyond(namespace, pod, asked, found, catalogs, injection)
        problems = problems or [*_wrong_sources(pod, patch.volumes(plan, sources(plan)))]
        if problems:
            return replace(_denied(problems), awaits_news=True)
        return Outcome(kind="allow", reason="other_release")
    names = frozenset(part.name for part in plan.containers)
    if not names:
        source = f"{_OURS}, env {our_container.PLAN_VARIABLE}"
        return _denied([_problem("the plan serves no container", source=source)])
    outcomes = []
    for settings, catalog in product(_settings(injection, plan), catalogs):
        outcome = decide.first(namespace, undone.pod, found, catalog, settings, known_before=names)
        if outcome.kind == "inject":
            wanted = jsonpatch.apply(undone.pod, outcome.operations)
            problems = _unlike(pod, plan, wanted)
            if not problems:
                return Outcome(kind="allow", reason="as_decided", facts=outcome.facts)
            outcome = _denied(problems)
        elif outcome.kind == "skip":
            what = "the plan holds something, and there is nothing to inject"
            source = f"{_OURS}, env {our_container.PLAN_VARIABLE}"
            outcome = _denied([_problem(what, source=source)])
        outcomes.append(outcome)
    return replace(outcomes[0], awaits_news=True)


def _settings(injection: Injection, plan: Plan) -> tuple[Injection, ...]:
    """Return our settings, and those that a replica may have had that has others than we.

    They say how variables reach a process, and whom nobody asked to serve: neither gives anything
    that the pod could not ask for. Sizes, texts for the log and times are not compared at all.
    """
    is_native = any(part.env and part.env_mode == NATIVE for part in plan.containers)
    mode = "never"
    if is_native:
        mode = "auto" if injection.native_env == "never" else injection.native_env
    other = replace(injection, native_env=mode, skipped=())
    return (injection,) if other == injection else (injection, other)


def _unlike(pod: Mapping[str, Any], plan: Plan, wanted: Mapping[str, Any]) -> list[Problem]:
    """Return what of our parts is otherwise than in the pod that today's decision makes."""
    # Nearly every pod: the same text is the same plan, and need not be read again.
    is_same = _plan_texts(_fetcher(pod) or {}) == _plan_texts(_fetcher(wanted) or {})
    expected = plan if is_same else again.plan_of(wanted)
    if expected is None:  # our own patch carries a plan that we can read
        return [_problem("the decision cannot be read back", source=_OURS)]
    problems = [
        _problem(
            f"{what}: the plan is not the one that this pod would get",
            source=f"container {container}" if container else _OURS,
        )
        for container, what in (() if is_same else differences(plan, expected))
    ]
    body = pods.spec(wanted)
    return [
        *problems,
        *_wrong_fetcher(_fetcher(pod) or {}, _fetcher(wanted) or {}),
        *_wrong_sources(pod, [v for v in body["volumes"] if _is_ours(v)]),
        *_wrong_containers(pod, wanted, expected),
        *_wrong_group(pod, plan),
    ]


def _wrong_fetcher(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what of our container is otherwise, as far as it matters what it is."""
    for field in ("command", "args"):
        if there.get(field) != wanted[field]:
            yield _problem("it is not the injector's", source=f"{_OURS}, {field}")
    context, made = there.get("securityContext") or {}, renewal.rights(there, wanted)
    # Of two users that are not root one is as good as the other: who reads what is the group's.
    for field in wanted["securityContext"]:
        if field not in ("runAsUser", "runAsGroup") and not covers(context.get(field), made[field]):
            yield _problem("it is not the injector's", source=f"{_OURS}, securityContext.{field}")
    for field in _ADDED:
        if there.get(field):
            yield _problem("the injector does not set it", source=f"{_OURS}, {field}")
    yield from _wrong_variables(there)
    yield from _wrong_mounts(there, wanted, _OURS)
    for mount in there.get("volumeMounts") or ():
        path = str(mount.get("mountPath"))
        if not _is_ours(mount) and our_container.is_over_ours(path):
            source = f"{_OURS}, volumeMounts {path}"
            yield _problem("it is over the injector's code or folders", source=source)


def _wrong_variables(there: Mapping[str, Any]) -> Iterator[Problem]:
    names = [e.get("name") for e in there.get("env") or ()]
    if names.count(our_container.PLAN_VARIABLE) != 1:
        source = f"{_OURS}, env {our_container.PLAN_VARIABLE}"
        yield _problem("it is not there exactly once", source=source)
    if names.count(sources_text.VARIABLE) > 1:
        source = f"{_OURS}, env {sources_text.VARIABLE}"
        yield _problem("it is there twice", source=source)


def _wrong_sources(
    pod: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]]
) -> Iterator[Problem]:
    """Yield what of our volumes is otherwise: their kinds, and what our container is given."""
    there = {str(v.get("name")): v for v in pods.spec(pod).get("volumes") or () if _is_ours(v)}
    expected = {str(v["name"]): v for v in wanted}
    for name in sorted(there.keys() ^ expected.keys()):
        what = "it is missing" if name in expected else "the plan does not need it"
        yield _problem(what, source=f"{_OURS}, volume {name}")
    for name in sorted(there.keys() & expected.keys()):
        one, other = set(_contents(there[name])), set(_contents(expected[name]))
        for content in sorted(one ^ other):
            what = (
                f"it is to hold {content}"
                if content in other
                else f"it holds {content}, which the plan does not need"
            )
            yield _problem(what, source=f"{_OURS}, volume {name}")


def _contents(volume: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a volume of ours brings, as people read it."""
    if "emptyDir" in volume:
        medium = (volume["emptyDir"] or {}).get("medium")
        yield "memory" if medium == "Memory" else "a disk"
        return
    if "secret" in volume:
        secret = volume["secret"] or {}
        items = "" if not secret.get("items") else " in part"
        yield f"Secret {secret.get('secretName')}{items}"
        return
    if "projected" not in volume:
        yield "; ".join(sorted(key for key in volume if key != "name"))
        return
    for source in (volume["projected"] or {}).get("sources") or ():
        budget.spend()
        token = source.get("serviceAccountToken")
        if token is not None:
            yield f'a token for "{token.get("audience") or ""}" at {token.get("path")}'
            continue
        kind = next((k for k in ("secret", "configMap") if source.get(k) is not None), None)
        if kind is None:
            yield "; ".join(sorted(source))
            continue
        named = source[kind]
        for item in named.get("items") or [{"key": "every key", "path": "."}]:
            yield f"{kind} {named.get('name')}: {item.get('key')} at {item.get('path')}"


def _wrong_containers(
    pod: Mapping[str, Any], wanted: Mapping[str, Any], plan: Plan
) -> Iterator[Problem]:
    """Yield what containers have of our parts otherwise than the plan has them served."""
    expected = {container.name: container for container in pods.containers(wanted)}
    parts = {part.name: part for part in plan.containers}
    for container in pods.containers(pod):
        if container.name == pods.NAME:
            continue
        budget.spend()
        other = expected[container.name]
        source = f"container {container.name}"
        yield from _wrong_mounts(container.raw, other.raw, source)
        if _is_launched(container.raw) != _is_launched(other.raw):
            yield _problem("it is not started by the launcher", source=f"{source}, command")
        part = parts.get(container.name)
        if part is not None and part.env_mode == NATIVE:
            yield from _wrong_references(container, other, part)


def _wrong_group(pod: Mapping[str, Any], plan: Plan) -> Iterator[Problem]:
    """Yield the group that the files are given to, when the pod is not in it."""
    context = pods.spec(pod).get("securityContext") or {}
    if plan.group is not None and plan.group not in (context.get("supplementalGroups") or ()):
        what = f"the group {plan.group}, which reads the files, is missing"
        yield _problem(what, source="pod, securityContext.supplementalGroups")


def _is_launched(raw: Mapping[str, Any]) -> bool:
    """Say whether our launcher starts a container, perhaps behind another one."""
    return again.launchers(raw.get("command")) + again.launchers(raw.get("args")) > 0


def _wrong_references(
    there: pods.Container, wanted: pods.Container, part: ContainerPlan
) -> Iterator[Problem]:
    entries = {str(e.get("name")): e for e in wanted.env}
    for item in part.env:
        budget.spend()
        found = [e for e in there.env if e.get("name") == item.name]
        if len(found) != 1 or not covers(found[0], entries[item.name]):
            source = f"container {there.name}, env {item.name}"
            yield _problem("it does not come from the injector", source=source)


def _wrong_mounts(
    there: Mapping[str, Any], wanted: Mapping[str, Any], source: str
) -> Iterator[Problem]:
    """Yield each mount of a volume of ours that only one of the two has, or has otherwise."""
    one, other = (
        {_mount(m) for m in raw.get("volumeMounts") or () if _is_ours(m)} for raw in (there, wanted)
    )
    for path, *_ in sorted(one ^ other):
        yield _problem(
            "it is not as the injector makes it", source=f"{source}, volumeMounts {path}"
        )


def _mount(raw: Mapping[str, Any]) -> tuple[str, str, str, bool]:
    return (
        str(raw.get("mountPath")),
        str(raw.get("name")),
        str(raw.get("subPath") or raw.get("subPathExpr") or ""),
        bool(raw.get("readOnly")),
    )


def _is_ours(named: Mapping[str, Any]) -> bool:
    return patch.is_volume_name(str(named.get("name")))


def _fetcher(pod: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return our container: the init container of that name."""
    inits = pods.spec(pod).get("initContainers") or ()
    return next((raw for raw in inits if raw.get("name") == pods.NAME), None)


def _plan_texts(fetcher: Mapping[str, Any]) -> list[object]:
    return [
        entry.get("value")
        for entry in fetcher.get("env") or ()
        if entry.get("name") == our_container.PLAN_VARIABLE
    ]


def _is_sole(pod: Mapping[str, Any], fetcher: Mapping[str, Any]) -> bool:
    """Say whether there is one container of our name with one plan, which we cannot read."""
    named = [c for c in pods.containers(pod) if c.name == pods.NAME]
    texts = _plan_texts(fetcher)
    if len(named) != 1 or len(texts) != 1 or not texts[0]:
        return False
    try:
        plan_codec.decode(str(texts[0]))
    except Refused:
        return True
    return False


def _problem(what: str, *, source: str) -> Problem:
    return Problem(code=errors.FINAL_STATE, what=what, source=source)


def _denied(problems: Sequence[Problem]) -> Outcome:
    return review.denial(tuple(dict.fromkeys(problems)), reason="changed")
