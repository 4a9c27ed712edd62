"""Any exception as coded problems: ours as they are, others without a word that could be a value.

A foreign exception's message and a traceback may quote what they worked on, so only the type, the
system's own word for an errno and the place in our code are told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType

from injector.core import errors
from injector.core.errors import InjectorError, Problem

TYPE_CHECKING = False  # `typing` itself takes 2 ms to load
if TYPE_CHECKING:
    import threading

_OURS = ("injector.", "webhook.")


def problems_of(error: BaseException) -> tuple[Problem, ...]:
    """Return the error's own problems, or the one that it is a fault of ours.

    A wrong call that click found is a wrong call; who loaded no click cannot have made one.
    """
    if isinstance(error, InjectorError):
        return error.problems
    click = sys.modules.get("click")
    if click is not None and isinstance(error, click.ClickException):
        what = error.format_message().rstrip(".")
        return (Problem(code=errors.ARGUMENT, what=what[:1].lower() + what[1:]),)
    if click is not None and isinstance(error, click.Abort):
        return (Problem(code=errors.ARGUMENT, what="there was no answer to a question"),)
    return (_fault(error, error.__traceback__),)


def render(problems: Sequence[Problem]) -> str:
    """Return the block that people read: every problem with its hint, each line ended."""
    return "".join(f"{problem.render()}\n" for problem in problems)


def silence() -> None:
    """Let exceptions that nobody catches end in one line, also those of threads and finalizers."""
    sys.excepthook = lambda _, error, traceback: _tell(error, traceback)
    sys.unraisablehook = lambda seen: _tell(seen.exc_value, seen.exc_traceback)


def silence_threads() -> None:
    """Do the same for threads; only for who uses them, since it imports `threading`."""
    import threading

    def tell(seen: threading.ExceptHookArgs) -> None:
        _tell(seen.exc_value, seen.exc_traceback)

    threading.excepthook = tell


def _fault(error: BaseException | None, traceback: TracebackType | None) -> Problem:
    last = ours = ""
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        last = f"{module}:{traceback.tb_lineno}"
        if module.startswith(_OURS):
            ours = last
        traceback = traceback.tb_next
    what = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        what += f" ({os.strerror(error.errno).lower()})"
    return Problem(code=errors.INTERNAL_ERROR, what=f"{what} at {ours or last or 'unknown'}")


def _tell(error: BaseException | None, traceback: TracebackType | None) -> None:
    if sys.stderr is not None:
        sys.stderr.write(_fault(error, traceback).line() + "\n")
