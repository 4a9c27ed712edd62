"""Resolution: what a pod asks for, and one snapshot of the cluster, become reads and values.

Each set of keys is a scope; a value is evaluated in the scope of the set that wrote it, once, and
kept by index, so a key used a thousand times costs one entry and a diamond stays linear. Strongest
first: the container's own `env`, then the pod's annotations, the service's own keys, the imports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from injector.core import errors
from injector.core.errors import Problem
from injector.core.plan import EnvItem, FileItem, Part, Pick, PlanStore, PlanValue, Read, Use
from injector.core.reference import (
    EnvironmentKey,
    Expression,
    Reference,
    ServiceAddress,
    ServiceKey,
    SiblingKey,
    StoreRead,
    Value,
)
from webhook.core import inheritance
from webhook.core.catalog import Catalog
from webhook.core.definitions import MAX_KEYS, Definitions, FileDef, KeyDef
from webhook.core.inheritance import Found
from webhook.core.store_text import document_for

MAX_CHAIN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerAsk:
    """One container's part of the wish.

    `own` are variables with references in its own `env`, `literals` the names of its other ones;
    `definitions` what annotations set for it, weakest first; `is_target` says whether the pod's
    service and shared annotations serve it.
    """

    name: str
    own: tuple[KeyDef, ...] = ()
    literals: frozenset[str] = frozenset()
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
class Trace:
    """Where one variable or file of a container came from; `overrode` lists what it won over."""

    container: str
    target: str
    key: KeyDef | FileDef
    value: int
    overrode: tuple[KeyDef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Reads and values, what each container gets, and how it came about."""

    stores: tuple[PlanStore, ...]
    reads: tuple[Read, ...]
    values: tuple[PlanValue, ...]
    env: Mapping[str, tuple[EnvItem, ...]]
    files: Mapping[str, tuple[FileItem, ...]]
    traces: tuple[Trace, ...]
    versions: tuple[str, ...]


@dataclass(slots=True)
class _Scope:
    """A set of keys: `find` gives a key and the scope it is evaluated in."""

    id: tuple[str, ...]
    namespace: str
    service: str
    find: Callable[[str], tuple[KeyDef, _Scope] | None]
    names: Callable[[], list[str]] = field(default=list)


def resolve(asked: Asked, catalog: Catalog) -> tuple[Resolution, tuple[Problem, ...]]:
    """Return the resolution and every problem; with a problem the resolution is not to be used."""
    work = _Work(asked, catalog)
    for container in asked.containers:
        work.container(container)
    resolution = Resolution(
        stores=tuple(work.stores.values()),
        reads=tuple(work.reads),
        values=tuple(work.values),
        env=work.env,
        files=work.files,
        traces=tuple(work.traces),
        versions=tuple(sorted(work.versions)),
    )
    return resolution, tuple(dict.fromkeys(work.problems))


class _Work:
    """One resolution under way; every part of it is reachable from the pod, so the limits bound it."""

    def __init__(self, asked: Asked, catalog: Catalog) -> None:
        self.asked, self.catalog = asked, catalog
        self.problems: list[Problem] = []
        self.stores: dict[str, PlanStore] = {}
        self.reads: dict[Read, int] = {}
        self.values: list[PlanValue] = []
        self.env: dict[str, tuple[EnvItem, ...]] = {}
        self.files: dict[str, tuple[FileItem, ...]] = {}
        self.traces: list[Trace] = []
        self.versions: set[str] = set()
        self._done: dict[tuple[tuple[str, ...], str, str], int | None] = {}
        self._stack: list[tuple[tuple[str, ...], str]] = []
        self._inherited, self._service_files = self._service_keys()

    def container(self, ask: ContainerAsk) -> None:
        """Resolve everything that one container gets."""
        set_by_pod: dict[str, KeyDef] = {}
        for definitions in ask.definitions:
            set_by_pod.update({key.name: key for key in definitions.env})
        self._clashes(ask, set_by_pod)
        set_by_pod.update({key.name: key for key in ask.own})
        scope = self._pod_scope(ask.name, set_by_pod)
        env = self._container_env(ask, set_by_pod, scope)
        files = self._container_files(ask, scope)
        if len(env) > MAX_KEYS or len(files) > MAX_KEYS:
            what = f"{len(env)} variables and {len(files)} files; the limit is {MAX_KEYS} each"
            source = f"container {ask.name}"
            self.problems.append(Problem(code=errors.LIMIT, what=what, source=source))
        if env:
            self.env[ask.name] = env
        if files:
            self.files[ask.name] = files

    def _container_env(
        self, ask: ContainerAsk, set_by_pod: Mapping[str, KeyDef], scope: _Scope
    ) -> tuple[EnvItem, ...]:
        inherited = self._inherited if ask.is_target else {}
        items = []
        for name in sorted({*set_by_pod, *inherited} - ask.literals):
            found = inherited.get(name)
            below = (found.key, *found.overrode) if found is not None else ()
            if name in set_by_pod:
                key, where, overrode = set_by_pod[name], scope, below
            elif found is not None and self._may_steer(name, found):
                key, overrode = found.key, found.overrode
                where = self._service_scope(found.definer.namespace, found.definer.name)
            else:
                continue
            index = self._key(key, where)
            if index is not None:
                items.append(EnvItem(name=name, value=index))
                trace = Trace(
                    container=ask.name, target=name, key=key, value=index, overrode=overrode
                )
                self.traces.append(trace)
        return tuple(items)

    def _container_files(self, ask: ContainerAsk, scope: _Scope) -> tuple[FileItem, ...]:
        service_scope = self._service_scope(self.asked.namespace, self.asked.service or "")
        wanted: dict[str, tuple[FileDef, _Scope]] = {}
        if ask.is_target:
            wanted = {file.path: (file, service_scope) for file in self._service_files}
        for definitions in ask.definitions:
            wanted.update({file.path: (file, scope) for file in definitions.files})
        items = []
        for path, (file, where) in sorted(wanted.items()):
            index = self._value(file, where)
            if index is not None:
                items.append(FileItem(path=path, value=index, mode=file.mode))
                self.traces.append(
                    Trace(container=ask.name, target=f"file {path}", key=file, value=index)
                )
        return tuple(items)

    def _may_steer(self, name: str, found: Found) -> bool:
        if not inheritance.STEERING.fullmatch(name):
            return True
        hint = "set it in the pod's own annotation, or rename the key"
        self._problem(errors.STEERING_NAME, found.key, f'"{name}" steers a process', hint)
        return False

    def _service_keys(self) -> tuple[dict[str, Found], tuple[FileDef, ...]]:
        asked = self.asked
        keys: dict[str, Found] = {}
        files: tuple[FileDef, ...] = ()
        place = "annotation secret-injector.io/env"
        imports, problems, _ = inheritance.imported(
            self.catalog,
            asked.imports.imports,
            namespace=asked.namespace,
            service=asked.service or "",
            origin="",
            place=place,
        )
        if asked.service is not None:
            service = inheritance.effective(self.catalog, asked.namespace, asked.service)
            if service is None:
                names = [
                    name
                    for namespace, name in self.catalog.services
                    if namespace == asked.namespace
                ]
                hint = errors.did_you_mean(asked.service, names)
                what = (
                    f'there is no ServiceSecrets "{asked.service}" in namespace {asked.namespace}'
                )
                self.problems.append(
                    Problem(
                        code=errors.IMPORT,
                        what=what,
                        source="annotation secret-injector.io/service",
                        hint=hint,
                    )
                )
            else:
                problems += service.problems
                own = {
                    found.key.name
                    for found in service.keys.values()
                    if found.definer is service.service
                }
                keys = {
                    **service.keys,
                    **{name: found for name, found in imports.items() if name not in own},
                }
                files = service.service.definitions.files
                self.versions.add(f"{service.service.origin}@{service.service.resource_version}")
        else:
            keys = dict(imports)
        self.problems += problems
        return keys, files

    def _clashes(self, ask: ContainerAsk, set_by_pod: Mapping[str, KeyDef]) -> None:
        own = {key.name: key.place for key in ask.own}
        for name in sorted(set(set_by_pod) & (ask.literals | set(own))):
            key = set_by_pod[name]
            what = f'"{name}" is set by {key.origin} and by env of container {ask.name}'
            self.problems.append(
                Problem(code=errors.DUPLICATE, what=what, source=key.origin, target=name)
            )

    def _pod_scope(self, container: str, set_by_pod: Mapping[str, KeyDef]) -> _Scope:
        def find(name: str) -> tuple[KeyDef, _Scope] | None:
            if (key := set_by_pod.get(name)) is not None:
                return key, scope
            found = self._inherited.get(name)
            return (
                (found.key, self._service_scope(found.definer.namespace, found.definer.name))
                if found
                else None
            )

        scope = _Scope(("pod", container), self.asked.namespace, self.asked.service or "", find)
        scope.names = lambda: [*set_by_pod, *self._inherited]
        return scope

    def _service_scope(self, namespace: str, name: str) -> _Scope:
        def find(key: str) -> tuple[KeyDef, _Scope] | None:
            service = inheritance.effective(self.catalog, namespace, name)
            found = service.keys.get(key) if service is not None else None
            if found is None:
                return None
            return found.key, self._service_scope(found.definer.namespace, found.definer.name)

        return _Scope(("service", namespace, name), namespace, name, find)

    def _key(self, key: KeyDef, scope: _Scope) -> int | None:
        """Return the index of the key's value, evaluating it the first time; None after a problem."""
        place = (scope.id, key.name)
        if place in self._stack:
            names = [name for _, name in self._stack[self._stack.index(place) :]] + [key.name]
            self._problem(
                errors.CYCLE, key, "the references go round in a circle: " + " → ".join(names)
            )
            return None
        if len(self._stack) >= MAX_CHAIN:
            self._problem(errors.LIMIT, key, f"references go more than {MAX_CHAIN} deep")
            return None
        self._stack.append(place)
        try:
            return self._value(key, scope)
        finally:
            self._stack.pop()

    def _value(self, definition: KeyDef | FileDef, scope: _Scope) -> int | None:
        memo = (scope.id, definition.place, definition.name)
        if memo in self._done:
            return self._done[memo]
        parts: list[Part] = []
        is_whole = True
        for part in definition.value:
            made = part if isinstance(part, str) else self._part(part, definition, scope)
            if made is None:
                is_whole = False
            else:
                parts.append(made)
        index = None
        if is_whole:
            index = self._add(parts, definition)
        self._done[memo] = index
        return index

    def _add(self, parts: list[Part], definition: KeyDef | FileDef) -> int:
        self.values.append(
            PlanValue(
                parts=tuple(parts),
                key=definition.name,
                origin=definition.origin,
                rule=definition.rule,
            )
        )
        return len(self.values) - 1

    def _part(self, expression: Expression, by: KeyDef | FileDef, scope: _Scope) -> Part | None:
        filters = expression.filters
        match expression.reference:
            case StoreRead() as read:
                index = self._read(read, by)
                return (
                    None if index is None else Pick(read=index, field=read.field, filters=filters)
                )
            case ServiceAddress(service=service, namespace=namespace, port=port):
                text = f"{service}.{namespace or scope.namespace}.svc" + (
                    f":{port}" if port is not None else ""
                )
                return text if not filters else Use(value=self._add([text], by), filters=filters)
            case SiblingKey() | ServiceKey() | EnvironmentKey() as other:
                found = self._find(other, by, scope)
                index = None if found is None else self._key(*found)
                return None if index is None else Use(value=index, filters=filters)

    def _find(
        self, ref: Reference, by: KeyDef | FileDef, scope: _Scope
    ) -> tuple[KeyDef, _Scope] | None:
        if isinstance(ref, SiblingKey):
            found = scope.find(ref.key)
            if found is None:
                self._problem(
                    errors.IMPORT,
                    by,
                    f'there is no key "{ref.key}" in this set',
                    errors.did_you_mean(ref.key, scope.names()),
                )
            return found
        if isinstance(ref, EnvironmentKey):
            return self._environment_key(ref, by, scope)
        assert isinstance(ref, ServiceKey)  # noqa: S101 (the caller's match leaves nothing else)
        namespace = ref.namespace or scope.namespace
        service = (
            inheritance.effective(self.catalog, namespace, ref.service) if scope.namespace else None
        )
        key = service.keys.get(ref.key) if service is not None else None
        if (
            service is None
            or key is None
            or not inheritance.grants(
                service.service, namespace=scope.namespace, service=scope.service, key=ref.key
            )
        ):
            self._problem(
                errors.IMPORT,
                by,
                f"nothing called ${ref.service}.{namespace}/{ref.key} is offered here",
            )
            return None
        self.problems += service.problems
        return key.key, self._service_scope(key.definer.namespace, key.definer.name)

    def _environment_key(
        self, ref: EnvironmentKey, by: KeyDef | FileDef, scope: _Scope
    ) -> tuple[KeyDef, _Scope] | None:
        if scope.id[0] == "environment":
            environments = [e for e in self.catalog.environments.values() if e.name == scope.id[1]]
        else:
            environments = list(self.catalog.environments_of(scope.namespace))
        if len(environments) != 1:
            names = ", ".join(e.name for e in environments)
            what = (
                f"namespace {scope.namespace} belongs to {len(environments)} environments: {names}"
                if names
                else f"namespace {scope.namespace} belongs to no environment"
            )
            self._problem(
                errors.IMPORT,
                by,
                what,
                "exactly one EnvironmentSecrets may select a namespace: kubectl get envsec",
            )
            return None
        environment = environments[0]
        self.problems += environment.problems
        self.versions.add(f"{environment.origin}@{environment.resource_version}")
        keys = {key.name: key for key in environment.env}

        def find(name: str) -> tuple[KeyDef, _Scope] | None:
            return (keys[name], inner) if name in keys else None

        inner = _Scope(("environment", environment.name), "", "", find, lambda: list(keys))
        found = find(ref.key)
        if found is None:
            what = f'{environment.origin} has no key "{ref.key}"'
            self._problem(errors.IMPORT, by, what, errors.did_you_mean(ref.key, keys))
        return found

    def _read(self, ref: StoreRead, by: KeyDef | FileDef) -> int | None:
        entry = self.catalog.stores.get(ref.store)
        if entry is None or not entry.serves(self.asked.namespace):
            known = [s.name for s in self.catalog.stores.values() if s.serves(self.asked.namespace)]
            what = f'no store "{ref.store}" serves namespace {self.asked.namespace}'
            self._problem(errors.STORE_UNKNOWN, by, what, errors.did_you_mean(ref.store, known))
            return None
        if entry.store is None:
            self.problems += entry.problems
            return None
        problem = entry.store.spec.path_problem(ref.path, ref.field, ref.version)
        if problem is not None:
            self._problem(errors.REFERENCE, by, f"{ref.store}:{ref.path}: {problem}")
            return None
        if ref.store not in self.stores:
            text = document_for(
                entry.document,
                namespace=self.asked.namespace,
                service_account=self.asked.service_account,
            )
            self.stores[ref.store] = PlanStore(name=ref.store, document=text)
            self.versions.add(f"ClusterSecretStore {ref.store}@{entry.resource_version}")
        read = Read(store=list(self.stores).index(ref.store), path=ref.path, version=ref.version)
        return self.reads.setdefault(read, len(self.reads))

    def _problem(self, code: errors.Code, by: KeyDef | FileDef, what: str, hint: str = "") -> None:
        target = by.name if isinstance(by, KeyDef) else f"file {by.name}"
        source = (
            by.place
            if by.origin.startswith(("ServiceSecrets", "EnvironmentSecrets"))
            else by.origin
        )
        origin = by.origin if source == by.place else ""
        self.problems.append(
            Problem(code=code, what=what, source=source, target=target, origin=origin, hint=hint)
        )


__all__ = ["Asked", "ContainerAsk", "Resolution", "Trace", "Value", "resolve"]
