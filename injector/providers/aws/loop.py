"""An event loop that can be left at once: it knows its connections, and drops them."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakSet


class OwnLoop(asyncio.SelectorEventLoop):
    """A loop that remembers the transports it made.

    Closing a TLS connection politely means waiting for the other side's last word, half a minute if
    the other side hangs. A cancelled request of aiohttp begins that; nobody here waits for its end.
    """

    def __init__(self) -> None:
        """Start without connections."""
        super().__init__()
        self._made: WeakSet[asyncio.Transport] = WeakSet()

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Connect as always, and remember."""
        made = await super().create_connection(*args, **kwargs)
        self._made.add(made[0])
        return made

    async def drop_connections(self) -> None:
        """Abort every connection, and let the loop hear of it."""
        for transport in tuple(self._made):
            transport.abort()
        for _ in range(3):  # the TLS layer, the socket below it, and who listens to either
            await asyncio.sleep(0)
