"""Who refers to what: every reference that services and environments make, as data.

Deletion is refused by it, `who-uses` is answered from it. Pods are not in a catalog; the command
adds them when it has a cluster to ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from injector.core import budget
from injector.core.reference import (
    EnvironmentKey,
    Expression,
    ServiceKey,
    SiblingKey,
    StoreRead,
)
from webhook.core.catalog import Catalog
from webhook.core.definitions import Definitions, FileDef, FromDef, KeyDef

STORE, SERVICE, ENVIRONMENT = "ClusterSecretStore", "ServiceSecrets", "EnvironmentSecrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One reference: `by` and `place` make it, to the object `kind` `target`.

    `target` is a store's or environment's name, or NAMESPACE/SERVICE; `key` is the key meant, None
    for a whole import; `path` is what is read from a store.
    """

    by: str
    place: str
    kind: str
    target: str
    key: str | None = None
    path: str | None = None


def usages(catalog: Catalog, *, within: str | None = None) -> Iterator[Usage]:
    """Yield every reference that the catalog's objects make, in the order of their names.

    `within` leaves those that pods of this namespace can come by: made by its services, and by the
    environments that select it.
    """
    for (namespace, _), service in sorted(catalog.services.items()):
        budget.spend()
        if within in (None, namespace):
            yield from of(catalog, service.definitions, namespace=namespace, by=service.origin)
    selecting = None if within is None else catalog.environments_of(within)
    for name, environment in sorted(catalog.environments.items()):
        if selecting is not None and environment not in selecting:
            continue
        definitions = Definitions(env=environment.env)
        yield from of(catalog, definitions, namespace="", by=environment.origin, environment=name)


def of(
    catalog: Catalog, definitions: Definitions, *, namespace: str, by: str, environment: str = ""
) -> Iterator[Usage]:
    """Yield every reference that one set of definitions makes."""
    for ref in definitions.imports:
        target = f"{ref.namespace or namespace}/{ref.service}"
        for key in (None,) if ref.keys is None else ref.keys:
            yield Usage(by=by, place="__import_svc", kind=SERVICE, target=target, key=key)
    keys: tuple[KeyDef | FileDef | FromDef, ...] = definitions.env
    for definition in (*keys, *definitions.env_from, *definitions.files):
        budget.spend(1 + len(definition.value))
        for part in definition.value:
            if isinstance(part, Expression):
                yield from _of_expression(catalog, part, definition, namespace, by, environment)


def users_of(catalog: Catalog, kind: str, target: str) -> tuple[Usage, ...]:
    """Return who refers to an object, itself apart."""
    return tuple(
        u
        for u in usages(catalog)
        if u.kind == kind and u.target == target and u.by != f"{kind} {target}"
    )


def _of_expression(
    catalog: Catalog,
    expression: Expression,
    by_key: KeyDef | FileDef | FromDef,
    namespace: str,
    by: str,
    environment: str,
) -> Iterator[Usage]:
    place = by_key.place
    match expression.reference:
        case StoreRead(store=store, path=path, field=field):
            yield Usage(by=by, place=place, kind=STORE, target=store, key=field, path=path)
        case ServiceKey(service=service, namespace=there, key=key):
            target = f"{there or namespace}/{service}"
            yield Usage(by=by, place=place, kind=SERVICE, target=target, key=key)
        case EnvironmentKey(key=key):
            names = (
                [environment]
                if environment
                else [e.name for e in catalog.environments_of(namespace)]
            )
            for name in names:
                yield Usage(by=by, place=place, kind=ENVIRONMENT, target=name, key=key)
        case SiblingKey():
            pass
        case _:
            pass
