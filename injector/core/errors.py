"""Every way the system can fail: one code per kind of failure, one exit status per code.

A failure is data (`Problem`) until somebody must stop; then it travels in an `InjectorError`, all
problems of one input together. No problem ever carries a secret value or a provider's raw body:
`what` is written by us, and holds names only.

    InjectorError          somebody must stop; carries the problems, knows its exit status
    ├── Refused            an input is wrong as written: reference, annotation, plan, argument
    ├── FetchFailed        a store did not give what the plan asks for
    └── DeliveryFailed     the values are there and cannot be handed over
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from operator import itemgetter

from injector.core.codes import *  # noqa: F403  # the whole table: errors.REFERENCE
from injector.core.codes import (
    AUTH,
    DENIED,
    FINDINGS,
    INTERNAL,
    NOT_FOUND,
    OK,
    UNAVAILABLE,
    UNDELIVERABLE,
    USAGE,
    Code,
)
from injector.core.codes_at_work import *  # noqa: F403  # as above
from injector.core.record import Record

MAX_NAME = 512
"""Characters of a name or a place that a problem shows."""

MAX_SENTENCE = 1024
"""Characters of what is wrong, or of a hint, that a problem shows."""

MAX_HINTED = 16
"""After so many problems of one input, further ones are not compared with the words known."""

_MAX_WORD = 96
_MAX_KNOWN = 256
_COMPARED = 3
_BEGINNING = 3

# Which status speaks for several problems: what a retry cannot cure comes before what it can.
_PRECEDENCE = (INTERNAL, USAGE, DENIED, AUTH, NOT_FOUND, UNDELIVERABLE, FINDINGS, UNAVAILABLE)


class Problem(Record):
    """One thing that is wrong: what, where from, where to, as whom, and what to do about it.

    Texts are lower-case without a full stop. `source` is a place to read from or one in an input
    (`vault-prod kv/shop/db#password`, `annotation secret-injector.io/env`); `target` the variable
    or file that waits for it; `origin` the object that asked; `identity` who the store took us for.
    """

    code: Code
    what: str
    source: str = ""
    target: str = ""
    origin: str = ""
    identity: str = ""
    hint: str = ""

    def line(self) -> str:
        """Return the problem on one line, without its hint; control characters are escaped.

        Names may come from anybody and be of any length: each is shown up to its limit.
        """
        place = shortened(self.source, MAX_NAME)
        if self.target:
            place += f" for {shortened(self.target, MAX_NAME)}"
        if self.origin:
            place += f" ({shortened(self.origin, MAX_NAME)})"
        as_whom = f"; as {shortened(self.identity, MAX_NAME)}" if self.identity else ""
        what = shortened(self.what, MAX_SENTENCE)
        text = (
            f"{self.code.id} {place.strip()}: {what}{as_whom}"
            if place
            else f"{self.code.id} {what}"
        )
        return printable(text)

    def render(self) -> str:
        """Return the line, and under it the hint: the problem's own or else its code's advice."""
        hint = printable(shortened(self.hint or self.code.advice, MAX_SENTENCE))
        return f"{self.line()}\n       hint: {hint}"


class InjectorError(Exception):
    """The base of all errors we raise; never raised itself. `problems` is never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems in the order given."""
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.line() for problem in self.problems))

    @property
    def exit_status(self) -> int:
        """The status of the problem that a retry can cure least."""
        return exit_status(self.problems)


class Refused(InjectorError):
    """An input is wrong as written; the same input will be refused again."""


class FetchFailed(InjectorError):
    """A store did not give what the plan asks for."""


class DeliveryFailed(InjectorError):
    """The values were fetched and cannot be handed over as the plan says."""


def exit_status(problems: Iterable[Problem]) -> int:
    """Return the one exit status that speaks for all problems; `OK` when there is none."""
    present = {problem.code.exit for problem in problems}
    return next((status for status in _PRECEDENCE if status in present), OK)


def printable(text: str) -> str:
    """Return the text with every control, format and separator character but the blank escaped.

    Names in messages may come from a tenant; a terminal or a log must not obey them.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, most: int) -> str:
    """Return the text, cut where it is longer than `most` characters, with its length then."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean "x"?` for the nearest known word, or an empty string.

    A word with one slip of the pen comes first, then one that the word begins with (or that begins
    with it), then the one that has most in common.

    Comparing words is quadratic in their length, and there may be many of them: words of unusual
    length have no neighbour, and only those that have most in common are compared.
    """
    if len(word) > _MAX_WORD:
        return ""
    traits = _traits(word)
    ranked = [
        (len(traits & _traits(other)) - len(other), other)
        for other in islice(known, _MAX_KNOWN)
        # With other lengths two words cannot be as near as `get_close_matches` asks.
        if 3 * len(word) <= 7 * len(other) and 3 * len(other) <= 7 * len(word)
    ]
    if not ranked:
        return ""
    ranked.sort(key=itemgetter(0), reverse=True)
    nearest = [other for _, other in ranked[:_COMPARED]]
    near = [other for other in nearest if _is_one_slip(word, other)]
    near = near or _beginnings(word, [other for _, other in ranked])
    if not near:
        from difflib import get_close_matches

        near = get_close_matches(word, nearest, n=1)
    return f'did you mean "{near[0]}"?' if near else ""


def _is_one_slip(word: str, other: str) -> bool:
    """Say whether one character too many, too few or wrong, or two changed places, tell them."""
    at, end = 0, 0
    shorter = min(len(word), len(other))
    while at < shorter and word[at] == other[at]:
        at += 1
    while end < shorter - at and word[-1 - end] == other[-1 - end]:
        end += 1
    left, right = word[at : len(word) - end], other[at : len(other) - end]
    return max(len(left), len(right)) <= 1 or (len(left) == 2 and left[::-1] == right)


def _beginnings(word: str, known: Sequence[str]) -> list[str]:
    """Return the known words that the word begins with or that begin with it, nearest first."""
    found = [
        other
        for other in known
        if min(len(word), len(other)) >= _BEGINNING
        and (word.startswith(other) or other.startswith(word))
    ]
    return sorted(found, key=lambda other: abs(len(other) - len(word)))


def neighbour(problems: Sequence[Problem], word: str, known: Iterable[str]) -> str:
    """Return `did_you_mean(word, known)` for the first problems of an input, else an empty string.

    `problems` are those found so far: after so many, more hints help nobody and cost time.
    """
    return did_you_mean(word, known) if len(problems) < MAX_HINTED else ""


def _traits(word: str) -> set[object]:
    return {*word, *pairwise(word)}


CODES = {value.id: value for value in list(globals().values()) if isinstance(value, Code)}
"""Every code by its id: `explain SI-404` and docs/troubleshooting.md are made from it."""
