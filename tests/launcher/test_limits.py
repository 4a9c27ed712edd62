"""Large environments work up to the kernel's limits, and a failure at them says what to do."""

import os
import resource
import subprocess

import pytest

from tests.launcher import sienv

MAX_TEXT_BYTES = 32 * os.sysconf("SC_PAGE_SIZE")
"""What Linux allows for one `NAME=value` with its NUL (MAX_ARG_STRLEN in linux/binfmts.h)."""

SHOW = ("--", "/bin/cat", "/proc/self/environ")


def value(size):
    """Return the canary in a value of this many bytes."""
    return sienv.CANARY.ljust(size, b"x")


def test_one_mib_of_variables_is_passed_on(start, env_file):
    """A thousand variables of one KiB reach the command byte for byte."""
    entries = [b"KEY_%04d=" % number + value(1014) for number in range(1024)]
    assert sum(len(entry) + 1 for entry in entries) == 1024 * 1024

    result = start(env_file(sienv.encode(entries)), *SHOW)

    assert result.status == 0
    assert result.stdout.split(b"\0")[:-1] == entries


def test_longest_possible_value_is_passed_on(start, env_file):
    """A variable that fills the kernel's limit for one text is delivered."""
    entry = b"A=" + value(MAX_TEXT_BYTES - 3)

    result = start(env_file(sienv.encode([entry])), *SHOW)

    assert (result.status, result.stdout) == (0, entry + b"\0")


def test_one_byte_more_is_refused_by_name(start, env_file):
    """A variable above the limit is named, so that its owner can make it a file."""
    entries = [b"A=1", b"BIG=" + value(MAX_TEXT_BYTES - 4), b"C=1"]

    result = start(env_file(sienv.encode(entries)), *SHOW)

    assert (result.status, result.stdout) == (126, b"")
    assert result.stderr == (
        b'SI-613 launcher: variable too long for execve "BIG": Argument list too long\n'
        b"hint: deliver this value as a file\n"
    )


@pytest.mark.parametrize("command", ["/bin/cat", "cat"], ids=["by path", "along PATH"])
def test_too_much_in_all_is_refused(start, env_file, command):
    """Variables that are allowed one by one but not together are refused."""
    entries = [b"KEY_%d=" % number + value(100_000) for number in range(70)]

    result = start(env_file(sienv.encode(entries)), "--", command, environment=[b"PATH=/x:/bin"])

    assert (result.status, result.stdout) == (126, b"")
    assert result.stderr == (
        b"SI-613 launcher: environment and arguments are too large to execute "
        b'"%s": Argument list too long\n'
        b"hint: deliver large values as files; "
        b"all variables and arguments share a quarter of the stack limit\n" % command.encode()
    )


def test_ten_thousand_on_ten_thousand_variables_take_no_time(start, env_file):
    """Replacing 10,000 of 20,000 variables and adding 10,000 is not quadratic."""
    inherited = [b"V%05d=%d" % (number, number) for number in range(20_000)]
    entries = [b"V%05d=new" % number for number in range(29_999, 9_999, -1)]
    path = env_file(sienv.encode(entries))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    result = start(path, *SHOW, environment=inherited)

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.stdout.split(b"\0")[:-1] == sienv.merge(inherited, entries)
    assert after.ru_utime - before.ru_utime < 0.25


def test_no_memory_is_reported(start, env_file):
    """Without memory for the file the command does not start."""
    path = env_file(sienv.encode([b"KEY_%d=" % n + value(100_000) for n in range(20)]))
    limits = {"AS": 1024 * 1024}

    def limit_memory():
        for name, size in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (size, size))

    result = start(path, *SHOW, before_exec=limit_memory)

    assert (result.status, result.stdout) == (125, b"")
    assert result.stderr.startswith(
        b'SI-610 launcher: cannot read env file "%s": Out of memory\nhint: ' % bytes(path)
    )


def test_small_stack_limit_reaches_the_command(launcher, env_file):
    """The limits of the process are those of the command: a small stack stays small."""
    path = env_file(sienv.encode([b"A=1"]))
    shell = 'ulimit -Ss 256; exec "$0" "$1" -- /bin/sh -c "ulimit -Ss; echo \\$A"'

    seen = subprocess.check_output(["/bin/sh", "-c", shell, launcher, path])

    assert seen == b"256\n1\n"
