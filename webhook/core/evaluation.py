"""Evaluation: a key in its scope becomes a value of the plan, and what it reads a read.

Each definition is evaluated once per scope and chain; what it refers to first. The work is counted:
whatever a tenant writes, a decision ends after `MAX_STEPS` references or `MAX_PROBLEMS` problems.

An expression of another namespace is evaluated with the pod's identity, which it must not borrow:
the chain of those who wrote what is being evaluated goes along with every step, and
    a key        must be granted by its owner to each of the chain, and to who let the chain in
    `$/KEY`      needs one and the same environment for all of their namespaces and the pod's
    a store      must serve all of these namespaces, and must not lie in objects of the pod's own
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from injector.core import budget, errors, spellings, stores
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
from injector.core.stores import Store
from webhook.core import inheritance
from webhook.core.catalog import Catalog, StoreEntry
from webhook.core.definitions import FileDef, FromDef, KeyDef, problem_of
from webhook.core.inheritance import Found
from webhook.core.resolution import Author
from webhook.core.resources import Environment, Service, is_usable
from webhook.core.scopes import OWN, Chain, Scope, Scopes
from webhook.core.store_text import document_for, is_of_namespace

MAX_CHAIN = 64
MAX_FOREIGN = 8
"""Services of other namespaces on one chain; each way through them is work of its own."""
MAX_STEPS = 16_384
PART_STEPS = 4
"""Steps of the decision's budget for one reference: it is looked up, and policies look at it."""
MAX_PROBLEMS = 64
MAX_HINTS = 8
_NOT_LISTED = "a key that __from takes by pattern has no name yet: list it under its keys"
MAX_KNOWN = 512
"""Names among which the one that was meant is looked for."""

_Definition = KeyDef | FileDef | FromDef
_Meant = tuple[KeyDef, Scope, Chain]
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
        self.authors: list[Author] = []
        self.versions: set[str] = set()
        self._reported: set[str] = set()
        self._done: dict[tuple[tuple[str, ...], int, Chain | None], int | None] = {}
        self._own_authors: dict[tuple[str, ...], Author] = {}
        self._stack: list[tuple[tuple[str, ...], str]] = []
        self._steps = 0

    def key(self, key: KeyDef, scope: Scope, chain: Chain = OWN) -> int | None:
        """Return the index of the key's value, evaluating it the first time; None if it failed."""
        place = (scope.id, key.name)
        if place in self._stack:
            names = [each for _, each in self._stack[self._stack.index(place) :]]
            circle = " → ".join([*names, key.name])
            self.problem(errors.CYCLE, key, f"the references go round in a circle: {circle}")
            return None
        if len(self._stack) >= MAX_CHAIN:
            self.problem(errors.LIMIT, key, f"references go more than {MAX_CHAIN} deep")
            return None
        self._stack.append(place)
        try:
            return self.value(key, scope, chain)
        finally:
            self._stack.pop()

    def inherited(self, found: Found, scope: Scope, chain: Chain = OWN) -> _Meant:
        """Return a key that a scope has from its imports, with the scope and chain it is in."""
        definer = (found.definer.namespace, found.definer.name)
        importer = (scope.namespace, scope.service)
        return (
            found.key,
            self.scopes.of_definer(found),
            chain.through(definer, importer=importer),
        )

    def value(self, definition: _Definition, scope: Scope, chain: Chain = OWN) -> int | None:
        """Return the index of a definition's value; None if it failed."""
        # Definitions live as long as the snapshot and the wish: their identity is safe to keep.
        memo = (scope.id, id(definition), None if chain is OWN else chain)
        if memo in self._done:
            return self._done[memo]
        parts: list[Part] = []
        is_whole = True
        for part in definition.value:
            made = part if isinstance(part, str) else self._part(part, definition, scope, chain)
            if made is None:
                is_whole = False
            else:
                parts.append(made)
        index = None
        if is_whole:
            value = PlanValue(
                parts=tuple(parts),
                key=definition.name,
                origin=definition.origin,
                rule=definition.rule,
            )
            index = self._add(value, scope, chain)
        self._done[memo] = index
        return index

    def problem(
        self,
        code: errors.Code,
        by: _Definition,
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
            near = list(islice(known, MAX_KNOWN))
            budget.spend(4 * len(near))
            hint = errors.did_you_mean(word, near)
        self.problems.append(problem_of(by, code, what, hint))

    def _add(self, value: PlanValue, scope: Scope, chain: Chain) -> int:
        self.values.append(value)
        author = self._own_authors.get(scope.id) if chain is OWN else None
        if author is None:
            is_service = scope.id[0] == "service"
            author = Author(
                service=(scope.namespace, scope.service) if is_service else None,
                definers=self._judged_for(scope, chain) or (self.namespace,),
                foreign=tuple(sorted(chain.foreign)),
            )
            if chain is OWN:
                self._own_authors[scope.id] = author
        self.authors.append(author)
        return len(self.values) - 1

    def _judged_for(self, scope: Scope, chain: Chain) -> tuple[str, ...]:
        """Return whose namespaces are asked beside the pod's; environments are the platform's."""
        if scope.id[0] == "environment" or not chain.foreign:
            return ()
        return tuple(sorted({scope.namespace, *chain.namespaces}))

    def _part(
        self, expression: Expression, by: _Definition, scope: Scope, chain: Chain
    ) -> Part | None:
        self._steps += 1
        if self._steps > MAX_STEPS or len(self.problems) >= MAX_PROBLEMS:
            if self._steps == MAX_STEPS + 1:
                self.problem(errors.LIMIT, by, f"the pod needs more than {MAX_STEPS} references")
            return None
        budget.spend(PART_STEPS)
        filters = expression.filters
        match expression.reference:
            case StoreRead() as read:
                index = self._read(read, by, scope, chain)
                return (
                    None if index is None else Pick(read=index, field=read.field, filters=filters)
                )
            case ServiceAddress() as address:
                text = self._address(address, by, scope)
                if text is None or not filters:
                    return text
                value = PlanValue(parts=(text,), key=by.name, origin=by.origin)
                return Use(value=self._add(value, scope, chain), filters=filters)
            case SiblingKey() | ServiceKey() | EnvironmentKey() as other:
                found = self._found(other, by, scope, chain)
                index = None if found is None else self.key(*found)
                return None if index is None else Use(value=index, filters=filters)

    def _found(self, ref: _KeyRef, by: _Definition, scope: Scope, chain: Chain) -> _Meant | None:
        match ref:
            case SiblingKey(key=key):
                return self._sibling(key, by, scope, chain)
            case ServiceKey():
                return self._service_key(ref, by, scope, chain)
            case EnvironmentKey(key=key):
                return self._environment_key(key, by, scope, chain)

    def _address(self, address: ServiceAddress, by: _Definition, scope: Scope) -> str | None:
        namespace = address.namespace or scope.namespace
        if not namespace:
            what = f"@{address.service} has no namespace to be in"
            hint = f"write @{address.service}.NAMESPACE: an environment belongs to several"
            self.problem(errors.REFERENCE, by, what, hint)
            return None
        port = f":{address.port}" if address.port is not None else ""
        return f"{address.service}.{namespace}.svc{port}"

    def _sibling(self, name: str, by: _Definition, scope: Scope, chain: Chain) -> _Meant | None:
        if name in scope.foreign:
            what = f'"{name}" is set in the container itself, to what only the kubelet evaluates'
            self.problem(errors.REFERENCE, by, what, "write its text here, or move it to env")
            return None
        own = scope.own.get(name)
        if own is not None:
            return own, scope, chain
        found = scope.inherited.get(name)
        if found is None:
            what = f'there is no key "{name}" in this set'
            # Which keys another namespace has is nothing that a slip of its own may tell.
            known = () if chain.foreign else scope.names()
            hint = _NOT_LISTED if scope.has_env_from and not chain.foreign else ""
            self.problem(errors.IMPORT, by, what, hint, word=name, known=known)
            return None
        if self._is_too_long(chain, by):
            return None
        if not self._reaches(found.definer, name, chain):
            definer = found.definer
            self._not_offered(definer.name, definer.namespace, name, by)
            return None
        return self.inherited(found, scope, chain)

    def _service_key(
        self, ref: ServiceKey, by: _Definition, scope: Scope, chain: Chain
    ) -> _Meant | None:
        if self._is_too_long(chain, by):
            return None
        there = (ref.namespace or scope.namespace, ref.service)
        found: Found | None = None
        mistakes: tuple[Problem, ...] = ()
        if scope.namespace:
            found, mistakes = inheritance.referred(
                self.catalog, there, ref.key, namespace=scope.namespace, service=scope.service
            )
        exporter = self.catalog.services.get(there)
        is_offered = exporter is not None and self._reaches(exporter, ref.key, chain)
        if found is not None:
            is_offered = is_offered and self._reaches(found.definer, ref.key, chain)
        if not is_offered or (found is None and not mistakes):
            self._not_offered(ref.service, there[0], ref.key, by)
            return None
        self._report(f"${ref.service}.{there[0]}/{ref.key}", mistakes)
        return None if found is None else self.inherited(found, scope, chain)

    def _is_too_long(self, chain: Chain, by: _Definition) -> bool:
        if len(chain.foreign) <= MAX_FOREIGN:
            return False
        what = f"expressions of more than {MAX_FOREIGN} services of other namespaces are in it"
        self.problem(errors.LIMIT, by, what)
        return True

    def _reaches(self, definer: Service, key: str, chain: Chain) -> bool:
        """Say whether a key is granted to everybody who gets it by the chain."""
        return all(
            inheritance.grants(definer, namespace=namespace, service=service, key=key)
            for namespace, service in chain.members
        )

    def _not_offered(self, service: str, namespace: str, key: str, by: _Definition) -> None:
        dotted = f"{service}.{namespace}" if namespace else service
        self.problem(errors.IMPORT, by, f"nothing called ${dotted}/{key} is offered here")

    def _environment_key(
        self, name: str, by: _Definition, scope: Scope, chain: Chain
    ) -> _Meant | None:
        if not self._is_shared(scope, chain):
            others = ", ".join(n for n in chain.namespaces if n != self.namespace)
            what = (
                f"$/{name} is used by an expression of namespace {others}, which does not have the"
                f" same EnvironmentSecrets as namespace {self.namespace}"
            )
            self.problem(errors.FOREIGN, by, what)
            return None
        environment = self._environment(by, scope)
        if environment is None:
            return None
        self._report(environment.origin, environment.problems)
        if not is_usable(environment.problems):
            return None
        self.versions.add(f"{environment.origin}@{environment.resource_version}")
        inner = self.scopes.environment(environment)
        found = inner.own.get(name)
        if found is None:
            what = f'{environment.origin} has no key "{name}"'
            self.problem(errors.IMPORT, by, what, word=name, known=inner.own)
            return None
        return found, inner, chain

    def _is_shared(self, scope: Scope, chain: Chain) -> bool:
        """Say whether everybody of the chain belongs to the environment that the pod belongs to."""
        if scope.id[0] == "environment" or not chain.foreign:
            return True
        names = {self.namespace, scope.namespace, *chain.namespaces}
        found = [self.catalog.environments_of(name) for name in names]
        return len({tuple(each.name for each in environments) for environments in found}) == 1

    def _environment(self, by: _Definition, scope: Scope) -> Environment | None:
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

    def _read(self, ref: StoreRead, by: _Definition, scope: Scope, chain: Chain) -> int | None:
        entry = self.catalog.stores.get(ref.store)
        known = self.catalog.stores_for(self.namespace)
        if entry is None or ref.store not in known:
            if entry is not None:
                what = (
                    f'the store "{ref.store}" does not serve namespace {self.namespace}:'
                    " its allowedNamespaces"
                )
                self.problem(errors.STORE_UNKNOWN, by, what)
                return None
            what = f'no store "{ref.store}" serves namespace {self.namespace}'
            self.problem(errors.STORE_UNKNOWN, by, what, word=ref.store, known=known)
            return None
        if entry.store is None:
            self._report(f"store {ref.store}", entry.problems)
            return None
        if not self._may_read(entry, entry.store, ref, by, self._judged_for(scope, chain)):
            return None
        problem = entry.store.spec.path_problem(ref.path, ref.field, ref.version)
        if problem is not None:
            hint = spellings.of_path(ref.path, entry.store.provider)
            self.problem(errors.REFERENCE, by, f"{ref.store}:{ref.path}: {problem}", hint)
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

    def _may_read(
        self,
        entry: StoreEntry,
        store: Store,
        ref: StoreRead,
        by: _Definition,
        definers: tuple[str, ...],
    ) -> bool:
        """Say whether expressions of these namespaces may read the store with the pod's identity.

        Empty when none of another namespace is among them.
        """
        if not definers:
            return True
        others = ", ".join(name for name in definers if name != self.namespace)
        if is_of_namespace(store):
            what = (
                f"{ref.store}:{ref.path} lies in an object of namespace {self.namespace}:"
                f" an expression of namespace {others} may not read it"
            )
            self.problem(errors.FOREIGN, by, what)
            return False
        for name in definers:
            if not entry.serves(name):
                what = f'store "{ref.store}" does not serve namespace {name}, which reads it here'
                self.problem(errors.FOREIGN, by, what)
                return False
        return True

    def _report(self, what: str, problems: tuple[Problem, ...]) -> None:
        """Add the problems of an object that is used, once."""
        if what not in self._reported:
            self._reported.add(what)
            self.problems += problems
