"""Waiting for word of a namespace that the watch has not told of yet.

`apply` of a namespace and its pods in one go asks us before the watch does, and nobody sends the
pods again. Without the namespace's labels no selector can be judged. So such a review waits a
moment in its own coroutine, holding no turn and no snapshot; others are decided meanwhile. Where
word does not come, or nothing looks at labels, the decision is made as it is (`core/decide.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from webhook.core import workloads
from webhook.core.catalog import Catalog
from webhook.core.review import Head

PATIENCE_S = 1.0
"""A watch tells within milliseconds; the API server waits for us longer than this."""
MOST_WAITING = 256
"""Reviews that may wait at once; each holds a body and a connection."""


class Arrivals:
    """Reviews that wait for a namespace. `told` may be called from any thread."""

    def __init__(self, *, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    def told(self) -> None:
        """Say that there is a snapshot with other namespaces; it must be in place already."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    async def settle(self, head: Head, catalog: Callable[[], Catalog], *, within_s: float) -> None:
        """Return when the snapshot knows the namespace of a new pod, or nothing more will help.

        A workload makes pods.
        """
        is_new_pod = head.kind.kind == "Pod" and head.operation == "CREATE"
        if not (is_new_pod or workloads.is_workload(head)) or not catalog().lacks(head.namespace):
            return
        self._loop = asyncio.get_running_loop()
        until_s = self._loop.time() + min(self._patience_s, within_s)
        while catalog().lacks(head.namespace) and len(self._waiting) < MOST_WAITING:
            woken = self._loop.create_future()
            self._waiting.add(woken)
            try:
                async with asyncio.timeout_at(until_s):
                    await woken
            except TimeoutError:
                return
            finally:
                self._waiting.discard(woken)

    def _wake(self) -> None:
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)
