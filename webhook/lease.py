"""Leadership by a Lease (coordination.k8s.io/v1), as client-go's leader election does it.

A holder renews; the others watch whether the record changes, on their own monotonic clock, so that
clocks of different machines are never compared. Losing an update to somebody else is answered with
409 and is simply not leading.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from webhook.api import Api, ApiFailure

DURATION_S = 15


class Lease:
    """One Lease that exists already (the chart makes it), and whether we hold it."""

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`identity` is unique to this process."""
        self._api = api
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
        self._identity = identity
        self._clock = clock
        self._seen: tuple[object, float] | None = None
        self._held_until_s = 0.0

    @property
    def is_held(self) -> bool:
        """Say whether we lead; false again when no renewal succeeded for the lease's duration."""
        return self._clock() < self._held_until_s

    async def try_hold(self) -> bool:
        """Renew or take the lease if nobody else holds it; raises ApiFailure without an answer."""
        began_s = self._clock()
        lease: dict[str, Any] = msgspec.json.decode(await self._api.get(self._path))
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        record = (holder, spec.get("renewTime"), lease["metadata"].get("resourceVersion"))
        if self._seen is None or self._seen[0] != record:
            self._seen = (record, began_s)
        is_others = holder not in ("", self._identity)
        if is_others and began_s - self._seen[1] < float(
            spec.get("leaseDurationSeconds") or DURATION_S
        ):
            return False
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        took_over = holder != self._identity
        lease["spec"] = {
            **spec,
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION_S,
            "renewTime": now,
            "acquireTime": now if took_over else spec.get("acquireTime", now),
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + took_over,
        }
        try:
            await self._api.put(self._path, lease)
        except ApiFailure as failure:
            if failure.status == CONFLICT:
                return False
            raise
        self._held_until_s = began_s + DURATION_S
        return True


CONFLICT = 409
