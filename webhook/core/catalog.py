"""What the webhook knows of the cluster: a frozen snapshot, made anew for each relevant change.

`cluster.py` feeds it from watches, the offline tools from files; a decision reads one snapshot from
start to end, so a plan never mixes two states. An object that does not parse, or would take too
much work, is kept with its problems: what refers to it is denied with them, all else is unaffected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from injector.core import budget, errors, stores
from injector.core.errors import Problem, Refused
from injector.core.stores import Store
from webhook.core import nodes, resources
from webhook.core.globs import any_matches
from webhook.core.memo import Memo
from webhook.core.nodes import Node
from webhook.core.resources import Environment, Policy, Service

Found = TypeVar("Found")

NAME_LABEL = "kubernetes.io/metadata.name"
"""The label that the API server gives to every namespace, and never anything but its name."""
Key = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""

Entry = tuple[str, object, object]
"""Part of the catalog, key in it, and what is there; None is for one that is not to be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEntry:
    """A store as the cluster has it: `store` is None and `problems` speak where it is wrong.

    `in_cluster` is False for one that a file defines for this machine.
    """

    name: str
    document: Mapping[str, object]
    store: Store | None
    problems: tuple[Problem, ...]
    resource_version: str = field(default="", compare=False)
    in_cluster: bool = True

    def serves(self, namespace: str) -> bool:
        """Say whether pods of the namespace may use the store."""
        if self.store is not None:
            return any_matches(namespace, self.store.allowed_namespaces)
        # Its mistakes are for those who may use it; a list that is itself a mistake names nobody.
        patterns = self.document.get("allowedNamespaces")
        if patterns is None:
            return True
        return isinstance(patterns, list) and any_matches(namespace, [str(p) for p in patterns])


BUILT_IN = StoreEntry(
    name=stores.BUILT_IN,
    document={"k8s": {}},
    store=stores.parse(stores.BUILT_IN, {"k8s": {}}),
    problems=(),
    resource_version="",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The state of the cluster as far as decisions need it.

    `nodes` has the schedulable ones; `is_followed` says that a watch keeps this up to date, so a
    namespace that is missing is one that nobody told of yet; `memo` and `decisions` remember what
    was worked out from this very snapshot and are dropped with it.
    """

    stores: Mapping[str, StoreEntry] = field(default_factory=lambda: {stores.BUILT_IN: BUILT_IN})
    services: Mapping[Key, Service] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    is_followed: bool = False
    memo: dict[object, object] = field(default_factory=dict, compare=False, repr=False)
    decisions: Memo = field(default_factory=Memo, compare=False, repr=False)

    @classmethod
    def of(cls, objects: Iterable[dict[str, Any]]) -> Catalog:
        """Return the catalog of the objects; kinds it does not know are passed over."""
        return cls().with_objects((str(raw.get("kind", "")), raw) for raw in objects)

    def with_object(self, kind: str, raw: dict[str, Any]) -> Catalog:
        """Return the catalog with the object added or replaced; itself if nothing changes."""
        return self.with_objects([(kind, raw)])

    def with_objects(self, objects: Iterable[tuple[str, dict[str, Any]]]) -> Catalog:
        """Return the catalog with objects, each with its kind, added or replaced in one step."""
        return self.with_entries(entry(kind, raw) for kind, raw in objects)

    def with_entries(self, entries: Iterable[Entry | None]) -> Catalog:
        """Return the catalog with what `entry` made of objects, added or replaced in one step."""
        parts: dict[str, Any] = {}
        for found in entries:
            if found is None:
                continue
            part, key, made = found
            known = parts.get(part, getattr(self, part))
            if known.get(key) != made:
                # Copied once for all objects: a list of ten thousand would be as many copies.
                changed = parts.setdefault(part, dict(known))
                changed[key] = made
                if made is None:
                    del changed[key]
        return replace(self, **parts, memo={}, decisions=Memo()) if parts else self

    def without_object(self, kind: str, namespace: str, name: str) -> Catalog:
        """Return the catalog without the object."""
        part, key = {
            "ClusterSecretStore": ("stores", name),
            "ServiceSecrets": ("services", (namespace, name)),
            "EnvironmentSecrets": ("environments", name),
            "ClusterInjectionPolicy": ("policies", name),
            "Namespace": ("namespaces", name),
            "Node": ("nodes", name),
        }.get(kind, ("", ""))
        if not part or key not in getattr(self, part):
            return self
        rest = dict(getattr(self, part))
        del rest[key]
        if part == "stores" and key == stores.BUILT_IN:
            rest[stores.BUILT_IN] = BUILT_IN
        changed: dict[str, Any] = {part: rest, "memo": {}, "decisions": Memo()}
        return replace(self, **changed)

    @property
    def incapable_nodes(self) -> tuple[Node, ...]:
        """The nodes whose kubelet does not know `fileKeyRef`, by name."""
        return self._once(
            "incapable nodes",
            lambda: tuple(each for _, each in sorted(self.nodes.items()) if not each.is_capable),
        )

    def stores_for(self, namespace: str) -> frozenset[str]:
        """Return the names of the stores that pods of the namespace may use."""
        return self._once(
            ("stores", namespace),
            lambda: frozenset(n for n, each in self.stores.items() if each.serves(namespace)),
        )

    def lacks(self, namespace: str) -> bool:
        """Say whether labels of the namespace are needed to decide about it, and not here yet."""
        if not self.is_followed or not namespace or namespace in self.namespaces:
            return False
        return self._once("looks at labels", self._looks_at_labels)

    def labels_of(self, namespace: str) -> Mapping[str, str]:
        """Return the labels of a namespace; its name label is always there."""
        return self.namespaces.get(namespace) or {NAME_LABEL: namespace}

    def environments_of(self, namespace: str) -> tuple[Environment, ...]:
        """Return the environments that select the namespace, by name; two are a conflict."""
        return self._once(("environments", namespace), lambda: self._selecting(namespace))

    def _looks_at_labels(self) -> bool:
        selectors = [policy.namespaces for policy in self.policies.values()]
        selectors += [environment.selector for environment in self.environments.values()]
        return any(
            requirement.key != NAME_LABEL
            for selector in selectors
            for requirement in selector.requirements
        )

    def _selecting(self, namespace: str) -> tuple[Environment, ...]:
        labels = self.labels_of(namespace)
        return tuple(
            environment
            for _, environment in sorted(self.environments.items())
            if environment.selector.matches(labels)
        )

    def _once(self, key: object, make: Callable[[], Found]) -> Found:
        """Return what was made under the key for this snapshot, making it the first time."""
        if key not in self.memo:
            self.memo[key] = make()
        return cast("Found", self.memo[key])


def entry(kind: str, raw: Mapping[str, Any]) -> Entry | None:
    """Return what the catalog has of an object; None for kinds that it does not know.

    An object that takes too much work to read, or that our own code trips over, is there and says
    so in its problems: what needs it is denied with them, and everything else is unaffected.
    """
    metadata = raw.get("metadata") or {}
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    match kind:
        case "ClusterSecretStore":
            return "stores", name, _store(name, raw)
        case "ServiceSecrets":
            return "services", (namespace or "default", name), resources.service(raw)
        case "EnvironmentSecrets":
            return "environments", name, resources.environment(raw)
        case "ClusterInjectionPolicy":
            return "policies", name, resources.policy(raw)
        case "Namespace":
            labels = {**(metadata.get("labels") or {}), NAME_LABEL: name}
            return "namespaces", name, labels
        case "Node":
            return "nodes", name, nodes.node(raw)
        case _:
            return None


def broken(kind: str, raw: Mapping[str, Any]) -> Entry | None:
    """Return the entry of an object that our own code trips over: nothing of it but its name.

    None for a kind that is left out then.
    """
    metadata = raw.get("metadata") or {}
    bare = entry(kind, {"metadata": metadata})
    made = None if bare is None else bare[2]
    what = "the webhook failed to read this object, so nothing of it is used"
    problems = (Problem(code=errors.INTERNAL_ERROR, what=what, origin=f"{kind} {_named(raw)}"),)
    match made:
        case StoreEntry():
            made = replace(made, store=None, problems=problems)
        case Service() | Environment() | Policy():
            made = replace(made, problems=problems)
        case _:
            return None
    return None if bare is None else (bare[0], bare[1], made)


def is_usable(found: Entry | None) -> bool:
    """Say whether an object was read at all; mistakes in it do not count."""
    problems = getattr(found[2], "problems", ()) if found else ()
    return resources.is_usable(problems)


def _named(raw: Mapping[str, Any]) -> str:
    metadata = raw.get("metadata") or {}
    return "/".join(str(metadata[k]) for k in ("namespace", "name") if metadata.get(k))


def _store(name: str, raw: Mapping[str, Any]) -> StoreEntry:
    document = raw.get("spec")
    document = document if isinstance(document, dict) else {}
    version = str((raw.get("metadata") or {}).get("resourceVersion") or "")
    problems: tuple[Problem, ...] = ()
    store = None
    with budget.limited(resources.OBJECT_STEPS) as meter:
        try:
            store = stores.parse(name, document)
        except Refused as refused:
            problems = refused.problems
    if meter.is_exceeded:
        store, problems = None, (resources.unusable(f"ClusterSecretStore {name}"),)
    return StoreEntry(
        name=name, document=document, store=store, problems=problems, resource_version=version
    )
