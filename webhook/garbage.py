"""When reference cycles are looked for: now and then, between long decisions.

Python's collector starts by itself, and stops every thread while it looks at all that a decision
under way holds: with hundreds of thousands of objects for 50 to 120 ms, again and again. Nearly
everything is freed without it, by counting references; what is left are cycles, such as those of
errors and closed connections.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

EVERY_S = 1.0
"""How long a cycle waits: a second's worth of them is little."""
ALL_EVERY = 60
"""Every so many rounds the old objects are looked at as well."""
_YOUNG, _ALL = 1, 2

Between = Callable[[Callable[[], object]], Awaitable[object]]
"""Calls when no long decision is under way."""


@contextmanager
def in_rounds() -> Iterator[None]:
    """Keep the collector from starting by itself, inside."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


async def run(between: Between, *, every_s: float = EVERY_S, all_every: int = ALL_EVERY) -> None:
    """Collect in rounds until cancelled."""
    number = 0
    while True:
        await asyncio.sleep(every_s)
        number += 1
        generation = _YOUNG if number % all_every else _ALL
        await between(partial(gc.collect, generation))
