"""Whether the API server trusts what we serve, when somebody else keeps certificate and bundle.

RBAC: get of the webhook configurations, by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from webhook import published
from webhook.api import Api, ApiFailure
from webhook.published import Identity
from webhook.tls import ServingCertificate

log = structlog.get_logger()


class Witness:
    """Looks at the configurations' bundles. `is_trusted` is the last round's finding."""

    def __init__(self, api: Api, identity: Identity, serving: ServingCertificate) -> None:
        self.is_trusted = False
        self._api = api
        self._identity = identity
        self._serving = serving

    async def run(
        self, *, every_s: float, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Do rounds until cancelled; without an answer the last finding stays."""
        while True:
            try:
                await self.round()
            except ApiFailure as failure:
                log.warning("caBundle not read", status=failure.status, cause=failure.reason)
            await pause(every_s if self.is_trusted else min(every_s, published.EAGER_S))

    async def round(self) -> None:
        """Look once. Raises ApiFailure."""
        bundles = [
            bundle
            for path in self._identity.configurations
            for bundle in published.bundles(await published.configuration(self._api, path))
        ]
        self.is_trusted = all(
            self._serving.is_trusted_by(bundle, self._identity.host) for bundle in bundles
        )
