"""Patterns of policies: `*` within a name or a segment, `**` for whole segments of a path.

A name is matched in one pass over its pieces between stars (`names`); a path by going back to the
last `**` only, so the work is bounded by pattern times path, both of them limited, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from injector.core import budget
from injector.core.names import any_of, name_matches

__all__ = ["any_matches", "name_matches", "path_matches"]


def any_matches(name: str, patterns: Sequence[str]) -> bool:
    """Say whether one of the patterns matches the name."""
    budget.spend(1 + len(patterns) // 4)
    return any_of(name, patterns)


def path_matches(path: str, pattern: str, variables: Mapping[str, str]) -> bool:
    """Say whether the path matches: `*` stays in one segment, `**` is any number of segments.

    `{variable}` stands for its value, literally; at the end `**` is at least one segment.
    """
    segments = [_filled(segment, variables) for segment in pattern.split("/")]
    found = path.split("/")
    if segments[-1] == "**":
        segments[-1:] = ["**", "*"]
    return _matches(found, segments)


def _filled(segment: str, variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        segment = segment.replace("{" + name + "}", value)
    return segment


def _matches(items: Sequence[str], pattern: Sequence[str]) -> bool:
    at = in_pattern = 0
    after_star = restart = -1
    while at < len(items):
        budget.spend()
        if in_pattern < len(pattern) and pattern[in_pattern] == "**":
            in_pattern += 1
            after_star, restart = in_pattern, at
        elif in_pattern < len(pattern) and name_matches(items[at], pattern[in_pattern]):
            at += 1
            in_pattern += 1
        elif after_star >= 0:
            budget.spend(1 + (at - restart) // 16)
            restart += 1
            at, in_pattern = restart, after_star
        else:
            return False
    return all(rest == "**" for rest in pattern[in_pattern:])
