"""Logging in to AWS: one way to first credentials, then, if the store says so, a further role."""

from __future__ import annotations

import asyncio

from injector.core import errors
from injector.core.secret import Failure
from injector.core.stores import source
from injector.core.stores.aws import (
    STS_AUDIENCE,
    Ambient,
    Aws,
    Keys,
    Login,
    PodIdentity,
    WebIdentity,
)
from injector.providers import Access
from injector.providers.aws import client, pod_identity
from injector.providers.aws.api import Answer, Api
from injector.providers.aws.client import Credentials
from injector.providers.aws.door import Door, credentials
from injector.providers.aws.failures import CallFailed

_SHORTEST_S = 900


def whom(spec: Aws, access: Access) -> str:
    """Return who we are to AWS, or want to be, in words."""
    first = _first_words(spec.login, access)
    return first if spec.role_arn is None else f'role "{spec.role_arn}" by {first}'


def short(spec: Aws, access: Access) -> str:
    """Return who we are in the fewest words: a role by the end of its ARN, as people know it."""
    role = spec.role_arn
    if role is None and isinstance(spec.login, WebIdentity):
        role = spec.login.role_arn
    return whom(spec, access) if role is None else f"\u2026/{role.rpartition('/')[2]}"


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


async def log_in(door: Door) -> Credentials:
    """Return credentials for the store; raises CallFailed."""
    first = await _first(door)
    if door.spec.role_arn is None:
        return first
    return await _as_role(door, first, door.spec.role_arn)


async def _first(door: Door) -> Credentials:
    match door.spec.login:
        case WebIdentity(role_arn=role):
            return await _by_web_identity(door, role)
        case PodIdentity():
            return pod_identity.log_in(door)
        case Keys() as keys:
            return _by_keys(door, keys)
        case Ambient():
            return await _by_machine(door)


async def _by_web_identity(door: Door, role: str) -> Credentials:
    token = door.read(source.token(door.name, STS_AUDIENCE))
    answer = await _ask_sts(
        door,
        None,
        "assume_role_with_web_identity",
        "allow sts:AssumeRoleWithWebIdentity for this ServiceAccount in the role's trust policy",
        RoleArn=role,
        WebIdentityToken=token,
    )
    return credentials(answer.get("Credentials"))


async def _as_role(door: Door, base: Credentials, role: str) -> Credentials:
    external = {} if door.spec.external_id is None else {"ExternalId": door.spec.external_id}
    answer = await _ask_sts(
        door,
        base,
        "assume_role",
        "allow sts:AssumeRole in the first role's policy and in the second's trust policy",
        RoleArn=role,
        **external,
    )
    return credentials(answer.get("Credentials"))


async def _ask_sts(
    door: Door,
    base: Credentials | None,
    operation: str,
    hint: str,
    **parameters: str,
) -> Answer:
    opening = client.open_client(
        door.session,
        client.STS,
        door.spec.place,
        credentials=base,
        fips=door.spec.fips,
        enter=door.pool,
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
