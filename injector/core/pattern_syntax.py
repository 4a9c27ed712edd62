"""The language of patterns: text to a tree of nodes, or the column of what is wrong.

`pattern` documents the language and matches by the tree.
"""

from __future__ import annotations

from injector.core.record import Record

MAX_REPEAT = 1000
_MAX_DEPTH = 32
_DIGIT = "0123456789"
_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
_BLANK = " \t\n\r\x0b\x0c"
_SETS = {"d": _DIGIT, "w": _WORD, "s": _BLANK}
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


class PatternError(ValueError):
    """The text is no pattern of ours; the message says why and at which column."""

    def __init__(self, what: str, at: int) -> None:
        """Keep what is wrong and its 0-based place."""
        super().__init__(f"{what} at column {at + 1}")


class Chars(Record):
    """A set of characters: single ones and ranges, or everything but them."""

    singles: str = ""
    ranges: tuple[tuple[str, str], ...] = ()
    is_negated: bool = False
    but: tuple[Chars, ...] = ()

    def has(self, char: str) -> bool:
        """Say whether the character belongs to the set."""
        found = (
            char in self.singles
            or any(low <= char <= high for low, high in self.ranges)
            or any(inner.has(char) for inner in self.but)
        )
        return found is not self.is_negated


class Sequence(Record):
    """One after the other."""

    nodes: tuple[Node, ...]


class Choice(Record):
    """One of several."""

    nodes: tuple[Node, ...]


class Repeat(Record):
    """The same `least` to `most` times; None has no end."""

    node: Node
    least: int
    most: int | None


Node = Chars | Sequence | Choice | Repeat

ANYTHING = Chars(is_negated=True)
"""Every character, line breaks too."""


def read(text: str) -> Node:
    """Return the tree of a pattern; raises PatternError."""
    return _Reader(text).read()


def alternatives(text: str) -> list[str]:
    """Return a pattern's outermost alternatives, for languages where each has its own ^ and $."""
    found, start, at, depth = [], 0, 0, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char == "[":
            begins = at + 2 if text.startswith("[^", at) else at + 1
            end = _end_of_class(text, begins)
            at = len(text) if end < 0 else end
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "|" and depth == 0:
            found.append(text[start:at])
            start = at + 1
        at += 1
    return [*found, text[start:]]


def _end_of_class(text: str, at: int) -> int:
    """Return where a class ends whose members begin here; the first may be a bracket."""
    is_first = True
    while at < len(text) and (is_first or text[at] != "]"):
        at += 2 if text[at] == "\\" else 1
        is_first = False
    return at if at < len(text) else -1


class _Reader:
    """Reads a pattern's text from left to right."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0
        self._is_closed = False

    def read(self) -> Node:
        begins = self._skip("^")
        node = self._choice()
        if self._at < len(self._text):
            raise PatternError('a ")" without its "("', self._at)
        if isinstance(node, Choice) and (begins or self._is_closed):
            # Elsewhere ^ and $ would belong to one alternative only, which few people mean.
            raise PatternError("alternatives beside ^ or $ need brackets: ^(a|b)$", 0)
        around = Repeat(node=ANYTHING, least=0, most=None)
        before = () if begins else (around,)
        after = () if self._is_closed else (around,)
        return Sequence(nodes=(*before, node, *after))

    def _choice(self) -> Node:
        nodes = [self._sequence()]
        while self._skip("|"):
            nodes.append(self._sequence())
        return nodes[0] if len(nodes) == 1 else Choice(nodes=tuple(nodes))

    def _sequence(self) -> Node:
        nodes: list[Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if self._text[self._at] == "$" and self._at == len(self._text) - 1:
                self._at += 1
                self._is_closed = True
                break
            nodes.append(self._repeated(self._atom()))
        return Sequence(nodes=tuple(nodes))

    def _repeated(self, node: Node) -> Node:
        start = self._at
        if self._skip("*"):
            repeat = Repeat(node=node, least=0, most=None)
        elif self._skip("+"):
            repeat = Repeat(node=node, least=1, most=None)
        elif self._skip("?"):
            repeat = Repeat(node=node, least=0, most=1)
        elif self._skip("{"):
            least, most = self._bounds(start)
            repeat = Repeat(node=node, least=least, most=most)
        else:
            return node
        self._skip("?")  # a lazy repetition matches the same whole values
        if self._at < len(self._text) and self._text[self._at] in "*+?{":
            raise PatternError("a repetition of a repetition; use ( )", self._at)
        return repeat

    def _bounds(self, start: int) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at : end].partition(",")
        texts = [low] if not comma or not high else [low, high]
        if end < 0 or not all(
            t.isascii() and t.isdigit() and len(t) <= len(str(MAX_REPEAT)) for t in texts
        ):
            raise PatternError("write {n}, {n,} or {n,m}, and \\{ for a brace", start)
        least = int(low)
        most = least if not comma else int(high) if high else None
        if least > MAX_REPEAT or (most is not None and not least <= most <= MAX_REPEAT):
            raise PatternError(f"repetitions go from 0 to {MAX_REPEAT}, upwards", start)
        self._at = end + 1
        return least, most

    def _atom(self) -> Node:
        start, char = self._at, self._text[self._at]
        self._at += 1
        if char == "(":
            return self._group(start)
        if char == "[":
            return self._class(start)
        if char == ".":
            return Chars(singles="\n", is_negated=True)
        if char == "\\":
            return self._escape(start)
        if char in "*+?{":
            raise PatternError("nothing to repeat", start)
        if char in "^$":
            raise PatternError(f"{char} is for the pattern's ends; write \\{char}", start)
        return Chars(singles=char)

    def _group(self, start: int) -> Node:
        if self._skip("?") and not self._skip(":"):
            raise PatternError("only ( ) and (?: ) are groups here", start)
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise PatternError(f"groups are more than {_MAX_DEPTH} deep", start)
        node = self._choice()
        if not self._skip(")"):
            raise PatternError('a "(" without its ")"', start)
        self._depth -= 1
        return node

    def _class(self, start: int) -> Node:
        is_negated = self._skip("^")
        singles, ranges, but = "", [], []
        is_first = True
        while is_first or not self._skip("]"):
            is_first = False
            low = self._member(start)
            if low.but or len(low.singles) != 1 or low.is_negated:
                but.append(low)
            elif self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                high = self._member(start)
                if len(high.singles) != 1 or high.is_negated or high.singles < low.singles:
                    raise PatternError("a range in [ ] goes upwards, between characters", start)
                ranges.append((low.singles, high.singles))
            else:
                singles += low.singles
        return Chars(singles=singles, ranges=tuple(ranges), is_negated=is_negated, but=tuple(but))

    def _member(self, start: int) -> Chars:
        if self._at >= len(self._text):
            raise PatternError('a "[" without its "]"', start)
        char = self._text[self._at]
        self._at += 1
        return self._escape(self._at - 1) if char == "\\" else Chars(singles=char)

    def _escape(self, start: int) -> Chars:
        char = self._text[self._at : self._at + 1]
        self._at += 1
        if char.lower() in _SETS:
            return Chars(singles=_SETS[char.lower()], is_negated=char.isupper())
        if char in _ESCAPED:
            return Chars(singles=_ESCAPED[char])
        if not char or char.isalnum() or not char.isascii():
            raise PatternError("no such escape", start)
        return Chars(singles=char)

    def _skip(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True
