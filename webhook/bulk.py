"""Room for large bodies: few are in memory at once, and namespaces take turns at them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from webhook.core.turns import Full, Turns
from webhook.deciding import MOST_WAITING, TooMany

MOST_AT_ONCE = 4
"""Large bodies between their first bytes and their answer: 12 MiB when each is the largest."""


class Bulk:
    """Places for large bodies. To be used from one loop."""

    def __init__(
        self, *, most_at_once: int = MOST_AT_ONCE, most_waiting: int = MOST_WAITING
    ) -> None:
        self._free = most_at_once
        self._turns = Turns[asyncio.Future[None]](most=most_waiting)

    @contextlib.asynccontextmanager
    async def place(self, owner: str) -> AsyncIterator[None]:
        """Hold a place, after waiting for the owner's turn; raises TooMany."""
        if self._free:
            self._free -= 1
        else:
            await self._turn(owner)
        try:
            yield
        finally:
            self._pass_on()

    async def _turn(self, owner: str) -> None:
        mine = asyncio.get_running_loop().create_future()
        try:
            self._turns.put(owner, mine)
        except Full:
            raise TooMany from None
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # it came with the place
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give the place to whoever's turn it is, or leave it free."""
        while (found := self._turns.take()) is not None:
            owner, theirs = found
            if not theirs.done():
                self._turns.charge(owner, 1.0)
                theirs.set_result(None)
                return
        self._free += 1
