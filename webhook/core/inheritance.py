"""Which keys a service has after its imports: its own, then its imports', the last import first.

Importing a key means taking its expression with the scope it was written in. Within a namespace
every service may import every other; across namespaces the exporter's `exports` must name importer
and key, and a key that is missing reads exactly like one that is not granted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from injector.core import errors
from injector.core.errors import Problem
from webhook.core.catalog import Catalog
from webhook.core.definitions import KeyDef, ServiceRef
from webhook.core.resources import Service

MAX_DEPTH = 8
MAX_OBJECTS = 64

STEERING = re.compile(
    r"LD_.*|DYLD_.*|PATH|IFS|ENV|BASH_ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|PS4|PYTHON.*|NODE_OPTIONS|NODE_PATH"
    r"|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|CLASSPATH|GIT_.*|PERL5.*|PERLLIB|RUBY(?:LIB|OPT)|KUBERNETES_.*"
    r"|GCONV_PATH|LOCPATH|MALLOC_.*|GLIBC_TUNABLES|HOSTALIASES|RES_OPTIONS|(?:HTTPS?|ALL|NO)_PROXY|(?:https?|all|no)_proxy"
    r"|SSL_CERT_(?:FILE|DIR)|DOTNET_.*|COMPlus_.*|CORECLR_.*|LUA_.*|TCLLIBPATH|PROMPT_COMMAND"
)
"""Variables that change which code a process runs or whom it talks to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A key and the service whose scope it is evaluated in; `overrode` lists what it won over."""

    key: KeyDef
    definer: Service
    overrode: tuple[KeyDef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """A service after its imports. `depth` is 1 without imports, `objects` the services involved."""

    service: Service
    keys: Mapping[str, Found]
    problems: tuple[Problem, ...]
    depth: int
    objects: frozenset[tuple[str, str]]


def effective(catalog: Catalog, namespace: str, name: str) -> Effective | None:
    """Return the service after its imports, None when there is none; remembered in the snapshot."""
    return _effective(catalog, namespace, name, ())


def imported(
    catalog: Catalog,
    refs: tuple[ServiceRef, ...],
    *,
    namespace: str,
    service: str,
    origin: str,
    place: str,
) -> tuple[dict[str, Found], tuple[Problem, ...], frozenset[tuple[str, str]]]:
    """Return the keys that the imports give to an importer, the problems, and the objects involved."""
    return _imported(catalog, refs, _Importer(namespace, service, origin, place), ())


def grants(exporter: Service, *, namespace: str, service: str, key: str) -> bool:
    """Say whether a service of `namespace` may import the key from the exporter."""
    return exporter.namespace == namespace or any(
        export.grants(namespace, service, key) for export in exporter.exports
    )


@dataclass(frozen=True, slots=True)
class _Importer:
    namespace: str
    service: str
    origin: str
    place: str


def _effective(
    catalog: Catalog, namespace: str, name: str, path: tuple[tuple[str, str], ...]
) -> Effective | None:
    here = (namespace, name)
    remembered = catalog.memo.get(("effective", here))
    if isinstance(remembered, Effective):
        return remembered
    service = catalog.services.get(here)
    if service is None:
        return None
    importer = _Importer(namespace, name, service.origin, "spec.env.__import_svc")
    below, problems, objects = _imported(
        catalog, service.definitions.imports, importer, (*path, here)
    )
    keys = dict(below)
    for key in service.definitions.env:
        weaker = below.get(key.name)
        overrode = (weaker.key, *weaker.overrode) if weaker is not None else ()
        keys[key.name] = Found(key=key, definer=service, overrode=overrode)
    depth = 1 + max((d.depth for d in _direct(catalog, service)), default=0)
    if depth > MAX_DEPTH or len(objects) >= MAX_OBJECTS:
        what = f"its imports are {depth} deep over {len(objects) + 1} objects; the limits are {MAX_DEPTH} and {MAX_OBJECTS}"
        problems += (
            Problem(code=errors.LIMIT, what=what, source=importer.place, origin=service.origin),
        )
    result = Effective(
        service=service,
        keys=keys,
        problems=service.problems + problems,
        depth=depth,
        objects=objects | {here},
    )
    if not any(problem.code is errors.CYCLE for problem in problems):
        catalog.memo["effective", here] = result
    return result


def _direct(catalog: Catalog, service: Service) -> list[Effective]:
    found = [
        catalog.memo.get(("effective", (ref.namespace or service.namespace, ref.service)))
        for ref in service.definitions.imports
    ]
    return [entry for entry in found if isinstance(entry, Effective)]


def _imported(
    catalog: Catalog,
    refs: tuple[ServiceRef, ...],
    importer: _Importer,
    path: tuple[tuple[str, str], ...],
) -> tuple[dict[str, Found], tuple[Problem, ...], frozenset[tuple[str, str]]]:
    keys: dict[str, Found] = {}
    problems: list[Problem] = []
    objects: set[tuple[str, str]] = set()
    for ref in refs:
        there = (ref.namespace or importer.namespace, ref.service)
        if there in path:
            problems.append(_cycle(importer, (*path[path.index(there) :], there)))
            continue
        if len(path) > MAX_DEPTH:
            what = f"imports go more than {MAX_DEPTH} deep"
            problems.append(
                Problem(code=errors.LIMIT, what=what, source=importer.place, origin=importer.origin)
            )
            continue
        source = _effective(catalog, *there, path)
        offered = {} if source is None else _offered(source, importer)
        if source is None or (not offered and source.service.namespace != importer.namespace):
            what = f"nothing called ${ref.service}.{there[0]} is offered here"
            problems.append(
                Problem(
                    code=errors.IMPORT, what=what, source=importer.place, origin=importer.origin
                )
            )
            continue
        problems += source.problems
        objects |= source.objects
        for name, found in offered.items():
            weaker = keys.get(name)
            overrode = (
                (*found.overrode, weaker.key, *weaker.overrode)
                if weaker is not None
                else found.overrode
            )
            keys[name] = Found(key=found.key, definer=found.definer, overrode=overrode)
    return keys, tuple(dict.fromkeys(problems)), frozenset(objects)


def _offered(source: Effective, importer: _Importer) -> dict[str, Found]:
    return {
        name: found
        for name, found in source.keys.items()
        if grants(source.service, namespace=importer.namespace, service=importer.service, key=name)
    }


def _cycle(importer: _Importer, path: tuple[tuple[str, str], ...]) -> Problem:
    chain = " → ".join(f"{namespace}/{name}" for namespace, name in path)
    return Problem(
        code=errors.CYCLE,
        what=f"services import each other: {chain}",
        source=importer.place,
        origin=importer.origin,
    )
