"""Resolution: what a pod asks for, and one snapshot of the cluster, become reads and values.

Each set of keys is a scope; a value is evaluated in the scope of the set that wrote it, once, and
kept by index, so a key used a thousand times costs one entry and a diamond stays linear. Strongest
first: the container's own `env`, then the pod's annotations, the service's own keys, the imports.
Weaker than each name that is written there are keys taken by pattern, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from injector.core import budget, errors, steering
from injector.core.errors import Problem
from injector.core.plan import EnvFrom, EnvItem, FileItem
from injector.core.reference import Expression, SiblingKey
from injector.core.steering import Steers
from webhook.core import inheritance
from webhook.core.catalog import Catalog
from webhook.core.definitions import MAX_KEYS, FileDef, FromDef, KeyDef, clashes
from webhook.core.evaluation import MAX_KNOWN, MAX_PROBLEMS, Evaluation
from webhook.core.inheritance import Found, FoundFrom, Importer
from webhook.core.resolution import Asked, ContainerAsk, Resolution, Trace
from webhook.core.scopes import OWN, Scope

__all__ = ["Asked", "ContainerAsk", "Resolution", "Trace", "resolve"]


def resolve(asked: Asked, catalog: Catalog) -> tuple[Resolution, tuple[Problem, ...]]:
    """Return the resolution and every problem; with a problem the resolution is not to be used."""
    work = _Work(asked, catalog)
    for container in asked.containers:
        work.container(container)
    evaluation = work.evaluation
    resolution = Resolution(
        stores=tuple(evaluation.stores.values()),
        reads=tuple(evaluation.reads),
        values=tuple(evaluation.values),
        authors=tuple(evaluation.authors),
        env=work.env,
        files=work.files,
        env_from=work.env_from,
        own=work.own,
        traces=tuple(work.traces),
        versions=tuple(sorted(evaluation.versions)),
        hidden=tuple(work.hidden),
    )
    return resolution, tuple(dict.fromkeys(evaluation.problems))[:MAX_PROBLEMS]


class _Work:
    """One resolution under way: what each container gets, and from where."""

    def __init__(self, asked: Asked, catalog: Catalog) -> None:
        self.asked, self.catalog = asked, catalog
        self.evaluation = Evaluation(catalog, asked.namespace, asked.service_account)
        self.env: dict[str, tuple[EnvItem, ...]] = {}
        self.files: dict[str, tuple[FileItem, ...]] = {}
        self.env_from: dict[str, tuple[EnvFrom, ...]] = {}
        self.own: dict[str, tuple[str, ...]] = {}
        self.traces: list[Trace] = []
        self.hidden: list[tuple[str, KeyDef]] = []
        self._inherited_from: tuple[FoundFrom, ...] = ()
        self._inherited, self._service_files = self._service_keys()

    def container(self, ask: ContainerAsk) -> None:
        """Resolve everything that one container gets."""
        set_by_pod: dict[str, KeyDef] = {}
        for definitions in ask.definitions:
            set_by_pod.update({key.name: key for key in definitions.env})
        overridden = {
            name: key
            for name, key in set_by_pod.items()
            if key.is_override and name in ask.replaceable
        }
        literals = ask.literals - overridden.keys()
        self._doubles(ask, literals, set_by_pod)
        set_by_pod.update({key.name: key for key in ask.own})
        # Containers for which the pod sets the same keys share one scope, and so its values.
        foreign = literals & _siblings((*set_by_pod.values(), *_files(ask)))
        is_own = bool(ask.own or foreign)
        is_plain = not is_own and len(ask.definitions) == 1 and ask.is_target
        scope = Scope(
            id=("pod",) if is_plain else ("pod", ask.name),
            namespace=self.asked.namespace,
            service=self.asked.service or "",
            own=set_by_pod,
            inherited=self._inherited,
            foreign=foreign,
            has_env_from=bool(self._inherited_from or any(d.env_from for d in ask.definitions)),
        )
        env = self._container_env(ask, literals, set_by_pod, scope)
        files = self._container_files(ask, scope)
        if len(env) > MAX_KEYS or len(files) > MAX_KEYS:
            what = f"{len(env)} variables and {len(files)} files; the limit is {MAX_KEYS} each"
            self._problem(Problem(code=errors.LIMIT, what=what, source=f"container {ask.name}"))
        if env:
            self.env[ask.name] = env
        env_from = self._container_env_from(ask, scope)
        if env_from:
            self.env_from[ask.name] = env_from
            self.own[ask.name] = tuple(sorted({*ask.literals, *set_by_pod}))
        if files:
            self.files[ask.name] = files

    def _container_env(
        self,
        ask: ContainerAsk,
        literals: frozenset[str],
        set_by_pod: Mapping[str, KeyDef],
        scope: Scope,
    ) -> tuple[EnvItem, ...]:
        inherited = self._inherited if ask.is_target else {}
        items = []
        for name in sorted({*set_by_pod, *inherited}):
            budget.spend()
            found = inherited.get(name)
            if name in literals:
                if found is not None:
                    self.hidden.append((ask.name, found.key))
                continue
            overrode: tuple[KeyDef, ...]
            if name in set_by_pod:
                key, where, chain = set_by_pod[name], scope, OWN
                overrode = (found.key, *found.overrode) if found is not None else ()
                if key.is_override and name in ask.replaceable:
                    overrode = (_entry(ask, name), *overrode)
            elif found is not None and self._may_steer(name, found):
                key, where, chain = self.evaluation.inherited(found, scope)
                overrode = found.overrode
            else:
                continue
            index = self.evaluation.key(key, where, chain)
            if index is not None:
                items.append(EnvItem(name=name, value=index))
                trace = Trace(
                    container=ask.name, target=name, key=key, value=index, overrode=overrode
                )
                self.traces.append(trace)
        return tuple(items)

    def _container_env_from(self, ask: ContainerAsk, scope: Scope) -> tuple[EnvFrom, ...]:
        found: list[tuple[FoundFrom | None, FromDef]] = []
        if ask.is_target:
            found += [(each, each.source) for each in self._inherited_from]
        found += [(None, each) for part in ask.definitions for each in part.env_from]
        items = []
        for inherited, source in found:
            budget.spend()
            if not source.keys:
                continue
            where = scope
            if inherited is not None:
                definer = inherited.definer
                where = self.evaluation.scopes.service(definer.namespace, definer.name)
            index = self.evaluation.value(source, where)
            if index is None:
                continue
            items.append(
                EnvFrom(
                    value=index,
                    keys=source.keys,
                    prefix=source.prefix,
                    rename=source.rename,
                    only=() if inherited is None else inherited.only,
                    is_strict=source.is_strict,
                    is_pods=inherited is None,
                )
            )
            self.traces.append(
                Trace(container=ask.name, target=source.name, key=source, value=index)
            )
        return tuple(items)

    def _container_files(self, ask: ContainerAsk, scope: Scope) -> tuple[FileItem, ...]:
        service_scope = self.evaluation.scopes.service(
            self.asked.namespace, self.asked.service or ""
        )
        wanted: dict[str, tuple[FileDef, Scope]] = {}
        if ask.is_target:
            wanted = {file.path: (file, service_scope) for file in self._service_files}
        for definitions in ask.definitions:
            wanted.update({file.path: (file, scope) for file in definitions.files})
        for path, other in clashes(wanted):
            file = wanted[path][0]
            if file.origin == wanted[other][0].origin:
                continue  # said where they were read
            what = f'"{path}" and "{other}" cannot both be files of container {ask.name}'
            self._problem(
                Problem(code=errors.DUPLICATE, what=what, source=file.place, origin=file.origin)
            )
        items = []
        for path, (file, where) in sorted(wanted.items()):
            index = self.evaluation.value(file, where)
            if index is not None:
                items.append(FileItem(path=path, value=index, mode=file.mode))
                self.traces.append(
                    Trace(container=ask.name, target=f"file {path}", key=file, value=index)
                )
        return tuple(items)

    def _may_steer(self, name: str, found: Found) -> bool:
        if steering.of(name) is not Steers.CODE:
            return True
        hint = "set it in the pod's own annotation, or rename the key"
        what = f'"{name}" decides {Steers.CODE.value}'
        self.evaluation.problem(errors.STEERING_NAME, found.key, what, hint)
        return False

    def _service_keys(self) -> tuple[Mapping[str, Found], tuple[FileDef, ...]]:
        asked = self.asked
        importer = Importer(
            namespace=asked.namespace,
            service=asked.service or "",
            origin="",
            place="annotation secret-injector.io/env",
        )
        imports, imported_from, problems = inheritance.imported(
            self.catalog, asked.imports.imports, importer
        )
        self.evaluation.problems += problems
        self._inherited_from = imported_from
        if asked.service is None:
            return imports, ()
        service = inheritance.effective(self.catalog, asked.namespace, asked.service)
        if service is None:
            budget.spend(len(self.catalog.services) // 16)
            here = (
                name for namespace, name in self.catalog.services if namespace == asked.namespace
            )
            names = list(islice(here, MAX_KNOWN))
            budget.spend(4 * len(names))
            what = f'there is no ServiceSecrets "{asked.service}" in namespace {asked.namespace}'
            self._problem(
                Problem(
                    code=errors.IMPORT,
                    what=what,
                    source="annotation secret-injector.io/service",
                    hint=errors.did_you_mean(asked.service, names),
                )
            )
            return imports, ()
        self.evaluation.problems += service.problems
        self.evaluation.versions.add(f"{service.service.origin}@{service.service.resource_version}")
        # The pod's imports win over the service's imports, and lose against its own keys.
        of_service = service.env_from
        theirs = tuple(each for each in of_service if each.definer is not service.service)
        own = tuple(each for each in of_service if each.definer is service.service)
        self._inherited_from = (*theirs, *imported_from, *own)
        keys = dict(service.keys)
        for name, found in imports.items():
            below = keys.get(name)
            if below is None or below.definer is not service.service:
                keys[name] = inheritance.stronger(found, below)
            else:
                keys[name] = inheritance.stronger(below, found)
        return keys, service.service.definitions.files

    def _doubles(
        self, ask: ContainerAsk, literals: frozenset[str], set_by_pod: Mapping[str, KeyDef]
    ) -> None:
        own = {key.name for key in ask.own}
        place = f"env of container {ask.name}"
        written = {name for name, key in set_by_pod.items() if not key.taken}
        for name in sorted(written & (literals | own)):
            key = set_by_pod[name]
            what, hint = f'"{name}" is set by {key.origin} and by {place}', ""
            if key.is_override:
                hint = "override: true replaces an entry with valueFrom; change one with a value"
            elif name in ask.replaceable:
                hint = "write {value: ..., override: true} to replace the entry, or keep one"
            self._problem(
                Problem(code=errors.DUPLICATE, what=what, source=key.origin, target=name, hint=hint)
            )
        for name in sorted(own & literals):
            what = f'"{name}" stands twice'
            self._problem(Problem(code=errors.DUPLICATE, what=what, source=place, target=name))

    def _problem(self, problem: Problem) -> None:
        self.evaluation.problems.append(problem)


def _entry(ask: ContainerAsk, name: str) -> KeyDef:
    """Return the entry of the container's own `env` that an annotation takes the place of."""
    origin = f"env of container {ask.name}"
    place = f"{name}: {ask.replaceable[name]}"
    return KeyDef(name=name, value=(), rule=None, origin=origin, place=place)


def _files(ask: ContainerAsk) -> list[FileDef]:
    return [file for definitions in ask.definitions for file in definitions.files]


def _siblings(keys: Iterable[KeyDef | FileDef]) -> set[str]:
    """Return the names of other keys that the definitions refer to."""
    references = [e.reference for k in keys for e in k.value if isinstance(e, Expression)]
    return {ref.key for ref in references if isinstance(ref, SiblingKey)}
