"""Statuses: one replica, elected by a Lease, writes the `Ready` condition of our resources.

It looks when the catalog has changed, and now and then anyway; only objects whose status would
change are written. Admission does not depend on it: a replica that does not lead answers the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from webhook.api import Api, ApiFailure
from webhook.core import conditions
from webhook.core.catalog import Catalog
from webhook.lease import Lease

log = structlog.get_logger()

GROUP = "/apis/secret-injector.io/v1alpha1"
PLURALS = {
    "ClusterSecretStore": "clustersecretstores",
    "ServiceSecrets": "servicesecrets",
    "EnvironmentSecrets": "environmentsecrets",
    "ClusterInjectionPolicy": "clusterinjectionpolicies",
}
EVERY_S = 5.0
REVISIT_S = 300.0
BATCH = 50
"""So many objects are judged before requests get their turn again."""
_GONE = (404, 409, 422)


class StatusWriter:
    """Writes statuses while the lease is held."""

    def __init__(self, api: Api, lease: Lease, catalog: Callable[[], Catalog]) -> None:
        """`catalog` returns the snapshot of the moment."""
        self._api, self._lease, self._catalog = api, lease, catalog
        self._done: tuple[Catalog, float] | None = None

    async def run(self) -> None:
        """Hold the lease and write until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                if await self._lease.try_hold():
                    await self._round(loop.time())
                else:
                    self._done = None
            except ApiFailure as failure:
                log.warning("statuses not written", reason=str(failure))
            await asyncio.sleep(EVERY_S)

    async def _round(self, now_s: float) -> None:
        catalog = self._catalog()
        is_fresh = self._done is not None and now_s - self._done[1] < REVISIT_S
        if self._done is not None and self._done[0] is catalog and is_fresh:
            return
        written = 0
        for kind, plural in PLURALS.items():
            written += await self._kind(kind, plural, catalog)
        self._done = (catalog, now_s)
        if written:
            log.info("statuses written", count=written)

    async def _kind(self, kind: str, plural: str, catalog: Catalog) -> int:
        try:
            body = await self._api.get(f"{GROUP}/{plural}", {"resourceVersion": "0"})
        except ApiFailure as failure:
            if failure.status in _GONE:  # the kind is not installed
                return 0
            raise
        written = 0
        for index, raw in enumerate(msgspec.json.decode(body)["items"]):
            if index % BATCH == BATCH - 1:
                await asyncio.sleep(0)
                if not self._lease.is_held and not await self._lease.try_hold():
                    return written
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            wanted = conditions.status(kind, raw, catalog, now=now)
            if wanted is not None:
                written += await self._write(plural, raw["metadata"], wanted)
        return written

    async def _write(self, plural: str, metadata: dict[str, Any], wanted: dict[str, Any]) -> bool:
        namespace = metadata.get("namespace")
        scope = f"/namespaces/{namespace}" if namespace else ""
        path = f"{GROUP}{scope}/{plural}/{metadata['name']}/status"
        # The test makes a status for a generation that is no longer current fail instead of lie.
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/generation", "value": metadata.get("generation")},
            {"op": "add", "path": "/status", "value": wanted},
        ]
        try:
            await self._api.json_patch(path, operations)
        except ApiFailure as failure:
            if failure.status in _GONE:
                return False
            raise
        return True
