"""The cluster as a catalog: six kinds followed, each change a new snapshot, swapped in one step.

A decision takes `Cluster.catalog` once and never meets a half-applied change. When the API server
is away the last good snapshot stays, and `age_s` says how old it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import structlog

from webhook.api import Api
from webhook.core.catalog import Catalog
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


class Cluster:
    """The current catalog, and how much it can be trusted. The sink of its reflectors."""

    def __init__(
        self,
        api: Api,
        *,
        resources: Iterable[Resource] = RESOURCES,
        clock: Callable[[], float] = time.monotonic,
        on_fault: Callable[[str], None] = lambda _part: None,
        **reflecting: Any,
    ) -> None:
        """Make the reflectors; `reflecting` goes to each. `on_fault` hears of faults of our own."""
        self.catalog = Catalog()
        self._clock = clock
        self._on_fault = on_fault
        self._versions: dict[str, dict[Key, str]] = {}
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

    def replace(self, resource: Resource, objects: Iterable[Any]) -> None:
        """Make these the only objects of the kind; unchanged ones are not parsed again."""
        known = self._versions.get(resource.kind, {})
        versions, changed = dict[Key, str](), []
        for raw in map(_raw, objects):
            key, version = _identity(raw)
            versions[key] = version
            if not version or known.get(key) != version:
                changed.append(raw)
        catalog = self._with_all(self.catalog, resource.kind, changed)
        for namespace, name in known.keys() - versions.keys():
            catalog = catalog.without_object(resource.kind, namespace, name)
        self._versions[resource.kind] = versions
        self.catalog = catalog

    def apply(self, resource: Resource, item: Any) -> None:
        """Put one object into the next snapshot."""
        raw = _raw(item)
        key, version = _identity(raw)
        self.catalog = self._with(self.catalog, resource.kind, raw)
        self._versions.setdefault(resource.kind, {})[key] = version

    def remove(self, resource: Resource, item: Any) -> None:
        """Leave one object out of the next snapshot."""
        key, _ = _identity(_raw(item))
        self.catalog = self.catalog.without_object(resource.kind, *key)
        self._versions.get(resource.kind, {}).pop(key, None)

    def _with_all(self, catalog: Catalog, kind: str, changed: list[dict[str, Any]]) -> Catalog:
        try:
            return catalog.with_objects((kind, raw) for raw in changed)
        except Exception:  # noqa: BLE001  # one of them is at fault: the others shall be there
            for raw in changed:
                catalog = self._with(catalog, kind, raw)
            return catalog

    def _with(self, catalog: Catalog, kind: str, raw: dict[str, Any]) -> Catalog:
        """Return the catalog with the object.

        One that our own code trips over is left out, so what refers to it is denied, and the others
        are still followed.
        """
        try:
            return catalog.with_object(kind, raw)
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
            return catalog.without_object(kind, namespace, name)


def _raw(item: Any) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    raw: dict[str, Any] = msgspec.to_builtins(item)
    return raw


def _identity(raw: dict[str, Any]) -> tuple[Key, str]:
    metadata = raw.get("metadata") or {}
    key = (str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
    return key, str(metadata.get("resourceVersion") or "")
