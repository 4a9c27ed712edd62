"""Who enters a store leaves it: logins are closed once the outcome of the run is known.

A login is closed after its values were handed over, or after the run failed. Whether leases that it
brought stay depends on that: leases of values that nobody got are only in the store's way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE_S = 1.0
"""How long all of it may take; a login that is not closed by then ends by itself."""

Leave = Callable[[bool], None]
"""Closes one login; its argument says whether the run's values are lost. Raises nothing."""


class Leaving:
    """The logins of one run: any thread may `add` one, the run calls `leave` once."""

    def __init__(self) -> None:
        """Nothing is entered yet."""
        self._open: list[Leave] = []
        self._has_left = False
        self._lock = threading.Lock()

    def add(self, leave: Leave) -> None:
        """Call it when the run leaves; now, as of a run that is lost, if it has left already."""
        with self._lock:
            if not self._has_left:
                self._open.append(leave)
                return
        leave(True)  # noqa: FBT003 (a callback takes no keywords)

    def leave(self, *, is_lost: bool) -> None:
        """Close all logins at a time; return after `PATIENCE_S` whatever is left."""
        with self._lock:
            waiting, self._open, self._has_left = self._open, [], True
        threads = [threading.Thread(target=each, args=(is_lost,), daemon=True) for each in waiting]
        until_s = time.monotonic() + PATIENCE_S
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until_s - time.monotonic()))
