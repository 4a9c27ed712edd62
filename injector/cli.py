"""The one command: finds the program that a name stands for, and ends it properly.

A program is a function of its arguments that returns an exit status. Its module is imported when it
is called and not before, since every pod waits for our start-up. Whatever a program raises ends
here: problems as coded lines, foreign exceptions without their text, signals quietly.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from injector import __version__, faults, privacy
from injector.core import errors
from injector.core.errors import Problem, Refused
from injector.core.record import Record

PROG = "secret-injector"
_PIPE_CLOSED = 128 + signal.SIGPIPE
_EXAMPLES = (
    ("demo", "see an injection on this machine, without a cluster"),
    ("COMMAND --help", "how to use one command, with examples"),
)


class Command(Record):
    """A program: what it does, and `module:function` to call with its arguments.

    `ends_at_once` leaves the process without the interpreter's cleaning up, which takes 6 ms and is
    nobody's gain: for programs that have closed and handed over everything when they return.
    """

    name: str
    target: str
    summary: str
    ends_at_once: bool = False


FOR_PEOPLE: tuple[Command, ...] = (
    Command(
        name="demo",
        target="webhook.commands.demo:main",
        summary="see an injection on this machine, without a cluster",
    ),
    Command(
        name="run",
        target="injector.commands.run:main",
        summary="run a command of this machine with a service's values",
    ),
    Command(
        name="env",
        target="injector.commands.environment:main",
        summary="list what a service gets on this machine, masked",
    ),
    Command(
        name="export",
        target="injector.commands.export:main",
        summary="write a service's values as dotenv, JSON, Secret or shell",
    ),
    Command(
        name="secret",
        target="injector.commands.secret:main",
        summary="look at and change secrets in a store",
    ),
    Command(
        name="doctor",
        target="injector.commands.doctor:main",
        summary="find out which step of reaching a store fails, and why",
    ),
    Command(
        name="mutate",
        target="webhook.commands.mutate:main",
        summary="show what the webhook would make of manifests",
    ),
    Command(
        name="explain",
        target="webhook.commands.explain:main",
        summary="show where every value comes from, or what an error code means",
    ),
    Command(
        name="lint",
        target="webhook.commands.lint:main",
        summary="check manifests, every problem with its file and line",
    ),
    Command(
        name="who-uses",
        target="webhook.commands.who_uses:main",
        summary="list what refers to a service, a key, a store or a path",
    ),
    Command(
        name="policy",
        target="webhook.commands.policy:main",
        summary="test policies against cases from files",
    ),
    Command(
        name="migrate",
        target="webhook.commands.migrate:main",
        summary="translate vault-k8s and bank-vaults manifests",
    ),
)
IN_CLUSTER = (
    Command(
        name="webhook",
        target="webhook.run:main",
        summary="answer the API server's admission reviews",
    ),
    Command(
        name="certificates",
        target="webhook.rotation:main",
        summary="keep the webhook's certificate and the caBundles that trust it",
    ),
    Command(
        name="fetch",
        target="injector.commands.fetch:main",
        summary="fetch a pod's values and hand them over",
        ends_at_once=True,
    ),
)
COMMANDS = {command.name: command for command in (*FOR_PEOPLE, *IN_CLUSTER)}


def main() -> int:
    """Run as a process: signals and uncaught exceptions end it in our way, whatever it does.

    No other process of the user may look into it.
    """
    privacy.hide()
    faults.silence()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    status = run(sys.argv[1:])
    command = COMMANDS.get(sys.argv[1]) if sys.argv[1:] else None
    if command is not None and command.ends_at_once:
        sys.stderr.flush()
        os._exit(status)
    return status


def run(argv: Sequence[str]) -> int:
    """Run the command and return its exit status; what it raises is told on standard error."""
    try:
        status = _dispatch(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more. The interpreter's own flush at exit must not meet the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 (the last place that can keep its message to itself)
        problems = faults.problems_of(error)
        sys.stderr.write(faults.render(problems))
        return errors.exit_status(problems)
    return status


def _dispatch(argv: Sequence[str]) -> int:
    name, *rest = argv or ["--help"]
    if name in ("--help", "-h", "help"):
        print(_help())
        return errors.OK if argv else errors.USAGE
    if name in ("--version", "version"):
        print(f"{PROG} {__version__}")
        return errors.OK
    if name not in COMMANDS:
        hint = errors.did_you_mean(name, [*COMMANDS, "help", "version"])
        what = f'there is no command "{name}"'
        advice = hint or f"{PROG} --help lists the commands"
        raise Refused([Problem(code=errors.ARGUMENT, what=what, hint=advice)])
    return _load(COMMANDS[name])(rest)


def _load(command: Command) -> Callable[[list[str]], int]:
    module, _, function = command.target.partition(":")
    try:
        program: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in (__name__.partition(".")[0], "webhook"):
            raise
        what = f"{command.name} needs the package {error.name}, which is not installed"
        hint = "pip install 'secret-injector[all]' has every command's packages"
        raise Refused([Problem(code=errors.ARGUMENT, what=what, hint=hint)]) from None
    return program


def _help() -> str:
    lines = ["examples:"]
    lines += [f"  {PROG} {example:<18} {what}" for example, what in _EXAMPLES]
    for title, commands in (("commands", FOR_PEOPLE), ("in a cluster", IN_CLUSTER)):
        if commands:
            lines += ["", f"{title}:"]
            lines += [f"  {command.name:<12} {command.summary}" for command in commands]
    return "\n".join([*lines, "", "  version      print the version"])


def _stop(number: int, _frame: FrameType | None) -> None:
    """Leave through every `finally`, so nothing half-written stays; once is enough."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)
