"""Threads with event loops of their own, for what must not wait for decisions, or they for it.

Three loops share the process: reviews are answered in the first; probes and metrics in the second,
which therefore answers whatever the first is doing; watches are decoded and objects parsed in the
third. They share frozen data that is swapped in one step, and numbers; nothing else.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from time import monotonic
from typing import Any, Self, TypeVar

Result = TypeVar("Result")

SWITCH_S = 0.001
"""How long a thread may run before another that is ready gets its turn; Python's own is 5 ms."""
BEAT_S = 0.5
LATE_S = 5.0
"""Not ready: reviews have not had the processor for so long."""
HUNG_S = 30.0
"""Not alive: they will not have it again."""


def share_fairly() -> None:
    """Let the threads of this process take turns quickly."""
    sys.setswitchinterval(SWITCH_S)


class Beside:
    """A thread that runs an event loop. Use as a context manager."""

    def __init__(self, name: str, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._name, self._loop_factory = name, loop_factory
        self._begun: Future[asyncio.AbstractEventLoop] = Future()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    def __enter__(self) -> Self:
        """Start the thread and its loop."""
        self._thread.start()
        self._begun.result()
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what still runs there, and end the thread."""
        if self._stop is not None:
            self._begun.result().call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end in that loop."""
        there = asyncio.run_coroutine_threadsafe(work, self._begun.result())
        return await asyncio.wrap_future(there)

    async def keep(self, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a part there; to cancel it here cancels it there."""
        await self.run(part())

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        self._stop = asyncio.Event()
        self._begun.set_result(asyncio.get_running_loop())
        await self._stop.wait()


class Pulse:
    """Whether a loop still turns: it notes the time now and then, and others look at it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._beat_at_s = clock()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._beat_at_s = self._clock()
            await asyncio.sleep(BEAT_S)

    def trouble(self, limit_s: float) -> str:
        """Return why the loop cannot be trusted: it did not turn for so long. Any thread asks."""
        if self._clock() - self._beat_at_s <= limit_s:
            return ""
        return f"reviews have had no turn for {limit_s:g} s"
