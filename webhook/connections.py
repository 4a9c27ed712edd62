"""What a connection may cost: an aiohttp server whose connections have limits of time and number.

aiohttp closes idle connections; these limits are about the rest: heads that never end, connections
without number, bodies that together fill the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

SWEEP_S = 0.5
DRAIN_POLL_S = 0.02
LINGER_S = 2.0
"""How long a refused body is still read, so that its sender hears the refusal and not a reset."""


class Connection(RequestHandler):
    """One connection; `head_since_s` is when a head began to arrive that is not complete yet."""

    __slots__ = ("head_since_s",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or close at once when there are too many."""
        super().connection_made(transport)
        self.head_since_s: float | None = self._loop.time()
        if isinstance(self._manager, Server) and self._manager.is_full:
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Note when a head begins; the server's `_begin` notes when it is complete."""
        if self.head_since_s is None:
            self.head_since_s = self._loop.time()
        super().data_received(data)


class Server(web.Server):
    """An HTTP server for one handler; `in_flight` requests are with it."""

    def __init__(
        self,
        handler: Handler,
        *,
        head_timeout_s: float,
        idle_timeout_s: float,
        max_connections: int,
        max_body_bytes: int,
    ) -> None:
        """Keep the limits; bytes are of one body, uncompressed, for no compression is undone."""
        super().__init__(
            self._handle,
            request_factory=self._begin,
            keepalive_timeout=idle_timeout_s,
            lingering_time=LINGER_S,
            access_log=None,
            auto_decompress=False,
        )
        self._answer = handler
        self._head_timeout_s = head_timeout_s
        self._max_connections = max_connections
        self._max_body_bytes = max_body_bytes
        self.in_flight = 0

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    @property
    def is_full(self) -> bool:
        """Say whether there are more connections than allowed."""
        return len(self._connections) > self._max_connections

    async def sweep(self) -> None:
        """Close connections whose heads take too long, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            limit_s = self._loop.time() - self._head_timeout_s
            for connection in self.connections:
                since_s = connection.head_since_s if isinstance(connection, Connection) else None
                if since_s is not None and since_s < limit_s:
                    connection.force_close()

    async def drain(self, limit_s: float) -> None:
        """Let requests that have begun come to their answer, close the rest; then close all.

        To be called when nobody listens any more and every answer closes its connection.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._connections:
                    for connection in self.connections:
                        if isinstance(connection, Connection) and connection.head_since_s is None:
                            connection.force_close()
                    await asyncio.sleep(DRAIN_POLL_S)
        await self.shutdown(DRAIN_POLL_S)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.in_flight += 1
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1
            connection = request.protocol
            if isinstance(connection, Connection):
                connection.head_since_s = None  # what arrives next begins a head

    def _begin(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if isinstance(protocol, Connection):
            protocol.head_since_s = float("inf")
        return web.BaseRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            self._loop,
            client_max_size=self._max_body_bytes,
        )


async def listen(
    server: web.Server, host: str, port: int, **tls: Any
) -> tuple[asyncio.Server, tuple[int, ...]]:
    """Listen, and return the listener and its ports; raises OSError when an address is taken."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, host or None, port, backlog=1024, **tls)
    return listener, tuple(sorted({each.getsockname()[1] for each in listener.sockets}))
