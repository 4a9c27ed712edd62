"""YAML of files that people name: its depth is checked before anything is built of it.

libyaml's composer recurses in C without a limit: 100 000 times "- " would end the process.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_DEPTH = 100
MAX_DIRECTIVES = 8

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader, in C where there is one."""


class TooDeep(yaml.YAMLError):
    """The text nests deeper than any file of people does."""


def check(text: str) -> None:
    """Raise TooDeep, or another YAMLError, for what is not to be composed."""
    if text.count("\n%") > MAX_DIRECTIVES:  # libyaml compares each directive with all before it
        raise TooDeep("more than a few directives")
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise TooDeep(f"nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def load(text: str) -> Any:
    """Return the one document of a text; raises YAMLError."""
    check(text)
    return yaml.load(text, Loader=LOADER)  # noqa: S506 (the safe loader)
