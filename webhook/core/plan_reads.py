"""What a finished plan reads, as usages: each variable and file with each place it comes from."""

from __future__ import annotations

from collections.abc import Iterator

from injector.core.plan import Pick, Plan
from webhook.core.usage import STORE, Usage


def places(plan: Plan, by: str) -> Iterator[Usage]:
    """Yield what the plan of a pod reads; `by` names the pod."""
    for value in plan.values:
        for part in value.parts:
            if isinstance(part, Pick):
                read = plan.reads[part.read]
                store = plan.stores[read.store].name
                place = f"{value.key} of {value.origin}"
                yield Usage(
                    by=by, place=place, kind=STORE, target=store, key=part.field, path=read.path
                )
