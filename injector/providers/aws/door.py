"""What every way of logging in to AWS needs, and what every one of them gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from injector.core import errors
from injector.core.record import Record
from injector.core.secret import Failure
from injector.core.stores.address import Address, Server
from injector.core.stores.aws import Aws
from injector.core.stores.source import Credential, TokenSource
from injector.deadline import Deadline
from injector.http_session import Pool
from injector.providers import Access
from injector.providers.aws.api import UNREADABLE
from injector.providers.aws.client import Credentials, OwnSession
from injector.providers.aws.failures import CallFailed

_NOT_FOR_STS = re.compile(r"[^-A-Za-z0-9_+=,.@]")


class Door(Record):
    """What every way of logging in needs."""

    name: str
    spec: Aws
    access: Access
    timeout_s: float
    session: OwnSession

    @property
    def deadline(self) -> Deadline:
        """The deadline of the run."""
        return self.access.deadline

    def pool(self, at: Address, *, is_judged: bool = True) -> Pool:
        """Prepare connections to a server of the store's; see `Connector` for `is_judged`."""
        server = Server(address=at, ca_bundle=self.spec.ca_bundle)
        return Pool(server, timeout_s=self.timeout_s, deadline=self.deadline, is_judged=is_judged)

    def session_name(self) -> str:
        """Return who we are in CloudTrail: at most 64 characters that STS takes."""
        who = f"{self.access.namespace}.{self.access.service_account}"
        return _NOT_FOR_STS.sub("-", who)[:64].ljust(2, "-")

    def read(self, credential: Credential | TokenSource) -> str:
        """Return a mounted token or key without the line end of editors; raises CallFailed."""
        try:
            text = self.access.read_source(credential).decode("ascii").strip()
            problem = "" if text.isprintable() and text else "is empty or broken into lines"
        except FileNotFoundError:
            text, problem = "", "is not there"
        except (OSError, UnicodeDecodeError):
            text, problem = "", "cannot be read as plain text"
        if problem:
            what = f"the token or key at {credential.path} {problem}"
            raise CallFailed(Failure(code=errors.UNAUTHENTICATED, what=what))
        return text


def credentials(given: Any) -> Credentials:
    """Return the credentials that STS or the agent gave; raises CallFailed if a part is missing."""
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    parts = [given.get(name) if isinstance(given, Mapping) else None for name in names]
    key, private, token = (part if isinstance(part, str) else "" for part in parts)
    if not key or not private or not token:
        raise CallFailed(UNREADABLE)
    return Credentials(access_key_id=key, secret_access_key=private, session_token=token)
