"""Which keys a service has after its imports: its own, then its imports', the last import first.

Importing a key means taking its expression with the scope it was written in. Within a namespace
every service may import every other; across namespaces the exporter's `exports` must name importer
and key, and a key that is missing reads exactly like one that is not granted. A grant is not handed
on: a key that came from a third namespace needs that owner's grant for the importer as well.

The walk is bounded: what a service reaches is counted first, and each service is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from injector.core import errors
from injector.core.errors import Problem
from webhook.core.catalog import Catalog, Key
from webhook.core.definitions import KeyDef, ServiceRef
from webhook.core.resources import Service
from webhook.core.steering import STEERING

__all__ = [
    "STEERING",
    "Effective",
    "Found",
    "Importer",
    "effective",
    "grants",
    "imported",
    "offered",
    "stronger",
]

MAX_DEPTH = 8
MAX_OBJECTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A key and the service whose scope it is evaluated in; `overrode` lists what it won over."""

    key: KeyDef
    definer: Service
    overrode: tuple[KeyDef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """A service after its imports. `depth` is 1 without imports."""

    service: Service
    keys: Mapping[str, Found]
    problems: tuple[Problem, ...]
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Who imports: a service, or a pod (`service` is then its own, or empty)."""

    namespace: str
    service: str
    origin: str
    place: str


def effective(catalog: Catalog, namespace: str, name: str) -> Effective | None:
    """Return the service after its imports, None when there is none; remembered in the snapshot."""
    return _effective(catalog, (namespace, name), ())


def imported(
    catalog: Catalog, refs: tuple[ServiceRef, ...], importer: Importer
) -> tuple[dict[str, Found], tuple[Problem, ...]]:
    """Return the keys that the imports give to an importer, and the problems."""
    keys, problems, _ = _imported(catalog, refs, importer, ())
    return keys, problems


def grants(exporter: Service, *, namespace: str, service: str, key: str) -> bool:
    """Say whether a service of `namespace` may import the key from the exporter."""
    return exporter.namespace == namespace or any(
        export.grants(namespace, service, key) for export in exporter.exports
    )


def offered(source: Effective, key: str, *, namespace: str, service: str) -> Found | None:
    """Return the key if a service of `namespace` may import it: granted by its owner too."""
    found = source.keys.get(key)
    if found is None or source.service.namespace == namespace:
        return found
    to = {"namespace": namespace, "service": service}
    is_granted = grants(source.service, key=key, **to) and grants(found.definer, key=key, **to)
    return found if is_granted else None


def stronger(winner: Found, weaker: Found | None) -> Found:
    """Return the winner with what it now won over, each definition once and itself never."""
    if weaker is None or weaker.key is winner.key:
        return winner
    every = (*winner.overrode, weaker.key, *weaker.overrode)
    once = {id(key): key for key in every if key is not winner.key}
    return Found(key=winner.key, definer=winner.definer, overrode=tuple(once.values()))


def _effective(catalog: Catalog, here: Key, path: tuple[Key, ...]) -> Effective | None:
    remembered = catalog.memo.get(("effective", here))
    if isinstance(remembered, Effective):
        return remembered
    service = catalog.services.get(here)
    if service is None:
        return None
    importer = Importer(
        namespace=service.namespace,
        service=service.name,
        origin=service.origin,
        place="spec.env.__import_svc",
    )
    keys: dict[str, Found] = {}
    problems: tuple[Problem, ...] = ()
    depth = 1
    if _reaches_too_many(catalog, service):
        what = f"its imports reach more than {MAX_OBJECTS} objects"
        problems = (_limit(importer, what),)
    else:
        refs = service.definitions.imports
        keys, problems, below = _imported(catalog, refs, importer, (*path, here))
        depth = below + 1
        if depth > MAX_DEPTH:
            problems += (_limit(importer, f"its imports are more than {MAX_DEPTH} deep"),)
    for key in service.definitions.env:
        keys[key.name] = stronger(Found(key=key, definer=service), keys.get(key.name))
    result = Effective(
        service=service,
        keys=keys,
        problems=tuple(dict.fromkeys(service.problems + problems))[:MAX_OBJECTS],
        depth=depth,
    )
    catalog.memo["effective", here] = result
    return result


def _imported(
    catalog: Catalog, refs: tuple[ServiceRef, ...], importer: Importer, path: tuple[Key, ...]
) -> tuple[dict[str, Found], tuple[Problem, ...], int]:
    """Return keys, problems and the depth below; `path` holds the services being worked out."""
    keys: dict[str, Found] = {}
    problems: list[Problem] = []
    depth = 0
    for ref in refs:
        there = (ref.namespace or importer.namespace, ref.service)
        source = None
        if _may_import(catalog, there, importer):
            if there in path:
                problems.append(_cycle(path[path.index(there) :], importer))
                continue
            source = _effective(catalog, there, path)
        offered = {} if source is None else _offered(source, importer)
        if source is None or (not offered and source.service.namespace != importer.namespace):
            what = f"nothing called ${ref.service}.{there[0]} is offered here"
            problems.append(_problem(errors.IMPORT, importer, what))
            continue
        problems += source.problems
        depth = max(depth, source.depth)
        for name, found in offered.items():
            keys[name] = stronger(found, keys.get(name))
    return keys, tuple(dict.fromkeys(problems)), depth


def _offered(source: Effective, importer: Importer) -> Mapping[str, Found]:
    if source.service.namespace == importer.namespace:
        return source.keys
    to = {"namespace": importer.namespace, "service": importer.service}
    return {name: found for name, found in source.keys.items() if offered(source, name, **to)}


def _may_import(catalog: Catalog, there: Key, importer: Importer) -> bool:
    """Say whether anything at all is granted; what is not is neither walked nor told apart."""
    service = catalog.services.get(there)
    return service is not None and (
        service.namespace == importer.namespace
        or any(export.names(importer.namespace, importer.service) for export in service.exports)
    )


def _reaches_too_many(catalog: Catalog, start: Service) -> bool:
    seen = {(start.namespace, start.name)}
    waiting = [start]
    while waiting:
        for there in _granted_imports(catalog, waiting.pop()):
            if there not in seen:
                seen.add(there)
                waiting.append(catalog.services[there])
                if len(seen) > MAX_OBJECTS:
                    return True
    return False


def _granted_imports(catalog: Catalog, service: Service) -> Iterator[Key]:
    importer = Importer(namespace=service.namespace, service=service.name, origin="", place="")
    for ref in service.definitions.imports:
        there = (ref.namespace or service.namespace, ref.service)
        if _may_import(catalog, there, importer):
            yield there


def _cycle(path: tuple[Key, ...], importer: Importer) -> Problem:
    # The same circle reads the same wherever the walk came into it.
    first = path.index(min(path))
    chain = (*path[first:], *path[:first], path[first])
    text = " → ".join(f"{namespace}/{name}" for namespace, name in chain)
    return _problem(errors.CYCLE, importer, f"services import each other: {text}")


def _limit(importer: Importer, what: str) -> Problem:
    return _problem(errors.LIMIT, importer, what)


def _problem(code: errors.Code, importer: Importer, what: str) -> Problem:
    return Problem(code=code, what=what, source=importer.place, origin=importer.origin)
