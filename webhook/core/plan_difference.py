"""Two plans of one pod: what one of them gets otherwise than the other.

Plans are compared by what they do, not by how they are written: a container's variable or file is
the same when its text, the reads in it with their stores, and its rule are. The order of reads and
values, who is said to have set a key, deadlines and the pod's own texts do not count. Nor does
which names the pod itself sets: another webhook may have added to them since.
"""

from __future__ import annotations

from collections.abc import Iterator

from injector.core import budget
from injector.core.plan import NATIVE, Plan, Use

Item = tuple[str, str]
"""A container and what of it: `env NAME`, `file PATH`, `env-mode`; or "" and a store or a read."""

_Shape = tuple[object, ...]


def differences(found: Plan, wanted: Plan) -> list[Item]:
    """Return what the two plans do not do alike, in the order of their names; empty if nothing."""
    shapes: dict[_Shape, int] = {}
    unlike = set(_items(found, shapes)) ^ set(_items(wanted, shapes))
    return sorted({item for item, _ in unlike})


def _items(plan: Plan, shapes: dict[_Shape, int]) -> Iterator[tuple[Item, _Shape]]:
    numbers = _numbers(plan, shapes)
    yield ("", "namespace and ServiceAccount"), (plan.namespace, plan.service_account)
    # Also what no value uses: a store that is only entered is given a token.
    for store in plan.stores:
        yield ("", f"store {store.name}"), (store.document,)
    for read in plan.reads:
        budget.spend()
        yield ("", f"read of {plan.stores[read.store].name}"), (read.path, read.version)
    for part in plan.containers:
        budget.spend(1 + len(part.env) + len(part.files) + len(part.env_from))
        if part.has_variables:
            yield (part.name, "env-mode"), (part.env_mode == NATIVE,)
        for item in part.env:
            yield (part.name, f"env {item.name}"), (numbers[item.value],)
        for file in part.files:
            yield (part.name, f"file {file.path}"), (numbers[file.value], file.mode)
        # In their order, for of two the later one is stronger.
        for rank, each in enumerate(part.env_from):
            name = f"{each.prefix}{each.keys[0] if len(each.keys) == 1 else '*'}"
            shape = (rank, numbers[each.value], each.keys, each.prefix, each.rename, each.only)
            yield (part.name, f"env {name}"), (*shape, each.is_strict, each.is_pods)
    for rule in plan.rules:
        yield (
            ("", f"what policy {rule.policy} says of keys"),
            (rule.action, rule.deny, rule.final),
        )


def _numbers(plan: Plan, shapes: dict[_Shape, int]) -> list[int]:
    """Return a number for each value; two values have the same one when they are made alike.

    A value that uses another one has the other's number in its shape: nothing is written out, so
    thirty values that double each other are thirty shapes.
    """
    numbers: list[int] = []
    for value in plan.values:
        budget.spend(1 + len(value.parts))
        parts: list[object] = []
        for part in value.parts:
            if isinstance(part, str):
                parts.append(part)
                continue
            steps = tuple((step.name, *step.args) for step in part.filters)
            if isinstance(part, Use):
                parts.append((numbers[part.value], steps))
                continue
            read = plan.reads[part.read]
            store = plan.stores[read.store]
            parts.append((store.name, store.document, read.path, read.version, part.field, steps))
        rule = value.rule
        terms = rule and (rule.required, rule.default, rule.matches, rule.not_after)
        if terms == (True, None, None, None):
            terms = None
        shape = (tuple(parts), terms)
        numbers.append(shapes.setdefault(shape, len(shapes)))
    return numbers
