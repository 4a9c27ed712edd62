"""Stores of this machine by name, entered for a command: `--store NAME`, `--stores FILE`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from injector import writers
from injector.commands.calling import refused
from injector.core import errors
from injector.core.stores import Store
from injector.deadline import Deadline
from injector.providers import Access
from injector.writers import Writer

PATIENCE_S = 60.0
_DEFINITIONS = "webhook.commands.laptop_stores"
F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--store", metavar="NAME", help="The store, where several can be written."),
    click.option(
        "--stores",
        "stores_file",
        metavar="FILE",
        help="Definitions of stores; .secret-injector/stores.yaml if it is there.",
    ),
)


def options(function: F) -> F:
    """Add the options that `entered` takes."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@contextmanager
def entered(store: str | None, stores_file: str | None) -> Iterator[Writer]:
    """Enter the store, or the only one that can be written; raises Refused, FetchFailed."""
    known = defined(stores_file)
    if store is None:
        found = [each for each in known.values() if each.provider in writers.KINDS]
        if len(found) != 1:
            names = ", ".join(each.name for each in found) or "none"
            what = f"{len(found)} stores can be written here: {names}"
            raise refused(what, hint="name one: --store NAME")
        (chosen,) = found
    else:
        chosen = named(store, known)
    writer = writers.open_writer(chosen, access())
    try:
        yield writer
    finally:
        writer.close()


def defined(stores_file: str | None) -> Mapping[str, Store]:
    """Return the stores that the file defines for this machine; raises Refused."""
    definitions = importlib.import_module(_DEFINITIONS)
    file: Path | None = definitions.chosen(stores_file)
    if file is None:
        what = f"no store is defined: there is no {definitions.DEFAULT}"
        raise refused(what, hint="write it, or name another with --stores; docs/commands.md")
    return {name: entry.store for name, entry in definitions.load(file).items()}


def named(name: str, known: Mapping[str, Store]) -> Store:
    """Return the store of the name; raises Refused."""
    if name not in known:
        hint = errors.did_you_mean(name, known) or f"there are: {', '.join(known) or 'none'}"
        raise refused(f'no store is called "{name}"', hint=hint)
    return known[name]


def access() -> Access:
    """Return who we are here: nobody's pod."""
    deadline = Deadline.after(PATIENCE_S)
    return Access(
        namespace="default", service_account="default", sources_dir=None, deadline=deadline
    )
