"""Secrets and keys by name, with the nearest one offered when there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from injector.core import errors
from injector.core.errors import FetchFailed, Problem
from injector.writers import Data, Held


def there(found: Held | None, name: str, names: Callable[[str], Sequence[str]]) -> Held:
    """Return what is found; raises FetchFailed with the nearest name when nothing is."""
    if found is not None:
        return found
    try:
        hint = errors.did_you_mean(name, names(folder_of(name)))
    except FetchFailed:  # who may read one may not always list them all
        hint = ""
    problem = Problem(code=errors.MISSING, what="no such secret", source=name, hint=hint)
    raise FetchFailed([problem])


def folder_of(name: str) -> str:
    """Return the folder that the name is in; empty for one that is in none."""
    folder, slash, _ = name.rpartition("/")
    return folder + slash


def picked(found: Data, name: str, key: str) -> str | bytes:
    """Return the value of the key; raises FetchFailed."""
    if key in found:
        return found[key]
    what = f"no such key; keys there: {', '.join(sorted(found)) or 'none'}"
    hint = errors.did_you_mean(key, found)
    raise FetchFailed([Problem(code=errors.MISSING, what=what, source=f"{name}#{key}", hint=hint)])
