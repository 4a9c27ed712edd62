r"""Patterns that a key's owner may set (`matches`): a small language that cannot run away.

Python's `re` backtracks: some patterns need longer than the age of the universe for a short value,
and telling them from the harmless ones is guesswork. So this is a language of its own; its matcher
does work bounded by (characters of the value) x (states of the pattern), both of them limited:

    literals   .   [a-z]  [^a-z]   \d \w \s \D \W \S \n \t \r   \.   ( )  (?: )   |
    *  +  ?  {n}  {n,}  {n,m}   ^ at the start   $ at the end

It means what the same text means elsewhere, with classes in ASCII: a pattern may fit anywhere in
the value unless `^` and `$` tie it to the ends. There are no back-references and no look-around.
The webhook checks a pattern, which costs no more than its length; `render` compiles and matches.
"""

from __future__ import annotations

from collections.abc import Iterable

from injector.core import budget
from injector.core.pattern_syntax import Chars, Choice, Node, PatternError, Repeat, Sequence, read

__all__ = ["MAX_VALUE", "Pattern", "PatternError", "check"]

MAX_TEXT = 1024
MAX_STATES = 1000
MAX_VALUE = 4096
"""The longest value, in characters, that is matched at all."""

_MAX_STEPS = 10_000


def check(text: str) -> Node:
    """Return the tree of a pattern that can be compiled; raises PatternError.

    What compiling it takes is worked out by multiplication: `a{1000}` is read, and not built.
    """
    if len(text) > MAX_TEXT:
        raise PatternError(f"the pattern is longer than {MAX_TEXT} characters", MAX_TEXT)
    budget.spend(1 + len(text))
    tree = read(text)
    size, steps = _size(tree)
    if size >= MAX_STATES or steps > _MAX_STEPS:
        raise PatternError("the pattern is too large", 0)
    return tree


def states(text: str) -> int:
    """Return how many states a pattern takes; raises PatternError."""
    return _size(check(text))[0]


def _size(node: Node) -> tuple[int, int]:
    """Return how many states and how many steps `Pattern` makes of a node."""
    match node:
        case Chars():
            return 1, 1
        case Sequence(nodes=nodes) | Choice(nodes=nodes):
            sizes = [_size(part) for part in nodes]
            own = isinstance(node, Choice)
            return own + sum(size for size, _ in sizes), 1 + sum(steps for _, steps in sizes)
        case Repeat(node=inner, least=least, most=most):
            size, steps = _size(inner)
            times = least + 1 if most is None else most
            return times * size + (1 if most is None else most - least), times * steps + 1


class Pattern:
    """A compiled pattern: states with edges; state 0 is the goal."""

    def __init__(self, text: str, *, ignores_case: bool = False) -> None:
        """Compile the text; raises PatternError. Cases are those of ASCII letters."""
        tree = check(text)
        self._ignores_case = ignores_case
        self._tests: list[Chars | None] = [None]
        self._edges: list[tuple[int, ...]] = [()]
        self._start = self._closed([self._build(tree, 0)])

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
                    if (test := self._tests[state]) is not None and self._has(test, char)
                )
            states = known[key]
            if not states:
                return False
        return 0 in states

    def _has(self, test: Chars, char: str) -> bool:
        if not self._ignores_case or not char.isascii():
            return test.has(char)
        both = (test.has(char), test.has(char.swapcase()))
        return all(both) if test.is_negated else any(both)

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
        self._tests.append(test)
        self._edges.append(edges)
        return len(self._tests) - 1

    def _build(self, node: Node, goal: int) -> int:
        """Add the states of the node in front of the goal; return the one to start in."""
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
