"""Feeding bytes to an entry point, within a bound of steps that grows with their number alone."""

from __future__ import annotations

from injector.core import budget
from tests.entry_points import ENTRY_POINTS
from tests.fuzz.targets import TARGETS

FREE_STEPS = 20_000
"""What any input may cost: an object has as many defaults and checks as ours have."""
STEPS_A_BYTE = 64


def feeder(target):
    """Return the function that reads one input of a target."""

    def feed(data: bytes) -> None:
        names = TARGETS[target]
        name = names[data[0] % len(names)] if data else names[0]
        text = data[1:].decode("utf-8", "replace")
        with budget.limited(FREE_STEPS + STEPS_A_BYTE * len(data)) as meter:
            ENTRY_POINTS[name].read(text)
        if meter.is_exceeded:
            raise AssertionError(f"{name}: {len(data)} bytes took more steps than they may")

    return feed
