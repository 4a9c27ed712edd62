"""AWS Secrets Manager and Parameter Store: one login, one way to call, two ways to read.

session      the contract's session with one region: an event loop of its own
endpoints    which servers that means
login        who we are: web identity, pod_identity, keys; then a further role; all through a door
api          one region of one service, called with a time limit
client       aiobotocore's clients without what a pod waits for and does not need
transport    HTTP below them: that of all our stores
failures     what AWS says and what the network does, in our codes
secrets_manager, parameter_store    reads as calls, answers as secrets
"""

from __future__ import annotations

from injector.core.stores import Store
from injector.core.stores.address import Server
from injector.core.stores.aws import Aws
from injector.providers.aws.session import open_session

__all__ = ["open_session", "servers"]


def servers(store: Store) -> tuple[Server, ...]:
    """Return the servers that a session speaks to; see `providers.servers`."""
    from injector.providers.aws import client, endpoints

    if not isinstance(store.spec, Aws):
        raise TypeError(store.provider)
    return endpoints.of(store.spec, client.SERVICES[store.provider])
