r"""Dotenv files, read strictly and written so that reading gives the same values.

    file   = *( [ ["export "] NAME "=" value ] [ "#" comment ] line-end )
    value  = bare / "'" text "'" / '"' text with \n \r \t \" \\ \$ '"'

Nothing is interpolated and nothing is executed. Quoted values may span lines. What other tools read
differently from each other is refused, with its line and the cause: a `$` that some fill in (in
single quotes it is itself, and `\$` is in double ones), two assignments in a line, a quote inside a
bare value, an escape that is not listed, a name that stands twice.
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
_TWO = re.compile(r"[ \t][A-Za-z_][A-Za-z0-9_]{0,64}=")
_BLANK_AROUND = re.compile(r"[ \t]*(?:export[ \t]+)?[A-Za-z_][A-Za-z0-9_.-]*[ \t]+=")
_EXPORT = re.compile(r"[ \t]*export[ \t]")
_SPACE = re.compile(r"[ \t]")
_CONTROL = re.compile(r"[\r\x00]")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


class NotDotenv(ValueError):
    """The text is not of the form; the message names a line and quotes nothing of it."""


def parse(data: bytes) -> dict[str, str]:
    """Return names and values in their order; raises NotDotenv at the first line that is wrong."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise NotDotenv("line 1 begins as UTF-16 does; save the file as UTF-8") from None
        line = data.count(b"\n", 0, error.start) + 1
        raise NotDotenv(f"line {line} is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise NotDotenv("line 1 begins with a byte order mark; save the file without it")
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
            raise NotDotenv(f"line {line} is not NAME=value{_why(text, at)}")
        if start[1] in found:
            raise NotDotenv(f'line {line} sets "{start[1]}" again')
        found[start[1]], at = _value(text, start, line)
        rest = _REST.match(text, at)
        if rest is None:
            what = "has something behind its value; quote values with quotes, blanks or #"
            raise NotDotenv(f"line {line} {what}")
        at = rest.end()
    return found


def _why(text: str, at: int) -> str:
    """Return more about a line that is no NAME=value, where the mistake is a known one."""
    end = text.find("\n", at)
    line = text[at:] if end < 0 else text[at:end]
    if "\0" in line:
        return ": it holds NUL bytes, as UTF-16 does; save the file as UTF-8"
    if _BLANK_AROUND.match(line):
        return ": no blanks may stand around ="
    return ""


def _value(text: str, start: re.Match[str], line: int) -> tuple[str, int]:
    """Return the value that begins behind its name, and where it ends."""
    at = start.end()
    if text.startswith("'", at):
        return _single(text, at, line)
    if text.startswith('"', at):
        return _double(text, at, line)
    value, end = _bare(text, at)
    what = ""
    if "$" in value:
        what = "has a $ that some tools fill in; write single quotes around the value"
    elif _TWO.search(value) or (_EXPORT.match(start[0]) and _SPACE.search(value)):
        what = "sets two variables for a shell, and one for other tools; quote the value"
    elif _CONTROL.search(value):
        what = "has a carriage return or NUL within its value; lines end with LF or CRLF"
    if what:
        raise NotDotenv(f"line {line} {what}")
    return value, end


def _single(text: str, at: int, line: int) -> tuple[str, int]:
    """Return the value in single quotes that begins there, and where it ends."""
    found = _SINGLE.match(text, at)
    if found is None:
        raise NotDotenv(f"line {line} opens a single quote that nothing closes")
    if "\\\\" in found[1] or found[1].endswith("\\"):
        what = "has two backslashes, or one at the end, in single quotes: some tools drop one"
        raise NotDotenv(f"line {line} {what}; write double quotes")
    return found[1], found.end()


def _double(text: str, at: int, line: int) -> tuple[str, int]:
    """Return the value in double quotes that begins there, and where it ends."""
    found = _DOUBLE.match(text, at)
    if found is None:
        raise NotDotenv(f"line {line} opens a double quote that nothing closes")
    if set(_ESCAPE.findall(found[1])) - _ESCAPES.keys():
        known = " ".join(f"\\{char}" for char in _ESCAPES)
        raise NotDotenv(f"line {line} has an escape other than {known}")
    if "$" in _ESCAPE.sub("", found[1]):
        what = "has a $ in double quotes that some tools fill in"
        raise NotDotenv(f"line {line} {what}; write \\$, or single quotes")
    return _ESCAPE.sub(lambda each: _ESCAPES[each[1]], found[1]), found.end()


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
