"""A session with one region of an AWS store: an event loop of its own behind a synchronous face."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from injector.core import errors
from injector.core.plan import Read
from injector.core.record import replace
from injector.core.secret import Failure, LoginFailed, Secret
from injector.core.stores import Store
from injector.core.stores.aws import TREE, Aws, ParameterStore
from injector.deadline import Deadline
from injector.providers import Access
from injector.providers.aws import (
    client,
    failures,
    login,
    parameter_store,
    secrets_manager,
)
from injector.providers.aws.api import Answer, Api, Found
from injector.providers.aws.client import Credentials
from injector.providers.aws.door import Door
from injector.providers.aws.failures import CallFailed


def open_session(store: Store, access: Access) -> AwsSession:
    """Return a session that is logged in; raises LoginFailed."""
    if not isinstance(store.spec, Aws):
        raise TypeError(store.provider)
    session = AwsSession(store, store.spec, access, client.SERVICES[store.provider])
    try:
        session.log_in()
    except BaseException:
        session.close()
        raise
    return session


class AwsSession:
    """The session; `open_session` is the only one to make it, but for one with KMS."""

    def __init__(self, store: Store, spec: Aws, access: Access, service: str) -> None:
        """Prepare to ask a service; nothing is asked yet."""
        self._timeout_s, self._spec, self._access = store.timeout_s, spec, access
        self._service = service
        self._reader = (
            parameter_store.read if isinstance(spec, ParameterStore) else secrets_manager.read
        )
        self._runner = asyncio.Runner()
        self._open = AsyncExitStack()
        self._client: Any = None
        self._credentials: Credentials | None = None
        self._door = Door(
            name=store.name,
            spec=spec,
            access=access,
            timeout_s=store.timeout_s,
            session=client.OwnSession(),
        )

    @property
    def identity(self) -> str:
        """Who we are, and in which region; a fallback is named by who chose it."""
        here = self._spec.place.region
        where = f" in {here}" if here == self._spec.home else ""
        return login.whom(self._spec, self._access) + where

    def log_in(self) -> None:
        """Get credentials; raises LoginFailed."""
        try:
            self._credentials = self._runner.run(login.log_in(self._door))
        except CallFailed as failed:
            raise LoginFailed(replace(failed.failure, identity=self.identity)) from None

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """Return a secret or a failure for every read; see `providers.Session`."""
        try:
            found = self._runner.run(self._read(list(dict.fromkeys(reads)), deadline))
            return {
                read: self._told(read, answer) if isinstance(answer, Failure) else answer
                for read, answer in found.items()
            }
        except Exception as fault:  # noqa: BLE001 (the contract: a read raises nothing)
            what = f"{type(fault).__name__} while reading from AWS"
            return dict.fromkeys(reads, Failure(code=errors.INTERNAL_ERROR, what=what))

    def ask(self, operation: str, deadline: Deadline, **parameters: Any) -> Answer:
        """Return the answer to one call; raises CallFailed."""

        async def asked() -> Answer:
            api = await self._api(deadline)
            return await api.call(operation, **parameters)

        return self._runner.run(asked())

    def close(self) -> None:
        """Close the connections and the loop."""
        try:
            self._runner.run(self._open.aclose())
        finally:
            self._runner.close()

    async def _read(self, reads: list[Read], deadline: Deadline) -> Found:
        api = await self._api(deadline)
        replicas = {read: self._replica(read) for read in reads}
        answers = await self._reader(api, list(dict.fromkeys(replicas.values())))
        return {read: answers[replica] for read, replica in replicas.items()}

    async def _api(self, deadline: Deadline) -> Api:
        credentials = self._credentials
        if self._client is None:
            opening = client.open_client(
                self._door.session,
                self._service,
                self._spec.place,
                credentials=credentials,
                fips=self._spec.fips,
                enter=self._door.pool,
            )
            self._client = await self._open.enter_async_context(opening)
        return Api(
            self._client,
            timeout_s=self._timeout_s,
            deadline=deadline,
            is_temporary=credentials is not None and credentials.session_token is not None,
        )

    def _told(self, read: Read, failure: Failure) -> Failure:
        """Return the failure with who we are, and what was denied where that is the failure."""
        action = "secretsmanager:GetSecretValue"
        if isinstance(self._spec, ParameterStore):
            action = "ssm:GetParametersByPath" if read.path.endswith(TREE) else "ssm:GetParameters"
        told = failures.denied(
            failure, action=action, path=read.path, whom=login.short(self._spec, self._access)
        )
        return replace(told, identity=self.identity)

    def _replica(self, read: Read) -> Read:
        """Return the read for this region: a replica's ARN differs in the region alone."""
        home, here = self._spec.home, self._spec.place.region
        if here == home or not read.path.startswith("arn:"):
            return read
        path = read.path.replace(f":{home}:", f":{here}:", 1)
        return Read(store=read.store, path=path, version=read.version)
