"""EKS Pod Identity: the node's agent gives credentials for a token of the pod.

Source: "EKS Pod Identity" in the EKS user guide, and "Container credential provider" in the AWS
SDKs and tools reference guide.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from injector.connection import Unanswered
from injector.core import errors, secret
from injector.core.secret import Failure, NotJson
from injector.core.stores import source
from injector.core.stores.aws import POD_IDENTITY_AUDIENCE
from injector.providers.aws import door, failures, transport
from injector.providers.aws.api import UNREADABLE
from injector.providers.aws.client import Credentials
from injector.providers.aws.door import Door
from injector.providers.aws.failures import CallFailed

AGENT = "http://169.254.170.23/v1/credentials"
"""The agent of an IPv4 node; EKS names another in the environment."""

_AGENT_HOSTS = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23")


def log_in(at: Door) -> Credentials:
    """Ask the agent where EKS says it is, with the token EKS mounts, or else with our own alike."""
    where = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", AGENT)
    if not is_agent(where):
        what = "AWS_CONTAINER_CREDENTIALS_FULL_URI is not an address of the Pod Identity agent"
        raise CallFailed(Failure(code=errors.UNAUTHENTICATED, what=what))
    mounted = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    token = at.read(
        source.token(at.name, POD_IDENTITY_AUDIENCE)
        if mounted is None
        else source.LocalFile(path=mounted)
    )
    # The agent's address is link-local, and one that we know.
    pool = at.pool(transport.server_of(where), is_judged=False)
    try:
        target = transport.target_of(where)
        answer = pool.exchange("GET", target, headers={"Authorization": token})
    except Unanswered as unanswered:
        raise CallFailed(unanswered.failure) from None
    finally:
        pool.close()
    if (refusal := failures.of_status(answer.status_code, answer.headers)) is not None:
        raise CallFailed(refusal)
    if answer.status_code != 200:
        who = f"{at.access.namespace}/{at.access.service_account}"
        refused = Failure(
            code=errors.UNAUTHENTICATED,
            what=f"the Pod Identity agent gives no role to {who} (HTTP {answer.status_code})",
            hint="aws eks create-pod-identity-association gives the ServiceAccount a role",
        )
        raise CallFailed(refused)
    try:
        given = secret.parse_json(answer.content())
    except NotJson:
        raise CallFailed(UNREADABLE) from None
    if isinstance(given, Mapping):
        given = {**given, "SessionToken": given.get("Token")}
    return door.credentials(given)


def is_agent(url: str) -> bool:
    """Say whether the URL is one that AWS documents for its credential agents, or loopback."""
    try:
        parts = urlsplit(url)
        host = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return False
    return (
        parts.scheme == "http"
        and parts.username is None
        and (host.is_loopback or str(host) in _AGENT_HOSTS)
    )
