"""What a connection may cost: an aiohttp server whose connections have limits of time and number.

aiohttp closes idle connections; these limits are about the rest: heads that never end, connections
without number (`webhook/crowd.py` says which give way), bodies that together fill the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl as tls
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from webhook import listener
from webhook.crowd import Crowd, Network, Stage
from webhook.listener import Arrival, ContextFor, Listener

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

SWEEP_S = 0.5
DRAIN_POLL_S = 0.02
LINGER_S = 2.0
"""How long a refused body is still read, so that its sender hears the refusal and not a reset."""


class Connection(RequestHandler):
    """One connection; `head_since_s` is when a head began to arrive that is not complete yet."""

    __slots__ = ("_guest", "head_since_s")

    def __init__(self, server: Server, guest: Arrival, **options: Any) -> None:
        super().__init__(server, **options)
        self._guest = guest
        self.head_since_s: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: with TLS, the handshake is finished."""
        super().connection_made(transport)
        self.head_since_s = self._loop.time()
        self._guest.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if hasattr(transport, "set_read_buffer_limits"):  # TLS takes 256 KiB ahead by default
            transport.set_read_buffer_limits(high=listener.RECEIVE_BYTES)
        self._move(Stage.UNPROVEN)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave the crowd."""
        server = self._manager
        super().connection_lost(exc)
        if isinstance(server, Server):
            server.crowd.leave(self._guest)

    def data_received(self, data: bytes) -> None:
        """Note when a head begins; the server's `_begin` notes when it is complete."""
        if self.head_since_s is None:
            self.head_since_s = self._loop.time()
        super().data_received(data)

    def is_asking(self) -> None:
        """Note that a head is complete: until the answer is sent, nobody may close this."""
        self.head_since_s = float("inf")
        self._move(Stage.BUSY)

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Handler
    ) -> tuple[web.StreamResponse, bool]:
        """Answer; afterwards the answer is sent, and what arrives next begins a head."""
        try:
            response, is_reset = await super()._handle_request(request, start_time, request_handler)
            self._guest.is_proven |= response.status == HTTPStatus.OK
        finally:
            self.head_since_s = None
            self._move(Stage.PROVEN if self._guest.is_proven else Stage.UNPROVEN)
        return response, is_reset

    def _move(self, stage: Stage) -> None:
        if isinstance(self._manager, Server):
            self._manager.crowd.move(self._guest, stage)


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
        without_share: Sequence[Network] = (),
    ) -> None:
        """Keep the limits; bytes are of one body, uncompressed, for no compression is undone.

        Peers in the networks `without_share` may hold all connections, any other half of them.
        """
        super().__init__(
            self._handle,
            request_factory=self._begin,
            keepalive_timeout=idle_timeout_s,
            lingering_time=LINGER_S,
            access_log=None,
            auto_decompress=False,
        )
        self._answer = handler
        self.crowd = Crowd(limit=max_connections, without_share=without_share)
        self.head_timeout_s = head_timeout_s
        self._listener: Listener | None = None
        self._max_body_bytes = max_body_bytes
        self.in_flight = 0

    def listen(
        self,
        host: str,
        port: int,
        context_for: ContextFor | None = None,
        on_distrust: Callable[[str], None] = lambda _peer: None,
    ) -> tuple[int, ...]:
        """Accept connections, and return the ports; raises OSError when an address is taken."""
        sockets = listener.bind(host, port)
        self._listener = Listener(
            self.crowd,
            self._connect,
            sockets,
            context_for=context_for,
            head_timeout_s=self.head_timeout_s,
            on_distrust=on_distrust,
        )
        return tuple(sorted({each.getsockname()[1] for each in sockets}))

    def close(self) -> None:
        """Accept no more connections; those that have sent something go on."""
        if self._listener is not None:
            self._listener.close()

    async def wait_closed(self) -> None:
        """Do nothing: what `close` closes is closed at once."""

    async def sweep(self) -> None:
        """Close connections whose heads take too long, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            if self._listener is not None:
                self._listener.sweep()
            limit_s = self._loop.time() - self.head_timeout_s
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

    def _connect(self, guest: Arrival) -> RequestHandler:
        return Connection(self, guest, loop=self._loop, **self._kwargs)

    def _begin(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if isinstance(protocol, Connection):
            protocol.is_asking()
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
    server: Server, host: str, port: int, *, ssl: tls.SSLContext | None = None
) -> tuple[Server, tuple[int, ...]]:
    """Listen; return what closes the listener, and its ports; raises OSError when one is taken."""
    return server, server.listen(host, port, None if ssl is None else lambda _peer: ssl)
