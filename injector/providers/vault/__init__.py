"""Vault and OpenBao: log in with the pod's identity, read any path, keep the leases.

login    who we are, to a token      session    reads on a few connections
answers  what a status code means, in our own words
"""

from __future__ import annotations

from injector.core.stores import Store
from injector.core.stores.address import Server
from injector.core.stores.vault import Vault
from injector.providers.vault.session import absence, open_session

__all__ = ["absence", "open_session", "servers"]


def servers(store: Store) -> tuple[Server, ...]:
    """Return the one server that a session speaks to; see `providers.servers`."""
    return (store.spec.server,) if isinstance(store.spec, Vault) else ()
