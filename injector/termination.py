"""The termination message: what `kubectl describe pod` shows of a failure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from injector.core.errors import Problem
from injector.faults import render

MAX_BYTES = 4096
"""What the kubelet keeps (Container.terminationMessagePath in the core/v1 API)."""


def message(problems: Sequence[Problem]) -> str:
    """Return all lines, with their hints if those fit; what does not fit is counted."""
    block = render(problems)
    if len(block.encode()) <= MAX_BYTES:
        return block
    lines = [problem.line() + "\n" for problem in problems]
    kept: list[str] = []
    room = MAX_BYTES - len(f"and {len(lines)} more; see the log\n")
    for line in lines:
        room -= len(line.encode())
        if room < 0:
            break
        kept.append(line)
    missing = len(lines) - len(kept)
    if not kept:
        return lines[0].encode()[:MAX_BYTES].decode(errors="ignore")
    return "".join(kept) + (f"and {missing} more; see the log\n" if missing else "")


def write(problems: Sequence[Problem], path: Path) -> None:
    """Write the message into the file that the kubelet made; without it the log alone has it."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(descriptor, message(problems).encode())
        finally:
            os.close(descriptor)
