"""The work that one decision, or one object of the cluster, may cost, counted in steps.

Steps are counted where the work is done, so that the count is the same on every machine and in
every run; a clock would make a decision depend on what else the machine does. One step is the work
of looking at one entry or at a few hundred characters, roughly a microsecond.

Loops over text or lists from outside call `spend`. Nothing is counted where nobody set a limit:
in the pod, on a person's machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from injector.core import errors
from injector.core.errors import Problem, Refused

_LEFT: ContextVar[list[int] | None] = ContextVar("steps left", default=None)


class OverBudget(Refused):
    """The work exceeds its budget: the input is refused, and would be refused again."""


@contextmanager
def limited(steps: int) -> Iterator[None]:
    """Allow this many steps inside; a limit inside a limit counts on its own."""
    token = _LEFT.set([steps])
    try:
        yield
    finally:
        _LEFT.reset(token)


def spend(steps: int = 1) -> None:
    """Count steps; raises OverBudget when the limit that is set around the call is exceeded."""
    left = _LEFT.get()
    if left is None:
        return
    left[0] -= steps
    if left[0] < 0:
        what = "the work that this input takes exceeds the budget"
        raise OverBudget([Problem(code=errors.WORK, what=what)])
