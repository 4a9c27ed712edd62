"""Patterns of policies: `*` within a name or a segment, `**` for whole segments of a path.

Matched by going back to the last star only, so the work is bounded by pattern times text whatever
either of them holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import eq

from injector.core import budget


def name_matches(name: str, pattern: str) -> bool:
    """Say whether the name matches: `*` is any run of characters, also none."""
    return _matches(name, pattern, "*", eq)


def any_matches(name: str, patterns: Sequence[str]) -> bool:
    """Say whether one of the patterns matches the name."""
    budget.spend(1 + len(patterns) // 4)
    return any(name_matches(name, pattern) for pattern in patterns)


def path_matches(path: str, pattern: str, variables: Mapping[str, str]) -> bool:
    """Say whether the path matches: `*` stays in one segment, `**` is any number of segments.

    `{variable}` stands for its value, literally; at the end `**` is at least one segment.
    """
    segments = [_filled(segment, variables) for segment in pattern.split("/")]
    found = path.split("/")
    if segments[-1] == "**":
        segments[-1:] = ["**", "*"]
    return _matches(found, segments, "**", name_matches)


def _filled(segment: str, variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        segment = segment.replace("{" + name + "}", value)
    return segment


def _matches(
    items: Sequence[str],
    pattern: Sequence[str],
    star: str,
    is_same: Callable[[str, str], bool],
) -> bool:
    at = in_pattern = 0
    after_star = restart = -1
    while at < len(items):
        if in_pattern < len(pattern) and pattern[in_pattern] == star:
            in_pattern += 1
            after_star, restart = in_pattern, at
        elif in_pattern < len(pattern) and is_same(items[at], pattern[in_pattern]):
            at += 1
            in_pattern += 1
        elif after_star >= 0:
            budget.spend(1 + (at - restart) // 16)
            restart += 1
            at, in_pattern = restart, after_star
        else:
            return False
    return all(rest == star for rest in pattern[in_pattern:])
