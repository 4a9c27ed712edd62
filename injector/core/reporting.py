"""From causes to problems: one cause is told once, with everything that waits for it.

A store that is down fails twenty reads for forty variables; that is one problem, not forty.
"""

from __future__ import annotations

from collections.abc import Iterable

from injector.core import errors
from injector.core.errors import Code, Problem
from injector.core.plan import Pick, Plan
from injector.core.record import Record, replace

PASSING = (errors.DOWN, errors.DEADLINE, errors.THROTTLED)
"""What a later try may well not meet again."""

SHOWN = 4
"""How many places, targets or origins one problem names; the rest is a number."""


def with_next_step(problems: Iterable[Problem], step: str, *, network: str = "") -> list[Problem]:
    """Return the problems, those that pass in time with what happens next in front of their hints.

    `network` is said of what was not reached at all.
    """
    told = []
    for problem in problems:
        if problem.code in PASSING:
            hint = f"{step}; {problem.hint or problem.code.advice}"
            if network and problem.code is not errors.THROTTLED:
                hint += f"; {network}"
            problem = replace(problem, hint=hint)  # noqa: PLW2901
        told.append(problem)
    return told


class Cause(Record):
    """Why a value cannot be had; `is_of_read` if the whole read failed, whatever was picked."""

    code: Code
    what: str
    hint: str = ""
    identity: str = ""
    origin: str = ""
    key: str = ""
    pick: Pick | None = None
    is_of_read: bool = False


class Report:
    """Collects causes with the variables and files that wait for them."""

    def __init__(self, p: Plan) -> None:
        """Start empty; the plan turns picks into places."""
        self._plan = p
        self._groups: dict[tuple[object, ...], tuple[list[Cause], dict[str, list[str]]]] = {}

    def add(self, causes: Iterable[Cause], *, target: str, container: str) -> None:
        """Add what keeps a target of a container from its value."""
        for cause in causes:
            seen, targets = self._groups.setdefault(self._group(cause), ([], {}))
            if cause not in seen:
                seen.append(cause)
            containers = targets.setdefault(target, [])
            if container not in containers:
                containers.append(container)

    def problems(self) -> tuple[Problem, ...]:
        """Return one problem per group, in the order they were met."""
        is_one_container = len(self._plan.containers) == 1
        found = []
        for causes, targets in self._groups.values():
            first = causes[0]
            waiting = [
                target if is_one_container else f"{target} in {' and '.join(containers)}"
                for target, containers in targets.items()
            ]
            found.append(
                Problem(
                    code=first.code,
                    what=first.what,
                    source=self._source(causes),
                    target=some(waiting),
                    origin=some(cause.origin for cause in causes),
                    identity=first.identity,
                    hint=first.hint,
                )
            )
        return tuple(found)

    def _group(self, cause: Cause) -> tuple[object, ...]:
        if cause.pick is None:
            where: tuple[object, ...] = (cause.origin, cause.key)
        elif cause.is_of_read:
            where = (self._plan.reads[cause.pick.read].store,)
        else:
            where = (cause.pick.read, cause.pick.field)
        return (cause.code.id, cause.what, cause.hint, cause.identity, *where)

    def _source(self, causes: list[Cause]) -> str:
        picks = [cause.pick for cause in causes if cause.pick is not None]
        places = list(dict.fromkeys(self._plan.where(pick) for pick in picks))
        if len(places) > 1:  # several fields of one read, or several reads: the paths say enough
            places = [self._plan.where(Pick(read=pick.read)) for pick in picks]
        if not places:
            return ""
        store = places[0].partition(" ")[0]
        return f"{store} {some(place.removeprefix(store + ' ') for place in places)}"


def some(texts: Iterable[str], *, shown: int = SHOWN) -> str:
    """Return the texts in a row, each once: so many of them and the number of the others."""
    each = list(dict.fromkeys(text for text in texts if text))
    more = f" and {len(each) - shown} more" if len(each) > shown else ""
    return ", ".join(each[:shown]) + more
