"""Self-signed serving certificates, kept by all replicas together and by none in particular.

One round, done by every replica every few seconds; no leader, no lock, any may be the only one:

1. Read the Secret. Without a usable pair in it, or past two thirds of its life: issue one and
   update the Secret under its resourceVersion. Who loses that race (409) takes the winner's.
2. In each webhook configuration: add the pair's authority to every `caBundle` that lacks it, under
   the configuration's resourceVersion. Earlier authorities stay until they expire.
3. Serve the pair: at once when nothing is served yet, otherwise when every configuration has held
   its authority for a while, so that no API server meets a certificate it does not trust yet.
4. We are trusted when every configuration's `caBundle` accepts what we serve.

RBAC: get and update of the one Secret, get and patch of the configurations, all by name.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec
import structlog

from webhook import certificates
from webhook.api import Api, ApiFailure
from webhook.certificates import Pair
from webhook.tls import ServingCertificate

log = structlog.get_logger()

ADMISSION = "/apis/admissionregistration.k8s.io/v1/"
EAGER_S = 1.0
"""Time between rounds until we are trusted, and after a lost race."""
SPREAD = 0.05
"""Replicas renew up to this share of the life early, each at its own moment: one issues, the others
find its pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who we are to the API server, and where that is written down.

    `configurations` are paths below `ADMISSION`, such as `mutatingwebhookconfigurations/NAME`.
    """

    namespace: str
    service: str
    secret: str
    configurations: tuple[str, ...]

    @property
    def host(self) -> str:
        """The name that the API server verifies."""
        return f"{self.service}.{self.namespace}.svc"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a client may call us by."""
        return (self.host, f"{self.service}.{self.namespace}", f"{self.host}.cluster.local")

    @property
    def secret_path(self) -> str:
        """The Secret's path at the API server."""
        return f"/api/v1/namespaces/{self.namespace}/secrets/{self.secret}"


class Issuer:
    """One replica's part in keeping the certificate. `is_trusted` is the last round's finding."""

    def __init__(
        self,
        api: Api,
        identity: Identity,
        serving: ServingCertificate,
        *,
        life_s: float,
        settle_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.is_trusted = False
        self._api = api
        self._identity = identity
        self._serving = serving
        self._life = timedelta(seconds=life_s)
        self._settle_s = settle_s
        self._now = now
        self._clock = clock
        self._early = SPREAD * chance()
        self._known_since: tuple[bytes, float] = (b"", 0)

    async def run(
        self, *, every_s: float, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Do rounds until cancelled.

        What the API server refuses is tried again; the last good certificate stays served.
        """
        while True:
            try:
                is_settled = await self.round()
            except ApiFailure as failure:
                is_settled = False
                if failure.status != HTTPStatus.CONFLICT:
                    log.warning("certificate not kept", status=failure.status, cause=failure.reason)
            await pause(every_s if is_settled else min(every_s, EAGER_S))

    async def round(self) -> bool:
        """Do one round; say whether there is nothing to hurry for. Raises ApiFailure."""
        pair = await self._shared_pair()
        extended = [await self._bundle(path, pair) for path in self._identity.configurations]
        is_current = self._serve(pair)
        self.is_trusted = all(
            self._serving.is_trusted_by(bundle, self._identity.host)
            for every in extended
            for bundle in every
        )
        return is_current and self.is_trusted

    async def _shared_pair(self) -> Pair:
        """Return the Secret's pair, issued now by us when it is missing or due (step 1)."""
        secret = msgspec.json.decode(await self._api.get(self._identity.secret_path))
        pair = _pair_of(secret)
        if (
            pair is not None
            and set(self._identity.names) <= set(pair.names)
            and not pair.is_due(self._now(), early=self._early)
        ):
            return pair
        new = certificates.issue(self._identity.names, now=self._now(), life=self._life)
        secret["data"] = (secret.get("data") or {}) | {
            "tls.crt": _to_base64(new.chain),
            "tls.key": _to_base64(new.key),
            "ca.crt": _to_base64(new.ca),
        }
        await self._api.put(self._identity.secret_path, secret)
        log.info("certificate issued", not_after=new.not_after.isoformat())
        return new

    async def _bundle(self, path: str, pair: Pair) -> list[bytes]:
        """Return the bundles of a configuration after adding the pair's authority (step 2)."""
        document = await configuration(self._api, path)
        operations: list[dict[str, Any]] = []
        extended = []
        for index, old in enumerate(bundles(document)):
            bundle = certificates.extend(old, pair.ca, now=self._now())
            extended.append(bundle)
            if bundle != old:
                at = f"/webhooks/{index}/clientConfig/caBundle"
                operations.append({"op": "add", "path": at, "value": _to_base64(bundle)})
        if operations:
            version = document["metadata"]["resourceVersion"]
            test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
            try:
                await self._api.json_patch(ADMISSION + path, [test, *operations])
            except ApiFailure as failure:
                if failure.status == HTTPStatus.UNPROCESSABLE_ENTITY:  # somebody was faster
                    raise ApiFailure(HTTPStatus.CONFLICT, failure.reason) from failure
                raise
            log.info("authority added to caBundle", configuration=path)
        return extended

    def _serve(self, pair: Pair) -> bool:
        """Serve the pair when its authority is known long enough; say whether it is served (3)."""
        served = self._serving.pair
        if served is not None and served.chain == pair.chain:
            return True
        if self._known_since[0] != pair.chain:
            self._known_since = (pair.chain, self._clock())
        waited_s = self._clock() - self._known_since[1]
        is_early = waited_s < self._settle_s or pair.not_before > self._now()
        if is_early and self._serving.is_valid(self._now()):
            return False
        self._serving.serve(pair)
        return True


async def configuration(api: Api, path: str) -> dict[str, Any]:
    """Return a webhook configuration; raises ApiFailure."""
    document: dict[str, Any] = msgspec.json.decode(await api.get(ADMISSION + path))
    return document


def bundles(document: dict[str, Any]) -> list[bytes]:
    """Return the caBundle of each webhook of a configuration, in its order; empty when unset."""
    webhooks = document.get("webhooks") or ()
    return [_from_base64((each.get("clientConfig") or {}).get("caBundle")) for each in webhooks]


def _pair_of(secret: dict[str, Any]) -> Pair | None:
    data = secret.get("data") or {}
    try:
        pair = certificates.read(
            _from_base64(data.get("tls.crt")),
            _from_base64(data.get("tls.key")),
            _from_base64(data.get("ca.crt")),
        )
    except ValueError:
        return None
    return pair if pair.ca else None


def _to_base64(pem: bytes) -> str:
    return base64.b64encode(pem).decode("ascii")


def _from_base64(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError):
        return b""
