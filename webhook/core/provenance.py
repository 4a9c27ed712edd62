"""Where every variable and file of a pod comes from, as data: what `explain` shows.

Nothing here is a value; expressions, paths and objects are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from injector.core.plan import Pick, Plan, Use
from injector.core.reference import format_value
from webhook.core import foreign
from webhook.core.definitions import FileDef, FromDef, KeyDef
from webhook.core.resolve import Resolution, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One place where a key is written: the object, the field in it, the text there."""

    origin: str
    place: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one variable or file of a container is made of.

    `written` is the definition that won, `via` the other keys it is made from, `reads` the places
    of stores that are read for it, `foreign` those of them that an expression of another namespace
    reads with the pod's identity, `overrode` what it won over, strongest first.
    """

    container: str
    target: str
    written: Written
    via: tuple[Written, ...]
    reads: tuple[str, ...]
    overrode: tuple[Written, ...]
    foreign: tuple[str, ...] = ()


def accounts(plan: Plan, resolution: Resolution) -> tuple[Account, ...]:
    """Return the account of every variable and file, in the order of the traces."""
    return tuple(_account(plan, trace, resolution) for trace in resolution.traces)


def _account(plan: Plan, trace: Trace, resolution: Resolution) -> Account:
    indexes = list(dict.fromkeys(_below(plan, trace.value)))
    picks = [
        part for index in indexes for part in plan.values[index].parts if isinstance(part, Pick)
    ]
    via = [
        Written(origin=plan.values[i].origin, place=plan.values[i].key, text="")
        for i in indexes
        if i != trace.value and plan.values[i].key != trace.key.name
    ]
    return Account(
        container=trace.container,
        target=trace.target,
        written=written(trace.key),
        via=tuple(dict.fromkeys(via)),
        reads=tuple(dict.fromkeys(plan.where(pick) for pick in picks)),
        overrode=tuple(written(key) for key in trace.overrode),
        foreign=tuple(
            foreign.sentence(each)
            for each in foreign.reads(plan, resolution)
            if each.value in indexes
        ),
    )


def _below(plan: Plan, index: int) -> Iterator[int]:
    seen = set()
    todo = [index]
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        yield at
        todo += [part.value for part in plan.values[at].parts if isinstance(part, Use)]


def written(key: KeyDef | FileDef | FromDef) -> Written:
    """Return where a key is written; of keys taken by pattern, which ones and under what names."""
    text = format_value(key.value)
    if isinstance(key, FromDef):
        renamed = "".join(f", {old} as {key.prefix}{new}" for old, new in key.rename)
        text = f"keys {', '.join(key.keys)} of {text}{renamed}; each name that is set wins over it"
    return Written(origin=key.origin, place=key.place, text=text)
