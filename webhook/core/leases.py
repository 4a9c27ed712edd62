"""Which references bring a lease that nothing renews, as far as their paths tell it.

In mode `init` our container is gone when a lease ends, and its credentials end with it. What
engines of Vault customarily have is known; a store's `leased` names other paths. It is a warning
for people (`lint`, `explain`) and decides nothing: only Vault's answer tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from injector.core import errors
from injector.core.errors import Problem
from injector.core.plan import Plan
from injector.core.stores import Store
from injector.core.stores.vault import Vault
from webhook.core import globs, usage
from webhook.core.catalog import Catalog

_CUSTOMARY = ("**/creds/*", "pki*/issue/*", "**/pki*/issue/*")
_HINT = (
    "let the pod end before the lease does, or raise the role's ttl; where a path of this name"
    " gives no lease, ignore it"
)


def is_leased(store: Store, path: str) -> bool:
    """Say whether what is read there customarily has a lease."""
    return isinstance(store.spec, Vault) and any(
        globs.path_matches(path, pattern, {}) for pattern in (*_CUSTOMARY, *store.spec.leased)
    )


def of_object(catalog: Catalog, origin: str) -> Iterator[Problem]:
    """Yield a warning for each path with a lease that an object of ours refers to."""
    return _warnings(catalog, _of_objects(catalog, origin))


def of_pod(catalog: Catalog, plan: Plan, *, own: bool) -> Iterator[Problem]:
    """Yield a warning for each path with a lease that a pod reads.

    `own` leaves out those that an object refers to, for where these have been told already.
    """
    elsewhere = set(_of_objects(catalog) if own else ())
    reads = [(plan.stores[read.store].name, read.path) for read in plan.reads]
    return _warnings(catalog, [read for read in reads if read not in elsewhere])


def _of_objects(catalog: Catalog, origin: str | None = None) -> list[tuple[str, str]]:
    return [
        (use.target, use.path)
        for use in usage.usages(catalog)
        if use.kind == usage.STORE and use.path is not None and origin in (None, use.by)
    ]


def _warnings(catalog: Catalog, reads: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    for name, path in dict.fromkeys(reads):
        entry = catalog.stores.get(name)
        if entry is not None and entry.store is not None and is_leased(entry.store, path):
            yield Problem(
                code=errors.LEASE,
                what="it brings a lease, which nothing renews in mode init",
                source=f"{name} {path}",
                hint=_HINT,
            )
