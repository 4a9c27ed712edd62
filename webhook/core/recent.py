"""The snapshots of a moment ago: what another replica, or we, may have decided with.

Between the decision about a pod and the look at its final state lie milliseconds, or the seconds
that a slow webhook takes; the catalog may change in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from webhook.core.catalog import Catalog
from webhook.core.memo import Memo

KEPT_S = 60.0
"""How long a snapshot counts after another one has replaced it; reviews take at most 30 s each."""
MAX_KEPT = 8
"""A snapshot shares what it has not changed with the next; a list of 10,000 takes a megabyte."""
EXACT = 4
"""So many of the last ones are all kept; among the older ones, those that lie closest go."""


class Recent:
    """Snapshots that were replaced. Written by whoever follows the cluster, read from anywhere."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Remember nothing yet; the clock counts seconds."""
        self._clock = clock
        self._past: tuple[tuple[float, Catalog], ...] = ()

    def replaced(self, catalog: Catalog) -> None:
        """Remember a snapshot that another one replaces now."""
        # What it remembers of its decisions would keep far more alive than it takes itself.
        bare = replace(catalog, memo={}, decisions=Memo())
        now_s = self._clock()
        past = [(at_s, old) for at_s, old in self._past if now_s - at_s <= KEPT_S]
        past.append((now_s, bare))
        if len(past) > MAX_KEPT:
            older = range(1, len(past) - EXACT)
            del past[min(older, key=lambda at: past[at][0] - past[at - 1][0])]
        self._past = tuple(past)

    def before(self) -> tuple[Catalog, ...]:
        """Return the snapshots that still count, newest first."""
        now_s = self._clock()
        return tuple(old for at_s, old in reversed(self._past) if now_s - at_s <= KEPT_S)
