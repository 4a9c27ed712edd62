"""HTTP below aiobotocore: our own, as for every other store, in threads that nobody waits for.

aiohttp, which aiobotocore would use, takes a pod 20 ms to load, and redirects, proxies, bounds and
forbidden peers would be dealt with twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

from aiobotocore.awsrequest import AioAWSResponse

from injector.connection import Unanswered
from injector.core.stores.address import Address
from injector.http_session import Answer, Pool
from injector.providers.aws import failures
from injector.providers.aws.failures import CallFailed

Open = Callable[[Address], Pool]
"""Prepares connections to a server."""


class Transport:
    """The `http_session_cls` of our clients: of one client, which speaks to one server."""

    def __init__(self, enter: Open, **unused: object) -> None:
        """Prepare; `unused` is what botocore found out about proxies, timeouts and CA bundles."""
        del unused
        self._open = enter
        self._pool: Pool | None = None

    async def __aenter__(self) -> Self:
        """Nothing to do: connections are made when needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Close all connections that nobody uses; who uses one closes it."""
        if self._pool is not None:
            self._pool.close()

    async def send(self, request: Any) -> AioAWSResponse:
        """Return the answer to a signed request, read to its end; raises CallFailed."""
        if self._pool is None:
            self._pool = self._open(server_of(request.url))
        answer = await self._answer(self._pool, request)
        if (refusal := failures.of_status(answer.status_code, answer.headers)) is not None:
            is_known = answer.status_code != 501  # RFC 9110, 15.6.2
            raise CallFailed(refusal, "" if is_known else failures.NOT_IMPLEMENTED)
        response = AioAWSResponse(request.url, answer.status_code, answer.headers, None)
        response._content = answer.content()  # noqa: SLF001 (where the base class keeps a body that is read)
        return response

    async def _answer(self, pool: Pool, request: Any) -> Answer:
        """Ask in a thread; who is cancelled leaves it to its own time limit."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Answer] = loop.create_future()
        body = request.body
        headers = {name: _text(value) for name, value in request.headers.items()}

        def ask() -> None:
            found: Answer | Exception
            try:
                found = pool.exchange(
                    request.method,
                    target_of(request.url),
                    headers=headers,
                    body=body.encode() if isinstance(body, str) else body,
                )
            except Exception as error:  # noqa: BLE001 (raised where it is waited for)
                found = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, waiting, found)

        threading.Thread(target=ask, name="aws", daemon=True).start()
        try:
            return await waiting
        except Unanswered as unanswered:
            raise CallFailed(unanswered.failure) from None


def server_of(url: str) -> Address:
    """Return where a URL leads; it comes from the store's definition, or from AWS's own rules."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Address(scheme=parts.scheme, host=parts.hostname or "", port=port, base="")


def target_of(url: str) -> str:
    """Return the path and query of a URL."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _settle(waiting: asyncio.Future[Answer], found: Answer | Exception) -> None:
    if waiting.done():
        return
    if isinstance(found, Exception):
        waiting.set_exception(found)
    else:
        waiting.set_result(found)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
