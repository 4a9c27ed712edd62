"""What expressions of other namespaces read with the pod's identity: told to everybody concerned.

Such a read passed every rule, and still hands a value of the pod's store to what somebody else
wrote. So the person who creates the pod gets a warning, `explain` a line, the log and the API
server's audit event a fact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from injector.core import errors
from injector.core.errors import Problem
from injector.core.plan import Pick, Plan
from injector.core.reporting import some
from webhook.core.catalog import Key
from webhook.core.resolution import Resolution

MAX_WARNINGS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRead:
    """One read of a plan and the services of other namespaces whose expressions use it.

    `value` is the index of the plan's value that reads; `key` and `origin` say where it is written.
    """

    value: int
    store: str
    place: str
    key: str
    origin: str
    services: tuple[Key, ...]


def reads(plan: Plan, resolution: Resolution) -> Iterator[ForeignRead]:
    """Yield every read that an expression of another namespace makes, in the plan's order."""
    for index, (value, author) in enumerate(zip(plan.values, resolution.authors, strict=True)):
        picks = [part for part in value.parts if isinstance(part, Pick)] if author.foreign else []
        for pick in picks:
            yield ForeignRead(
                value=index,
                store=plan.stores[plan.reads[pick.read].store].name,
                place=plan.where(pick),
                key=value.key,
                origin=value.origin,
                services=author.foreign,
            )


def sentence(found: ForeignRead) -> str:
    """Return the read as a sentence that `explain` shows."""
    return f"a foreign expression reads your store: {found.place}, for {_names(found)}"


def warnings(plan: Plan, resolution: Resolution) -> tuple[Problem, ...]:
    """Return a warning for each store and writer: a person reads a few, not hundreds."""
    groups: dict[tuple[str, tuple[Key, ...]], list[ForeignRead]] = {}
    for found in reads(plan, resolution):
        groups.setdefault((found.store, found.services), []).append(found)
    problems = [
        Problem(
            code=errors.FOREIGN,
            what=f"a foreign expression reads your store, written by {_names(each[0])}",
            source=f"{store} {some(f.place.removeprefix(store + ' ') for f in each)}",
            target=some(f.key for f in each),
        )
        for (store, _), each in groups.items()
    ]
    if len(problems) > MAX_WARNINGS:
        what = f"foreign expressions read your stores in {len(problems) - MAX_WARNINGS} more ways"
        problems[MAX_WARNINGS:] = [Problem(code=errors.FOREIGN, what=what)]
    return tuple(problems)


def facts(plan: Plan, resolution: Resolution) -> tuple[str, ...]:
    """Return who reads which store, each once: what the log and the audit event say."""
    return tuple(
        dict.fromkeys(f"{_names(found)} reads {found.store}" for found in reads(plan, resolution))
    )


def _names(found: ForeignRead) -> str:
    return " and ".join(f"{namespace}/{name}" for namespace, name in found.services)
