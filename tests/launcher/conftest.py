"""The real binary, built by the Makefile's rule, and ways to start it.

What these tests need from the system (musl-gcc, gcc's sanitizers, strace) is installed or, where
that is not possible, fails them with the name of the package.
"""

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "injector/launcher"
LIMIT_S = 30
"""No run takes this long: one that does hangs."""


def call(command, **options):
    """Run a tool of the build and fail the test with all it said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def launcher():
    """The launcher's path."""
    call(["make", "build/launcher"], cwd=ROOT)
    return ROOT / "build/launcher"


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory):
    """The same sources in a build that stops at the first bad access or undefined operation."""
    binary = tmp_path_factory.mktemp("sanitized") / "launcher"
    sources = [path for path in SOURCES.glob("*.c") if path.name != "scratch.c"]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{SOURCES}", *sanitizers]
    call(["gcc", *flags, "-o", binary, *sources, Path(__file__).parent / "heap_scratch.c"])
    return binary


@pytest.fixture(scope="session", params=["static", "sanitized"])
def program(request):
    """The launcher as it is shipped, and its sources under AddressSanitizer and UBSan."""
    return request.getfixturevalue("launcher" if request.param == "static" else "sanitized")


@pytest.fixture(scope="session")
def strace():
    """The path of strace."""
    if shutil.which("strace") is None:
        call([ROOT / "tools/need-package", "strace"])
    return shutil.which("strace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run left behind."""

    status: int
    stdout: bytes
    stderr: bytes


def execve_with(program, arguments, environment, before_exec):
    """Return a function that becomes the program with an environment Python would not pass on."""
    libc = ctypes.CDLL(None, use_errno=True)
    argv = (ctypes.c_char_p * (len(arguments) + 1))(*arguments)
    envp = (ctypes.c_char_p * (len(environment) + 1))(*environment)
    path = os.fsencode(program)

    def become():
        before_exec()
        libc.execve(path, argv, envp)
        raise OSError(ctypes.get_errno(), "execve")

    return become


@pytest.fixture(scope="session")
def start(launcher):
    """Return a function that runs the launcher and returns its `Result`.

    `arguments` are the launcher's own, all of argv after the program. `environment` is a list of
    byte strings, as the kernel takes it: names may repeat, and an entry need not hold a `=`.
    `before_exec` is called in the new process.
    """

    def start(
        *arguments,
        environment=(),
        program=launcher,
        argv0=(b"launcher",),
        before_exec=lambda: None,
        **options,
    ):
        argv = [*argv0, *(a if isinstance(a, bytes) else str(a).encode() for a in arguments)]
        done = subprocess.run(
            [program],
            preexec_fn=execve_with(program, argv, environment, before_exec),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            **options,
        )
        return Result(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    return start


@pytest.fixture
def env_file(tmp_path):
    """Return a function that writes an env file's bytes and returns its path."""

    def write(content):
        path = tmp_path / "env"
        path.write_bytes(content)
        return path

    return write
