"""Where a text stops being JSON, in line and column: nothing of the text is told.

Only texts that were refused are looked at, so nobody waits for it, and no pod loads it in vain.
"""

from __future__ import annotations

import json
import re
from json import JSONDecodeError

_TOKEN = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]+)', re.DOTALL)
_NO_JSON = ("NaN", "Infinity", "-Infinity")
_WORDS = {
    "Expecting value": "a value is missing",
    "Expecting property name enclosed in double quotes": "a key in double quotes is missing",
    "Expecting ',' delimiter": "a comma or the closing bracket is missing",
    "Expecting ':' delimiter": "a colon is missing behind the key",
    "Extra data": "something stands behind the end",
    "Unterminated string starting at": "the text that begins here is never closed",
    "Invalid control character at": "a line break or control character stands in a text",
    "Invalid \\escape": "a backslash begins no escape",
    "Invalid \\uXXXX escape": "\\u needs four hexadecimal digits",
    "Illegal trailing comma before end of object": "a comma stands before the closing bracket",
    "Illegal trailing comma before end of array": "a comma stands before the closing bracket",
}


def place(text: str, at: int) -> str:
    """Return `line L, column C` of a place in a text, both from 1."""
    before = text.rfind("\n", 0, at)
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - before}"


def of_syntax(error: JSONDecodeError) -> str:
    """Return where a text breaks off being JSON, and how, in words that quote nothing of it."""
    where = f"line {error.lineno}, column {error.colno}"
    if error.msg.startswith("Unexpected UTF-8 BOM"):
        return f"{where}: it begins with a byte order mark"
    how = _WORDS.get(error.msg.partition(": ")[0].rstrip(":"), "")
    return f"{where}: {how}" if how else where


def of_bytes(data: bytes, error: UnicodeDecodeError) -> str:
    """Return where bytes are no UTF-8; bytes of UTF-16 are called by that name."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "it is UTF-16; save it as UTF-8"
    text = data[: error.start].decode("utf-8")
    return f"{place(text, len(text))}: a byte is no UTF-8"


def of_doubled_key(text: str) -> str:
    """Return where a key stands for the second time in its object; empty if none does."""
    open_objects: list[set[str] | None] = []
    at, last, last_at = 0, "", 0
    while (token := _TOKEN.match(text, at)) is not None:
        word, at = token[1], token.end()
        if word in ("{", "["):
            open_objects.append(set() if word == "{" else None)
        elif word in ("}", "]"):
            if not open_objects:
                break
            open_objects.pop()
        elif word == ":" and open_objects and (keys := open_objects[-1]) is not None:
            key = _read(last)
            if key in keys:
                return place(text, last_at)
            keys.add(key)
        last, last_at = word, token.start(1)
    return ""


def of_constant(text: str) -> str:
    """Return where NaN or Infinity stands, which are no JSON; empty if none does."""
    at = 0
    while (token := _TOKEN.match(text, at)) is not None:
        if token[1] in _NO_JSON:
            return place(text, token.start(1))
        at = token.end()
    return ""


def _read(word: str) -> str:
    """Return the text that a key in quotes means: escapes write the same key in several ways."""
    try:
        return str(json.loads(word))
    except ValueError:
        return word
