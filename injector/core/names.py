"""Names against patterns in which `*` is any run of characters, also none."""

from __future__ import annotations

from collections.abc import Sequence


def name_matches(name: str, pattern: str) -> bool:
    """Say whether the name matches; one pass over the pieces of the pattern between its stars."""
    head, *pieces = pattern.split("*")
    if not pieces:
        return name == pattern
    tail = pieces.pop()
    at, end = len(head), len(name) - len(tail)
    if at > end or not name.startswith(head) or not name.endswith(tail):
        return False
    for piece in pieces:  # where a piece first fits, nothing that fits behind it is lost
        at = name.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def any_of(name: str, patterns: Sequence[str]) -> bool:
    """Say whether one of the patterns matches the name."""
    return any(name_matches(name, pattern) for pattern in patterns)
