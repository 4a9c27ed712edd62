"""Ini files of SOPS to sections of texts, as the library that SOPS uses reads them (ini.v1 in Go).

    file    = *( comment / "[" section "]" / key ("=" / ":") value ) line-end
    value   = text [ ("#" / ";") comment ] / one in backquotes or in three double quotes

What stands before the first section is the section DEFAULT. Values in backquotes or three double
quotes may span lines; one pair of quotes around any other value is not part of it.
"""

from __future__ import annotations

import re

from injector.sops_format import NotSops

DEFAULT = "DEFAULT"
MAX_ENTRIES = 20_000
_SIGN = re.compile(r"[=:]")
_COMMENT = re.compile(r"[#;]")
_LONG = '"""'


def read(text: str) -> dict[str, dict[str, str]]:
    """Return section \u2192 key \u2192 value, all in their order; raises NotSops."""
    found: dict[str, dict[str, str]] = {DEFAULT: {}}
    seen = {DEFAULT}
    at, count, section = 0, 0, found[DEFAULT]
    text = text.removeprefix("\ufeff")
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line, start = text[at:end].strip(), at
        at = end + 1
        if not line or line[0] in "#;":
            continue
        count += 1
        if count > MAX_ENTRIES:
            raise NotSops("it has too many values")
        if line[0] == "[":
            name = _section(line)
            if name in seen and (name != DEFAULT or found[DEFAULT]):
                raise NotSops("a section stands twice")
            seen.add(name)
            section = found.setdefault(name, {})
            continue
        key, value, at = _entry(text, start, end)
        section[key] = value
    if not found[DEFAULT]:
        del found[DEFAULT]
    return found


def _section(line: str) -> str:
    close = line.rfind("]")
    if close < 2:
        raise NotSops("the name of a section is not closed by ]")
    return line[1:close]


def _entry(text: str, start: int, end: int) -> tuple[str, str, int]:
    """Return key, value and where the next line begins; the line lies between `start` and `end`."""
    line = text[start:end]
    lead = len(line) - len(line.lstrip())
    quote = next((q for q in (_LONG, '"', "`") if line.startswith(q, lead)), "")
    if quote:
        closed = line.find(quote, lead + len(quote))
        key = line[lead + len(quote) : closed]
        sign = None if closed < 0 else _SIGN.search(line, closed + len(quote))
    else:
        sign = _SIGN.search(line)
        key = line[: sign.start()].strip() if sign else ""
    if sign is None or not key:
        raise NotSops("a line is not KEY = VALUE")
    begins = start + sign.end()
    begins += len(text[begins:end]) - len(text[begins:end].lstrip())
    for mark in (_LONG, "`"):
        if text.startswith(mark, begins) and begins < end:
            closed = text.find(mark, begins + len(mark))
            if closed < 0:
                raise NotSops("a quoted value is never closed")
            after = text.find("\n", closed)
            return key, text[begins + len(mark) : closed], len(text) if after < 0 else after + 1
    return key, _value(text[begins:end].strip()), end + 1


def _value(text: str) -> str:
    """Return a value of one line without its comment, and without quotes around all of it."""
    if text.endswith("\\"):
        raise NotSops("a value goes on in the next line by a backslash, which is not supported")
    if comment := _COMMENT.search(text):
        text = text[: comment.start()].strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" and text[0] not in text[1:-1]:
        return text[1:-1]
    return text
