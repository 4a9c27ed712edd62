"""The parser of values: text in, `reference.Value` out, or every problem with its exact column.

Written by hand for the sake of its messages. One pass finds where texts and expressions begin and
end, a second reads each expression on its own, so one bad expression hides no other.

    value  = *( text / "#{" expr "}" )      a run of 2n "#" before "{" is n literal "#";
                                            2n+1 is n literal "#" and the start of an expression
    expr   = ref *( "|" filter )
    ref    = "$/" key / "$" service [ "." namespace ] "/" key / key
           / store ":" path [ "#" field ] [ "@" version ]
           / "@" service [ "." namespace ] [ ":" port ]
    key    = KEY / string                   a string is any text of printable ASCII but "="
    filter = name [ "(" [ string *( "," string ) ] ")" ]
"""

from __future__ import annotations

from collections.abc import Iterator

from injector.core import budget
from injector.core.expression import NO_END, Reader
from injector.core.reference import Expression, Reference, Value
from injector.core.scanner import Slip, SlipError, closing_brace

__all__ = ["GrammarError", "Slip", "has_expression", "parse", "parse_reference"]

MAX_TEXT = 65_536
MAX_EXPRESSIONS = 64
MAX_SLIPS = 16


class GrammarError(ValueError):
    """The text is no value; `slips` has every mistake found, by column."""

    def __init__(self, slips: tuple[Slip, ...]) -> None:
        """Keep the slips."""
        self.slips = slips
        super().__init__("; ".join(f"column {slip.column}: {slip.what}" for slip in slips))


EXPRESSION_STEPS = 6
SLIP_STEPS = 16
"""A mistake is dearer: the nearest known word is looked for."""


def parse(text: str) -> Value:
    """Return the value that the text writes; `parse(format_value(v)) == v` for every value.

    Raises GrammarError with the first `MAX_SLIPS` mistakes. Never evaluates anything.
    """
    if len(text) > MAX_TEXT:
        raise GrammarError(
            (Slip(column=MAX_TEXT + 1, what=f"the value is longer than {MAX_TEXT} characters"),)
        )
    budget.spend(1 + len(text) // 256)
    parts: list[str | Expression] = []
    slips: list[Slip] = []
    expressions = 0
    for piece in _pieces(text):
        budget.spend()
        if isinstance(piece, str):
            parts.append(piece)
            continue
        expressions += 1
        budget.spend(EXPRESSION_STEPS)
        if expressions > MAX_EXPRESSIONS:
            what = f"the value has more than {MAX_EXPRESSIONS} references"
            slips.append(Slip(column=1, what=what))
            break
        try:
            parts.append(Reader(text, *piece).expression())
        except SlipError as slip:
            budget.spend(SLIP_STEPS)
            slips.append(slip.slip)
            if len(slips) == MAX_SLIPS:
                break
    if slips:
        raise GrammarError(tuple(slips))
    return tuple(parts)


def _pieces(text: str) -> Iterator[str | tuple[int, int]]:
    """Yield texts as they are meant, and where each expression starts and ends.

    One that never ends has the end `NO_END`.
    """
    pending: list[str] = []
    at = 0
    while brace := _brace(text, at):
        before = text[at:brace].rstrip("#")
        hashes = brace - at - len(before)
        pending += before, "#" * (hashes // 2)
        at = brace + 1
        if hashes % 2 == 0:
            pending.append("{")
            continue
        if joined := "".join(pending):
            yield joined
        pending = []
        end = closing_brace(text, at)
        if end is None:
            yield at, NO_END
            return
        yield at, end
        at = end + 1
    pending.append(text[at:])
    if joined := "".join(pending):
        yield joined


def _brace(text: str, at: int) -> int:
    """Return where the next brace behind a "#" is, 0 when there is none.

    From there one looks back for the run of "#": a run without a brace is passed over once.
    """
    return text.find("#{", at) + 1


def parse_reference(text: str) -> Reference:
    """Return the one reference that the text is, without braces or filters; raises GrammarError."""
    reader = Reader(text, 0, len(text))
    try:
        found = reader.reference()
        reader.end_of(f"the reference {text!r}")
    except SlipError as slip:
        raise GrammarError((slip.slip,)) from None
    return found


def has_expression(text: str) -> bool:
    """Say whether the text holds an expression, well formed or not."""
    at = 0
    while brace := _brace(text, at):
        if (brace - at - len(text[at:brace].rstrip("#"))) % 2:
            return True
        at = brace + 1
    return False
