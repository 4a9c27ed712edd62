"""Values that fields of several definitions have: truth as annotations write it, and references."""

from __future__ import annotations

from injector.core import errors, grammar
from injector.core.errors import Problem
from injector.core.fields import Fields
from injector.core.reference import Reference


def boolean(fields: Fields, name: str) -> bool | None:
    """Take a field that is true, false or not there; anything else is a problem."""
    found = fields.take(name)
    if isinstance(found, bool) or found is None:
        return found
    if found in ("true", "false"):  # an annotation's YAML keeps texts
        return found == "true"
    fields.problem(name, "must be true or false")
    return None


def reference(fields: Fields, name: str, text: str) -> Reference | None:
    """Return the reference that the text of a field is; None with its slips as problems."""
    try:
        return grammar.parse_reference(text)
    except grammar.GrammarError as error:
        for slip in error.slips:
            fields.problems.append(
                Problem(
                    code=errors.REFERENCE,
                    what=slip.what,
                    source=f"{fields.place}.{name} column {slip.column}",
                    origin=fields.origin,
                    hint=slip.hint,
                )
            )
        return None
