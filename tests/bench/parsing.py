"""Reading 64 KiB of the worst that each parser can be given: CPU time of this process."""

from __future__ import annotations

from itertools import product

from tests.bench.figure import Figure
from tests.effort import cpu_s
from tests.entry_points import ENTRY_POINTS

SIZE = 64 * 1024
TARGET_MS = 50
COMPARED = 3
"""How many of the dearest inputs are measured again, with the least of five runs."""
# One call reads the text once for each of these: five providers' answers, as many definitions.
TIMES = {"answer": 6 * 9, "store": 27, "globs": 16, "filters": 7, "pod": 6, "policy": 14, "path": 4}


def run():
    """Return a figure for each entry point: the dearest of its runs, for one reading of 64 KiB."""
    return [_figure(name) for name in ENTRY_POINTS]


def _figure(name):
    point = ENTRY_POINTS[name]
    pairs = [a + b for a, b in product(point.signs, point.signs)]
    costs = []
    for opening, piece in product(point.openings, pairs):
        text = opening + piece * (SIZE // 2)
        text = text[:SIZE]
        costs.append((cpu_s(lambda text=text: point.read(text), runs=1), text))
    costs.sort(key=lambda cost: cost[0], reverse=True)
    worst_s = max(cpu_s(lambda text=text: point.read(text)) for _, text in costs[:COMPARED])
    value = worst_s * 1000 / TIMES.get(name, 1)
    return Figure(name=f"64 KiB, {name}", value=value, unit="ms CPU", at_most=TARGET_MS)
