"""The scanner of expressions: where one ends, and the least things to read in it."""

from __future__ import annotations

import re

from injector.core.record import Record

_BLANKS = re.compile(r"[ \t\r\n]*")
_QUOTE_OR_BRACE = re.compile(r'["}]')
_QUOTE_OR_ESCAPE = re.compile(r'["\\]')
_UNQUOTED = re.compile(r'[^"\\]*')


class Slip(Record):
    """One mistake in a text: its 1-based column, what is wrong, and what to write instead."""

    column: int
    what: str
    hint: str = ""


class SlipError(Exception):
    """One mistake, on its way out of the expression it is in."""

    def __init__(self, column: int, what: str, hint: str = "") -> None:
        """`column` is the 0-based index in the text."""
        self.slip = Slip(column=column + 1, what=what, hint=hint)
        super().__init__(what)


def closing_brace(text: str, at: int) -> int | None:
    """Return the index of the brace that ends the expression; braces in quotes do not count."""
    in_quotes = False
    while found := (_QUOTE_OR_ESCAPE if in_quotes else _QUOTE_OR_BRACE).search(text, at):
        at = found.end()
        match found.group():
            case '"':
                in_quotes = not in_quotes
            case "}":
                return found.start()
            case _:
                at += 1  # what is escaped stands for itself
    return None


class Scanner:
    """A place between two indexes of a text; raises SlipError with the exact place."""

    def __init__(self, text: str, start: int, end: int) -> None:
        """Begin at the start."""
        self.text, self.at, self.end = text, start, end

    def quoted(self) -> str:
        """Read a text in double quotes; a backslash stands before a quote or a backslash."""
        start = self.at
        self.expect('"', "a quoted text", 'texts stand in "double quotes"')
        out = []
        while True:
            out.append(self.match(_UNQUOTED) or "")
            if not self.skip("\\", after_blanks=False):
                break
            if self.at >= self.end or self.text[self.at] not in '"\\':
                raise self.slip("unknown escape", 'inside quotes only \\" and \\\\ are escapes')
            out.append(self.text[self.at])
            self.at += 1
        if not self.skip('"', after_blanks=False):
            raise SlipError(start, "the quote is never closed")
        return "".join(out)

    def blanks(self) -> None:
        """Pass over blanks and line breaks."""
        found = _BLANKS.match(self.text, self.at, self.end)
        self.at = found.end() if found else self.at

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Read what the pattern matches here; None when it does not."""
        found = pattern.match(self.text, self.at, self.end)
        if found is None:
            return None
        self.at = found.end()
        return found.group()

    def peek(self, token: str) -> bool:
        """Say whether the token stands here."""
        return self.text.startswith(token, self.at, self.end)

    def skip(self, token: str, *, after_blanks: bool | None = None) -> bool:
        """Pass over the token if it stands here; before a pipe there may be blanks."""
        if token == "|" if after_blanks is None else after_blanks:
            self.blanks()
        if not self.peek(token):
            return False
        self.at += len(token)
        return True

    def expect(self, token: str, before: str, hint: str) -> None:
        """Pass over a token that must stand here."""
        if not self.skip(token):
            raise self.slip(f'"{token}" is missing before {before}', hint)

    def slip(self, what: str, hint: str = "") -> SlipError:
        """Return a mistake at this place."""
        return SlipError(self.at, what, hint)
