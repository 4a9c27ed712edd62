"""From a pod to its plan: annotations ► asking ► resolve ► plan ► policy, with every problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from injector.core import errors, plan_codec
from injector.core.errors import Problem, Refused
from injector.core.plan import LAUNCHER, NATIVE, ContainerPlan, Plan
from injector.core.record import replace as replace_fields
from injector.core.reporting import some
from injector.core.stores import BUILT_IN
from webhook.core import (
    asking,
    brought,
    foreign,
    lookalikes,
    meshes,
    patch,
    placing,
    policy,
    sidecars,
    sizing,
    sources_text,
)
from webhook.core import pod as pods
from webhook.core.annotations import PREFIX, Wish, parse
from webhook.core.asking import NativeEnv, Targets
from webhook.core.catalog import Catalog
from webhook.core.definitions import FromDef
from webhook.core.from_entries import idle
from webhook.core.our_container import Injection
from webhook.core.policy_model import Policy
from webhook.core.resolve import Asked, Resolution, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A pod's plan and what it came from; `encoded` and `packed_sources` are how both travel."""

    plan: Plan
    encoded: str
    packed_sources: str
    resolution: Resolution
    asked: Asked


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A pod before its policies: the ones that match, and its annotations with their defaults."""

    subject: policy.Subject
    policies: tuple[Policy, ...]
    annotations: Mapping[str, str]
    settings: policy.Verdict
    native: NativeEnv
    skipped: Mapping[str, str]
    defaulted: frozenset[str] = frozenset()
    """The annotations that are a policy's and not the pod's own."""

    @property
    def own_annotations(self) -> dict[str, str]:
        """The annotations that are the pod's own."""
        return {name: text for name, text in self.annotations.items() if name not in self.defaulted}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What became of a pod's wish; `made` is None with a problem, or when nothing is asked for.

    `stores` are the names of the stores that it would read, also when it is refused.
    """

    made: Made | None
    stores: tuple[str, ...]
    wish: Wish
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    audits: tuple[Problem, ...]
    foreign: tuple[str, ...] = ()


def judged(
    namespace: str,
    pod: Mapping[str, Any],
    found: Mapping[str, object],
    catalog: Catalog,
    injection: Injection,
) -> Judged:
    """Return which policies match the pod, and its annotations of ours with their defaults."""
    subject = policy.Subject(
        namespace=namespace,
        labels=pods.labels_of(pod),
        service_account=pods.service_account(pod),
    )
    policies = policy.matching(catalog, subject)
    chosen, settings = policy.with_defaults(
        policies, {k: "" if v is None else str(v) for k, v in found.items()}
    )
    return Judged(
        subject=subject,
        policies=policies,
        annotations=chosen,
        settings=settings,
        native=asking.native_env(pod, catalog, injection.native_env),
        skipped=sidecars.skipped(pod, injection.skipped),
        defaulted=frozenset(chosen.keys() - found.keys()),
    )


def planned(
    pod: Mapping[str, Any],
    before: Judged,
    catalog: Catalog,
    injection: Injection,
    *,
    known_before: frozenset[str] | None = None,
) -> Planned:
    """Return the plan for a pod that carries no parts of ours; see `asking.targets`."""
    namespace = before.subject.namespace
    wish, mistakes = parse(before.annotations)
    problems = [*mistakes]
    wish = _placed(pod, wish, before)
    problems += _too_long(wish, injection)
    found = asking.targets(pod, wish, problems, skipped=before.skipped, known_before=known_before)
    asked = asking.asked(namespace, pod, wish, found, problems)
    resolution, unresolved = resolve(asked, catalog)
    problems += unresolved
    made = None
    if wish.mode != "init" or wish.refresh is not None or wish.on_change != "none":
        what = "only mode init is built; sidecar, parallel, refresh and on-change are not yet"
        problems.append(
            Problem(code=errors.NOT_SUPPORTED, what=what, source=f"annotation {PREFIX}mode")
        )
    lowered = [p.rules.min_allowed for p in before.policies if not p.problems]
    problems += [
        Problem(code=errors.ANNOTATION_VALUE, what=what, source=f"annotation {PREFIX}resources")
        for what in sizing.out_of_bounds(wish.resources, injection.sizing, lowered)
    ]
    parts = _parts(pod, found, wish, resolution, before.native, problems)
    if parts and not problems:
        fields = _readers(pod, found, parts, wish, injection, problems)
        fields |= _waiting(pod, wish, before, injection)
        if any(part.env_from for part in parts):
            fields["rules"] = policy.key_rules(before.policies)
        if not problems:
            made = _made(before, found, parts, asked, resolution, fields, problems)
    left = found.inline.left(pod, catalog, namespace=namespace, service=wish.service or "")
    # With nothing to inject there is still something to judge: what was hidden, and settings.
    if made is not None or not problems:
        plan = Plan(namespace=namespace, service_account=asked.service_account)
        plan = plan if made is None else made.plan
        verdict = policy.judge(before.policies, before.subject, wish, plan, resolution)
    else:
        verdict = policy.broken(before.policies)
    problems += verdict.denials
    problems = [*before.settings.denials, *problems]
    told = () if made is None else foreign.warnings(made.plan, resolution)
    if made is not None:
        told = (*told, *_captured(pod, before, made.plan))
        if wish.init_after is None:
            names = {part.name for part in made.plan.containers}
            wish = replace(wish, init_after=meshes.after(pod, before.skipped, names))
    return Planned(
        made=None if problems else made,
        stores=tuple(store.name for store in resolution.stores),
        wish=wish,
        problems=tuple(dict.fromkeys(problems)),
        warnings=(
            *before.settings.warnings,
            *verdict.warnings,
            *_left_out(pod, before, wish, found),
            *idle(
                each
                for part in (wish.shared, *wish.per_container.values())
                for each in part.env_from
            ),
            *left,
            *misread(pod, before, wish, catalog),
            *lookalikes.empty(c for c in found.all if c.name in found.served),
            *brought.from_annotations(pod),
            *told,
        ),
        audits=(*before.settings.audits, *verdict.audits),
        foreign=() if made is None else foreign.facts(made.plan, resolution),
    )


def misread(
    pod: Mapping[str, Any], before: Judged, wish: Wish, catalog: Catalog
) -> tuple[Problem, ...]:
    """Return a warning for each value of the pod that looks like a reference and stays text."""
    namespace = before.subject.namespace
    stores = catalog.stores_for(namespace)
    found = [*lookalikes.in_pod(pod, stores=stores, skipped=before.skipped)]
    for definitions in (wish.shared, *wish.per_container.values()):
        found += lookalikes.in_keys((*definitions.env, *definitions.files), stores=stores)
    return tuple(dict.fromkeys(found))


def _captured(pod: Mapping[str, Any], before: Judged, plan: Plan) -> tuple[Problem, ...]:
    """Return a warning where a mesh takes the network of our container and nothing answers yet."""
    beside = meshes.of(pod, before.skipped)
    if beside is None or not beside.is_captured or all(s.name == BUILT_IN for s in plan.stores):
        return ()
    mesh = beside.mesh
    what = (
        f"{mesh.owner} takes the network of init containers, and its proxy starts after them: make"
        f" it a native sidecar ({mesh.native}), or let the store's port pass:"
        f' {mesh.excluding[0]}: "8200"'
    )
    return (Problem(code=errors.MESH, what=what),)


def _left_out(
    pod: Mapping[str, Any], before: Judged, wish: Wish, found: Targets
) -> tuple[Problem, ...]:
    """Return a warning that names the app containers that were left to whoever added them."""
    shared = wish.shared
    is_for_all = wish.service or shared.env or shared.env_from or shared.files or shared.imports
    if wish.containers is not None or not is_for_all:
        return ()
    apps = {container.name for container in pods.containers(pod) if not container.is_init}
    names = [
        f"{name} ({owner})"
        for name, owner in before.skipped.items()
        if name in apps and name not in found.served
    ]
    if not names:
        return ()
    what = "not served, since another injector added it: " + ", ".join(names[:8])
    return (Problem(code=errors.NOT_SERVED, what=what, source=f"annotation {PREFIX}containers"),)


def _parts(
    pod: Mapping[str, Any],
    found: Targets,
    wish: Wish,
    resolution: Resolution,
    native: NativeEnv,
    problems: list[Problem],
) -> list[ContainerPlan]:
    parts = []
    for container in found.all:
        env = resolution.env.get(container.name, ())
        files = resolution.files.get(container.name, ())
        env_from = resolution.env_from.get(container.name, ())
        if not env and not files and not env_from:
            continue
        mode = LAUNCHER
        if env or env_from:
            chosen = asking.env_mode(container, wish, native)
            if isinstance(chosen, Problem):
                problems.append(chosen)
            else:
                mode = chosen
                if mode == NATIVE and env_from:
                    problems.append(_unnamed(container, resolution))
                problems += asking.exposed(
                    container, frozenset(item.name for item in env), mode, found.inline
                )
        part = ContainerPlan(
            name=container.name,
            env_mode=mode,
            env=env,
            files=files,
            env_from=env_from,
            own=resolution.own.get(container.name, ()),
        )
        problems += placing.overlaps(pod, container, part, wish.files_path_of(container.name))
        parts.append(part)
    problems += _ordering(pod, wish, parts)
    problems += placing.refreshed(wish, parts)
    return parts


def _placed(pod: Mapping[str, Any], wish: Wish, before: Judged) -> Wish:
    """Return the wish without a policy's place for our container where the pod has no such one."""
    inits = {container.name for container in pods.containers(pod) if container.is_init}
    name = wish.init_after
    is_foreign = "init-after" in before.defaulted and name and name not in inits
    return replace(wish, init_after=None) if is_foreign else wish


def _too_long(wish: Wish, injection: Injection) -> list[Problem]:
    most = injection.max_deadline_s
    if wish.deadline_s is None or wish.deadline_s <= most:
        return []
    what = (
        f"{wish.deadline_s:g}s is longer than {most:g}s, which injected.maxDeadlineSeconds allows"
    )
    source = f"annotation {PREFIX}deadline"
    return [Problem(code=errors.ANNOTATION_VALUE, what=what, source=source)]


def _unnamed(container: pods.Container, resolution: Resolution) -> Problem:
    """Return the problem of a container whose variables the kubelet would have to know by name."""
    names = [
        trace.key
        for trace in resolution.traces
        if trace.container == container.name and isinstance(trace.key, FromDef)
    ]
    what = "env-mode native needs the names of keys, which __from takes by pattern: " + some(
        f"{key.name} of {key.origin}" for key in names
    )
    hint = "list the keys under keys, or set command for the launcher"
    return Problem(
        code=errors.NO_COMMAND, what=what, source=f"container {container.name}", hint=hint
    )


def _readers(
    pod: Mapping[str, Any],
    found: Targets,
    parts: list[ContainerPlan],
    wish: Wish,
    injection: Injection,
    problems: list[Problem],
) -> dict[str, Any]:
    """Return the field of the plan that says who reads the files; not everybody can."""
    names = {part.name for part in parts}
    targets = tuple(c for c in found.all if c.name in names)
    problems += placing.other_user(pod, targets, wish, injection)
    user, group = patch.owner(pod, targets, injection, wish.run_as)
    problems += placing.unreadable(pod, targets, parts, user, group)
    return {"group": group}


def _made(
    before: Judged,
    found: Targets,
    parts: list[ContainerPlan],
    asked: Asked,
    resolution: Resolution,
    fields: Mapping[str, Any],
    problems: list[Problem],
) -> Made | None:
    names = {part.name for part in parts}
    targets = tuple(c for c in found.all if c.name in names)
    plan = Plan(
        namespace=asked.namespace,
        service_account=asked.service_account,
        stores=resolution.stores,
        reads=resolution.reads,
        values=resolution.values,
        containers=tuple(parts),
        **fields,
        sources=tuple(
            (c.name, name, text) for c in targets for _, name, text in found.inline.references(c)
        ),
    )
    try:
        encoded = plan_codec.encode(replace_fields(plan, sources=()), before.own_annotations)
        packed_sources = sources_text.encode(plan.sources) if plan.sources else ""
    except Refused as refused:
        problems += refused.problems
        return None
    return Made(
        plan=plan,
        encoded=encoded,
        packed_sources=packed_sources,
        resolution=resolution,
        asked=asked,
    )


def _waiting(
    pod: Mapping[str, Any], wish: Wish, before: Judged, injection: Injection
) -> dict[str, Any]:
    """Return the fields of the plan that say how long the fetcher tries, and what follows."""
    is_once = pods.spec(pod).get("restartPolicy") == "Never"
    beside = meshes.of(pod, before.skipped)
    return {
        "deadline_s": wish.deadline_s or injection.deadline_s,
        "is_restarted": not is_once,
        "is_patient": is_once or wish.deadline_s is not None,
        "mesh": "" if beside is None else beside.mesh.owner,
    }


def _ordering(pod: Mapping[str, Any], wish: Wish, parts: list[ContainerPlan]) -> list[Problem]:
    """Return a problem for an init-after of nobody, and for each target that starts before us."""
    if not wish.init_after:
        return []
    names = [c.name for c in pods.containers(pod) if c.is_init]
    source = f"annotation {PREFIX}init-after"
    if wish.init_after not in names:
        hint = errors.did_you_mean(wish.init_after, names)
        what = f'the pod has no init container "{wish.init_after}"'
        return [Problem(code=errors.CONTAINER_UNKNOWN, what=what, source=source, hint=hint)]
    early = names[: names.index(wish.init_after) + 1]
    wanting = {part.name for part in parts}
    return [
        Problem(
            code=errors.POD,
            what=f'init container "{name}" wants values and would start before them',
            source=source,
        )
        for name in early
        if name in wanting
    ]
