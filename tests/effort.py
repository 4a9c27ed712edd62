"""What work costs, and how the cost grows: CPU time of the thread, the least of several runs."""

from __future__ import annotations

import gc
import signal
import time

MEASURABLE_S = 0.005
"""Less cannot be told from noise; work that is quadratic takes longer at `SIZES[-1]`."""
SIZES = (16, 32, 64, 256, 1024, 4096, 65_536)
MAX_RATIO = 3.0
"""How much more twice as much may cost: 2 when linear, 4 when quadratic."""
GIVEN_UP_S = 3


class Endless(Exception):
    """The work did not end."""


def cpu_s(work, *, runs=5):
    """Return the least CPU time of some runs, in seconds."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return min(_once_s(work) for _ in range(runs))
    finally:
        if was_enabled:
            gc.enable()


def excess(work, make):
    """Return a sentence when work on `make(n)` grows faster than linearly, else None.

    Sizes go up until one costs as much as can be measured, or to the largest: what is quadratic
    costs more than that there, even if it only copies. The size is then compared with its half;
    a ratio that is too high is measured again with the least of five runs, at this size and the
    next, so that a busy machine fails nobody.
    """
    for size in SIZES:
        made = make(size)
        cost_s = cpu_s(lambda made=made: work(made), runs=1)
        if cost_s >= MEASURABLE_S:
            break
    else:
        return None
    half = make(size // 2)
    if cost_s < MAX_RATIO * cpu_s(lambda: work(half), runs=1):
        return None
    for times in (1, 2):
        once, twice = make(size * times), make(size * times * 2)
        low_s = cpu_s(lambda once=once: work(once))
        high_s = cpu_s(lambda twice=twice: work(twice))
        if high_s < MAX_RATIO * max(low_s, MEASURABLE_S):
            return None
    return f"{size * 2} characters cost {low_s:.3f} s, twice as many {high_s / low_s:.1f} times"


def _once_s(work):
    # The clock of the process is coarse while a timer of it runs.
    previous = signal.signal(signal.SIGPROF, _give_up)
    signal.setitimer(signal.ITIMER_PROF, GIVEN_UP_S)
    try:
        begun = time.thread_time()
        work()
        return time.thread_time() - begun
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def _give_up(number, frame):
    raise Endless
