"""No other process of the same user, and no crash, gets to read the memory of a program of ours.

Called before the first value, token or key is read, by every program that reads one.
"""

from __future__ import annotations

import os
import resource
import sys

_PR_SET_DUMPABLE = 4


def hide() -> None:
    """Make this process not dumpable: `/proc/PID/mem`, `environ` and `root` are for root alone.

    The kernel undoes it at execve, so a command that we become is as it always was. In our image
    the interpreter's file cannot be read, only executed, which makes its process so from its first
    instruction on (`would_dump` in the kernel's fs/exec.c): then nothing is left to do, and ctypes,
    which takes 7 ms to load, is not loaded.
    """
    if sys.platform != "linux" or _is_hidden():
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def forbid_core_dumps() -> None:
    """Let no crash write our memory anywhere, and no crash of a program that we become.

    One byte instead of none: a limit of zero does not hold for a core that is piped to a program,
    one does (core(5) and the kernel's `do_coredump`).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 1 if hard == resource.RLIM_INFINITY else min(1, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))


def _is_hidden() -> bool:
    """Say whether it is done already: the kernel gives the files of a hidden process to root.

    As root ourselves we cannot tell.
    """
    try:
        return os.stat("/proc/self/environ").st_uid != os.geteuid()  # noqa: PTH116 (pathlib is slow)
    except OSError:
        return False
