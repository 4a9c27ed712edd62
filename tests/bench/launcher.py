"""What the launcher adds to the start of a program: time, and memory while it does."""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from injector.core import encode
from tests.bench.figure import Figure

LAUNCHER = Path("build/launcher").resolve()
SOURCE = Path(__file__).with_name("tiny.c")
ROUNDS = 500
MAX_ADDED_MS = 2.0
MAX_MIB = 4.0
SETS = {
    "10 variables": [(f"KEY{i}", b"value") for i in range(10)],
    "1 MiB of variables": [(f"KEY{i}", b"x" * 65_000) for i in range(16)],
}


def run() -> list[Figure]:
    """Return the medians of starts with the launcher and without, taken in turns."""
    made = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tiny = str(folder / "tiny")
        subprocess.run(["musl-gcc", "-static", "-Os", "-o", tiny, SOURCE], check=True)
        for title, variables in SETS.items():
            file = folder / "env"
            file.write_bytes(encode.launcher_env(variables))
            launched = [str(LAUNCHER), str(file), "--", tiny]
            direct, through = [], []
            for _ in range(ROUNDS):
                direct.append(started_ms([tiny], dict(variables)))
                through.append(started_ms(launched, {}))
            added = statistics.median(through) - statistics.median(direct)
            name = f"launcher adds, {title}"
            made.append(Figure(name=name, value=added, unit="ms", at_most=MAX_ADDED_MS))
        said = subprocess.run([tiny, *launched], env={}, check=True, capture_output=True).stdout
    name = f"launcher's peak, {title}"
    made.append(Figure(name=name, value=int(said) / 1024, unit="MiB", at_most=MAX_MIB))
    return made


def started_ms(argv, env) -> float:
    """Return the time from asking for a process to its end, which must be a good one."""
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, env)
    _, status = os.waitpid(pid, 0)
    took_ms = (time.perf_counter() - began) * 1000
    if status:
        raise RuntimeError(f"{argv} ended with {os.waitstatus_to_exitcode(status)}")
    return took_ms
