"""From a pod and its annotations to what is asked for: which containers get which keys, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from injector.core import errors
from injector.core.errors import Problem
from injector.core.plan import LAUNCHER, NATIVE
from webhook.core import pod as pods
from webhook.core.annotations import PREFIX, Wish
from webhook.core.definitions import Definitions, KeyDef, Reader
from webhook.core.pod import Container
from webhook.core.resolve import Asked, ContainerAsk

_EXPANSION = re.compile(r"\$\$?\(")


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The containers that the wish serves, and those that only have references in their own env."""

    served: tuple[Container, ...]
    referring: tuple[Container, ...]

    @property
    def all(self) -> tuple[Container, ...]:
        """Every container that may get something, in start order."""
        return tuple(
            sorted((*self.served, *self.referring), key=lambda c: (not c.is_init, c.pointer))
        )


def targets(pod: Mapping[str, Any], wish: Wish, problems: list[Problem]) -> Targets:
    """Return the containers concerned; a container that is named and absent is a problem."""
    known = {container.name: container for container in pods.containers(pod)}
    wanted = wish.containers
    if wanted is None:
        served = [c for c in known.values() if not c.is_init or c.name in wish.per_container]
    else:
        served = [known[name] for name in wanted if name in known]
    for name in {*(wanted or ()), *wish.per_container} - set(known):
        annotation = "containers" if name in (wanted or ()) else f"env.{name}"
        problems.append(
            Problem(
                code=errors.CONTAINER_UNKNOWN,
                what=f'the pod has no container "{name}"',
                source=f"annotation {PREFIX}{annotation}",
                hint=errors.did_you_mean(name, known) or "containers there: " + ", ".join(known),
            )
        )
    names = {container.name for container in served}
    referring = [
        c for c in known.values() if c.name not in names and any(map(_is_reference, c.env))
    ]
    return Targets(served=tuple(served), referring=tuple(referring))


def asked(
    namespace: str, pod: Mapping[str, Any], wish: Wish, found: Targets, problems: list[Problem]
) -> Asked:
    """Return what is asked for, container by container."""
    served = {container.name for container in found.served}
    asks = []
    for container in found.all:
        is_target = container.name in served
        definitions: tuple[Definitions, ...] = (wish.shared,) if is_target else ()
        if container.name in wish.per_container:
            definitions += (wish.per_container[container.name],)
        asks.append(
            ContainerAsk(
                name=container.name,
                own=tuple(_own(container, problems)),
                literals=frozenset(
                    str(e.get("name")) for e in container.env if not _is_reference(e)
                ),
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


def references(container: Container) -> list[tuple[int, str, str]]:
    """Return index, name and text of every env entry of the container that holds a reference."""
    return [
        (i, str(e.get("name")), str(e["value"]))
        for i, e in enumerate(container.env)
        if _is_reference(e)
    ]


def env_mode(container: Container, wish: Wish, *, is_native_ready: bool) -> str | Problem:
    """Return how the container's variables reach its process, or why there is no way.

    env-mode   command   every node >= 1.35   result
    auto       yes       any                  launcher
    auto       no        yes                  native
    auto       no        no                   a problem
    launcher   yes       any                  launcher
    launcher   no        any                  a problem
    native     any       yes                  native
    native     any       no                   a problem
    """
    has_command = bool(container.command)
    if wish.env_mode != "native" and has_command:
        return LAUNCHER
    if wish.env_mode != "launcher" and is_native_ready:
        return NATIVE
    if wish.env_mode == "native":
        what = "env-mode native needs Kubernetes 1.35 or newer on every schedulable node"
        return Problem(code=errors.NO_COMMAND, what=what, source=f"container {container.name}")
    what = "it has no command, so the launcher has nothing to start"
    if wish.env_mode == "auto":
        what += ", and not every node is known to run Kubernetes 1.35 or newer"
    return Problem(code=errors.NO_COMMAND, what=what, source=f"container {container.name}")


def exposed(container: Container, names: frozenset[str], mode: str) -> list[Problem]:
    """Return a problem for each place where `$(NAME)` would show a value, or stay unexpanded.

    The kubelet expands `$(NAME)` in command, args and subPathExpr: that would put the value in argv
    or in a path on the node. With the launcher it knows no value, so an env entry would keep the text.
    """
    places = [
        ("command", " ".join(container.command)),
        ("args", " ".join(container.raw.get("args") or ())),
    ]
    places += [
        ("volumeMounts.subPathExpr", str(m.get("subPathExpr") or ""))
        for m in container.raw.get("volumeMounts") or ()
    ]
    if mode == LAUNCHER:
        places += [
            (f"env {e.get('name')}", str(e.get("value") or ""))
            for e in container.env
            if not _is_reference(e)
        ]
    problems = []
    for place, text in places:
        for name in sorted(
            name for name in set(re.findall(r"(?<!\$)\$\(([^)]+)\)", text)) if name in names
        ):
            is_env = place.startswith("env ")
            what = (
                f"$({name}) is not expanded with the launcher"
                if is_env
                else f"$({name}) would put a secret there"
            )
            hint = (
                f"write #{{{name}}} in the env value"
                if is_env
                else "read the variable inside the process"
            )
            problems.append(
                Problem(
                    code=errors.EXPOSED,
                    what=what,
                    source=f"container {container.name} {place}",
                    hint=hint,
                )
            )
    return problems


def _is_reference(entry: Mapping[str, Any]) -> bool:
    return "#{" in str(entry.get("value") or "")


def _own(container: Container, problems: list[Problem]) -> list[KeyDef]:
    keys: list[KeyDef] = []
    origin = f"env of container {container.name}"
    reader = Reader(origin, problems)
    for _, name, text in references(container):
        if _EXPANSION.search(text):
            hint = "write the other variable as #{NAME} if it is injected too, or compose the value in the process"
            what = "$(NAME) is not expanded in a value with references"
            problems.append(
                Problem(code=errors.REFERENCE, what=what, source=origin, target=name, hint=hint)
            )
        value = reader.value(text, name)
        if value is not None:
            keys.append(KeyDef(name=name, value=value, rule=None, origin=origin, place=name))
        if any(key.name == name for key in keys[:-1]):
            what = f'"{name}" stands twice'
            problems.append(Problem(code=errors.DUPLICATE, what=what, source=origin, target=name))
    return keys
