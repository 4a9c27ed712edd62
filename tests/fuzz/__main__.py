"""`make fuzz`: every reader of text from outside, driven by a coverage-guided fuzzer.

    python -m tests.fuzz [--seconds 60] [TARGET...]     all targets, or those named, two at a time
    python -m tests.fuzz --one TARGET ARGUMENT...       one Python target in this process (Atheris)

Python targets run the table of tests/entry_points.py under Atheris, those of the launcher are its
own C sources under libFuzzer with the address and undefined-behaviour sanitizers. A target starts
from its kept corpus (corpus/TARGET) and what earlier runs found (build/fuzz/TARGET). A crash, an
exception that is not a coded answer, or more steps than the input allows fails it; the input is
kept in build/fuzz/failures, and belongs into the corpus with the fix.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.targets import C_TARGETS, TARGETS

HERE = Path(__file__).parent
BUILD = Path("build/fuzz")
MAX_BYTES = 4096
LAUNCHER = Path("injector/launcher")
CLANG = (
    "clang-14", "-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-fno-omit-frame-pointer",
    "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all",
    "-Dexecve=fuzz_execve", "-Dchdir=fuzz_chdir", f"-I{LAUNCHER}",
)  # fmt: skip
# report.c and scratch.c are replaced by the harness, launcher.c has the other `main`.
SOURCES = ("envfile.c", "environment.c", "command.c", "fetcher.c")


def main():
    """Run the targets and say how each ended; exit 1 when one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    names = arguments.names or [*TARGETS, *C_TARGETS]
    with ThreadPoolExecutor(max_workers=2) as pool:
        ended = list(pool.map(lambda name: run(name, arguments.seconds), names))
    return 0 if all(ended) else 1


def run(name, seconds):
    """Run one target; return whether it passed."""
    grown, failures = BUILD / name, BUILD / "failures"
    for folder in (grown, failures):
        folder.mkdir(parents=True, exist_ok=True)
    program = [sys.executable, "-m", "tests.fuzz", "--one", name]
    command = [
        *(c_target(name) if name in C_TARGETS else program),
        f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        f"-artifact_prefix={failures}/{name}-",
        str(grown),
        str(HERE / "corpus" / name),
    ]
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0", "PYTHONHASHSEED": "0"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = (ended.stdout + ended.stderr).splitlines()
    runs = next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "?")
    verdict = "passed" if ended.returncode == 0 else "FAILED"
    sys.stdout.write(f"fuzz {name}: {verdict}, {runs} inputs\n")
    if ended.returncode:
        sys.stdout.write("\n".join(lines[-60:]) + "\n")
    sys.stdout.flush()
    return ended.returncode == 0


def c_target(name):
    """Build a target of the launcher; return its command."""
    program = BUILD / f"{name}.bin"
    sources = [str(HERE / "launcher_fuzz.c"), *(str(LAUNCHER / source) for source in SOURCES)]
    subprocess.run([*CLANG, f"-D{C_TARGETS[name]}", "-o", str(program), *sources], check=True)
    return [str(program)]


def one(name, arguments):
    """Run a Python target in this process; does not return."""
    import atheris

    with atheris.instrument_imports(include=["injector", "webhook"]):
        from tests.fuzz import feeding

    atheris.Setup([name, *arguments], feeding.feeder(name))
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3:])
    sys.exit(main())
