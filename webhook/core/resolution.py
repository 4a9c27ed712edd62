"""What resolution takes and gives, as data: a pod's wish by container, and reads and values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from injector.core.plan import EnvFrom, EnvItem, FileItem, PlanStore, PlanValue, Read
from webhook.core.catalog import Key
from webhook.core.definitions import Definitions, FileDef, FromDef, KeyDef


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerAsk:
    """One container's part of the wish.

    `own` are variables with references in its own `env`, `literals` the names of its other ones;
    `replaceable` are those of them that have `valueFrom` in every entry, with where it comes from.
    `definitions` what annotations set for it, weakest first; `is_target` says whether the pod's
    service and shared annotations serve it.
    """

    name: str
    own: tuple[KeyDef, ...] = ()
    literals: frozenset[str] = frozenset()
    replaceable: Mapping[str, str] = field(default_factory=dict)
    definitions: tuple[Definitions, ...] = ()
    is_target: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a pod asks for."""

    namespace: str
    service_account: str
    service: str | None
    imports: Definitions
    containers: tuple[ContainerAsk, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who wrote a value of the plan.

    `service` is the ServiceSecrets that did, None for a pod and an environment. `definers` are the
    namespaces that a read of the value is judged for beside the pod's: the writer's, and those
    whose expressions use it. `foreign` are the services of other namespaces among them; of an
    environment's value, which is judged for the pod's namespace alone, those that use it.
    """

    service: Key | None
    definers: tuple[str, ...]
    foreign: tuple[Key, ...] = ()


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Where one variable or file of a container came from; `overrode` lists what it won over.

    With a `FromDef` the target stands for variables that become known when the secret is read.
    """

    container: str
    target: str
    key: KeyDef | FileDef | FromDef
    value: int
    overrode: tuple[KeyDef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Reads and values, what each container gets, and how it came about.

    `authors` stand beside `values`, one for each. `own` has for each container with `env_from` the
    names that the pod itself sets.
    `hidden` are inherited keys that a container does not get, for its own `env` sets the name.
    """

    stores: tuple[PlanStore, ...]
    reads: tuple[Read, ...]
    values: tuple[PlanValue, ...]
    authors: tuple[Author, ...]
    env: Mapping[str, tuple[EnvItem, ...]]
    files: Mapping[str, tuple[FileItem, ...]]
    env_from: Mapping[str, tuple[EnvFrom, ...]] = field(default_factory=dict)
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    traces: tuple[Trace, ...]
    versions: tuple[str, ...]
    hidden: tuple[tuple[str, KeyDef], ...] = ()
