"""The cluster as a catalog: six kinds followed, each change a new snapshot, swapped in one step.

A decision takes `Cluster.catalog` once and never meets a half-applied change. When the API server
is away the last good snapshot stays, and `age_s` says how old it is.

It runs in a loop of its own (`beside.py`): objects are decoded and parsed off the serving thread,
each within a budget.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from webhook.api import Api
from webhook.core import catalog as catalogs
from webhook.core.catalog import Catalog, Entry
from webhook.reflector import Reflector, Resource

log = structlog.get_logger()

GROUP = "/apis/secret-injector.io/v1alpha1/"


class _Meta(msgspec.Struct, rename="camel", omit_defaults=True):
    name: str
    resource_version: str = ""
    labels: dict[str, str] = {}


class _Labelled(msgspec.Struct):
    metadata: _Meta


class _Taint(msgspec.Struct, omit_defaults=True):
    key: str
    effect: str = ""
    value: str = ""


class _NodeSpec(msgspec.Struct, omit_defaults=True):
    unschedulable: bool = False
    taints: list[_Taint] = []


class _NodeInfo(msgspec.Struct, rename="camel", omit_defaults=True):
    kubelet_version: str = ""


class _NodeStatus(msgspec.Struct, rename="camel"):
    node_info: _NodeInfo = msgspec.field(default_factory=_NodeInfo)


class _Node(msgspec.Struct):
    """The few fields of a Node that we read; the rest of its 20 KB is skipped in decoding."""

    metadata: _Meta
    spec: _NodeSpec = msgspec.field(default_factory=_NodeSpec)
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


RESOURCES = (
    Resource(kind="Namespace", path="/api/v1/namespaces", form=_Labelled, as_metadata=True),
    Resource(kind="Node", path="/api/v1/nodes", form=_Node),
    Resource(kind="ClusterSecretStore", path=GROUP + "clustersecretstores", is_optional=True),
    Resource(kind="ServiceSecrets", path=GROUP + "servicesecrets", is_optional=True),
    Resource(kind="EnvironmentSecrets", path=GROUP + "environmentsecrets", is_optional=True),
    Resource(
        kind="ClusterInjectionPolicy", path=GROUP + "clusterinjectionpolicies", is_optional=True
    ),
)
"""What is followed. Ours are optional: their definitions may be installed after the webhook."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An object of a list as it will stand in the catalog; one that is known stays as it is."""

    key: Key
    version: str
    entry: Entry | None
    is_known: bool


class Cluster:
    """The current catalog, and how much it can be trusted. The sink of its reflectors."""

    def __init__(
        self,
        api: Api,
        *,
        resources: Iterable[Resource] = RESOURCES,
        clock: Callable[[], float] = time.monotonic,
        on_fault: Callable[[str], None] = lambda _part: None,
        on_unusable: Callable[[str], None] = lambda _kind: None,
        on_namespaces: Callable[[], None] = lambda: None,
        on_replaced: Callable[[Catalog], None] = lambda _catalog: None,
        **reflecting: Any,
    ) -> None:
        """Make the reflectors; `reflecting` goes to each.

        `on_fault` hears of faults of our own, `on_unusable` of the kind of each object that takes
        too much work to read, `on_namespaces` of each snapshot in which namespaces differ,
        `on_replaced` gets each snapshot that another one has replaced.
        """
        self._catalog = Catalog(is_followed=True)
        self._on_replaced = on_replaced
        self._clock = clock
        self._on_fault, self._on_unusable = on_fault, on_unusable
        self._on_namespaces = on_namespaces
        self._versions: dict[str, dict[Key, str]] = {}
        self._unusable: dict[str, set[Key]] = {}
        self._reflectors = {
            resource.kind: Reflector(api, resource, self, clock=clock, **reflecting)
            for resource in resources
        }

    async def run(self) -> None:
        """Follow every kind until cancelled; a fault of our own ends all of them."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors.values():
                group.create_task(reflector.run(), name=f"reflect {reflector.resource.kind}")

    @property
    def catalog(self) -> Catalog:
        """The snapshot of the moment."""
        return self._catalog

    @catalog.setter
    def catalog(self, catalog: Catalog) -> None:
        if catalog is not self._catalog:
            before, self._catalog = self._catalog, catalog
            self._on_replaced(before)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are followed."""
        return tuple(self._reflectors)

    @property
    def unsynced(self) -> tuple[str, ...]:
        """The kinds that were never listed in full; empty means that decisions can be made."""
        return tuple(kind for kind, each in self._reflectors.items() if not each.is_synced)

    def age_s(self, kind: str) -> float:
        """Return the seconds since the API server last spoke of the kind; infinity if never."""
        heard_at_s = self._reflectors[kind].heard_at_s
        return float("inf") if heard_at_s is None else self._clock() - heard_at_s

    def count(self, kind: str) -> int:
        """Return how many objects of the kind are known."""
        return len(self._versions.get(kind, ()))

    def unusable(self, kind: str) -> int:
        """Return how many objects of the kind are known and cannot be used."""
        return len(self._unusable.get(kind, ()))

    def prepare(self, resource: Resource, item: Any) -> Prepared:
        """Parse one object of a list, within its budget, unless it is known as it is."""
        raw = _raw(item)
        key, version = _identity(raw)
        if version and self._versions.get(resource.kind, {}).get(key) == version:
            return Prepared(key=key, version=version, entry=None, is_known=True)
        found = self._entry(resource.kind, raw)
        return Prepared(key=key, version=version, entry=found, is_known=False)

    def replace(self, resource: Resource, objects: Iterable[Any]) -> None:
        """Make these, which were prepared, the only objects of the kind."""
        kind, prepared = resource.kind, tuple(objects)
        known = self._versions.get(kind, {})
        versions = {each.key: each.version for each in prepared}
        gone = known.keys() - versions.keys()
        catalog = self.catalog.with_entries(each.entry for each in prepared if not each.is_known)
        for namespace, name in gone:
            catalog = catalog.without_object(kind, namespace, name)
        for each in prepared:
            if not each.is_known:
                self._note(kind, each.key, each.entry)
        self._unusable.get(kind, set()).difference_update(gone)
        self._versions[kind] = versions
        self._swap(kind, catalog)
        if not known:
            # A first list lives for long: later collections need not look at it.
            gc.freeze()

    def apply(self, resource: Resource, item: Any) -> None:
        """Put one object into the next snapshot."""
        made = self.prepare(resource, item)
        if made.is_known:
            return
        self._swap(resource.kind, self.catalog.with_entries([made.entry]))
        self._note(resource.kind, made.key, made.entry)
        self._versions.setdefault(resource.kind, {})[made.key] = made.version

    def remove(self, resource: Resource, item: Any) -> None:
        """Leave one object out of the next snapshot."""
        key, _ = _identity(_raw(item))
        self._swap(resource.kind, self.catalog.without_object(resource.kind, *key))
        self._versions.get(resource.kind, {}).pop(key, None)
        self._unusable.get(resource.kind, set()).discard(key)

    def _swap(self, kind: str, catalog: Catalog) -> None:
        self.catalog = catalog
        if kind == "Namespace":
            self._on_namespaces()

    def _entry(self, kind: str, raw: dict[str, Any]) -> Entry | None:
        """Return what the catalog gets of an object; none of them can stop the others."""
        try:
            return catalogs.entry(kind, raw)
        except Exception as fault:  # noqa: BLE001  # one object must not stop the others
            namespace, name = _identity(raw)[0]
            log.error(  # noqa: TRY400  # a message or a local may quote the object
                "an object broke the catalog",
                kind=kind,
                namespace=namespace,
                name=name,
                fault=type(fault).__name__,
            )
            self._on_fault("catalog")
            return catalogs.broken(kind, raw)

    def _note(self, kind: str, key: Key, found: Entry | None) -> None:
        """Keep account of an object that cannot be used, and say so once for each version."""
        if catalogs.is_usable(found):
            self._unusable.get(kind, set()).discard(key)
            return
        self._unusable.setdefault(kind, set()).add(key)
        self._on_unusable(kind)
        log.warning("an object cannot be used", kind=kind, namespace=key[0], name=key[1])


def _raw(item: Any) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    raw: dict[str, Any] = msgspec.to_builtins(item)
    return raw


def _identity(raw: dict[str, Any]) -> tuple[Key, str]:
    metadata = raw.get("metadata") or {}
    key = (str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
    return key, str(metadata.get("resourceVersion") or "")
