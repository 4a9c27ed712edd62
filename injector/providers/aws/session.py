"""A session with an AWS store: an event loop of its own behind a synchronous face.

Regions are tried in their order, the next one only for what the one before could not answer because
it was not there. The region that worked last is asked first as long as the session lives.
"""

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
from injector.core.stores.aws import Aws, ParameterStore, Place
from injector.deadline import Deadline
from injector.providers import Access
from injector.providers.aws import client, login, parameter_store, secrets_manager, transport
from injector.providers.aws.api import Answer, Api, Found
from injector.providers.aws.client import Credentials
from injector.providers.aws.door import Door
from injector.providers.aws.failures import CallFailed
from injector.providers.aws.loop import OwnLoop


def open_session(store: Store, access: Access) -> AwsSession:
    """Return a session that is logged in; raises LoginFailed."""
    if not isinstance(store.spec, Aws):
        raise TypeError(store.provider)
    session = AwsSession(store, store.spec, access)
    try:
        session.log_in()
    except BaseException:
        session.close()
        raise
    return session


class AwsSession:
    """The session; `open_session` is the only one to make it, but for one with KMS."""

    _service = client.SECRETS_MANAGER

    def __init__(self, store: Store, spec: Aws, access: Access) -> None:
        """Prepare; nothing is asked yet."""
        self._timeout_s, self._spec, self._access = store.timeout_s, spec, access
        self._reader = (
            parameter_store.read if isinstance(spec, ParameterStore) else secrets_manager.read
        )
        if isinstance(spec, ParameterStore):
            self._service = client.PARAMETER_STORE
        self._loop = OwnLoop()
        self._runner = asyncio.Runner(loop_factory=lambda: self._loop)
        self._open = AsyncExitStack()
        self._clients: dict[Place, Any] = {}
        self._current = 0
        self._credentials: Credentials | None = None
        self._door = Door(
            name=store.name,
            spec=spec,
            access=access,
            timeout_s=store.timeout_s,
            session=client.OwnSession(),
            trusted=transport.trust(spec.ca_bundle),
        )

    @property
    def identity(self) -> str:
        """Who we are, and in which region."""
        home, here = self._spec.places[0].region, self._spec.places[self._current].region
        return f"{login.whom(self._spec, self._access)} in {here}" + (
            f" ({home} is unavailable)" if here != home else ""
        )

    def log_in(self) -> None:
        """Get credentials, from the first region that is there; raises LoginFailed."""
        try:
            self._credentials = self._runner.run(self._log_in())
        except CallFailed as failed:
            raise LoginFailed(replace(failed.failure, identity=self.identity)) from None

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """Return a secret or a failure for every read; see `providers.Session`."""
        try:
            found = self._runner.run(self._read(list(dict.fromkeys(reads)), deadline))
            whom = self.identity
            return {
                read: replace(answer, identity=whom) if isinstance(answer, Failure) else answer
                for read, answer in found.items()
            }
        except Exception as fault:  # noqa: BLE001 (the contract: a read raises nothing)
            what = f"{type(fault).__name__} while reading from AWS"
            return dict.fromkeys(reads, Failure(code=errors.INTERNAL_ERROR, what=what))

    def ask(
        self, operation: str, deadline: Deadline, *, place: Place | None = None, **parameters: Any
    ) -> Answer:
        """Return the answer to one call, by default in the first region; raises CallFailed."""

        async def asked() -> Answer:
            api = await self._api(place or self._spec.places[0], deadline)
            return await api.call(operation, **parameters)

        return self._runner.run(asked())

    def close(self) -> None:
        """Close the connections and the loop."""
        try:
            self._runner.run(self._leave())
        finally:
            self._runner.close()

    async def _leave(self) -> None:
        await self._open.aclose()
        await self._loop.drop_connections()

    def _order(self) -> list[int]:
        every = range(len(self._spec.places))
        return [*every[self._current :], *every[: self._current]]

    async def _log_in(self) -> Credentials:
        failed: CallFailed | None = None
        for index in self._order():
            try:
                found = await login.log_in(self._door, self._spec.places[index])
            except CallFailed as failure:
                failed = failed or failure
                if failure.failure.code is not errors.DOWN:
                    break
            else:
                self._current = index
                return found
        raise failed or CallFailed(Failure(code=errors.DOWN, what="the store names no region"))

    async def _read(self, reads: list[Read], deadline: Deadline) -> Found:
        found: Found = {}
        left = reads
        for index in self._order():
            answers = await self._read_in(self._spec.places[index], left, deadline)
            unavailable = [read for read in left if _is_down(answers[read])]
            if len(unavailable) < len(left):
                self._current = index
            for read in left:
                if read not in unavailable or read not in found:
                    found[read] = answers[read]
            left = unavailable
            if not left or deadline.left_s() <= 0:
                break
        return found

    async def _read_in(self, place: Place, reads: list[Read], deadline: Deadline) -> Found:
        api = await self._api(place, deadline)
        replica = {read: self._replica(read, place) for read in reads}
        answers = await self._reader(api, list(dict.fromkeys(replica.values())))
        return {read: answers[replica[read]] for read in reads}

    async def _api(self, place: Place, deadline: Deadline) -> Api:
        credentials = self._credentials
        if place not in self._clients:
            opening = client.open_client(
                self._door.session,
                self._service,
                place,
                credentials=credentials,
                fips=self._spec.fips,
                trusted=self._door.trusted,
            )
            self._clients[place] = await self._open.enter_async_context(opening)
        return Api(
            self._clients[place],
            timeout_s=self._timeout_s,
            deadline=deadline,
            is_temporary=credentials is not None and credentials.session_token is not None,
        )

    def _replica(self, read: Read, place: Place) -> Read:
        """Return the read for another region: a replica's ARN differs in the region alone."""
        home = self._spec.places[0]
        if place is home or not read.path.startswith("arn:"):
            return read
        path = read.path.replace(f":{home.region}:", f":{place.region}:", 1)
        return Read(store=read.store, path=path, version=read.version)


def _is_down(answer: Secret | Failure) -> bool:
    return isinstance(answer, Failure) and answer.code is errors.DOWN
