"""Deadlines: the one clock that everything in a run shares; no jump of the date counts."""

from __future__ import annotations

import time

from injector.core.record import Record


class Deadline(Record):
    """A point on the monotonic clock, in seconds."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline so many seconds from now."""
        return cls(at_s=time.monotonic() + seconds)

    def left_s(self) -> float:
        """Return the seconds left; zero or less when it has passed."""
        return self.at_s - time.monotonic()

    def bound_s(self, limit_s: float) -> float:
        """Return what one step may take: the limit or the rest, never less than a millisecond."""
        return max(0.001, min(limit_s, self.left_s()))
