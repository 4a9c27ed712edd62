"""Vault and OpenBao: log in with the pod's identity, read any path, keep the leases.

login    who we are, to a token      session    reads on a few connections
answers  what a status code means, in our own words
"""

from injector.providers.vault.session import open_session

__all__ = ["open_session"]
