"""Connections to one store: made, judged and encrypted before we send a byte, bounded in time.

`HttpSession` keeps them; every error below HTTP gets its words here.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import select
import socket
import ssl
import threading
from functools import lru_cache

from injector.core import errors
from injector.core.secret import Failure
from injector.core.stores import address
from injector.core.stores.address import Address, Server
from injector.deadline import Deadline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Unanswered(Exception):
    """No answer that we take: `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        """Keep the failure."""
        self.failure = failure
        super().__init__(failure.what)


_ONE_AT_A_TIME = threading.Lock()
_HASHED = re.compile(r"[0-9a-f].*\.0")


@lru_cache(maxsize=16)
def _context(ca_bundle: str | None) -> ssl.SSLContext:
    """Return what to trust, made once for all connections."""
    return _new_context(ca_bundle)


def _new_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Return what to trust: the PEM certificates, or those of the system.

    A folder of hashed certificates is read one by one as needed, 20 ms faster than a bundle; one
    named by `SSL_CERT_FILE` is still used, as everywhere.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle is not None:
        # Whatever an operator lists is trusted as it is, be it a root, an intermediate or the
        # server's own certificate: so do Go, curl and browsers.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=ca_bundle)
        return context
    paths = ssl.get_default_verify_paths()
    if paths.cafile in (None, paths.openssl_cafile) and _is_hashed(paths.capath):
        context.load_verify_locations(capath=paths.capath)
    else:
        context.set_default_verify_paths()
    return context


def _is_hashed(folder: str | None) -> bool:
    if folder is None:
        return False
    with os.scandir(folder) as entries:
        return any(_HASHED.fullmatch(entry.name) for entry in entries)


class Connector:
    """Makes connections to one server; threads may share it.

    `is_judged` False lets a link-local address pass: that of a cloud's agent on the node, which the
    caller knows by heart.
    """

    def __init__(self, server: Server, *, timeout_s: float, is_judged: bool = True) -> None:
        """Prepare; nothing is connected yet."""
        self._server = server
        self._address, self._ca_bundle = server.address, server.ca_bundle
        self._server_name = server.name or server.address.host
        self._timeout_s, self._is_judged = timeout_s, is_judged

    def connect(self, until: Deadline) -> Connection:
        """Return a new connection; raises Unanswered, OSError."""
        plain = self._reached(until)
        try:
            if self._address.scheme != "https":
                return Connection(self._address, _Wire(plain, until))
            with _ONE_AT_A_TIME:
                context = _context(self._ca_bundle)
            wrapped = context.wrap_socket(plain, server_hostname=self._server_name)
            return Connection(self._address, _Wire(wrapped, until))
        except ssl.SSLCertVerificationError as error:
            plain.close()
            if error.verify_code in _OTHER_NAME:
                raise Unanswered(self._misnamed(error, until)) from None
            raise
        except BaseException:
            plain.close()
            raise

    def absence(self, until: Deadline) -> Failure | None:
        """Return why the server cannot be reached, or None: TCP alone, not a byte is sent."""
        try:
            self._reached(until).close()
        except Unanswered as unanswered:
            return unanswered.failure
        except OSError as error:
            return self.explained(error)
        return None

    def _reached(self, until: Deadline) -> socket.socket:
        """Return a socket to a peer that may be a store's; raises Unanswered, OSError."""
        at = self._address
        plain = socket.create_connection((at.host, at.port), timeout=until.bound_s(self._timeout_s))
        try:
            if self._is_judged and address.is_forbidden_peer(plain.getpeername()[0]):
                what = f"{at.host} leads to a link-local, multicast or unspecified address"
                raise Unanswered(Failure(code=errors.DOWN, what=what))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            plain.close()
            raise
        return plain

    def _misnamed(self, error: ssl.SSLCertVerificationError, until: Deadline) -> Failure:
        """Return what a certificate for another name is told as: with the names that it is for."""
        try:
            names = self._names(until)
        except (OSError, ValueError, Unanswered):
            names = []
        what = _distrust(error, self._server_name)
        hint = "fix the address"
        if self._server.has_name_field:
            hint = "set tlsServerName to the certificate's name, or fix the address"
        if names:
            more = f" and {len(names) - _TOLD_NAMES} more" if len(names) > _TOLD_NAMES else ""
            told = ", ".join(errors.printable(name) for name in names[:_TOLD_NAMES]) + more
            what = f"{self._server_name} is not trusted: its certificate is for {told}"
            if self._server.has_name_field:
                them = "it" if len(names) == 1 else "one of them"
                hint = f"set tlsServerName to {them}, or fix the address"
        return Failure(code=errors.TLS, what=what, hint=hint)

    def _names(self, until: Deadline) -> list[str]:
        """Return the names in the server's certificate; everything but the name is verified.

        Nothing is sent on this connection: it ends after the handshake.
        """
        context = _new_context(self._ca_bundle)
        context.check_hostname = False
        plain = self._reached(until)
        try:
            plain.settimeout(until.bound_s(self._timeout_s))
            with context.wrap_socket(plain, server_hostname=self._server_name) as wrapped:
                found = wrapped.getpeercert() or {}
        finally:
            plain.close()
        return [str(entry[1]) for entry in found.get("subjectAltName", ()) if len(entry) == 2]

    def explained(self, error: Exception) -> Failure:
        """Return our words for what went wrong below HTTP."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return Failure(code=errors.TLS, what=_distrust(error, self._server_name))
        if isinstance(error, TimeoutError):
            at = f"{self._address.host}:{self._address.port}"
            what = f"no answer from {at} within {self._timeout_s:g} s"
            return Failure(code=errors.DOWN, what=what, is_away=True)
        if isinstance(error, ssl.SSLEOFError | ConnectionError | http.client.IncompleteRead):
            what = f"{self._address.host}:{self._address.port} closed the connection"
            is_refused = isinstance(error, ConnectionRefusedError)
            if is_refused:
                what = f"{self._address.host}:{self._address.port} refuses the connection"
            return Failure(code=errors.DOWN, what=what, is_away=is_refused)
        if isinstance(error, ssl.SSLError):
            what = f"{self._address.host}:{self._address.port} does not speak TLS as we must"
            return Failure(code=errors.TLS, what=what)
        if isinstance(error, socket.gaierror):
            what = f"the name {self._address.host} cannot be resolved"
            return Failure(code=errors.DOWN, what=what, is_away=True)
        if isinstance(error, OSError):
            reason = errors.printable(error.strerror or type(error).__name__).lower()
            what = f"no connection to {self._address.host}:{self._address.port}: {reason}"
            return Failure(code=errors.DOWN, what=what, is_away=True)
        return Failure(code=errors.CONTENT, what="the answer is not HTTP as we read it")


class _Wire:
    """A socket that gives up at a point in time; `http.client` reads and writes through it."""

    def __init__(self, sock: socket.socket, until: Deadline) -> None:
        self._socket, self.until = sock, until

    def sendall(self, data: bytes) -> None:
        self.bounded().sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a reader of one answer; closing it leaves the socket open for the next."""
        del mode
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Do nothing: `http.client` calls this before the body of a last answer is read."""

    def is_stale(self) -> bool:
        """Say whether there is something to read before we ask: its end, as a rule."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def shut(self) -> None:
        """Close the socket."""
        self._socket.close()

    def bounded(self) -> socket.socket:
        """Return the socket, set to wait no longer than is left; raises TimeoutError."""
        left_s = self.until.left_s()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)
        return self._socket


class _Reader(io.RawIOBase):
    """The reading side of one answer."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._wire.bounded().recv_into(buffer)


class Connection(http.client.HTTPConnection):
    """A connection made by us: it is never made again behind our back."""

    auto_open = 0

    def __init__(self, at: Address, wire: _Wire) -> None:
        self.default_port = (
            http.client.HTTPS_PORT if at.scheme == "https" else http.client.HTTP_PORT
        )
        super().__init__(at.host, at.port)
        self.wire = wire
        self.sock = wire  # as much of a socket as http.client uses


_OTHER_NAME = (62, 64)
_TOLD_NAMES = 8

# OpenSSL's X509_V_ERR_* numbers (x509_vfy.h), as far as somebody can do something about them.
_UNKNOWN = "its certificate comes from an authority that caBundle does not hold"
_DISTRUST = {
    2: _UNKNOWN,
    7: "the signature of its certificate is wrong",
    9: "its certificate is not valid yet; is the clock right?",
    10: "its certificate has expired",
    18: "its certificate is self-signed and not in caBundle",
    19: _UNKNOWN,
    20: _UNKNOWN,
    21: _UNKNOWN,
    22: "the chain of its certificates is too long",
    23: "its certificate is revoked",
    24: "a certificate of its chain may not sign others (no CA)",
    25: "an authority of its chain allows fewer authorities below it",
    26: "its certificate is not for servers (extended key usage)",
    27: _UNKNOWN,
    28: "an authority of its chain is not for servers",
    32: "a certificate of its chain may not sign others (key usage)",
    47: "an authority of its chain does not allow this name (name constraints)",
    62: "its certificate is for another name",
    64: "its certificate is for another IP address",
    66: "the key of its certificate is too weak",
    67: "the key of an authority of its chain is too weak",
    68: "a certificate of its chain is signed with a weak digest",
}


def _distrust(error: ssl.SSLCertVerificationError, name: str) -> str:
    reason = _DISTRUST.get(error.verify_code)
    if reason is None:
        said = errors.printable(str(error.verify_message)[:120])
        reason = f"its certificate cannot be verified: {said}"
    return f"{name} is not trusted: {reason}"
