"""From a pod and its annotations to what is asked for: which containers get which keys, and how."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from injector.core import budget, errors, reference
from injector.core.errors import Problem
from injector.core.plan import LAUNCHER, NATIVE
from injector.core.record import replace
from injector.core.reporting import some
from webhook.core import nodes
from webhook.core import pod as pods
from webhook.core.annotations import PREFIX, Wish
from webhook.core.catalog import Catalog
from webhook.core.definition_reader import Reader
from webhook.core.definitions import Definitions, KeyDef
from webhook.core.inline import Inline
from webhook.core.pod import Container
from webhook.core.resolution import Asked, ContainerAsk

MAX_CONTAINERS = 128
_NOT_MEANT = f"{PREFIX}inline names the variables that hold references; a literal #{{ is ##{{"

MAX_BYTES = 256 * 1024
"""Characters of the env values with references in them, of all containers together.

A plan that carries them back would be larger than a plan may be.
"""

_LISTED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The names of the containers that service and shared annotations serve, and all concerned.

    `inline` says which of their own variables are evaluated.
    """

    served: frozenset[str]
    inline: Inline
    all: tuple[Container, ...]
    """Every container that may get something, in start order."""


def targets(
    pod: Mapping[str, Any],
    wish: Wish,
    problems: list[Problem],
    *,
    skipped: Mapping[str, str],
    known_before: frozenset[str] | None = None,
) -> Targets:
    """Return the containers concerned; a container that is named and absent is a problem.

    `skipped` are those that other injectors added (see `sidecars`); naming them serves them.

    `known_before` are those that an earlier decision on this pod served: what another webhook added
    since is not served by default.
    """
    every = pods.containers(pod)
    known = {container.name: container for container in every}
    wanted = wish.containers
    if wanted is None:
        served = {
            c.name
            for c in every
            if not c.is_init
            and c.name not in skipped
            and (known_before is None or c.name in known_before)
        } | set(wish.per_container)
        if not served:
            what = "every container was added by another injector: " + some(skipped, shown=_LISTED)
            source = f"annotation {PREFIX}containers"
            problems.append(Problem(code=errors.CONTAINER_UNKNOWN, what=what, source=source))
    else:
        served = set(wanted)
    listed = frozenset(wanted or ())
    there = "containers there: " + some(known, shown=_LISTED)
    for name in sorted({*listed, *wish.per_container, *wish.files_paths} - set(known)):
        budget.spend()
        annotation = "containers" if name in listed else f"env.{name} or files.{name}"
        if name not in listed and name not in wish.per_container:
            annotation = f"files-path.{name}"
        problems.append(
            Problem(
                code=errors.CONTAINER_UNKNOWN,
                what=f'the pod has no container "{name}"',
                source=f"annotation {PREFIX}{annotation}",
                hint=errors.neighbour(problems, name, known) or there,
            )
        )
    concerned = served | set(wish.per_container)
    return Targets(
        served=frozenset(served),
        inline=Inline.of(wish, frozenset(served)),
        all=tuple(c for c in every if c.name in concerned),
    )


def asked(
    namespace: str, pod: Mapping[str, Any], wish: Wish, found: Targets, problems: list[Problem]
) -> Asked:
    """Return what is asked for, container by container."""
    size = sum(
        len(text) for container in found.all for _, _, text in found.inline.references(container)
    )
    if size > MAX_BYTES:
        what = f"the env values with references take {size} characters, the limit is {MAX_BYTES}"
        problems.append(Problem(code=errors.TOO_LARGE, what=what, source="env of all containers"))
        found = dataclasses.replace(found, all=())
    asks = []
    for container in found.all:
        is_target = container.name in found.served
        definitions: tuple[Definitions, ...] = (wish.shared,) if is_target else ()
        if container.name in wish.per_container:
            definitions += (wish.per_container[container.name],)
        asks.append(
            ContainerAsk(
                name=container.name,
                own=tuple(_own(container, found.inline, problems)),
                literals=frozenset(
                    str(e.get("name"))
                    for e in container.env
                    if not found.inline.is_reference(container, e)
                ),
                replaceable=_replaceable(container) if any(d.env for d in definitions) else {},
                definitions=definitions,
                is_target=is_target,
            )
        )
    return Asked(
        namespace=namespace,
        service_account=pods.service_account(pod),
        service=wish.service,
        imports=wish.shared,
        containers=tuple(asks),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeEnv:
    """Whether the kubelet can read a pod's variables from files: `reason` says why not."""

    reason: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether env-mode native works wherever the pod lands."""
        return not self.reason


def native_env(pod: Mapping[str, Any], catalog: Catalog, setting: str) -> NativeEnv:
    """Return whether native variables work for the pod; `setting` is auto, always or never.

    always and never are the platform's own knowledge: a kubelet's feature gate cannot be seen from
    here (see docs/failure-modes.md).
    """
    if setting != "auto":
        return NativeEnv(reason="" if setting == "always" else "the platform switched it off")
    if not catalog.nodes:
        return NativeEnv(reason="it needs Kubernetes 1.35 or newer, and no node is known")
    found = nodes.blocker(pod, catalog.incapable_nodes)
    if found is None:
        return NativeEnv()
    version = found.version or "an unknown version"
    return NativeEnv(
        reason=f'it needs Kubernetes 1.35 or newer, and node "{found.name}" runs {version}'
    )


def env_mode(container: Container, wish: Wish, native: NativeEnv) -> str | Problem:
    """Return how the container's variables reach its process, or why there is no way.

    env-mode   command   native works where the pod lands   result
    auto       yes       either                             launcher
    auto       no        yes                                native
    auto       no        no                                 a problem
    launcher   yes       either                             launcher
    launcher   no        either                             a problem
    native     either    yes                                native
    native     either    no                                 a problem
    """
    has_command = bool(container.command)
    if wish.env_mode != "native" and has_command:
        return LAUNCHER
    if wish.env_mode != "launcher" and native.is_ready:
        return NATIVE
    source = f"container {container.name}"
    if wish.env_mode == "native":
        what = f"env-mode native does not work: {native.reason}"
        hint = "leave out env-mode native and set command, or use files"
        return Problem(code=errors.NO_COMMAND, what=what, source=source, hint=hint)
    what = "it has no command, so the launcher has nothing to start"
    if wish.env_mode == "auto":
        what += f"; env-mode native does not work: {native.reason}"
    return Problem(code=errors.NO_COMMAND, what=what, source=source)


def exposed(
    container: Container, names: frozenset[str], mode: str, inline: Inline
) -> list[Problem]:
    """Return a problem for each place where `$(NAME)` would show a value, or stay unexpanded.

    The kubelet expands `$(NAME)` in command, args and subPathExpr: that would put the value in argv
    or in a path on the node. With the launcher it knows no value: an env entry would keep the text.
    """
    problems = []
    for place, texts in _expanded_places(container, mode, inline):
        found = {name for text in texts if "$(" in text for name in expanded(text)}
        if not found:
            continue
        for name in sorted(found & names):
            what = f"$({name}) would put a secret there"
            hint = (
                f'where arguments may show it, let a shell read it: sh -c with "${name}"; else'
                " deliver a file and pass its path"
            )
            if place == "volumeMounts.subPathExpr":
                hint = "a path on the node would show it: name the folder in subPath"
            if place.startswith("env "):
                what = f"$({name}) is not expanded with the launcher"
                hint = f"write #{{{name}}} in the env value"
            source = f"container {container.name} {place}"
            problems.append(Problem(code=errors.EXPOSED, what=what, source=source, hint=hint))
    return problems


def expanded(text: str) -> Iterator[str]:
    """Yield the names that the kubelet expands in a text: `$(NAME)`, unless a `$` escapes it.

    As in Kubernetes' third_party/forked/golang/expansion: `$$` is a `$`, a name ends at the first
    bracket, and behind the last bracket there is none.
    """
    last = text.rfind(")")
    at = text.find("$")
    while 0 <= at < last:
        budget.spend()
        end = at + 1
        if text.startswith("(", end):
            end = text.find(")", end)
            yield text[at + 2 : end]
        at = text.find("$", end + 1)


def _expanded_places(
    container: Container, mode: str, inline: Inline
) -> Iterator[tuple[str, list[str]]]:
    yield "command", container.command
    yield "args", list(container.raw.get("args") or ())
    for mount in container.raw.get("volumeMounts") or ():
        if mount.get("subPathExpr"):
            yield "volumeMounts.subPathExpr", [str(mount["subPathExpr"])]
    if mode == LAUNCHER:
        for entry in container.env:
            if not inline.is_reference(container, entry):
                yield f"env {entry.get('name')}", [str(entry.get("value") or "")]


def idle_overrides(
    pod: Mapping[str, Any], wish: Wish, served: Collection[str]
) -> Iterator[Problem]:
    """Yield a warning for each `override: true` that takes no entry away from whom it is for."""
    there = {c.name: _replaceable(c) for c in pods.containers(pod) if c.name in served}
    of_one = {name: (name,) for name in wish.per_container}
    for definitions, names in (
        (wish.shared, tuple(there)),
        *((wish.per_container[name], each) for name, each in of_one.items()),
    ):
        for key in definitions.env:
            if key.is_override and not any(key.name in there.get(name, {}) for name in names):
                what = f'"{key.name}" overrides nothing: no container has it with valueFrom'
                yield Problem(
                    code=errors.ANNOTATION_VALUE,
                    what=what,
                    source=key.origin,
                    target=key.name,
                    hint="check the name in the chart; without such an entry leave out override",
                )


def _replaceable(container: Container) -> dict[str, str]:
    """Return the variables whose entries all have `valueFrom`, and what stands there."""
    found: dict[str, str] = {}
    if not any("valueFrom" in entry for entry in container.env):
        return found
    others = set()
    for entry in container.env:
        name, source = str(entry.get("name")), entry.get("valueFrom")
        if isinstance(source, Mapping) and source and not entry.get("value"):
            kind, ref = next(iter(source.items()))
            ref = ref if isinstance(ref, Mapping) else {}
            named = [str(ref[field]) for field in ("name", "key", "fieldPath") if field in ref]
            found.setdefault(name, f"{kind} {'/'.join(named)}".strip())
        else:
            others.add(name)
    return {name: source for name, source in found.items() if name not in others}


def _own(container: Container, inline: Inline, problems: list[Problem]) -> list[KeyDef]:
    keys: dict[str, KeyDef] = {}
    origin = f"env of container {container.name}"
    reader = Reader(origin, problems)
    for _, name, text in inline.references(container):
        budget.spend()
        if name in keys:
            what = f'"{name}" stands twice'
            problems.append(Problem(code=errors.DUPLICATE, what=what, source=origin, target=name))
        if not reference.NAME.fullmatch(name):
            what = f'"{name}" is not the name of a variable'
            problems.append(Problem(code=errors.NAME, what=what, source=origin, target=name))
        before = len(problems)
        value = reader.value(text, name)
        if value is None:
            problems[before:] = [replace(p, hint=p.hint or _NOT_MEANT) for p in problems[before:]]
            continue
        keys[name] = KeyDef(name=name, value=value, rule=None, origin=origin, place=name)
        if any(isinstance(part, str) and "$(" in part for part in value):
            what = "$(NAME) is not expanded in a value with references"
            hint = "write the other variable as #{NAME}, or compose the value in the process"
            problems.append(
                Problem(code=errors.REFERENCE, what=what, source=origin, target=name, hint=hint)
            )
    return list(keys.values())
