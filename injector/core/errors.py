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

from collections.abc import Iterable

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
        """Return the problem on one line, without its hint; control characters are escaped."""
        place = self.source
        if self.target:
            place += f" for {self.target}"
        if self.origin:
            place += f" ({self.origin})"
        as_whom = f"; as {self.identity}" if self.identity else ""
        text = (
            f"{self.code.id} {place.strip()}: {self.what}{as_whom}"
            if place
            else f"{self.code.id} {self.what}"
        )
        return printable(text)

    def render(self) -> str:
        """Return the line, and under it the hint: the problem's own or else its code's advice."""
        return f"{self.line()}\n       hint: {printable(self.hint or self.code.advice)}"


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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean "x"?` for the nearest known word, or an empty string."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f'did you mean "{near[0]}"?' if near else ""


CODES = {value.id: value for value in list(globals().values()) if isinstance(value, Code)}
"""Every code by its id: `explain SI-404` and docs/troubleshooting.md are made from it."""
