"""The contract of a provider, and the table of them.

A provider is one module with one function `open_session(store, access) -> Session`; it may import
one heavy library, and is imported only when a plan names a store of its kind. Everything that needs
no network (parsing a definition, judging a path) is in `injector.core.stores`, where the webhook
uses it too.

Adding a provider: its definition in `core/stores/`, its module here, one row in each table, one
entry in the contract suite, one page in `docs/stores/`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from injector.core import errors
from injector.core.plan import Read
from injector.core.record import Record
from injector.core.secret import Failure, Secret
from injector.core.stores import Store
from injector.core.stores.source import ImageFile, LocalFile, Source
from injector.deadline import Deadline
from injector.leaving import Leaving

TYPE_CHECKING = False  # `typing` takes 2 ms to load, and a protocol is for type checkers alone
if TYPE_CHECKING:
    from typing import Protocol

    from injector.core.stores.address import Server
else:
    Protocol = object


class Access(Record):
    """Who we are and how long we may take: handed to a provider when its session opens.

    `sources_dir` is where the projected sources are mounted, `secrets_dir` where Secrets are that
    are mounted whole (both None on a laptop); `deadline` is shared by everything the run does.
    A login that must outlast its session until the outcome of the run is known goes to `leaving`;
    without one, sessions end with `close`. `is_patient` lets tries go on until the deadline,
    however many a store's `retry` allows.
    """

    namespace: str
    service_account: str
    sources_dir: Path | None
    secrets_dir: Path | None = None
    deadline: Deadline
    leaving: Leaving | None = None
    is_patient: bool = False

    def read_source(self, source: Source | LocalFile | ImageFile) -> bytes:
        """Return the bytes of a token, key or file; raises OSError when it is not there."""
        if isinstance(source, LocalFile | ImageFile):
            return Path(source.path).expanduser().read_bytes()
        if self.sources_dir is None:
            raise FileNotFoundError(source.path)
        return (self.sources_dir / source.path).read_bytes()


class Session(Protocol):
    """A store, entered. Used by one thread; may use threads of its own inside.

    `identity` says who we are to the store, in words for an error line, without any secret:
    `role "shop" by kubernetes auth`.
    """

    identity: str

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """Return a secret or a failure for every read, batched and concurrent as the API allows.

        One try: retrying is the caller's. Raises nothing; a fault of one read fails that read only.
        An expired or revoked login gives `errors.EXPIRED` for the reads it cost, and the caller
        opens a new session once. Redirects are never followed with credentials; a body above
        `secret.MAX_DOCUMENT_BYTES` is not read to its end. Paths reach the server exactly as the
        plan has them.
        """

    def close(self) -> None:
        """Drop connections and the login; called exactly once, also after failures."""


_MODULES = {
    "vault": "injector.providers.vault",
    "azureKeyVault": "injector.providers.azure",
    "gcpSecretManager": "injector.providers.gcp",
    "awsSecretsManager": "injector.providers.aws",
    "awsParameterStore": "injector.providers.aws",
    "local": "injector.providers.local",
    "sops": "injector.providers.sops",
    "k8s": "injector.providers.kubernetes",
    "dotenv": "injector.providers.dotenv",
    "env": "injector.providers.dotenv",
}


def open_session(store: Store, access: Access) -> Session:
    """Return an open session; the provider's module is imported here and not before.

    Raises `secret.LoginFailed`; ImportError, which `not_installed` explains.
    """
    module = importlib.import_module(_MODULES[store.provider])
    session: Session = module.open_session(store, access)
    return session


def not_installed(store: Store) -> Failure:
    """Return the failure of a store whose provider's module, or library, cannot be imported."""
    what = f"provider {store.provider} is not part of this installation"
    return Failure(code=errors.NOT_SUPPORTED, what=what, hint="install secret-injector[all]")


def servers(store: Store) -> tuple[Server, ...]:
    """Return the servers that a session speaks to, in its order; a store of files has none."""
    module = importlib.import_module(_MODULES[store.provider])
    found: Callable[[Store], tuple[Server, ...]] | None = getattr(module, "servers", None)
    return () if found is None else found(store)


def absence(store: Store, access: Access) -> Failure | None:
    """Return why a store that was away still is, or None: asked without a login.

    A provider that can ask for more than a connection has a function of this name.
    """
    module = importlib.import_module(_MODULES[store.provider])
    found: Callable[[Store, Access], Failure | None] | None = getattr(module, "absence", None)
    if found is not None:
        return found(store, access)
    from injector.connection import Connector

    for server in servers(store):
        until = Deadline.after(access.deadline.bound_s(store.timeout_s))
        failure = Connector(server, timeout_s=store.timeout_s).absence(until)
        if failure is not None:
            return failure
    return None
