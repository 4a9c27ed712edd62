"""Who may ask for reviews: callers with a client certificate of a name that the operator allowed.

TLS has checked that a certificate, if there is one, is of `webhook.clientCA`; its names are checked
here, since a cluster's CA signs for every kubelet too. A refusal is an HTTP status and not a TLS
alert, so that the API server's log says why. In mode `report` everybody is answered, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import structlog

log = structlog.get_logger()

ALLOWED = "allowed"
NONE = "none"
OTHER_NAME = "other_name"
UNTRUSTED = "untrusted"
FOUND = (ALLOWED, NONE, OTHER_NAME, UNTRUSTED)
"""What was found at a call: the values of the metric's label."""

MAX_TOLD = 256
"""Peers whose missing certificate gets a log line; the metric counts every call."""
MAX_NAMES = 8
MAX_NAME = 256


class Callers:
    """Judges calls by their certificates."""

    def __init__(
        self, allowed: frozenset[str], *, is_required: bool, count: Callable[[str], None]
    ) -> None:
        """Accept certificates with one of the names; `count` is told what each call brought."""
        self._allowed = allowed
        self._is_required = is_required
        self._count = count
        self._told: set[tuple[str, str]] = set()

    def refusal(self, certificate: object, peer: object) -> str:
        """Return why a caller is not answered, or nothing; the certificate is as `ssl` shows it."""
        names = tuple(_names(certificate)) if isinstance(certificate, Mapping) else ()
        if not self._allowed.isdisjoint(names):
            self._count(ALLOWED)
            return ""
        found = OTHER_NAME if certificate else NONE
        self._count(found)
        self._tell(found, peer, names)
        if not self._is_required:
            return ""
        return (
            "no client certificate was presented"
            if found == NONE
            else "the client certificate has none of the allowed names"
        )

    def distrust(self, peer: str) -> None:
        """Note that a handshake failed for a certificate of another CA, or an expired one."""
        self._count(UNTRUSTED)
        self._tell(UNTRUSTED, peer, ())

    def _tell(self, found: str, peer: object, names: tuple[str, ...]) -> None:
        address = str(peer[0]) if isinstance(peer, tuple) else str(peer)
        if (address, found) in self._told or len(self._told) >= MAX_TOLD:
            return
        self._told.add((address, found))
        log.warning(
            "caller without an allowed certificate",
            certificate=found,
            peer=address,
            names=[name[:MAX_NAME] for name in names[:MAX_NAMES]],
            is_answered=not self._is_required and found != UNTRUSTED,
        )


def _names(certificate: Mapping[str, object]) -> Iterator[str]:
    """Yield the common names, host names and URIs of a certificate."""
    subject = certificate.get("subject")
    for part in subject if isinstance(subject, tuple) else ():
        yield from (value for kind, value in part if kind == "commonName")
    others = certificate.get("subjectAltName")
    for kind, value in others if isinstance(others, tuple) else ():
        if kind in ("DNS", "URI"):
            yield value
