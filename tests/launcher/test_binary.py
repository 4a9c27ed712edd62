"""The binary is small, static and reproducible, and does nothing but what it must."""

import re
import shutil
import struct

import pytest

from injector import __version__
from tests.launcher import sienv
from tests.launcher.conftest import ROOT, call

START = {"arch_prctl", "set_tid_address"}
"""What the C library does before main."""

WORK = {"prctl", "execve", "open", "openat", "fcntl", "fstat", "mmap", "read", "close"}
"""What it takes to set variables; open is openat on some machines."""

FAILURE = {"write", "getpid", "exit_group"}
"""What it takes to report a failure."""

PT_INTERP, PT_GNU_STACK = 3, 0x6474E551
EXECUTABLE = 1


def program_headers(binary):
    """Return (type, flags) of each program header of a 64-bit little-endian ELF file."""
    content = binary.read_bytes()
    assert content[:6] == b"\x7fELF\x02\x01"
    (offset,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    return [struct.unpack_from("<II", content, offset + i * size) for i in range(count)]


def test_it_is_smaller_than_100_kib(launcher):
    """Each pod copies it into memory."""
    assert launcher.stat().st_size < 100 * 1024


def test_it_needs_no_loader_and_has_no_executable_stack(launcher):
    """No image has to bring a C library, and no page is writable and executable."""
    headers = dict(program_headers(launcher))

    assert PT_INTERP not in headers
    assert headers[PT_GNU_STACK] & EXECUTABLE == 0
    assert not [flags for _, flags in program_headers(launcher) if flags & 3 == 3]


def test_it_is_the_same_wherever_it_is_built(launcher, tmp_path):
    """Two builds in directories of other names give the same bytes."""
    for name in ("a", "another directory"):
        tree = tmp_path / name
        shutil.copytree(ROOT / "injector/launcher", tree / "injector/launcher")
        shutil.copytree(ROOT / "tools", tree / "tools")
        shutil.copy(ROOT / "injector/__init__.py", tree / "injector")
        shutil.copy(ROOT / "Makefile", tree)
        call(["make", "build/launcher"], cwd=tree)

    built = [(tmp_path / name / "build/launcher") for name in ("a", "another directory")]
    assert [path.read_bytes() for path in built] == [launcher.read_bytes()] * 2


def test_it_tells_its_version(start):
    """One line on stdout names the release and the file format."""
    result = start("--version")

    expected = f"secret-injector launcher {__version__} (SIENV1)\n".encode()
    assert (result.status, result.stdout, result.stderr) == (0, expected, b"")


def traced(start, strace, launcher, log, *arguments, environment=()):
    """Return the launcher's system calls until it became the command, as lines."""
    arguments = ("-o", log, launcher, *arguments)
    start(*arguments, program=strace, argv0=(b"strace",), environment=environment)
    own = re.split(r"^execve\(.* = 0$", log.read_text(errors="replace"), flags=re.MULTILINE)[1]
    return [line for line in own.splitlines() if line and not line.startswith(("---", "+++"))]


def names(lines):
    """Return the names of the system calls."""
    return {line.partition("(")[0] for line in lines}


def test_start_makes_few_system_calls(start, strace, launcher, env_file, tmp_path):
    """A thousand variables take no heap, no mapped file, one opened file and nothing unexpected."""
    path = env_file(sienv.encode([b"KEY_%d=1" % number for number in range(1000)]))
    arguments = (path, "--", "true")
    environment = [b"PATH=/none:/usr/bin"]

    lines = traced(start, strace, launcher, tmp_path / "log", *arguments, environment=environment)

    assert names(lines) <= START | WORK
    opened = [line for line in lines if line.startswith("open")]
    assert len(opened) == 1
    assert f'"{path}", O_RDONLY|O_NOCTTY|O_NONBLOCK' in opened[0]
    assert "O_CLOEXEC" in opened[0]
    assert [line for line in lines if line.startswith("close")] == ["close(3)".ljust(40) + "= 0"]
    assert all("MAP_PRIVATE|MAP_ANONYMOUS" in line for line in lines if line.startswith("mmap"))
    assert len(lines) <= 14
    assert lines[0].startswith(("arch_prctl", "set_tid_address", "prctl(PR_SET_DUMPABLE"))
    (hidden,) = (line for line in lines if line.startswith("prctl("))
    assert hidden == "prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0"
    assert lines.index(hidden) < lines.index(opened[0])


@pytest.mark.parametrize(
    "arguments",
    [
        ("/none", "--", "/bin/true"),
        ("MALFORMED", "--", "/bin/true"),
        ("ENV", "--", "/none"),
        ("ENV", "--", "none"),
        ("ENV",),
    ],
    ids=" ".join,
)
def test_failure_writes_once_and_ends(start, strace, launcher, tmp_path, arguments):
    """A failure adds one write on stderr and the end."""
    files = {"ENV": tmp_path / "env", "MALFORMED": tmp_path / "malformed"}
    files["ENV"].write_bytes(sienv.encode([b"PATH=/bin"]))
    files["MALFORMED"].write_bytes(b"x")

    lines = traced(start, strace, launcher, tmp_path / "log", *[files.get(a, a) for a in arguments])

    assert names(lines) <= START | WORK | FAILURE
    assert [line[:8] for line in lines if line.startswith("write")] == ["write(2,"]
    assert lines[-1].startswith("exit_group(")


@pytest.mark.parametrize(
    ("entries", "command"),
    [
        ([], "none"),
        ([b"PATH=/" + sienv.CANARY], "none"),
        ([b"PATH=/dev/null/" + sienv.CANARY + b":/dev"], "null"),
        ([b"X=" + sienv.CANARY.ljust(300_000, b"x")], "/bin/true"),
        ([b"X%d=" % n + sienv.CANARY.ljust(100_000, b"x") for n in range(70)], "/bin/true"),
        ([b"X=" + sienv.CANARY, b"X=" + sienv.CANARY], "/bin/true"),
        ([b"X=1", b"\n" + sienv.CANARY + b"=1"], "/bin/true"),
        ([b"X=1", sienv.CANARY], "/bin/true"),
    ],
    ids=["absent", "PATH", "denied", "long", "many", "twice", "name", "no ="],
)
def test_no_failure_shows_a_value(start, env_file, entries, command):
    """Whatever fails, no output holds a value or a byte of a malformed file."""
    path = env_file(sienv.encode([b"CANARY=" + sienv.CANARY, *entries]))

    result = start(path, "--", command, environment=[b"INHERITED=" + sienv.CANARY])

    assert result.status in {125, 126, 127}
    assert sienv.CANARY not in result.stdout + result.stderr
    assert result.stderr.count(b"\n") == 2
