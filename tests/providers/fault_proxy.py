"""A small HTTPS proxy in front of a real server or a fake, which can be told to misbehave.

It ends TLS itself, so a fault may be in the certificate, in the connection, in the status line or
in the middle of a body. Faults are taken from a list, one for each request; with an empty list
everything is passed on. What was asked is recorded: method, raw path and headers.
"""

import contextlib
import http.client
import socket
import struct
import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """Answer with this status, headers and body; the server behind never sees the request."""

    status: int
    headers: tuple = (("Content-Type", "application/json"),)
    body: bytes = b'{"errors":["CANARY-IN-ERROR-BODY"]}'


@dataclass(frozen=True)
class Reset:
    """Reset the connection: before an answer, or after so many bytes of its body."""

    after: int | None = None


@dataclass(frozen=True)
class Hang:
    """Never answer; `after` bytes of an answer come first."""

    after: int = 0


@dataclass(frozen=True)
class Trickle:
    """Send one byte of the answer every so many seconds."""

    every_s: float = 0.05


@dataclass(frozen=True)
class Oversized:
    """Answer with JSON that goes on and on; `sent` tells how much was taken."""

    declares_length: bool = False


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict
    body: bytes


class FaultProxy:
    """Listens on a port of `host` until closed; `target` is (host, port) of a plain HTTP server."""

    def __init__(self, context, target, host="127.0.0.1"):
        self.context, self._target = context, target
        self.faults, self.seen, self.sent = [], [], 0
        self.when = lambda request: True
        """Which requests a fault may hit."""
        self.connections = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server((host, 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def refuse(self):
        """Stop listening: the port refuses connections from now on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self):
        """Stop everything, hanging answers too."""
        self._over.set()
        self.refuse()
        for thread in self._threads:
            thread.join(5)

    def _accept(self):
        while not self._over.is_set():
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain):
        try:
            plain.settimeout(0.2)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is None:  # a server that speaks plain HTTP and is greeted with TLS
                plain.recv(65_536)
                plain.sendall(_answer(400, (), b""))
                plain.close()
                return
            connection = self.context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        with connection, contextlib.suppress(OSError, EOFError):
            reader = _Reader(connection, self._over)
            while (request := reader.request()) is not None:
                if not self._respond(connection, request):
                    return

    def _respond(self, connection, request):
        """Answer one request; return whether the connection goes on."""
        with self._lock:
            self.seen.append(request)
            fault = self.faults.pop(0) if self.faults and self.when(request) else None
        if isinstance(fault, Status):
            connection.sendall(_answer(fault.status, fault.headers, fault.body))
            return True
        if isinstance(fault, Oversized):
            return self._flood(connection, declares_length=fault.declares_length)
        if isinstance(fault, Reset) and fault.after is None:
            return _reset(connection)
        answer = self._forward(request)
        head = answer.index(b"\r\n\r\n") + 4
        if isinstance(fault, Reset):
            connection.sendall(answer[: head + fault.after])
            return _reset(connection)
        if isinstance(fault, Hang):
            connection.sendall(answer[: fault.after])
            self._over.wait(30)
            return False
        if isinstance(fault, Trickle):
            for byte in answer:
                connection.sendall(bytes([byte]))
                if self._over.wait(fault.every_s):
                    return False
            return True
        connection.sendall(answer)
        return True

    def _forward(self, request):
        upstream = http.client.HTTPConnection(*self._target, timeout=10)
        try:
            upstream.putrequest(
                request.method, request.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers.items():
                if name != "connection":  # the host stays: signatures cover it
                    upstream.putheader(name, value)
            upstream.endheaders(request.body)
            response = upstream.getresponse()
            return _answer(response.status, response.getheaders(), response.read())
        finally:
            upstream.close()

    def _flood(self, connection, *, declares_length):
        length = "Content-Length: 1000000000\r\n" if declares_length else "Connection: close\r\n"
        connection.sendall(
            f'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{length}\r\n{{"data":"'.encode()
        )
        chunk = b"a" * 65_536
        while self.sent < 200_000_000:
            connection.sendall(chunk)
            self.sent += len(chunk)
        return False


class _Reader:
    """Reads requests off a connection; gives up when the proxy is closed."""

    def __init__(self, connection, over):
        self._connection, self._over, self._buffer = connection, over, b""

    def request(self):
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in headers.items()}
        length = int(headers.get("content-length", 0))
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Request(method, path, headers, body)

    def _until(self, mark):
        while mark not in self._buffer:
            if not self._more():
                return None
        found, self._buffer = self._buffer.split(mark, 1)
        return found

    def _more(self):
        while not self._over.is_set():
            try:
                data = self._connection.recv(65_536)
            except TimeoutError:
                continue
            self._buffer += data
            return bool(data)
        return False


def _answer(status, headers, body):
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in ("content-length", "connection", "transfer-encoding")
    ]
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in kept)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def _reset(connection):
    """Close with RST instead of FIN (SO_LINGER with a time of zero, socket(7))."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False
