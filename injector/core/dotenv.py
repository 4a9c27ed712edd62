r"""Dotenv files, read strictly and written so that reading gives the same values.

    file   = *( [ ["export "] NAME "=" value ] [ "#" comment ] line-end )
    value  = bare / "'" text "'" / '"' text with \n \r \t \" \\ \$ '"'

A value is text: nothing is interpolated and nothing is executed, so `$` means itself everywhere.
Quoted values may span lines. What other tools read differently from each other (a quote inside
a bare value, an escape that is not listed, a name that stands twice) is refused, with its line.
"""

from __future__ import annotations

import re

_START = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)=")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_REST = re.compile(r"(?:[ \t]*|[ \t]+#[^\n]*)(?:\n|\Z)")
_COMMENT = re.compile(r"[ \t]#")
_NOT_BARE = re.compile(r"['\"`\\]")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


class NotDotenv(ValueError):
    """The text is not of the form; the message names a line and quotes nothing of it."""


def parse(data: bytes) -> dict[str, str]:
    """Return names and values in their order; raises NotDotenv at the first line that is wrong."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotDotenv("it is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise NotDotenv("line 1 begins with a byte order mark")
    text = text.replace("\r\n", "\n")
    found: dict[str, str] = {}
    line, counted, at = 1, 0, 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        line += text.count("\n", counted, at)
        counted = at
        start = _START.match(text, at)
        if start is None:
            raise NotDotenv(f"line {line} is not NAME=value")
        if start[1] in found:
            raise NotDotenv(f'line {line} sets "{start[1]}" again')
        found[start[1]], at = _value(text, start.end(), line)
        rest = _REST.match(text, at)
        if rest is None:
            what = "has something behind its value; quote values with quotes, blanks or #"
            raise NotDotenv(f"line {line} {what}")
        at = rest.end()
    return found


def _value(text: str, at: int, line: int) -> tuple[str, int]:
    """Return the value that begins there, and where it ends."""
    if text.startswith("'", at):
        if single := _SINGLE.match(text, at):
            return single[1], single.end()
        raise NotDotenv(f"line {line} opens a single quote that nothing closes")
    if text.startswith('"', at):
        double = _DOUBLE.match(text, at)
        if double is None:
            raise NotDotenv(f"line {line} opens a double quote that nothing closes")
        if set(_ESCAPE.findall(double[1])) - _ESCAPES.keys():
            known = " ".join(f"\\{char}" for char in _ESCAPES)
            raise NotDotenv(f"line {line} has an escape other than {known}")
        return _ESCAPE.sub(lambda found: _ESCAPES[found[1]], double[1]), double.end()
    return _bare(text, at)


def _bare(text: str, at: int) -> tuple[str, int]:
    """Return what stands up to the end of the line or to a comment, without blanks behind it.

    With a character in it that only quotes allow, it is nothing: the caller then finds the rest.
    """
    end = text.find("\n", at)
    line = text[at:] if end < 0 else text[at:end]
    if comment := _COMMENT.search(line):
        line = line[: comment.start()]
    value = line.rstrip(" \t")
    if not value or value[0] == "#" or value[0].isspace() or _NOT_BARE.search(value):
        return "", at
    return value, at + len(value)
