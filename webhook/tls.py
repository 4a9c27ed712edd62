"""The certificate that is served: swapped in a living SSLContext, so connections never notice.

Two sources: files that somebody else renews (here), and a self-signed pair in a Secret
(`webhook/follower.py`). The key is in memory and in its source, on no disk of ours.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog

from webhook import certificates
from webhook.certificates import Pair

log = structlog.get_logger()

MAX_LENIENT = 256
"""Addresses remembered whose certificates fail; there are a few API servers."""


class ServingCertificate:
    """One SSLContext for the life of the process, and the pair it presents to new connections."""

    def __init__(self) -> None:
        self.context = _context()
        self.pair: Pair | None = None
        self._asking: ssl.SSLContext | None = None
        self._lenient_to: set[str] = set()

    def serve(self, pair: Pair) -> None:
        """Present the pair from now on; raises ValueError, and changes nothing, when it cannot be.

        Connections that exist keep the certificate they began with.
        """
        # First a trial: a pair that is refused must not half-replace a good one.
        _load(_context(), pair)
        _load(self.context, pair)
        if self._asking is not None:
            _load(self._asking, pair)
        self.pair = pair
        log.info("certificate served", names=list(pair.names), not_after=pair.not_after.isoformat())

    def ask_for_certificates_of(self, bundle: bytes) -> None:
        """Ask clients for a certificate of these CAs from now on; raises ValueError for no bundle.

        A client without one is served; one with another CA's fails its handshake. The context is
        new, since a CA cannot be taken out of one.
        """
        asking = _context()
        asking.verify_mode = ssl.CERT_OPTIONAL
        asking.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # whatever is in the bundle is a root
        try:
            asking.load_verify_locations(cadata=bundle.decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise ValueError("no PEM certificates in it") from None
        if self.pair is not None:
            _load(asking, self.pair)
        self._asking = asking

    def context_for(self, peer: str) -> ssl.SSLContext:
        """Return the context of a new connection."""
        if self._asking is None or peer in self._lenient_to:
            return self.context
        return self._asking

    def be_lenient_to(self, peer: str) -> None:
        """Ask this address for no certificate again: it presented one that fails the handshake."""
        if len(self._lenient_to) < MAX_LENIENT:
            self._lenient_to.add(peer)

    def is_valid(self, now: datetime) -> bool:
        """Say whether there is a certificate and its dates include now."""
        return self.pair is not None and self.pair.not_before <= now < self.pair.not_after

    def is_trusted_by(self, bundle: bytes, name: str) -> bool:
        """Say whether a client that trusts the bundle would accept us under the name."""
        return self.pair is not None and certificates.verifies(self.context, bundle, name)


class Files:
    """A chain and a key in files, looked at again and again.

    Polled, as inotify misses the symlink swaps of mounted Secrets on some file systems. What cannot
    be served, half-written or unreadable, is logged and waited out.
    """

    def __init__(self, serving: ServingCertificate, cert: Path, key: Path) -> None:
        self._serving = serving
        self._cert = cert
        self._key = key
        self._seen: object = None

    def load(self) -> None:
        """Serve what the files hold, if they changed; raises OSError or ValueError."""
        state = tuple(_identity(path) for path in (self._cert, self._key))
        if state == self._seen:
            return
        # (1) remember what was looked at, (2) read: a change in between is seen next time.
        self._seen = state
        self._serving.serve(certificates.read(self._cert.read_bytes(), self._key.read_bytes()))

    async def follow(
        self, *, every_s: float, pause: Callable[[float], asyncio.Future[None]] | None = None
    ) -> None:
        """Look every so often, until cancelled."""
        while True:
            await (pause or asyncio.sleep)(every_s)
            try:
                self.load()
            except (OSError, ValueError) as error:
                log.error(  # noqa: TRY400  # OpenSSL's texts and frames say nothing more
                    "new certificate not served", cert=str(self._cert), cause=_cause(error)
                )


class ClientCa:
    """The bundle that client certificates are checked by, in a file that is looked at again."""

    def __init__(self, serving: ServingCertificate, path: Path) -> None:
        self._serving = serving
        self._path = path
        self._seen: object = None

    def load(self) -> None:
        """Use what the file holds, if it changed; raises OSError or ValueError."""
        state = _identity(self._path)
        if state == self._seen:
            return
        self._seen = state  # before it is read: a change in between is seen next time
        self._serving.ask_for_certificates_of(self._path.read_bytes())
        log.info("client CA in use", path=str(self._path))

    async def follow(self, *, every_s: float) -> None:
        """Look every so often, until cancelled; what cannot be used is logged and waited out."""
        while True:
            await asyncio.sleep(every_s)
            try:
                self.load()
            except (OSError, ValueError) as error:
                log.error(  # noqa: TRY400  # OpenSSL's texts and frames say nothing more
                    "new client CA not used", path=str(self._path), cause=_cause(error)
                )


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0  # API servers keep connections; resuming needs no supporting
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, pair: Pair) -> None:
    """Load a pair from memory: OpenSSL's binding wants a path, and a memfd has one but no disk."""
    with os.fdopen(os.memfd_create("certificate", os.MFD_CLOEXEC), "wb") as memory:
        memory.write(pair.key + b"\n" + pair.chain)
        memory.flush()
        try:
            context.load_cert_chain(f"/proc/self/fd/{memory.fileno()}")
        except (ssl.SSLError, OSError):
            raise ValueError("OpenSSL refuses certificate or key") from None


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _cause(error: Exception) -> str:
    return error.strerror or "unreadable" if isinstance(error, OSError) else str(error)
