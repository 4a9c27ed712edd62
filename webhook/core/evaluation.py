"""Evaluation: a key in its scope becomes a value of the plan, and what it reads a read.

Each definition is evaluated once per scope; what it refers to first. The work is counted: whatever
a tenant writes, a decision ends after `MAX_STEPS` references or `MAX_PROBLEMS` problems.
"""

from __future__ import annotations

from collections.abc import Iterable

from injector.core import errors, stores
from injector.core.errors import Problem, Refused
from injector.core.plan import Part, Pick, PlanStore, PlanValue, Read, Use
from injector.core.reference import (
    EnvironmentKey,
    Expression,
    ServiceAddress,
    ServiceKey,
    SiblingKey,
    StoreRead,
)
from webhook.core import inheritance
from webhook.core.catalog import Catalog
from webhook.core.definitions import FileDef, KeyDef, problem_of
from webhook.core.resources import Environment
from webhook.core.scopes import Scope, Scopes
from webhook.core.store_text import document_for

MAX_CHAIN = 64
MAX_STEPS = 16_384
MAX_PROBLEMS = 64
MAX_HINTS = 8

_Found = tuple[KeyDef, Scope]
_KeyRef = SiblingKey | ServiceKey | EnvironmentKey


class Evaluation:
    """Values, reads and stores as they come up; `problems` has what went wrong on the way."""

    def __init__(self, catalog: Catalog, namespace: str, service_account: str) -> None:
        """Evaluate for a pod of this namespace and ServiceAccount."""
        self.catalog, self.namespace, self.service_account = catalog, namespace, service_account
        self.scopes = Scopes(catalog)
        self.problems: list[Problem] = []
        self.stores: dict[str, PlanStore] = {}
        self.reads: dict[Read, int] = {}
        self.values: list[PlanValue] = []
        self.versions: set[str] = set()
        self._reported: set[str] = set()
        self._done: dict[tuple[tuple[str, ...], int], int | None] = {}
        self._stack: list[tuple[tuple[str, ...], str]] = []
        self._steps = 0

    def key(self, key: KeyDef, scope: Scope) -> int | None:
        """Return the index of the key's value, evaluating it the first time; None if it failed."""
        place = (scope.id, key.name)
        if place in self._stack:
            names = [name for _, name in self._stack[self._stack.index(place) :]]
            chain = " → ".join([*names, key.name])
            self.problem(errors.CYCLE, key, f"the references go round in a circle: {chain}")
            return None
        if len(self._stack) >= MAX_CHAIN:
            self.problem(errors.LIMIT, key, f"references go more than {MAX_CHAIN} deep")
            return None
        self._stack.append(place)
        try:
            return self.value(key, scope)
        finally:
            self._stack.pop()

    def value(self, definition: KeyDef | FileDef, scope: Scope) -> int | None:
        """Return the index of a definition's value; None if it failed."""
        # Definitions live as long as the snapshot and the wish: their identity is safe to keep.
        memo = (scope.id, id(definition))
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
            index = len(self.values)
            value = PlanValue(
                parts=tuple(parts),
                key=definition.name,
                origin=definition.origin,
                rule=definition.rule,
            )
            self.values.append(value)
        self._done[memo] = index
        return index

    def problem(
        self,
        code: errors.Code,
        by: KeyDef | FileDef,
        what: str,
        hint: str = "",
        *,
        word: str = "",
        known: Iterable[str] = (),
    ) -> None:
        """Add a problem of a definition; `word` may be a slip of the pen for one that is known."""
        if len(self.problems) >= MAX_PROBLEMS:
            return
        if word and not hint and len(self.problems) < MAX_HINTS:
            hint = errors.did_you_mean(word, known)
        self.problems.append(problem_of(by, code, what, hint))

    def _part(self, expression: Expression, by: KeyDef | FileDef, scope: Scope) -> Part | None:
        self._steps += 1
        if self._steps > MAX_STEPS or len(self.problems) >= MAX_PROBLEMS:
            if self._steps == MAX_STEPS + 1:
                self.problem(errors.LIMIT, by, f"the pod needs more than {MAX_STEPS} references")
            return None
        filters = expression.filters
        match expression.reference:
            case StoreRead() as read:
                index = self._read(read, by)
                return (
                    None if index is None else Pick(read=index, field=read.field, filters=filters)
                )
            case ServiceAddress() as address:
                text = self._address(address, by, scope)
                if text is None or not filters:
                    return text
                value = PlanValue(parts=(text,), key=by.name, origin=by.origin)
                self.values.append(value)
                return Use(value=len(self.values) - 1, filters=filters)
            case SiblingKey() | ServiceKey() | EnvironmentKey() as other:
                found = self._found(other, by, scope)
                index = None if found is None else self.key(*found)
                return None if index is None else Use(value=index, filters=filters)

    def _found(self, ref: _KeyRef, by: KeyDef | FileDef, scope: Scope) -> _Found | None:
        match ref:
            case SiblingKey(key=key):
                return self._sibling(key, by, scope)
            case ServiceKey():
                return self._service_key(ref, by, scope)
            case EnvironmentKey(key=key):
                return self._environment_key(key, by, scope)

    def _address(self, address: ServiceAddress, by: KeyDef | FileDef, scope: Scope) -> str | None:
        namespace = address.namespace or scope.namespace
        if not namespace:
            what = f"@{address.service} has no namespace to be in"
            hint = f"write @{address.service}.NAMESPACE: an environment belongs to several"
            self.problem(errors.REFERENCE, by, what, hint)
            return None
        port = f":{address.port}" if address.port is not None else ""
        return f"{address.service}.{namespace}.svc{port}"

    def _sibling(self, name: str, by: KeyDef | FileDef, scope: Scope) -> _Found | None:
        if name in scope.foreign:
            what = f'"{name}" is set in the container itself, to what only the kubelet evaluates'
            self.problem(errors.REFERENCE, by, what, "write its text here, or move it to env")
            return None
        found = self.scopes.find(scope, name)
        if found is None:
            what = f'there is no key "{name}" in this set'
            self.problem(errors.IMPORT, by, what, word=name, known=scope.names())
        return found

    def _service_key(self, ref: ServiceKey, by: KeyDef | FileDef, scope: Scope) -> _Found | None:
        namespace = ref.namespace or scope.namespace
        source = None
        if scope.namespace:
            source = inheritance.effective(self.catalog, namespace, ref.service)
        found = None
        if source is not None:
            found = inheritance.offered(
                source, ref.key, namespace=scope.namespace, service=scope.service
            )
        if source is None or found is None:
            dotted = f"{ref.service}.{namespace}" if namespace else ref.service
            self.problem(errors.IMPORT, by, f"nothing called ${dotted}/{ref.key} is offered here")
            return None
        self._report(source.service.origin, source.problems)
        return found.key, self.scopes.of_definer(found)

    def _environment_key(self, name: str, by: KeyDef | FileDef, scope: Scope) -> _Found | None:
        environment = self._environment(by, scope)
        if environment is None:
            return None
        self._report(environment.origin, environment.problems)
        self.versions.add(f"{environment.origin}@{environment.resource_version}")
        inner = self.scopes.environment(environment)
        found = self.scopes.find(inner, name)
        if found is None:
            what = f'{environment.origin} has no key "{name}"'
            self.problem(errors.IMPORT, by, what, word=name, known=inner.own)
        return found

    def _environment(self, by: KeyDef | FileDef, scope: Scope) -> Environment | None:
        if scope.id[0] == "environment":
            return self.catalog.environments.get(scope.id[1])
        found = self.catalog.environments_of(scope.namespace)
        if len(found) == 1:
            return found[0]
        names = ", ".join(environment.name for environment in found)
        what = (
            f"namespace {scope.namespace} belongs to {len(found)} environments: {names}"
            if names
            else f"namespace {scope.namespace} belongs to no environment"
        )
        hint = "exactly one EnvironmentSecrets may select a namespace: kubectl get envsec"
        self.problem(errors.IMPORT, by, what, hint)
        return None

    def _read(self, ref: StoreRead, by: KeyDef | FileDef) -> int | None:
        entry = self.catalog.stores.get(ref.store)
        if entry is None or not entry.serves(self.namespace):
            known = [s.name for s in self.catalog.stores.values() if s.serves(self.namespace)]
            what = f'no store "{ref.store}" serves namespace {self.namespace}'
            self.problem(errors.STORE_UNKNOWN, by, what, word=ref.store, known=known)
            return None
        if entry.store is None:
            self._report(f"store {ref.store}", entry.problems)
            return None
        problem = entry.store.spec.path_problem(ref.path, ref.field, ref.version)
        if problem is not None:
            self.problem(errors.REFERENCE, by, f"{ref.store}:{ref.path}: {problem}")
            return None
        if ref.store not in self.stores:
            text = document_for(
                entry.document, namespace=self.namespace, service_account=self.service_account
            )
            try:
                stores.from_text(ref.store, text, in_cluster=entry.in_cluster)
            except Refused as refused:  # a role that is too long once its variables are known
                self._report(f"store {ref.store}", refused.problems)
                return None
            self.stores[ref.store] = PlanStore(name=ref.store, document=text)
            self.versions.add(f"ClusterSecretStore {ref.store}@{entry.resource_version}")
        read = Read(store=list(self.stores).index(ref.store), path=ref.path, version=ref.version)
        return self.reads.setdefault(read, len(self.reads))

    def _report(self, what: str, problems: tuple[Problem, ...]) -> None:
        """Add the problems of an object that is used, once."""
        if what not in self._reported:
            self._reported.add(what)
            self.problems += problems
