"""Accepting connections: each is counted before a byte of it is read.

The event loop's own servers begin a TLS handshake, with all its memory, for whoever connects, and
tell nobody before it is finished. This one accepts by itself. A connection costs a socket and an
entry until its peer has sent something; then its handshake begins; then it gets its protocol.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from functools import partial

import structlog

from webhook.crowd import Crowd, Guest, Stage

log = structlog.get_logger()

BACKLOG = 1024
RECEIVE_BYTES = 32 * 1024
"""Bytes in the kernel of what a peer sends unasked; TLS and HTTP copy as much at a time, thrice."""
ACCEPTS_AT_ONCE = 16
"""Few, so that under a flood a handshake gets its turns before newcomers push it out."""
SHORTAGE_S = 0.25
"""Pause in accepting when the system has no descriptors or memory left."""
STARTING_S = 1.0
"""Time in which a caller finishes its handshake and sends its first request."""
SHUTDOWN_S = 1.0

ContextFor = Callable[[str], ssl.SSLContext]
"""The TLS context for a peer's new connection."""
Begin = Callable[["Arrival"], asyncio.Protocol]
"""Makes the protocol of a connection."""


class Arrival(Guest):
    """A connection on its way; `transport` is set once the handshake is finished."""

    __slots__ = ("_loop", "_sock", "_task", "since_s", "transport")

    def __init__(self, sock: socket.socket, peer: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(peer)
        self.since_s = loop.time()
        self.transport: asyncio.Transport | None = None
        self._sock = sock
        self._loop = loop
        self._task: asyncio.Task[object] | None = None

    @property
    def is_silent(self) -> bool:
        """Say whether the peer has not sent a byte yet."""
        return self._task is None

    def wait(self, then: Callable[[], None]) -> None:
        """Call once the peer has sent something."""
        self._loop.add_reader(self._sock, then)

    def begin(self, make: Callable[[], asyncio.Protocol], **tls: object) -> asyncio.Task[object]:
        """Begin the handshake, or without TLS the conversation."""
        self._loop.remove_reader(self._sock)
        self._task = self._loop.create_task(self._begin(make, tls))
        return self._task

    async def _begin(self, make: Callable[[], asyncio.Protocol], tls: dict[str, object]) -> None:
        await self._loop.connect_accepted_socket(make, self._sock, **tls)  # type: ignore[arg-type]  # its overloads want each option by name

    def drop(self) -> None:
        """Close the socket of a connection that never got its transport."""
        if self._task is None:
            self._loop.remove_reader(self._sock)
        self._sock.close()

    def give_way(self) -> None:
        """Close at once, and without a farewell: that would keep the memory for its answer."""
        if self.transport is not None:
            # What was answered a moment ago still gets out.
            is_written = not self.transport.get_write_buffer_size()
            (self.transport.abort if is_written else self.transport.close)()
        elif self._task is not None:
            self._task.cancel()
        else:
            self.drop()

    def is_starting(self) -> bool:
        """Say whether it came a moment ago, so that its handshake and request may be on the way."""
        return self._loop.time() - self.since_s < STARTING_S

    def is_about_to_ask(self) -> bool:
        """Say whether something of the peer waits in the socket."""
        if (descriptor := self._sock.fileno()) < 0:
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def has_hung_up(self) -> bool:
        """Say whether the peer has closed without a word."""
        try:
            return not self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True


class Listener:
    """Listening sockets, and the connections that have no protocol yet."""

    def __init__(
        self,
        crowd: Crowd,
        begin: Begin,
        sockets: list[socket.socket],
        *,
        context_for: ContextFor | None,
        head_timeout_s: float,
        on_distrust: Callable[[str], None] = lambda _peer: None,
    ) -> None:
        """Accept from now on; `begin` makes the protocol of each connection.

        `on_distrust` is told the address of a peer whose certificate failed the handshake.
        """
        self._crowd = crowd
        self._begin = begin
        self._sockets = sockets
        self._context_for = context_for
        self._on_distrust = on_distrust
        self._head_timeout_s = head_timeout_s
        self._loop = asyncio.get_running_loop()
        self._is_accepting = False
        self._is_short = False
        crowd.on_room = self._resume
        self._resume()

    def close(self) -> None:
        """Accept no more, and close what has not sent a byte; conversations go on."""
        self._pause()
        for sock in self._sockets:
            sock.close()
        self._sockets = []
        self._give_up_silent(float("inf"))

    def sweep(self) -> None:
        """Close the connections that have been silent for too long. To be called now and then."""
        self._give_up_silent(self._loop.time() - self._head_timeout_s)
        self._resume()  # what was about to ask may have fallen silent without a request

    def _resume(self) -> None:
        if not self._is_accepting and not self._is_short:
            for sock in self._sockets:
                self._is_accepting = True
                self._loop.add_reader(sock, self._accept, sock)

    def _pause(self) -> None:
        self._is_accepting = False
        for sock in self._sockets:
            self._loop.remove_reader(sock)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            if not self._crowd.has_room:
                self._pause()  # newcomers wait in the kernel until a request is answered
                return
            try:
                sock, address = listening.accept()
            except ConnectionAbortedError:
                continue
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._short_of(error)
                return
            sock.setblocking(False)  # noqa: FBT003  # the standard library's signature
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            guest = Arrival(sock, address[0], self._loop)
            if self._crowd.admit(guest):
                guest.wait(partial(self._heard, guest))
            else:
                sock.close()

    def _short_of(self, error: OSError) -> None:
        """Free what one connection holds, and try again in a while."""
        log.error("connections cannot be accepted", cause=error.strerror)
        self._crowd.shed()
        self._pause()
        self._is_short = True
        self._loop.call_later(SHORTAGE_S, self._retry)

    def _retry(self) -> None:
        self._is_short = False
        self._resume()

    def _heard(self, guest: Arrival) -> None:
        """Begin with a connection whose peer has sent something."""
        if guest.has_hung_up():
            self._give_up(guest)
            return
        self._crowd.move(guest, Stage.GREETED)
        tls: dict[str, object] = {}
        if self._context_for is not None:
            tls = {
                "ssl": self._context_for(guest.peer),
                "ssl_handshake_timeout": self._head_timeout_s,
                "ssl_shutdown_timeout": SHUTDOWN_S,
            }
        task = guest.begin(partial(self._begin, guest), **tls)
        task.add_done_callback(partial(self._begun, guest))

    def _begun(self, guest: Arrival, task: asyncio.Task[object]) -> None:
        """Forget a connection whose handshake failed, took too long, or had to give way."""
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, ssl.SSLCertVerificationError):
            self._on_distrust(guest.peer)
        if task.cancelled() or failure is not None:
            guest.drop()
            self._crowd.leave(guest)

    def _give_up_silent(self, before_s: float) -> None:
        for guest in self._crowd.guests(Stage.ARRIVED):
            if isinstance(guest, Arrival) and guest.is_silent and guest.since_s < before_s:
                self._give_up(guest)

    def _give_up(self, guest: Arrival) -> None:
        guest.drop()
        self._crowd.leave(guest)


def bind(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen on the host's addresses, all of them when it is empty.

    Raises OSError when an address cannot be had.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError:
                continue  # a kernel may be without IPv6
            sockets.append(sock)
            sock.setblocking(False)  # noqa: FBT003  # the standard library's signature
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets
