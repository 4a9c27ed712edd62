"""The parser of values: text in, `reference.Value` out, or every problem with its exact column.

Written by hand for the sake of its messages. One pass finds where texts and expressions begin and
end, a second reads each expression on its own, so one bad expression hides no other.

    value  = *( text / "#{" expr "}" )      a run of 2n "#" before "{" is n literal "#";
                                            2n+1 is n literal "#" and the start of an expression
    expr   = ref *( "|" filter )
    ref    = "$/" KEY / "$" service [ "." namespace ] "/" KEY / KEY
           / store ":" path [ "#" field ] [ "@" version ]
           / "@" service [ "." namespace ] [ ":" port ]
    filter = name [ "(" [ string *( "," string ) ] ")" ]
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from injector.core.expression import NO_END, Reader
from injector.core.reference import Expression, Reference, Value
from injector.core.scanner import Slip, SlipError, closing_brace

__all__ = ["GrammarError", "Slip", "has_expression", "parse", "parse_reference"]

MAX_TEXT = 65_536
MAX_EXPRESSIONS = 64
MAX_SLIPS = 16

_OPEN = re.compile(r"(#+)\{")


class GrammarError(ValueError):
    """The text is no value; `slips` has every mistake found, by column."""

    def __init__(self, slips: tuple[Slip, ...]) -> None:
        """Keep the slips."""
        self.slips = slips
        super().__init__("; ".join(f"column {slip.column}: {slip.what}" for slip in slips))


def parse(text: str) -> Value:
    """Return the value that the text writes; `parse(format_value(v)) == v` for every value.

    Raises GrammarError with the first `MAX_SLIPS` mistakes. Never evaluates anything.
    """
    if len(text) > MAX_TEXT:
        raise GrammarError(
            (Slip(column=MAX_TEXT + 1, what=f"the value is longer than {MAX_TEXT} characters"),)
        )
    parts: list[str | Expression] = []
    slips: list[Slip] = []
    for piece in _pieces(text):
        if isinstance(piece, str):
            parts.append(piece)
            continue
        try:
            parts.append(Reader(text, *piece).expression())
        except SlipError as slip:
            slips.append(slip.slip)
            if len(slips) == MAX_SLIPS:
                break
    if sum(isinstance(part, Expression) for part in parts) > MAX_EXPRESSIONS:
        slips.append(Slip(column=1, what=f"the value has more than {MAX_EXPRESSIONS} references"))
    if slips:
        raise GrammarError(tuple(slips))
    return tuple(parts)


def _pieces(text: str) -> Iterator[str | tuple[int, int]]:
    """Yield texts as they are meant, and where each expression starts and ends.

    One that never ends has the end `NO_END`.
    """
    pending = ""
    at = 0
    while found := _OPEN.search(text, at):
        hashes = len(found.group(1))
        pending += text[at : found.start()] + "#" * (hashes // 2)
        at = found.end()
        if hashes % 2 == 0:
            pending += "{"
            continue
        if pending:
            yield pending
            pending = ""
        end = closing_brace(text, at)
        if end is None:
            yield at, NO_END
            return
        yield at, end
        at = end + 1
    pending += text[at:]
    if pending:
        yield pending


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
    return "#{" in text and any(len(run.group(1)) % 2 for run in _OPEN.finditer(text))
