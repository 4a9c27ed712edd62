"""Which values of a plan may be nothing at all, so that their variables may be absent.

The webhook marks the native variables of these as optional, and the fetcher leaves them out when
they turn out empty: both look at the plan alone, so they agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from injector.core.plan import Pick, PlanValue, Use


def of_values(values: Sequence[PlanValue]) -> tuple[bool, ...]:
    """Return for each value whether its owner allows that there is nothing.

    So it is with `required: false`, with an empty default, and where every part may be nothing:
    one with the filter `default("")`, or another key of which the same is true.
    """
    found: list[bool] = []
    for value in values:
        found.append(_may_be_absent(value, found))
    return tuple(found)


def _may_be_absent(value: PlanValue, earlier: Sequence[bool]) -> bool:
    rule = value.rule
    if rule is not None:
        if rule.required:
            return False
        if rule.default == "" or (rule.required is False and rule.default is None):
            return True
    return bool(value.parts) and all(_may_be_nothing(part, earlier) for part in value.parts)


def _may_be_nothing(part: str | Pick | Use, earlier: Sequence[bool]) -> bool:
    if isinstance(part, str):
        return not part
    if any(step.name == "default" and step.args == ("",) for step in part.filters):
        return True
    return isinstance(part, Use) and earlier[part.value]
