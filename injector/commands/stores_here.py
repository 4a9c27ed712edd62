"""Stores of this machine by name, entered for a command: `--store NAME`, `--stores FILE`."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from injector import writers
from injector.commands.calling import refused, tell
from injector.core import errors, stores
from injector.core.record import Record
from injector.core.stores import Store
from injector.deadline import Deadline
from injector.writers import OnMachine, Writer

PATIENCE_S = 60.0
_DEFINITIONS = "webhook.commands.laptop_stores"
_KUBERNETES = "k8s"
F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--store", metavar="NAME", help="The store, where several can be written."),
    click.option(
        "--stores",
        "stores_file",
        metavar="FILE",
        help="Definitions of stores; .secret-injector/stores.yaml if it is there.",
    ),
    click.option("-n", "--namespace", help="Of a k8s store; the context's unless given."),
    click.option("--kubeconfig", metavar="FILE", help="The kubeconfig; kubectl's unless given."),
    click.option("--context", metavar="NAME", help="Its context; the current one unless given."),
)


class Place(Record):
    """What a person says of where a secret is, each None where they say nothing."""

    store: str | None = None
    stores_file: str | None = None
    namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None


NOWHERE = Place()


def options(function: F) -> F:
    """Add the options that say where; the command gets them as `at`."""

    @functools.wraps(function)
    def with_place(
        *,
        store: str | None,
        stores_file: str | None,
        namespace: str | None,
        kubeconfig: str | None,
        context: str | None,
        **rest: Any,
    ) -> Any:
        at = Place(
            store=store,
            stores_file=stores_file,
            namespace=namespace,
            kubeconfig=kubeconfig,
            context=context,
        )
        return function(at=at, **rest)

    added: Any = with_place
    for option in reversed(_OPTIONS):
        added = option(added)
    wrapped: F = added
    return wrapped


@contextmanager
def entered(at: Place, *, is_cluster_asked: bool = False) -> Iterator[Writer]:
    """Enter the store, or the only one that can be written; raises Refused, FetchFailed.

    `is_cluster_asked` says that options about a cluster mean something else than the store, too.
    """
    store = chosen(at)
    if not is_of_cluster(store):
        _refuse(at.namespace, "-n", store)
        if not is_cluster_asked:
            _refuse(at.kubeconfig, "--kubeconfig", store)
            _refuse(at.context, "--context", store)
    writer = writers.open_writer(store, access(at))
    try:
        yield writer
    finally:
        writer.close()


def chosen(at: Place) -> Store:
    """Return the store, or the only one that can be written; raises Refused.

    `k8s` needs no definition, as it needs none for pods; a definition of that name wins.
    """
    known = _known(at.stores_file)
    if at.store == stores.BUILT_IN and stores.BUILT_IN not in (known or {}):
        return stores.parse(stores.BUILT_IN, {_KUBERNETES: {}})
    if known is None:
        known = defined(at.stores_file)
    if at.store is not None:
        return named(at.store, known)
    found = [each for each in known.values() if each.provider in writers.KINDS]
    if len(found) != 1:
        names = ", ".join(each.name for each in found) or "none"
        what = f"{len(found)} stores can be written here: {names}"
        raise refused(what, hint="name one: --store NAME")
    return found[0]


def is_of_cluster(store: Store) -> bool:
    """Say whether the store is the Secrets of a cluster's namespace."""
    return store.provider == _KUBERNETES


def defined(stores_file: str | None) -> Mapping[str, Store]:
    """Return the stores that the file defines for this machine; raises Refused."""
    known = _known(stores_file)
    if known is None:
        definitions = importlib.import_module(_DEFINITIONS)
        what = f"no store is defined: there is no {definitions.DEFAULT}"
        hint = "write it (docs/commands.md), name another with --stores, or take --store k8s"
        raise refused(what, hint=hint)
    return known


def named(name: str, known: Mapping[str, Store]) -> Store:
    """Return the store of the name; raises Refused."""
    if name not in known:
        hint = errors.did_you_mean(name, known) or f"there are: {', '.join(known) or 'none'}"
        raise refused(f'no store is called "{name}"', hint=hint)
    return known[name]


def access(at: Place = NOWHERE) -> OnMachine:
    """Return who we are here: nobody's pod."""
    return OnMachine(
        namespace="default",
        service_account="default",
        sources_dir=None,
        deadline=Deadline.after(PATIENCE_S),
        kubeconfig=at.kubeconfig,
        context=at.context,
        cluster_namespace=at.namespace,
        tell=tell,
    )


def _known(stores_file: str | None) -> Mapping[str, Store] | None:
    """Return the stores that a file defines, None where there is no file."""
    definitions = importlib.import_module(_DEFINITIONS)
    file: Path | None = definitions.chosen(stores_file)
    if file is None:
        return None
    return {name: entry.store for name, entry in definitions.load(file).items()}


def _refuse(value: str | None, option: str, store: Store) -> None:
    if value is not None:
        what = f"the store {store.name} is of kind {store.provider}, and only k8s has a cluster"
        raise refused(what, source=option, hint="leave it out, or name another store: --store k8s")
