"""How commands for people are called: click's words become our problems."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from injector.core import errors
from injector.core.errors import Problem, Refused


def call(command: click.Command, argv: Sequence[str], name: str) -> int:
    """Run a click command and return its exit status; raises Refused (SI-201) on wrong usage."""
    try:
        status = command.main(
            list(argv), prog_name=f"secret-injector {name}", standalone_mode=False
        )
    except click.UsageError as error:
        hint = f"secret-injector {name} --help shows examples"
        raise refused(error.format_message().rstrip("."), hint=hint) from None
    return int(status or errors.OK)


def refused(what: str, *, source: str = "", hint: str = "") -> Refused:
    """Return the error for a wrong call."""
    return Refused([Problem(code=errors.ARGUMENT, what=what, source=source, hint=hint)])


def tell(text: str) -> None:
    """Say something to people, on standard error."""
    sys.stderr.write(errors.printable(text) + "\n")


def is_interactive() -> bool:
    """Say whether somebody is there to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def table(rows: Sequence[Sequence[str]], *, width: int = 100) -> str:
    """Return the rows in columns, the last one cut so that no line is longer than the width."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(size) for cell, size in zip(row, widths, strict=False)]
        line = "  ".join([*cells, row[-1]]).rstrip()
        lines.append(line if len(line) <= width else line[: width - 1] + "…")
    return "\n".join(lines)
