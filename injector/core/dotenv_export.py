r"""Variables as lines that several tools read, each as the same value and none as a command.

There is no standard of dotenv files. A value is written in the first form that all the readers
wanted read as the value itself; where there is none it is refused, with the readers that would not.

    form      NAME=value    NAME='value'      NAME="value"
    shell     plain only    no '              no \ " $ `
    python    plain only    no ' CR ${ \\     no " \ CR ${     (python-dotenv)
    node      plain only    no ' CR           no " \ CR        (node --env-file)
    docker    no LF         never             never            (docker --env-file)

For a shell alone, quotes of several kinds are put together. Docker takes the rest of the line,
quotes and all. python-dotenv fills in `${NAME}` within quotes of both kinds. Node drops every CR. A
shell has variables of its own, which may be read-only, numbers, or commands that it runs, and takes
no dots or dashes in a name; the others do, and agree on no further character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from shlex import quote

from injector.core import errors
from injector.core.errors import Problem
from injector.core.record import Record

SHELL, PYTHON, NODE, DOCKER = READERS = ("shell", "python", "node", "docker")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOTTED = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_OF_SHELL = re.compile(
    r"BASH(?:PID|OPTS|_.*)?|COMP_.*|COPROC|DIRSTACK|ENV|EPOCH(?:REALTIME|SECONDS)|EUID|FUNCNAME"
    r"|GROUPS|HISTCMD|LINENO|MAPFILE|OPT(?:ARG|ERR|IND)|PIPESTATUS|POSIXLY_CORRECT|PPID|PROMPT_COMMAND"
    r"|PS[0-4]|RANDOM|READLINE_.*|REPLY|SECONDS|SHELLOPTS|SHLVL|SRANDOM|TMOUT|UID|_"
)
_NOT_SINGLE_PYTHON = re.compile(r"\r|\$\{|\\\\|\\\Z")
_NOT_DOUBLE = re.compile(r'["\\]')
_NOT_DOUBLE_SHELL = re.compile(r"[$`]")
_OF_NODE = re.compile(r"NODE_OPTIONS")
_MAX_LINE = 64 * 1024 - 1
"""Bytes of a line that docker takes, its end included (bufio.MaxScanTokenSize in Go)."""


class Form(Record):
    """A way to write a value, and who reads it back as it is."""

    write: Callable[[str], str]
    read_by: Callable[[str], frozenset[str]]


def _bare(value: str) -> frozenset[str]:
    if _PLAIN.fullmatch(value):
        return frozenset(READERS)
    return frozenset() if "\n" in value or value.endswith("\r") else frozenset([DOCKER])


def _single(value: str) -> frozenset[str]:
    if "'" in value:
        return frozenset()
    return _those(
        (SHELL, True),
        (PYTHON, not _NOT_SINGLE_PYTHON.search(value)),
        (NODE, "\r" not in value and not value.endswith("\\")),
    )


def _double(value: str) -> frozenset[str]:
    if _NOT_DOUBLE.search(value):
        return frozenset()
    return _those(
        (SHELL, not _NOT_DOUBLE_SHELL.search(value)),
        (PYTHON, "\r" not in value and "${" not in value),
        (NODE, "\r" not in value),
    )


def _those(*readers: tuple[str, bool]) -> frozenset[str]:
    return frozenset(name for name, is_one in readers if is_one)


FORMS = (
    Form(write=str, read_by=_bare),
    Form(write="'{}'".format, read_by=_single),
    Form(write='"{}"'.format, read_by=_double),
    Form(write=quote, read_by=lambda _: frozenset([SHELL])),
)


def dotenv(values: Mapping[str, str], readers: Iterable[str]) -> tuple[str, list[Problem]]:
    """Return the file for these readers, and everything that it cannot carry to all of them."""
    wanted = frozenset(readers)
    lines, problems = [], name_problems(values, wanted)
    for name, value in values.items():
        line, lost = _line(name, value, wanted)
        if "\0" in value:
            problems.append(_refused(name, "the value holds a NUL byte, which no variable can"))
        elif lost:
            others = ", ".join(reader for reader in READERS if reader in lost)
            hint = (
                "name those that read it with --for, such as --for shell --for python; or use -o"
                " shell, json or k8s"
            )
            problems.append(_refused(name, f"no form of it is read as the value by {others}", hint))
        lines.append(line)
    return "".join(lines), problems


def name_problems(names: Iterable[str], readers: Iterable[str]) -> list[Problem]:
    """Return a problem for each name that one of the readers would not take as a variable's."""
    wanted, found = frozenset(readers), []
    for name in names:
        what = ""
        if not (_NAME if SHELL in wanted else _DOTTED).fullmatch(name):
            what = "the name is not one of a variable"
            if SHELL in wanted and _DOTTED.fullmatch(name):
                what = "the name is not one of a shell's variable"
        elif SHELL in wanted and _OF_SHELL.fullmatch(name):
            what = "a shell gives this variable a meaning of its own"
        elif NODE in wanted and _OF_NODE.fullmatch(name):
            what = "node takes this variable as its own options"
        if what:
            hint = "use -o json or k8s, or rename it"
            found.append(Problem(code=errors.NAME, what=what, target=name, hint=hint))
    return found


def _line(name: str, value: str, wanted: frozenset[str]) -> tuple[str, frozenset[str]]:
    """Return the line that most of the readers take as it is meant, and those who would not."""
    best, lost = "", wanted
    for form in FORMS:
        line = f"{name}={form.write(value)}\n"
        readers = form.read_by(value)
        if len(line.encode()) > _MAX_LINE:
            readers -= {DOCKER}
        if not best or len(wanted - readers) < len(lost):
            best, lost = line, wanted - readers
    return best, lost


def _refused(name: str, what: str, hint: str = "") -> Problem:
    return Problem(code=errors.NOT_CARRIABLE, what=what, target=name, hint=hint)
