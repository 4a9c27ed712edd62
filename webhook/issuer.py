"""Self-signed serving certificates: issued and renewed, and made known to the API server.

One round, done every few seconds by the process that holds the lease (`webhook/rotation.py`):

1. Read the Secret. Without a usable pair in it, or past two thirds of its life: issue one and
   update the Secret under its resourceVersion.
2. In each webhook configuration: add the pair's authority to every `caBundle` that lacks it, under
   the configuration's resourceVersion. Earlier authorities stay until they expire, for replicas
   that still serve under them.

The webhook serves a new pair once every `caBundle` accepts it (`webhook/follower.py`). It may read
the Secret and the configurations and change neither: whoever can change a webhook configuration can
have every object of the cluster sent to himself.

RBAC: get and update of the one Secret, get and patch of the configurations, all by name.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec
import structlog

from webhook import certificates
from webhook.api import Api, ApiFailure
from webhook.certificates import Pair
from webhook.published import ADMISSION, Identity, bundles, configuration, pair_of

log = structlog.get_logger()


class Issuer:
    """Keeps the Secret's pair fresh and every caBundle in step with it."""

    def __init__(
        self,
        api: Api,
        identity: Identity,
        *,
        life_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._identity = identity
        self._life = timedelta(seconds=life_s)
        self._now = now

    async def round(self) -> None:
        """Do one round. Raises ApiFailure; 409 when somebody else was faster."""
        pair = await self._fresh_pair()
        for path in self._identity.configurations:
            await self._extend(path, pair)

    async def _fresh_pair(self) -> Pair:
        """Return the Secret's pair, issued now when it is missing or due (step 1)."""
        secret = msgspec.json.decode(await self._api.get(self._identity.secret_path))
        pair = pair_of(secret)
        if (
            pair is not None
            and set(self._identity.names) <= set(pair.names)
            and not pair.is_due(self._now())
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

    async def _extend(self, path: str, pair: Pair) -> None:
        """Add the pair's authority to the bundles of a configuration that lack it (step 2)."""
        document = await configuration(self._api, path)
        operations: list[dict[str, Any]] = []
        for index, old in enumerate(bundles(document)):
            bundle = certificates.extend(old, pair.ca, now=self._now())
            if bundle != old:
                at = f"/webhooks/{index}/clientConfig/caBundle"
                operations.append({"op": "add", "path": at, "value": _to_base64(bundle)})
        if not operations:
            return
        version = document["metadata"]["resourceVersion"]
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        try:
            await self._api.json_patch(ADMISSION + path, [test, *operations])
        except ApiFailure as failure:
            if failure.status == HTTPStatus.UNPROCESSABLE_ENTITY:  # somebody was faster
                raise ApiFailure(HTTPStatus.CONFLICT, failure.reason) from failure
            raise
        log.info("authority added to caBundle", configuration=path)


def _to_base64(pem: bytes) -> str:
    return base64.b64encode(pem).decode("ascii")
