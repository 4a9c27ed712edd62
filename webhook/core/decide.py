"""The decision about a pod: a function of the request, one snapshot of the cluster, and settings.

    annotations ► asking ► resolve ► policy ► plan ► patch          what stops it
    skip: not a pod's creation, not asked for, opted out, mirror pod        nothing is touched
    deny: any problem in any step, all of them together                     the pod is refused
    inject: the operations, or none when the pod already carries them

Everything here may be asked again and again with the same answer; nothing is remembered but what the
snapshot itself determines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from injector.core import errors, plan_codec
from injector.core.errors import Problem, Refused
from injector.core.plan import LAUNCHER, ContainerPlan, Plan
from webhook.core import again, asking, jsonpatch, patch, policy
from webhook.core import pod as pods
from webhook.core.annotations import PREFIX, Wish, ours, parse
from webhook.core.catalog import Catalog
from webhook.core.patch import Injection
from webhook.core.resolve import Asked, Resolution, resolve
from webhook.core.review import Operation, Outcome, Request, warning

__all__ = ["Injection", "Made", "decide", "make"]

EXCLUDED_NAMESPACES = frozenset({"kube-system"})
MAX_MEMO = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A pod's plan and what it came from; `encoded` is how the plan travels."""

    plan: Plan
    encoded: str
    resolution: Resolution
    asked: Asked


def decide(request: Request, catalog: Catalog, injection: Injection) -> Outcome:
    """Return what happens to the object of the request. Raises nothing."""
    if (
        request.kind.kind != "Pod"
        or request.operation != "CREATE"
        or request.sub_resource
        or request.object is None
    ):
        return Outcome(kind="skip", reason="not_a_new_pod")
    pod = request.object
    found = ours(pods.annotations_of(pod))
    if not found:
        return Outcome(kind="skip", reason="not_asked")
    if found.get("inject") == "false":
        return Outcome(kind="skip", reason="opted_out")
    if request.namespace in EXCLUDED_NAMESPACES:
        return Outcome(kind="skip", reason="namespace_excluded")
    if pods.is_mirror(pod):
        return Outcome(kind="skip", reason="mirror_pod")
    if pods.is_windows(pod):
        return _deny(_clash("a pod for Windows nodes cannot be injected"))
    first = pod
    if again.carries_parts(pod):
        undone = again.before(pod)
        if undone is None:
            return _deny(
                _clash(f'a container or volume of the pod is called "{pods.NAME}", which is ours')
            )
        first = undone
    return _inject(request, pod, first, catalog, injection)


def _inject(
    request: Request,
    pod: dict[str, Any],
    first: Mapping[str, Any],
    catalog: Catalog,
    injection: Injection,
) -> Outcome:
    made, wish, problems, warnings = make(request.namespace, first, catalog, injection)
    if problems:
        return _deny(*problems, warnings=warnings)
    if made is None:
        text = "secret-injector: injection is asked for and nothing is to be injected"
        return Outcome(kind="skip", reason="nothing_to_inject", warnings=(*warnings, warning(text)))
    operations = _operations(first, made, wish, injection)
    facts = _facts(made)
    if first is not pod:
        wanted = jsonpatch.apply(first, operations)
        if not again.covers(pods.spec(pod), _parts(wanted, made)):
            return _deny(
                _clash(
                    "its secret-injector parts are not what this pod would get; create it without them"
                )
            )
        return Outcome(kind="inject", reason="already_injected", warnings=warnings, facts=facts)
    return Outcome(
        kind="inject",
        reason="injected",
        operations=tuple(operations),
        warnings=warnings,
        facts=facts,
    )


def make(
    namespace: str, pod: Mapping[str, Any], catalog: Catalog, injection: Injection
) -> tuple[Made | None, Wish, tuple[Problem, ...], tuple[str, ...]]:
    """Return the plan for a pod that carries no parts of ours, the wish, all problems and the warnings.

    The plan is None when there are problems or nothing is asked for.
    """
    subject = policy.Subject(
        namespace=namespace,
        labels=pods.labels_of(pod),
        service_account=pods.service_account(pod),
    )
    policies = policy.matching(catalog, subject)
    given = {k: str(v) for k, v in ours(pods.annotations_of(pod)).items()}
    chosen, problems = policy.with_defaults(policies, given)
    wish, mistakes = parse(chosen)
    problems += mistakes
    made, found = _remembered(
        namespace, pod, wish, catalog, injection, key=tuple(sorted(chosen.items()))
    )
    problems += found
    warnings: tuple[str, ...] = ()
    if made is not None:
        verdict = policy.judge(policies, subject, wish, made.plan, made.resolution)
        problems += verdict.denials
        warnings = tuple(warning(problem.line()) for problem in verdict.warnings)
    return (None if problems else made), wish, problems, warnings


def _remembered(
    namespace: str,
    pod: Mapping[str, Any],
    wish: Wish,
    catalog: Catalog,
    injection: Injection,
    *,
    key: tuple[tuple[str, str], ...],
) -> tuple[Made | None, tuple[Problem, ...]]:
    # Pods of one template differ in nothing a plan depends on: what it depends on is the key.
    shape = tuple(
        (
            c.name,
            c.is_init,
            c.user(pod),
            tuple(c.command),
            tuple(c.raw.get("args") or ()),
            tuple((e.get("name"), e.get("value")) for e in c.env),
            tuple(
                (m.get("mountPath"), m.get("subPathExpr")) for m in c.raw.get("volumeMounts") or ()
            ),
        )
        for c in pods.containers(pod)
    )
    memo_key = (
        "plan",
        namespace,
        pods.service_account(pod),
        pods.spec(pod).get("restartPolicy"),
        key,
        shape,
    )
    remembered = catalog.memo.get(memo_key)
    if remembered is None:
        remembered = _plan(namespace, pod, wish, catalog, injection)
        if len(catalog.memo) < MAX_MEMO:
            catalog.memo[memo_key] = remembered
    return remembered  # type: ignore[return-value]  # the memo's values are typed by their key


def _plan(
    namespace: str, pod: Mapping[str, Any], wish: Wish, catalog: Catalog, injection: Injection
) -> tuple[Made | None, tuple[Problem, ...]]:
    problems: list[Problem] = []
    found = asking.targets(pod, wish, problems)
    asked = asking.asked(namespace, pod, wish, found, problems)
    resolution, mistakes = resolve(asked, catalog)
    problems += mistakes
    if wish.mode != "init" or wish.refresh is not None or wish.on_change != "none":
        what = "only mode init is built; sidecar, parallel, refresh and on-change are not yet"
        problems.append(
            Problem(code=errors.NOT_SUPPORTED, what=what, source=f"annotation {PREFIX}mode")
        )
    parts = []
    for container in found.all:
        part = _part(container, wish, resolution, catalog, problems)
        if part is not None:
            parts.append(part)
    problems += _ordering(pod, wish, parts)
    if problems or not parts:
        return None, tuple(problems)
    targets = tuple(c for c in found.all if any(part.name == c.name for part in parts))
    group = None if patch.sole_user(pod, targets) else patch.GROUP
    problems += _unreadable(parts, group)
    if problems:
        return None, tuple(problems)
    plan = Plan(
        namespace=namespace,
        service_account=asked.service_account,
        stores=resolution.stores,
        reads=resolution.reads,
        values=resolution.values,
        containers=tuple(parts),
        group=group,
        deadline_s=injection.deadline_s,
        sources=tuple(
            (c.name, name, text) for c in targets for _, name, text in asking.references(c)
        ),
    )
    try:
        encoded = plan_codec.encode(plan)
    except Refused as refused:
        return None, refused.problems
    return Made(plan=plan, encoded=encoded, resolution=resolution, asked=asked), ()


def _part(
    container: pods.Container,
    wish: Wish,
    resolution: Resolution,
    catalog: Catalog,
    problems: list[Problem],
) -> ContainerPlan | None:
    env, files = resolution.env.get(container.name, ()), resolution.files.get(container.name, ())
    if not env and not files:
        return None
    mode = LAUNCHER
    if env:
        found = asking.env_mode(container, wish, is_native_ready=catalog.is_native_ready)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            mode = found
            problems += asking.exposed(container, frozenset(item.name for item in env), mode)
    part = ContainerPlan(name=container.name, env_mode=mode, env=env, files=files)
    there = [str(m.get("mountPath")).rstrip("/") for m in container.raw.get("volumeMounts") or ()]
    for mount in patch.mounts(part, wish.files_path):
        path = str(mount["mountPath"])
        for other in there:
            if f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/"):
                what = f"its volume mount {other} overlaps {path}, which is ours"
                hint = "set files-path to a free folder" if path == wish.files_path else ""
                problems.append(
                    Problem(
                        code=errors.POD, what=what, source=f"container {container.name}", hint=hint
                    )
                )
    return part


def _unreadable(parts: list[ContainerPlan], group: int | None) -> list[Problem]:
    """Return a problem for each file whose explicit mode would keep its own container from reading it."""
    needed = 0o400 if group is None else 0o044
    hint = "use 0440, or run every container served as one known non-root runAsUser for 0400"
    return [
        Problem(
            code=errors.NAME,
            what=f'mode "{item.mode:04o}" would keep the container from reading the file',
            source=f"container {part.name}",
            target=f"file {item.path}",
            hint=hint,
        )
        for part in parts
        for item in part.files
        if item.mode is not None and not item.mode & needed
    ]


def _ordering(pod: Mapping[str, Any], wish: Wish, parts: list[ContainerPlan]) -> list[Problem]:
    """Return a problem for an init-after that names nobody, and for each target that would start before us."""
    if wish.init_after is None:
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


def _operations(
    pod: Mapping[str, Any], made: Made, wish: Wish, injection: Injection
) -> list[Operation]:
    plan = made.plan
    by_name = {part.name: part for part in plan.containers}
    targets = [c for c in pods.containers(pod) if c.name in by_name]
    operations: list[Operation] = []
    for container in targets:
        operations += patch.container_operations(
            container, by_name[container.name], wish.files_path
        )
    body = pods.spec(pod)
    operations += jsonpatch.append("/spec/volumes", body.get("volumes"), patch.volumes(plan))
    if plan.group is not None:
        operations += patch.group_operations(pod)
    user = patch.sole_user(pod, tuple(targets)) or patch.GROUP
    fetcher = patch.init_container(plan, made.encoded, injection, user=user)
    # Last, for it moves the indexes of the other init containers.
    inits = [str(c.get("name")) for c in body.get("initContainers") or ()]
    if not inits:
        return [*operations, jsonpatch.add("/spec/initContainers", [fetcher])]
    index = inits.index(wish.init_after) + 1 if wish.init_after else 0
    return [*operations, jsonpatch.add(f"/spec/initContainers/{index}", fetcher)]


def _parts(wanted: Mapping[str, Any], made: Made) -> dict[str, Any]:
    """Return of an injected pod's spec what must be there: our container, our volumes, the targets."""
    body = wanted["spec"]
    names = {pods.NAME, *(part.name for part in made.plan.containers)}
    parts: dict[str, Any] = {
        key: [c for c in body.get(key) or () if c.get("name") in names]
        for key in ("initContainers", "containers")
    }
    parts["volumes"] = [v for v in body["volumes"] if patch.is_volume_name(str(v.get("name")))]
    return parts


def _facts(made: Made) -> dict[str, object]:
    plan = made.plan
    return {
        "containers": len(plan.containers),
        "variables": sum(len(part.env) for part in plan.containers),
        "files": sum(len(part.files) for part in plan.containers),
        "reads": len(plan.reads),
        "stores": [store.name for store in plan.stores],
        "plan_bytes": len(made.encoded),
        "versions": list(made.resolution.versions),
    }


def _clash(what: str) -> Problem:
    return Problem(code=errors.POD, what=what)


def _deny(*problems: Problem, warnings: tuple[str, ...] = ()) -> Outcome:
    facts = {"codes": sorted({problem.code.id for problem in problems})}
    return Outcome(
        kind="deny",
        reason="refused",
        problems=tuple(dict.fromkeys(problems)),
        warnings=warnings,
        facts=facts,
    )
