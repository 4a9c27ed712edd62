"""The contract of a writer: what `secret set` and its neighbours ask of a store.

A writer is one module with one function `open_writer(store, access) -> Writer`, imported when a
store of its kind is opened. Pods never load one: they have no right to change anything, and the
webhook gives them no command that would.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from injector.core import errors, secret
from injector.core.errors import FetchFailed, Problem
from injector.core.record import Record, hidden
from injector.core.secret import Failure, Fields, LoginFailed
from injector.core.stores import Store
from injector.providers import Access

Data = Mapping[str, str | bytes]
"""A secret's keys and values; bytes are a value that is no UTF-8 text."""

Change = Callable[[Data | None], Data | None]
"""From what a secret holds (None: there is none) to what it shall hold (None: it goes)."""


class OnMachine(Access):
    """Who we are on a person's machine: which cluster they mean, and how they are told something.

    `cluster_namespace` is the namespace named; None is that of the kubeconfig's context.
    """

    kubeconfig: str | None
    context: str | None
    cluster_namespace: str | None
    tell: Callable[[str], None]


class Held(Record):
    """What a secret holds, and the version that this is; empty where a store keeps none."""

    data: Data = hidden()
    version: str


class Past(Record):
    """One version, without its values; `created` is as the store writes it."""

    version: str
    created: str
    state: str
    keys: tuple[str, ...]


class Writer(Protocol):
    """A store, entered to change it. All methods raise FetchFailed for what the store refuses."""

    def names(self, folder: str = "") -> Sequence[str]:
        """Return the names of all secrets that we may list, sorted.

        Outside of a folder (`shop/`) names may be left out: often no other can be listed.
        """

    def read(self, name: str, version: str | None = None) -> Held | None:
        """Return what a secret holds; None when it, or the version, is not there."""

    def history(self, name: str) -> Sequence[Past]:
        """Return the versions, oldest first; empty when there is no such secret."""

    def change(self, name: str, change: Change) -> str:
        """Change a secret in one step and return its new version, empty when it is gone.

        Nobody else's change in between is lost: the change is computed again from theirs. A change
        that returns what it was given writes nothing.
        """

    def close(self) -> None:
        """Leave; called once."""


@runtime_checkable
class OfNamespace(Protocol):
    """A writer of a cluster's Secrets, which pods of their namespace alone can refer to."""

    namespace: str


@runtime_checkable
class KeepsDates(Protocol):
    """A writer whose versions may end: what is changed while `expires` is an ISO date ends then."""

    expires: str | None


_MODULES = {
    "vault": "injector.providers.vault.writer",
    "local": "injector.writers.local",
    "awsSecretsManager": "injector.providers.aws.writer",
    "awsParameterStore": "injector.providers.aws.writer",
    "k8s": "injector.writers.kubernetes",
}
KINDS = tuple(_MODULES)


def open_writer(store: Store, access: Access) -> Writer:
    """Return an open writer; raises FetchFailed when the store cannot be entered or changed."""
    if store.provider not in _MODULES:
        what = f"a store of kind {store.provider} cannot be changed from here"
        hint = f"these can: {', '.join(KINDS)}"
        problem = Problem(
            code=errors.NOT_SUPPORTED, what=what, source=f"store {store.name}", hint=hint
        )
        raise FetchFailed([problem])
    try:
        module = importlib.import_module(_MODULES[store.provider])
    except ModuleNotFoundError as error:
        what = f"a store of kind {store.provider} needs the package {error.name}"
        hint = "pip install 'secret-injector[all]' has every store's packages"
        problem = Problem(code=errors.ARGUMENT, what=what, source=f"store {store.name}", hint=hint)
        raise FetchFailed([problem]) from None
    try:
        writer: Writer = module.open_writer(store, access)
    except LoginFailed as failed:
        raise refused(failed.failure, f"store {store.name}") from None
    return writer


def refused(failure: Failure, source: str) -> FetchFailed:
    """Return the error for what a store would not do."""
    return FetchFailed([failure.problem(source)])


def texts(fields: Fields) -> dict[str, str | bytes]:
    """Return what a store keeps as JSON as texts: numbers as written, the rest as JSON text."""
    return {
        key: value if isinstance(value, str | bytes) else secret.format_json(value)
        for key, value in fields.items()
    }


def merged(before: Fields, after: Data) -> dict[str, object]:
    """Return what to store as JSON: keys that did not change keep their JSON type.

    Raises FetchFailed for bytes that are no text.
    """
    odd = [key for key, value in after.items() if isinstance(value, bytes)]
    if odd:
        what = f"{', '.join(odd)}: the value is not UTF-8, which is all that JSON keeps"
        hint = "store it in base64, and write | base64decode where it is used"
        raise FetchFailed([Problem(code=errors.NOT_CARRIABLE, what=what, hint=hint)])
    shown = texts(before)
    return {
        key: json.loads(secret.format_json(before[key])) if shown.get(key) == value else value  # type: ignore[arg-type]  # bytes never come from JSON
        for key, value in after.items()
    }
