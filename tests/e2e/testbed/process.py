"""Runs programs: once with their output kept, or as daemons whose log is a file."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class CommandFailedError(Exception):
    """A program ended with a non-zero status.

    `status` is its exit status, `stdout` and `stderr` all of its output.
    """

    def __init__(self, argv: Sequence[str], status: int, stdout: bytes, stderr: bytes) -> None:
        self.argv = tuple(argv)
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        said = (stderr or stdout).decode(errors="replace").strip()
        super().__init__(f"{' '.join(self.argv[:8])} ended with status {status}:\n{said[-4000:]}")


class TooLateError(AssertionError):
    """Something waited for did not happen in time."""


def run(
    *argv: str | Path,
    input: bytes | str | None = None,  # noqa: A002 - as in subprocess
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    timeout_s: float = 120,
) -> bytes:
    """Run a program to its end and return its standard output.

    *env* is added to the environment. Raises CommandFailedError for a non-zero status when
    *check* is true.
    """
    words = [str(word) for word in argv]
    done = subprocess.run(
        words,
        input=input.encode() if isinstance(input, str) else input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        env=None if env is None else {**os.environ, **env},
        cwd=cwd,
        check=False,
        timeout=timeout_s,
    )
    if check and done.returncode != 0:
        raise CommandFailedError(words, done.returncode, done.stdout, done.stderr)
    return done.stdout


def until(
    attempt: Callable[[], T | None],
    *,
    what: str,
    timeout_s: float,
    every_s: float = 0.1,
    retry_on: tuple[type[Exception], ...] = (),
    explain: Callable[[], str] | None = None,
) -> T:
    """Call *attempt* until it returns something true, and return that.

    Exceptions of the types in *retry_on* count as "not yet". Raises TooLateError, which names
    *what*, the last such exception and the text of *explain*, once *timeout_s* has passed.
    """
    deadline = time.monotonic() + timeout_s
    last: Exception | None = None
    while True:
        try:
            if result := attempt():
                return result
            last = None
        except retry_on as error:
            last = error
        if time.monotonic() > deadline:
            notes = [str(last)] if last else []
            notes += [explain()] if explain else []
            raise TooLateError("\n".join([f"not within {timeout_s:g} s: {what}", *notes]))
        time.sleep(every_s)


class Daemon:
    """A program in the background, its output in *log*.

    *enter* is put in front of the command line (see `Space.enter`); a program there which forks,
    as nsenter does, is followed to the real process, so signals reach the daemon itself.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        enter: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log = log
        self._enter = list(enter)
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program; its log is appended to."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._enter, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the program itself, as this process sees it."""
        if self._process is None:
            raise ProcessLookupError(self.name)
        if not self._enter:
            return self._process.pid
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return until(
            lambda: int((children.read_text().split() or ["0"])[0]),
            what=f"{self.name} has a process",
            timeout_s=5,
            every_s=0.01,
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program; for SIGSTOP and SIGCONT see `freeze` and `thaw`."""
        os.kill(self.pid, number)

    def freeze(self) -> None:
        """Stop the program's clock: it keeps its connections and answers nothing."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        # A signal is on its way for a moment, and a busy thread runs on until it arrives.
        threads = Path(f"/proc/{pid}/task")
        until(
            lambda: all(_state(thread) == "T" for thread in threads.iterdir()),
            what=f"{self.name} stands still",
            timeout_s=5,
            every_s=0.01,
            retry_on=(OSError,),
        )

    def thaw(self) -> None:
        """Let a frozen program run on; nsenter froze with it and must go on too."""
        if self._process is not None:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self._process.pid, signal.SIGCONT)

    def stop(self, *, timeout_s: float = 15) -> None:
        """End the program with SIGTERM, or SIGKILL when it has not ended after *timeout_s*."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, TooLateError):
            pid = self.pid
            os.kill(pid, signal.SIGTERM)
            os.kill(self._process.pid, signal.SIGCONT)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                os.kill(pid, signal.SIGKILL)
        self.reap()

    def reap(self, *, timeout_s: float = 30) -> None:
        """Wait for the end of a program that something else has killed."""
        if self._process is not None:
            self._process.wait(timeout_s)
            self._process = None

    def restart(self, *, timeout_s: float = 15) -> None:
        """Stop the program as `stop` does and start it again with the same command line."""
        self.stop(timeout_s=timeout_s)
        self.start()

    def tail(self, *, lines: int = 15) -> str:
        """Return the last lines of the log, for error messages."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"{self.log}:\n" + "\n".join(text.splitlines()[-lines:])


def _state(thread: Path) -> str:
    """Return the state of a thread (proc(5)): the letter behind its name in brackets."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]
