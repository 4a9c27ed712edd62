"""What work costs: CPU time of this process, the least of several runs."""

from __future__ import annotations

import gc
import time


def cpu_s(work, *, runs=5):
    """Return the least CPU time of some runs, in seconds."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return min(_once_s(work) for _ in range(runs))
    finally:
        if was_enabled:
            gc.enable()


def _once_s(work):
    begun = time.process_time()
    work()
    return time.process_time() - begun
