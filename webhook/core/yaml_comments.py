"""References that YAML takes for comments: `API_KEY: #{k8s:payment#api-key}` is an empty value.

In YAML a `#` behind a blank begins a comment. What its writer meant cannot be told from the values,
only from the source: a comment that begins like a reference, right behind a text or an empty value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

HINT = 'an unquoted # begins a comment in YAML; write NAME: "#{store:path#field}", in quotes'
WHAT = "an unquoted # begins a comment here, and the reference in it is lost"

_SUSPECT = re.compile(r"(?:^|[ \t])#+(?:\{|[^\s#{][^\r\n]*#\{)", re.MULTILINE)
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_COMMENT = re.compile(r"[ \t]+#+(?:\{|[^\s#{][^\r\n]*#\{)")
_INDENTED = re.compile(r"([ \t]*)#+\{")
_HEADER = re.compile(r"[|>][-+0-9]{0,2}")


class Mark(Protocol):
    """A place in a text, as the YAML parser counts: from 0, in characters."""

    @property
    def line(self) -> int:
        """The line."""

    @property
    def column(self) -> int:
        """The column in it."""


class Source:
    """The lines of a text, looked at where a value ends; without a suspect in it, none is."""

    def __init__(self, text: str) -> None:
        """Look through the text once."""
        self.is_suspect = "#{" in text and _SUSPECT.search(text) is not None
        self._lines: Sequence[str] = _BREAK.split(text) if self.is_suspect else ()

    def hides_reference(
        self, start: Mark, end: Mark, *, style: str | None, indent: int | None = None
    ) -> bool:
        """Say whether a comment behind a value was meant as a reference.

        With `indent`, the column of its key, an empty value is looked for on the next line as well,
        farther in.
        """
        if not self.is_suspect:
            return False
        if style in ("|", ">"):
            line = self._lines[start.line]
            header = _HEADER.match(line, start.column)
            return header is not None and _COMMENT.match(line, header.end()) is not None
        line = self._lines[end.line]
        if _COMMENT.match(line, end.column):
            return True
        if indent is None or line[end.column :].strip() or end.line + 1 == len(self._lines):
            return False
        below = _INDENTED.match(self._lines[end.line + 1])
        return below is not None and len(below[1]) > indent
