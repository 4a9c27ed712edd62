"""The work that one decision, or one object of the cluster, may cost, counted in steps.

Steps are counted where the work is done, so that the count is the same on every machine and in
every run; a clock would make a decision depend on what else the machine does. One step is the work
of looking at one entry or at a few hundred characters, roughly a microsecond.

Loops over text or lists from outside call `spend`. Nothing is counted where nobody set a limit:
in the pod, on a person's machine.
"""

from __future__ import annotations

from contextvars import ContextVar

from injector.core import errors
from injector.core.errors import Problem, Refused


class OverBudget(Refused):
    """The work exceeds its budget: the input is refused, and would be refused again."""


class Meter:
    """What is left of a limit. Once it is exceeded it stays exceeded, whoever caught the error."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        """Allow so many steps."""
        self.left = steps

    @property
    def is_exceeded(self) -> bool:
        """Say whether more was spent than allowed: what was worked out since is not to be used."""
        return self.left < 0


_METER: ContextVar[Meter | None] = ContextVar("steps left", default=None)


class limited:  # noqa: N801  # used like a function; a generator takes three times as long
    """Allow this many steps inside; a limit inside a limit counts on its own."""

    __slots__ = ("_meter", "_token")

    def __init__(self, steps: int) -> None:
        self._meter = Meter(steps)

    def __enter__(self) -> Meter:
        """Begin to count."""
        self._token = _METER.set(self._meter)
        return self._meter

    def __exit__(self, *_: object) -> None:
        """Go on counting for the limit outside."""
        _METER.reset(self._token)


def spend(steps: int = 1) -> None:
    """Count steps; raises OverBudget when the limit that is set around the call is exceeded."""
    meter = _METER.get()
    if meter is None:
        return
    meter.left -= steps
    if meter.left < 0:
        raise over()


def foresee(steps: int) -> None:
    """Refuse at once what will take at least so many steps, when fewer are left; spends none."""
    meter = _METER.get()
    if meter is not None and meter.left < steps:
        meter.left = -1
        raise over()


def over() -> OverBudget:
    """Return the error of a limit that was exceeded."""
    what = "the work that this input takes exceeds the budget"
    return OverBudget([Problem(code=errors.WORK, what=what)])
