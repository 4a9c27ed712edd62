"""Whether a part of a pod is as we make it, after the API server and others have seen it.

The API server fills in defaults, leaves out empty lists and writes quantities its own way. So parts
are compared by what they mean: `100m` is `0.1`, and a field that says nothing is no field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from injector.core import budget
from webhook.core import quantity

_LEAST = "sizeLimit"
"""A quantity that may be larger than the one that we write."""


def is_as_made(there: object, wanted: object) -> bool:
    """Say whether a part is the wanted one: nothing of it lacks, and nothing was added to it."""
    return _is_like(there, wanted, may_have_more=False)


def covers(there: object, wanted: object) -> bool:
    """Say whether a part holds all that is wanted; fields that others added do not count."""
    return _is_like(there, wanted, may_have_more=True)


def says_nothing(value: object) -> bool:
    """Say whether a field with this value is as good as none; a number always says something."""
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)


def _is_like(there: object, wanted: object, *, may_have_more: bool) -> bool:
    budget.spend()
    if there == wanted:
        return True
    if isinstance(wanted, Mapping):
        if not isinstance(there, Mapping):
            return not wanted and says_nothing(there)
        more = there.keys() - wanted.keys()
        return (may_have_more or all(says_nothing(there[name]) for name in more)) and all(
            _is_field_like(name, there.get(name), value, may_have_more=may_have_more)
            for name, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not wanted:
            return not there
        return (
            isinstance(there, Sequence)
            and not isinstance(there, str)
            and len(there) == len(wanted)
            and all(
                _is_like(one, other, may_have_more=may_have_more)
                for one, other in zip(there, wanted, strict=True)
            )
        )
    return False


def _is_field_like(name: str, there: object, wanted: object, *, may_have_more: bool) -> bool:
    if name == _LEAST:
        found, least = quantity.parse(there), quantity.parse(wanted)
        return there == wanted or (found is not None and least is not None and found >= least)
    return _is_like(there, wanted, may_have_more=may_have_more)
