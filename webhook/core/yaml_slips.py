"""What is wrong with a text that is no YAML, in the words of who wrote it rather than of a parser.

The parser names the place where it gave up, which for a quote that nobody closed is the end of the
file, and for a blank that is missing behind a colon the line below.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_QUOTES = ("'", '"')
_SCANNING = ("while scanning a quoted scalar", "while scanning a double-quoted scalar")
_FLOW = "while parsing a flow"
_IN_QUOTES = re.compile(r"\"[^\"]*\"|'[^']*'")
_COMMENTED = re.compile(r"[ \t]#+\{")
_END = ("found unexpected end of stream", "found unexpected document")
_GLUED = re.compile(r"^[ \t{,]*(__import_[a-z]{1,16}):(?=[$\[{])", re.MULTILINE)
GLUED = "__import_svc: $name"
BLANK = f"a blank is missing behind the colon: {GLUED}, NAME: value"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,252}:[^\s/][^\n]{0,1024}")


def explained(error: yaml.MarkedYAMLError, text: str, loader: Any) -> tuple[int, str] | None:
    """Return the line and what its writer did there; None where the parser's word is the best.

    `text` is what the loader refused; nothing of it is quoted but a keyword.
    """
    problem = error.problem or ""
    mark = error.problem_mark
    if error.context in _SCANNING and error.context_mark and problem.startswith(_END):
        line = error.context_mark.line + 1
        return line, f"the quote opened on line {line} is never closed"
    if line := glued_line(text):
        return line, glued(line)
    if mark is not None and (error.context or "").startswith(_FLOW):
        for number, written in enumerate(text.splitlines()[: mark.line + 1], start=1):
            if _COMMENTED.search(_IN_QUOTES.sub("", written)):
                return number, f"on line {number} an unquoted # begins a comment: quote the value"
    if mark is not None and (opened := _opened(text, mark.line, loader)) is not None:
        what = f"the quote opened on line {opened + 1} is never closed where it should be: it ends"
        return opened + 1, f"{what} at the next quote, on line {mark.line + 1}"
    return None


def glued(line: int) -> str:
    """Return the sentence about an import that is written without its blank."""
    return f"on line {line} a blank is missing behind the colon: write {GLUED}"


def glued_line(text: str) -> int:
    """Return the line on which `__import_svc:$name` stands without a blank; 0 for none."""
    found = _GLUED.search(text)
    return 0 if found is None else text.count("\n", 0, found.start(1)) + 1


def is_glued(text: str) -> bool:
    """Say whether the whole text is NAME:value, which YAML takes for one word."""
    return _PLAIN.fullmatch(text.strip()) is not None


def _opened(text: str, line: int, loader: Any) -> int | None:
    """Return where a quoted text began that ends on this line and began on an earlier one."""
    try:
        for event in yaml.parse(text, Loader=loader):
            start, end = event.start_mark, event.end_mark
            is_quoted = isinstance(event, yaml.ScalarEvent) and event.style in _QUOTES
            if is_quoted and start and end and start.line < end.line == line:
                return int(start.line)
    except yaml.YAMLError:
        pass
    return None
