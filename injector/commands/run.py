"""`secret-injector run`: a service's values in the environment of a command of this machine."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from injector import faults
from injector.commands import laptop, service_options
from injector.commands.calling import call, tell
from injector.commands.laptop import Values
from injector.core import encode, errors
from injector.core.errors import DeliveryFailed, Problem
from injector.core.reporting import with_next_step

FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
"""Our own failure; the others are as a shell has them."""

EXAMPLES = """\b
Examples:
  secret-injector run -f service.yaml -- make test
  secret-injector run -f deploy/ --service checkout --env dev -- ./server --port 8080
  secret-injector run -f service.yaml --stores stores.yaml --only DATABASE_URL -- psql
"""


@click.command("run", epilog=EXAMPLES, context_settings={"allow_interspersed_args": False})
@service_options.options
@click.option(
    "--preserve-env", is_flag=True, help="Variables that are set already stay as they are."
)
@click.option(
    "--files", "folder", metavar="DIR", help="Write the service's files there; they stay."
)
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
def _command(
    command: tuple[str, ...], *, preserve_env: bool, folder: str | None, **given: Any
) -> int:
    """Become COMMAND, with the service's variables added to this environment.

    Exit status and signals are the command's own. 125 says that we failed, 126 that the command
    cannot be executed, 127 that it is not there.
    """
    values = laptop.values(service_options.wanted(given))
    _check(values)
    if folder is not None:
        laptop.write_files(Path(folder), values.files)
    elif values.files:
        names = ", ".join(path for path, _, _ in values.files)
        tell(f"warning: files are not written without --files DIR: {names}")
    environment = {**os.environb}
    for name, value in values.env:
        if not (preserve_env and name.encode() in environment):
            environment[name.encode()] = value
    return _become(command, environment)


def main(argv: Sequence[str]) -> int:
    """Run the command; every failure of ours has the one status that the command cannot mean."""
    try:
        return call(_command, argv, "run")
    except Exception as error:  # noqa: BLE001 (as in cli: the last place that can keep quiet)
        step = "the command was not started"
        sys.stderr.write(faults.render(with_next_step(faults.problems_of(error), step)))
        return FAILED


def _check(values: Values) -> None:
    problems = [
        Problem(code=errors.NOT_CARRIABLE, what=why, target=name)
        for name, value in values.env
        if (why := encode.launcher_refusal(name, value))
    ]
    if problems:
        raise DeliveryFailed(problems)


def _become(command: Sequence[str], environment: Mapping[bytes, bytes]) -> int:
    """Replace this process; returns only when that is not possible.

    The interpreter ignores two signals for itself, and an ignored signal would stay so.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], list(command), environment)  # noqa: S606 (that is what we are for)
    except OSError as error:
        is_missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        why = "not found" if is_missing else os.strerror(error.errno or 0).lower()
        tell(f"secret-injector run: {command[0]}: {why}")
        return NOT_FOUND if is_missing else NOT_EXECUTABLE
