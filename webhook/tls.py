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


class ServingCertificate:
    """One SSLContext for the life of the process, and the pair it presents to new connections."""

    def __init__(self) -> None:
        self.context = _context()
        self.pair: Pair | None = None

    def serve(self, pair: Pair) -> None:
        """Present the pair from now on; raises ValueError, and changes nothing, when it cannot be.

        Connections that exist keep the certificate they began with.
        """
        # First a trial: a pair that is refused must not half-replace a good one.
        _load(_context(), pair)
        _load(self.context, pair)
        self.pair = pair
        log.info("certificate served", names=list(pair.names), not_after=pair.not_after.isoformat())

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
