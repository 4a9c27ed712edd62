"""Which keys a service has after its imports: its own, then its imports', the last import first.

Importing a key means taking its expression with the scope it was written in. Within a namespace
every service may import every other; across namespaces the exporter's `exports` must name importer
and key, and a key that is missing reads exactly like one that is not granted. A grant is not handed
on: a key that came from a third namespace needs that owner's grant for the importer as well.

What an entry of `__from` takes by pattern (`FromDef`) goes with the imports within a namespace, as
far as their own patterns let it pass, and never into another one: nobody has granted its names.

Across namespaces an import names its keys, letter by letter: what an exporter writes later does not
arrive by itself. Of an exporter's mistakes only those in the keys taken are the importer's concern;
where it imports from matters only to who takes a key that it imported.

The walk is bounded: what a service reaches is counted first, and each service is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from injector.core import budget, errors, steering
from injector.core.errors import Problem
from injector.core.steering import Steers
from webhook.core.catalog import Catalog, Key
from webhook.core.definitions import FromDef, KeyDef, ServiceRef
from webhook.core.globs import any_matches
from webhook.core.resources import Service, is_usable

__all__ = [
    "Effective",
    "Found",
    "FoundFrom",
    "Importer",
    "effective",
    "grants",
    "imported",
    "names_its_keys",
    "names_to_write",
    "offered",
    "referred",
    "stronger",
]

_NOT_LISTED = "a key that its __from takes by pattern has no name yet: list it under keys there"
_PLACE = "spec.env.__import_svc"
MAX_DEPTH = 8
MAX_OBJECTS = 64
MAX_FROM = 64
"""Entries of `__from` that imports bring."""
_STRUCTURE = (errors.CYCLE, errors.LIMIT, errors.UNUSABLE)
"""Of these mistakes any key of a service may be the victim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A key and the service whose scope it is evaluated in; `overrode` lists what it won over."""

    key: KeyDef
    definer: Service
    overrode: tuple[KeyDef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFrom:
    """What a service takes by pattern from a secret, and the patterns of imports in between."""

    source: FromDef
    definer: Service
    only: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """A service after its imports; of `env_from` the last wins. `depth` is 1 without imports."""

    service: Service
    keys: Mapping[str, Found]
    env_from: tuple[FoundFrom, ...]
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
) -> tuple[dict[str, Found], tuple[FoundFrom, ...], tuple[Problem, ...]]:
    """Return the keys that the imports give to an importer, what brings more, and the problems."""
    found = _imported(catalog, refs, importer, ())
    return found.keys, found.env_from, found.problems


def referred(
    catalog: Catalog, there: Key, key: str, *, namespace: str, service: str
) -> tuple[Found | None, tuple[Problem, ...]]:
    """Return the key of another service that a reference means, and what is wrong with it.

    Nothing at all is returned for one that does not exist or is not granted.
    """
    exporter = catalog.services.get(there)
    if exporter is None or not grants(exporter, namespace=namespace, service=service, key=key):
        return None, ()
    found, problems, _ = _taken(catalog, exporter, key, ())
    if found is not None and not _is_granted(found.definer, namespace, service, key):
        return None, ()
    return found, problems


def names_its_keys(ref: ServiceRef) -> bool:
    """Say whether the import names every key that it takes, letter by letter."""
    return ref.keys is not None and not any("*" in key for key in ref.keys)


def names_to_write(catalog: Catalog, ref: ServiceRef, *, namespace: str, service: str) -> list[str]:
    """Return the keys that an import from another namespace takes today, to be named in it."""
    there = (ref.namespace or namespace, ref.service)
    importer = Importer(namespace=namespace, service=service, origin="", place="")
    return _names_offered(catalog, ref, there, importer, ())


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
        place=_PLACE,
    )
    keys: dict[str, Found] = {}
    env_from: tuple[FoundFrom, ...] = ()
    problems: tuple[Problem, ...] = ()
    depth = 1
    if _reaches_too_many(catalog, service):
        what = f"its imports reach more than {MAX_OBJECTS} objects"
        problems = (_limit(importer, what),)
    else:
        refs = service.definitions.imports
        below = _imported(catalog, refs, importer, (*path, here))
        keys, env_from, problems = below.keys, below.env_from, below.problems
        depth = below.depth + 1
        if depth > MAX_DEPTH:
            problems += (_limit(importer, f"its imports are more than {MAX_DEPTH} deep"),)
    budget.spend(1 + len(service.definitions.env) + len(keys))
    for key in service.definitions.env:
        keys[key.name] = stronger(Found(key=key, definer=service), keys.get(key.name))
    own = tuple(
        FoundFrom(source=each, definer=service)
        for each in service.definitions.env_from
        if each.keys
    )
    result = Effective(
        service=service,
        keys=keys,
        env_from=(*env_from, *own),
        problems=tuple(dict.fromkeys(service.problems + problems))[:MAX_OBJECTS],
        depth=depth,
    )
    catalog.memo["effective", here] = result
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Imported:
    """What imports bring together, and how deep they go."""

    keys: dict[str, Found]
    env_from: tuple[FoundFrom, ...]
    problems: tuple[Problem, ...]
    depth: int


def _imported(
    catalog: Catalog, refs: tuple[ServiceRef, ...], importer: Importer, path: tuple[Key, ...]
) -> _Imported:
    """Return what the imports bring; `path` holds the services being worked out."""
    keys: dict[str, Found] = {}
    env_from: dict[tuple[int, tuple[tuple[str, ...], ...]], FoundFrom] = {}
    problems: list[Problem] = []
    depth = 0
    for ref in refs:
        there = (ref.namespace or importer.namespace, ref.service)
        taken: Mapping[str, Found]
        if there[0] != importer.namespace:
            taken, found, below = _from_elsewhere(catalog, ref, there, importer, path)
        elif there in path:
            problems.append(_cycle(path[path.index(there) :], importer))
            continue
        else:
            taken, found, below = _from_here(catalog, ref, there, importer, path)
            for each in _patterns_from_here(catalog, ref, there, path):
                # Of one that comes by two ways the stronger counts.
                at = (id(each.source), each.only)
                env_from.pop(at, None)
                env_from[at] = each
        problems += found
        depth = max(depth, below)
        budget.spend(1 + len(taken))
        for name, key in taken.items():
            keys[name] = stronger(key, keys.get(name))
    if len(env_from) > MAX_FROM:
        problems.append(_limit(importer, f"it imports more than {MAX_FROM} entries of __from"))
        env_from = {}
    return _Imported(
        keys=keys,
        env_from=tuple(env_from.values()),
        problems=tuple(dict.fromkeys(problems)),
        depth=depth,
    )


def _patterns_from_here(
    catalog: Catalog, ref: ServiceRef, there: Key, path: tuple[Key, ...]
) -> Iterator[FoundFrom]:
    """Yield what a service of the namespace takes by pattern, as far as the import lets it pass.

    An import that names each of its keys lets nothing pass: what a secret holds is not known here.
    """
    source = _effective(catalog, there, path)
    patterns = None if ref.keys is None else tuple(key for key in ref.keys if "*" in key)
    if source is None or patterns == ():
        return
    budget.spend(1 + len(source.env_from))
    for each in source.env_from:
        yield each if patterns is None else replace(each, only=(*each.only, patterns))


_Taken = tuple[Mapping[str, Found], list[Problem], int]


def _from_here(
    catalog: Catalog, ref: ServiceRef, there: Key, importer: Importer, path: tuple[Key, ...]
) -> _Taken:
    """Return what an import within the namespace takes: all, or the keys that match."""
    source = _effective(catalog, there, path)
    if source is None:
        return {}, [_nothing(ref, there, importer)], 0
    if ref.keys is None or not is_usable(source.service.problems):
        return source.keys, list(source.problems), source.depth
    wanted = ref.keys
    budget.spend(len(source.keys))
    taken = {name: found for name, found in source.keys.items() if any_matches(name, wanted)}
    problems = [problem for problem in source.problems if problem.code in _STRUCTURE]
    broken = source.service.definitions.broken
    for name, found in broken.items():
        if any_matches(name, wanted):
            problems += found
    hint = _NOT_LISTED if source.env_from else ""
    problems += [
        _nothing(ref, there, importer, name, hint=hint)
        for name in wanted
        if "*" not in name and name not in taken and name not in broken
    ]
    return taken, problems, source.depth


def _from_elsewhere(
    catalog: Catalog, ref: ServiceRef, there: Key, importer: Importer, path: tuple[Key, ...]
) -> _Taken:
    """Return what an import from another namespace takes: the keys that it names, if granted."""
    exporter = catalog.services.get(there)
    to = {"namespace": importer.namespace, "service": importer.service}
    if not names_its_keys(ref):
        names = _names_offered(catalog, ref, there, importer, path)
        is_offered = exporter is not None and _may_import(catalog, there, importer)
        if exporter is not None and is_offered and not is_usable(exporter.problems):
            return {}, list(exporter.problems), 1
        if not names:
            return {}, [_nothing(ref, there, importer)], 0
        name = f"${ref.service}.{there[0]}"
        what = f"an import from another namespace must name its keys: {name} is one"
        line = f"write {{from: {name}, keys: [{', '.join(names)}]}}"
        return {}, [_problem(errors.UNNAMED, importer, what, hint=line)], 0
    taken: dict[str, Found] = {}
    problems: list[Problem] = []
    depth = 0
    for name in ref.keys or ():
        budget.spend()
        found = None
        if exporter is not None and grants(exporter, key=name, **to):
            found, mistakes, below = _taken(catalog, exporter, name, path)
            if found is None and mistakes:
                problems += mistakes
                continue
            depth = max(depth, below)
            problems += mistakes
        if found is None or not _is_granted(found.definer, key=name, **to):
            problems.append(_nothing(ref, there, importer, name))
        else:
            taken[name] = found
    return taken, problems, depth


def _taken(
    catalog: Catalog, exporter: Service, name: str, path: tuple[Key, ...]
) -> tuple[Found | None, tuple[Problem, ...], int]:
    """Return one key of a service, what is wrong with it, and how deep it lies.

    The service's imports are walked for a key that it does not define itself, and for no other.
    """
    if not is_usable(exporter.problems):
        return None, exporter.problems, 1
    here = (exporter.namespace, exporter.name)
    own = _own(catalog, exporter)
    if name in own:
        return Found(key=own[name], definer=exporter), (), 1
    if name in exporter.definitions.broken:
        return None, exporter.definitions.broken[name], 1
    if here in path:
        importer = Importer(
            namespace=here[0], service=here[1], origin=exporter.origin, place=_PLACE
        )
        return None, (_cycle(path[path.index(here) :], importer),), 1
    source = _effective(catalog, here, path)
    if source is None:
        return None, (), 0
    structure = tuple(problem for problem in source.problems if problem.code in _STRUCTURE)
    return source.keys.get(name), structure, source.depth


def _names_offered(
    catalog: Catalog, ref: ServiceRef, there: Key, importer: Importer, path: tuple[Key, ...]
) -> list[str]:
    """Return which keys the import may take today; not those that no import may bring."""
    exporter = catalog.services.get(there)
    if exporter is None or not _may_import(catalog, there, importer):
        return []
    to = {"namespace": importer.namespace, "service": importer.service}
    source = None if there in path else _effective(catalog, there, path)
    keys = {} if source is None else source.keys
    definers = {name: found.definer for name, found in keys.items()}
    definers |= dict.fromkeys(_own(catalog, exporter), exporter)
    return sorted(
        name
        for name, definer in definers.items()
        if grants(exporter, key=name, **to)
        and _is_granted(definer, key=name, **to)
        and (ref.keys is None or any_matches(name, ref.keys))
        and steering.of(name) is not Steers.CODE
    )


def _own(catalog: Catalog, service: Service) -> Mapping[str, KeyDef]:
    """Return the keys that a service defines itself, by name; remembered in the snapshot."""
    here = ("own", service.namespace, service.name)
    remembered = catalog.memo.get(here)
    if isinstance(remembered, dict):
        return remembered
    budget.spend(1 + len(service.definitions.env) // 4)
    found = {key.name: key for key in service.definitions.env}
    catalog.memo[here] = found
    return found


def _is_granted(definer: Service, namespace: str, service: str, key: str) -> bool:
    return grants(definer, namespace=namespace, service=service, key=key)


def _may_import(catalog: Catalog, there: Key, importer: Importer) -> bool:
    """Say whether anything at all is granted; what is not is neither walked nor told apart."""
    service = catalog.services.get(there)
    return service is not None and (
        service.namespace == importer.namespace
        or any(export.names(importer.namespace, importer.service) for export in service.exports)
    )


def _reaches_too_many(catalog: Catalog, start: Service) -> bool:
    seen = {(start.namespace, start.name)}
    walked = set(seen)
    waiting = [start]
    while waiting:
        for there, is_walked in _granted_imports(catalog, waiting.pop()):
            budget.spend()
            seen.add(there)
            if len(seen) > MAX_OBJECTS:
                return True
            if is_walked and there not in walked:
                walked.add(there)
                waiting.append(catalog.services[there])
    return False


def _granted_imports(catalog: Catalog, service: Service) -> Iterator[tuple[Key, bool]]:
    """Yield what a service imports, and whether the imports of that are looked at in turn."""
    importer = Importer(namespace=service.namespace, service=service.name, origin="", place="")
    for ref in service.definitions.imports:
        there = (ref.namespace or service.namespace, ref.service)
        if _may_import(catalog, there, importer):
            exporter = catalog.services[there]
            own = _own(catalog, exporter)
            is_simple = there[0] != service.namespace and names_its_keys(ref)
            yield there, not (is_simple and all(name in own for name in ref.keys or ()))


def _cycle(path: tuple[Key, ...], importer: Importer) -> Problem:
    # The same circle reads the same wherever the walk came into it.
    first = path.index(min(path))
    chain = (*path[first:], *path[:first], path[first])
    text = " → ".join(f"{namespace}/{name}" for namespace, name in chain)
    return _problem(errors.CYCLE, importer, f"services import each other: {text}")


def _nothing(
    ref: ServiceRef, there: Key, importer: Importer, key: str = "", *, hint: str = ""
) -> Problem:
    dotted = f"${ref.service}.{there[0]}" + (f"/{key}" if key else "")
    return _problem(errors.IMPORT, importer, f"nothing called {dotted} is offered here", hint=hint)


def _limit(importer: Importer, what: str) -> Problem:
    return _problem(errors.LIMIT, importer, what)


def _problem(code: errors.Code, importer: Importer, what: str, *, hint: str = "") -> Problem:
    return Problem(code=code, what=what, source=importer.place, origin=importer.origin, hint=hint)
