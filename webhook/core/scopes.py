"""Scopes: which key a name means, by the set of keys in which it is written.

pod           what annotations and the container's env set, then what is inherited
service       its own keys and its imports', each in the scope of the service that wrote it
environment   the keys of one EnvironmentSecrets, and nothing else
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webhook.core import inheritance
from webhook.core.catalog import Catalog, Key
from webhook.core.definitions import KeyDef
from webhook.core.inheritance import Found
from webhook.core.resources import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A set of keys. `id` tells scopes apart; an environment has neither namespace nor service.

    `foreign` are names that a container sets itself to something we do not evaluate;
    `has_env_from` says that keys are taken by pattern here, whose names mean nothing yet.
    """

    id: tuple[str, ...]
    namespace: str = ""
    service: str = ""
    own: Mapping[str, KeyDef]
    inherited: Mapping[str, Found]
    foreign: frozenset[str] = frozenset()
    has_env_from: bool = False

    def names(self) -> list[str]:
        """Return the names that mean something here."""
        return [*self.own, *self.inherited]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The services of other namespaces whose expressions stand between a pod and a definition.

    What is read below them is read with the pod's identity and handed to what they wrote.
    `importer` is who of the pod's namespace let them in; None as long as there is nobody.
    """

    importer: Key | None = None
    foreign: frozenset[Key] = frozenset()

    @property
    def members(self) -> tuple[Key, ...]:
        """Everybody who gets what is below: a grant must name each of them."""
        return () if self.importer is None else (self.importer, *sorted(self.foreign))

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The other namespaces, sorted."""
        return tuple(sorted({namespace for namespace, _ in self.foreign}))

    def through(self, definer: Key, *, importer: Key) -> Chain:
        """Return the chain with a definer at its end; the importer is who refers to it."""
        home = (self.importer or importer)[0]
        if definer[0] == home or definer in self.foreign:
            return self
        return Chain(importer=self.importer or importer, foreign=self.foreign | {definer})


OWN = Chain()
"""Nobody's but the namespace's own: the pod, its services, its environment."""


class Scopes:
    """The scopes that one resolution meets, each made once."""

    def __init__(self, catalog: Catalog) -> None:
        """Read services and environments from this snapshot."""
        self._catalog = catalog
        self._services: dict[tuple[str, str], Scope] = {}
        self._environments: dict[str, Scope] = {}

    def of_definer(self, found: Found) -> Scope:
        """Return the scope of the service that wrote the key."""
        return self.service(found.definer.namespace, found.definer.name)

    def service(self, namespace: str, name: str) -> Scope:
        """Return the scope of a service; an empty one when there is none."""
        scope = self._services.get((namespace, name))
        if scope is None:
            source = inheritance.effective(self._catalog, namespace, name)
            keys = {} if source is None else source.keys
            own = {n: f.key for n, f in keys.items() if source and f.definer is source.service}
            scope = Scope(
                id=("service", namespace, name),
                namespace=namespace,
                service=name,
                own=own,
                inherited={n: f for n, f in keys.items() if n not in own},
                has_env_from=bool(source and source.env_from),
            )
            self._services[namespace, name] = scope
        return scope

    def environment(self, environment: Environment) -> Scope:
        """Return the scope of an environment."""
        scope = self._environments.get(environment.name)
        if scope is None:
            own = {key.name: key for key in environment.env}
            scope = Scope(id=("environment", environment.name), own=own, inherited={})
            self._environments[environment.name] = scope
        return scope
