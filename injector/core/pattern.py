r"""Patterns that a key's owner may set (`matches`): a small language that cannot run away.

Python's `re` backtracks: some patterns need longer than the age of the universe for a short value,
and telling them from the harmless ones is guesswork. So this is a language of its own; its matcher
does work bounded by (characters of the value) x (states of the pattern), both of them limited:

    literals   .   [a-z]  [^a-z]   \d \w \s \D \W \S \n \t \r   \.   ( )  (?: )   |
    *  +  ?  {n}  {n,}  {n,m}   ^ at the start   $ at the end

It means what the same text means elsewhere, with classes in ASCII: a pattern may fit anywhere in
the value unless `^` and `$` tie it to the ends. There are no back-references and no look-around.
The webhook compiles a pattern to judge it; `render` matches.
"""

from __future__ import annotations

from collections.abc import Iterable

from injector.core.pattern_syntax import Chars, Choice, Node, PatternError, Repeat, Sequence, read

__all__ = ["MAX_VALUE", "Pattern", "PatternError"]

MAX_TEXT = 1024
MAX_STATES = 1000
MAX_VALUE = 4096
"""The longest value, in characters, that is matched at all."""

_MAX_STEPS = 10_000


class Pattern:
    """A compiled pattern: states with edges; state 0 is the goal."""

    def __init__(self, text: str) -> None:
        """Compile the text; raises PatternError."""
        if len(text) > MAX_TEXT:
            raise PatternError(f"the pattern is longer than {MAX_TEXT} characters", MAX_TEXT)
        self._tests: list[Chars | None] = [None]
        self._edges: list[tuple[int, ...]] = [()]
        self._steps = 0
        self._start = self._closed([self._build(read(text), 0)])

    def matches(self, value: str) -> bool:
        """Say whether the pattern fits a value of at most `MAX_VALUE` characters."""
        if len(value) > MAX_VALUE:
            return False
        known: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        states = self._start
        for char in value:
            key = (states, char)
            if key not in known:
                known[key] = self._closed(
                    self._edges[state][0]
                    for state in states
                    if (test := self._tests[state]) is not None and test.has(char)
                )
            states = known[key]
            if not states:
                return False
        return 0 in states

    def _closed(self, states: Iterable[int]) -> frozenset[int]:
        """Return the states and all that can be reached from them without a character."""
        found: set[int] = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state not in found:
                found.add(state)
                if self._tests[state] is None:
                    waiting.extend(self._edges[state])
        return frozenset(found)

    def _add(self, test: Chars | None, edges: tuple[int, ...]) -> int:
        if len(self._tests) >= MAX_STATES:
            raise PatternError("the pattern is too large", 0)
        self._tests.append(test)
        self._edges.append(edges)
        return len(self._tests) - 1

    def _build(self, node: Node, goal: int) -> int:
        """Add the states of the node in front of the goal; return the one to start in."""
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise PatternError("the pattern is too large", 0)
        match node:
            case Chars():
                return self._add(node, (goal,))
            case Sequence(nodes=nodes):
                for part in reversed(nodes):
                    goal = self._build(part, goal)
                return goal
            case Choice(nodes=nodes):
                return self._add(None, tuple(self._build(part, goal) for part in nodes))
            case Repeat(node=inner, least=least, most=most):
                end = goal
                if most is None:
                    goal = self._add(None, ())
                    self._edges[goal] = (self._build(inner, goal), end)
                else:
                    for _ in range(most - least):
                        goal = self._add(None, (self._build(inner, goal), end))
                for _ in range(least):
                    goal = self._build(inner, goal)
                return goal
