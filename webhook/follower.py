"""The webhook's side of a self-signed certificate: it reads, and changes nothing.

One round, done by every replica every few seconds, and every second until all is well:

1. Read the pair from the Secret, which the certificates process keeps (`webhook/issuer.py`).
2. Serve it: at once when nothing valid is served yet, otherwise when every `caBundle` has held its
   authority for a while, so that no API server meets a certificate that it does not trust yet.
3. The replica is trusted when the `caBundle` of every webhook accepts what it serves.

RBAC: get of the one Secret and of the webhook configurations, all by name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from webhook import certificates, published
from webhook.api import Api, ApiFailure
from webhook.certificates import Pair
from webhook.published import Identity
from webhook.tls import ServingCertificate

log = structlog.get_logger()


class Follower:
    """One replica's view of the certificate. `is_trusted` is the last round's finding."""

    def __init__(
        self,
        api: Api,
        identity: Identity,
        serving: ServingCertificate,
        *,
        settle_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_trusted = False
        self._api = api
        self._identity = identity
        self._serving = serving
        self._settle_s = settle_s
        self._now = now
        self._clock = clock
        self._known_since: tuple[bytes, float] = (b"", 0)

    async def run(
        self, *, every_s: float, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Do rounds until cancelled.

        Without an answer of the API server, the last good certificate stays served and the last
        finding stays.
        """
        while True:
            try:
                is_settled = await self.round()
            except ApiFailure as failure:
                is_settled = False
                log.warning("certificate not read", status=failure.status, cause=failure.reason)
            await pause(every_s if is_settled else min(every_s, published.EAGER_S))

    async def round(self) -> bool:
        """Do one round; say whether there is nothing to hurry for. Raises ApiFailure."""
        secret = msgspec.json.decode(await self._api.get(self._identity.secret_path))
        bundles = [
            bundle
            for path in self._identity.configurations
            for bundle in published.bundles(await published.configuration(self._api, path))
        ]
        pair = published.pair_of(secret)
        is_current = pair is not None and self._serve(pair, bundles)
        self.is_trusted = all(
            self._serving.is_trusted_by(bundle, self._identity.host) for bundle in bundles
        )
        return is_current and self.is_trusted

    def _serve(self, pair: Pair, bundles: Sequence[bytes]) -> bool:
        """Serve the pair when its authority is known long enough; say whether it is served (2)."""
        served = self._serving.pair
        if served is not None and served.chain == pair.chain:
            return True
        if not all(certificates.holds(bundle, pair.ca) for bundle in bundles):
            self._known_since = (b"", 0)
        elif self._known_since[0] != pair.chain:
            self._known_since = (pair.chain, self._clock())
        is_known = self._known_since[0] == pair.chain
        is_early = (
            not is_known
            or self._clock() - self._known_since[1] < self._settle_s
            or pair.not_before > self._now()
        )
        if is_early and self._serving.is_valid(self._now()):
            return False
        self._serving.serve(pair)
        return True
