"""Rules: what the owner of a key promises about its value, held against the value."""

from __future__ import annotations

import re
from collections.abc import Iterator

from injector.core import errors
from injector.core.errors import Code
from injector.core.plan import Rule
from injector.core.record import Record

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PATTERN_SHOWN = 120


class Breach(Record):
    """A promise that is not kept; never quotes the value."""

    code: Code
    what: str
    hint: str = ""


def breaches(rule: Rule, data: bytes, *, today: str) -> tuple[Breach, ...]:
    """Return every promise that the value does not keep; `today` is YYYY-MM-DD in UTC."""
    return (*_date(rule, today), *_pattern(rule, data))


def _date(rule: Rule, today: str) -> Iterator[Breach]:
    if rule.not_after is None:
        return
    if not _DATE.fullmatch(rule.not_after):
        yield Breach(code=errors.PLAN, what="notAfter is no date such as 2027-01-31")
    elif today >= rule.not_after:
        what = f"the value is past its notAfter date {rule.not_after}"
        yield Breach(code=errors.EXPIRED_VALUE, what=what)


def _pattern(rule: Rule, data: bytes) -> Iterator[Breach]:
    if rule.matches is None:
        return
    from injector.core import pattern  # few plans have patterns

    try:
        compiled = pattern.Pattern(rule.matches)
        text = data.decode()
    except pattern.PatternError as error:
        yield Breach(code=errors.PLAN, what=f"matches is no pattern: {error}")
        return
    except UnicodeDecodeError:
        yield Breach(code=errors.MISMATCH, what="the value is not text, so no pattern fits")
        return
    if compiled.matches(text):
        return
    what = f"the value does not match {rule.matches[:_PATTERN_SHOWN]}"
    if len(text) > pattern.MAX_VALUE:
        what = f"the value is longer than the {pattern.MAX_VALUE} characters that can be matched"
    yield Breach(code=errors.MISMATCH, what=what)
