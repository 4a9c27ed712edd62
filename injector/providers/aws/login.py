"""Logging in to AWS: one way to first credentials, then, if the store says so, a further role."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import AddrInfoType

from injector.core import errors, secret
from injector.core.secret import Failure, NotJson
from injector.core.stores import source
from injector.core.stores.aws import (
    POD_IDENTITY_AUDIENCE,
    STS_AUDIENCE,
    Ambient,
    Aws,
    Credential,
    Keys,
    Login,
    Place,
    PodIdentity,
    WebIdentity,
)
from injector.core.stores.source import TokenSource
from injector.deadline import Deadline
from injector.providers import Access
from injector.providers.aws import client, transport
from injector.providers.aws.api import UNREADABLE, Answer, Api
from injector.providers.aws.client import Credentials, OwnSession
from injector.providers.aws.failures import CallFailed

AGENT = "http://169.254.170.23/v1/credentials"
"""The EKS Pod Identity agent of an IPv4 node; EKS names another in the environment."""

_AGENT_HOSTS = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23")
_SHORTEST_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What every way of logging in needs."""

    name: str
    spec: Aws
    access: Access
    timeout_s: float
    session: OwnSession
    trusted: ssl.SSLContext

    @property
    def deadline(self) -> Deadline:
        """The deadline of the run."""
        return self.access.deadline

    def session_name(self) -> str:
        """Return who we are in CloudTrail: at most 64 characters that STS takes."""
        who = f"{self.access.namespace}.{self.access.service_account}"
        return re.sub(r"[^-A-Za-z0-9_+=,.@]", "-", who)[:64].ljust(2, "-")

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


def whom(spec: Aws, access: Access) -> str:
    """Return who we are to AWS, or want to be, in words."""
    first = _first_words(spec.login, access)
    return first if spec.role_arn is None else f'role "{spec.role_arn}" by {first}'


def _first_words(login: Login, access: Access) -> str:
    match login:
        case WebIdentity(role_arn=role):
            return f'role "{role}" by web identity'
        case PodIdentity():
            return f"EKS Pod Identity of {access.namespace}/{access.service_account}"
        case Keys():
            return "access key"
        case Ambient():
            return "this machine's own login"


async def log_in(door: Door, place: Place) -> Credentials:
    """Return credentials for the store, asked for in one region; raises CallFailed."""
    first = await _first(door, place)
    if door.spec.role_arn is None:
        return first
    return await _as_role(door, place, first, door.spec.role_arn)


async def _first(door: Door, place: Place) -> Credentials:
    match door.spec.login:
        case WebIdentity(role_arn=role):
            return await _by_web_identity(door, place, role)
        case PodIdentity():
            return await _by_pod_identity(door)
        case Keys() as keys:
            return _by_keys(door, keys)
        case Ambient():
            return await _by_machine(door)


async def _by_web_identity(door: Door, place: Place, role: str) -> Credentials:
    token = door.read(source.token(door.name, STS_AUDIENCE))
    answer = await _ask_sts(
        door,
        place,
        None,
        "assume_role_with_web_identity",
        "allow sts:AssumeRoleWithWebIdentity for this ServiceAccount in the role's trust policy",
        RoleArn=role,
        WebIdentityToken=token,
    )
    return _credentials(answer.get("Credentials"))


async def _as_role(door: Door, place: Place, base: Credentials, role: str) -> Credentials:
    external = {} if door.spec.external_id is None else {"ExternalId": door.spec.external_id}
    answer = await _ask_sts(
        door,
        place,
        base,
        "assume_role",
        "allow sts:AssumeRole in the first role's policy and in the second's trust policy",
        RoleArn=role,
        **external,
    )
    return _credentials(answer.get("Credentials"))


async def _ask_sts(
    door: Door,
    place: Place,
    base: Credentials | None,
    operation: str,
    hint: str,
    **parameters: str,
) -> Answer:
    opening = client.open_client(
        door.session,
        client.STS,
        place,
        credentials=base,
        fips=door.spec.fips,
        trusted=door.trusted,
    )
    async with opening as sts:
        api = Api(sts, timeout_s=door.timeout_s, deadline=door.deadline, is_temporary=False)
        try:
            return await api.call(
                operation,
                RoleSessionName=door.session_name(),
                DurationSeconds=_SHORTEST_S,
                **parameters,
            )
        except CallFailed as failed:
            if failed.failure.code is not errors.FORBIDDEN:
                raise
            what = f'STS does not let us become role "{parameters["RoleArn"]}"'
            refused = Failure(code=errors.UNAUTHENTICATED, what=what, hint=hint)
            raise CallFailed(refused, failed.name) from None


def _by_keys(door: Door, keys: Keys) -> Credentials:
    token = keys.session_token
    return Credentials(
        access_key_id=door.read(keys.access_key_id),
        secret_access_key=door.read(keys.secret_access_key),
        session_token=None if token is None else door.read(token),
    )


async def _by_pod_identity(door: Door) -> Credentials:
    """Ask the agent where EKS says it is, with the token EKS mounts, or else with our own alike."""
    where = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", AGENT)
    if not is_agent(where):
        what = "AWS_CONTAINER_CREDENTIALS_FULL_URI is not an address of the Pod Identity agent"
        raise CallFailed(Failure(code=errors.UNAUTHENTICATED, what=what))
    mounted = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    token = door.read(
        source.token(door.name, POD_IDENTITY_AUDIENCE)
        if mounted is None
        else source.LocalFile(path=mounted)
    )
    limit_s = door.deadline.bound_s(door.timeout_s)
    http = transport.client_session(door.trusted, limit=1, factory=_socket)
    try:
        async with asyncio.timeout(limit_s), http:
            status, _, body = await transport.exchange(
                http, "GET", where, headers={"Authorization": token}
            )
    except TimeoutError:
        what = f"the Pod Identity agent gives no answer within {limit_s:.3g} s"
        raise CallFailed(Failure(code=errors.DOWN, what=what)) from None
    if status != 200:
        who = f"{door.access.namespace}/{door.access.service_account}"
        refused = Failure(
            code=errors.UNAUTHENTICATED,
            what=f"the Pod Identity agent gives no role to {who} (HTTP {status})",
            hint="aws eks create-pod-identity-association gives the ServiceAccount a role",
        )
        raise CallFailed(refused)
    try:
        given = secret.parse_json(body)
    except NotJson:
        raise CallFailed(UNREADABLE) from None
    if isinstance(given, Mapping):
        given = {**given, "SessionToken": given.get("Token")}
    return _credentials(given)


def _socket(info: AddrInfoType) -> socket.socket:
    """Return a socket: the agent's address is link-local and has been judged by `is_agent`."""
    family, kind, proto, _, _ = info
    return socket.socket(family, kind, proto)


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


async def _by_machine(door: Door) -> Credentials:
    from aiobotocore.session import AioSession
    from botocore.exceptions import BotoCoreError, ClientError

    limit_s = door.deadline.bound_s(door.timeout_s)
    try:
        async with asyncio.timeout(limit_s):
            found = await AioSession().get_credentials()
            keys = None if found is None else await found.get_frozen_credentials()
    except (BotoCoreError, ClientError, TimeoutError) as error:
        what = f"this machine's AWS credentials do not work: {type(error).__name__}"
        raise CallFailed(Failure(code=errors.UNAUTHENTICATED, what=what)) from None
    if keys is None:
        what = "this machine has no AWS credentials"
        hint = "log in with the AWS CLI, or set AWS_PROFILE"
        raise CallFailed(Failure(code=errors.UNAUTHENTICATED, what=what, hint=hint))
    return Credentials(
        access_key_id=keys.access_key,
        secret_access_key=keys.secret_key,
        session_token=keys.token,
    )


def _credentials(given: Any) -> Credentials:
    """Return the credentials that STS or the agent gave; raises CallFailed if a part is missing."""
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    parts = [given.get(name) if isinstance(given, Mapping) else None for name in names]
    key, private, token = (part if isinstance(part, str) else "" for part in parts)
    if not key or not private or not token:
        raise CallFailed(UNREADABLE)
    return Credentials(access_key_id=key, secret_access_key=private, session_token=token)
