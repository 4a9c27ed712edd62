"""The command is found as a container runtime would find it, or the exit status says why not."""

import os

import pytest

from tests.launcher import sienv

ABSENT = "check the container's command, or name it with its directory"
ABSENT_FILE = (
    "check the container's command; the interpreter or loader that the file names must exist too"
)
UNFIT = "it must be a program for this machine, or a script that begins with #!, and be executable"


@pytest.fixture
def bins(tmp_path):
    """Return a function that makes a directory with one script, and returns its path."""

    def make(name, text="#!/bin/sh\necho $0 $*\n", mode=0o755):
        (tmp_path / name).mkdir()
        script = tmp_path / name / "tool"
        script.write_text(text)
        script.chmod(mode)
        return str(tmp_path / name)

    return make


@pytest.fixture
def execute(start, env_file):
    """Return a function that runs a command with these planned and inherited variables."""

    def execute(*command, planned=(), inherited=(), **options):
        path = env_file(sienv.encode([entry.encode() for entry in planned]))
        inherited = [entry.encode() for entry in inherited]
        result = start(path, "--", *command, environment=inherited, **options)
        return (result.status, result.stdout.decode(), result.stderr.decode())

    return execute


def refused(status, command, why, hint):
    """Return what a command that cannot be executed must lead to."""
    return (status, "", f'SI-612 launcher: cannot execute "{command}": {why}\nhint: {hint}\n')


def test_first_directory_of_the_path_wins(execute, bins):
    """PATH is searched in order."""
    a, b = bins("a"), bins("b")

    assert execute("tool", "x", inherited=[f"PATH=/none:{b}:{a}"]) == (0, f"{b}/tool x\n", "")


def test_path_of_the_env_file_decides(execute, bins):
    """The final environment's PATH counts, not the one that the launcher was started with."""
    a, b = bins("a"), bins("b")

    result = execute("tool", planned=[f"PATH={b}"], inherited=[f"PATH={a}"])

    assert result == (0, f"{b}/tool\n", "")


def test_only_the_variable_path_is_the_path(execute, bins):
    """Variables whose names begin like PATH are other variables."""
    a, b = bins("a"), bins("b")

    result = execute("tool", inherited=[f"PATHS={a}", f"PATH={b}", f"PATH_={a}"])

    assert result == (0, f"{b}/tool\n", "")


@pytest.mark.parametrize("size", [4095, 4096, 4097, 100_000])
def test_candidate_is_bounded_by_path_max(execute, program, size):
    """A candidate of PATH_MAX bytes with its NUL is tried; a longer one is passed over."""
    directory = "/bin".ljust(size - len("/true\0"), "/")

    result = execute("true", inherited=[f"PATH={directory}"], program=program)

    assert result[0] == (0 if size <= 4096 else 127)
    result = execute("true", inherited=[f"PATH={directory}:/bin"], program=program)
    assert result == (0, "", "")


def test_search_goes_on_after_a_loop_of_symlinks(execute, bins, tmp_path):
    """A candidate that leads nowhere is absent."""
    a = bins("a")
    (tmp_path / "tool").symlink_to("tool")

    assert execute("tool", inherited=[f"PATH={tmp_path}:{a}"]) == (0, f"{a}/tool\n", "")


def test_name_with_a_slash_is_not_searched(execute, bins, tmp_path):
    """A path is taken as it is, relative to the working directory."""
    a, _ = bins("a"), bins("b")

    assert execute("b/tool", inherited=[f"PATH={a}"], cwd=tmp_path) == (0, "b/tool\n", "")


@pytest.mark.parametrize("path", ["", ":", ".", "a", "::a:.", "./a", "a/../a"])
def test_working_directory_is_never_searched(execute, bins, tmp_path, path):
    """Empty and relative entries of PATH name no directory."""
    a = bins("a")

    result = execute("tool", inherited=[f"PATH={path}"], cwd=a)

    assert result == refused(127, "tool", "not found in PATH", ABSENT)
    assert execute("tool", inherited=[f"PATH={path}:{a}"], cwd=a) == (0, f"{a}/tool\n", "")


def test_without_a_path_nothing_is_found(execute):
    """There is no default PATH."""
    assert execute("sh") == refused(127, "sh", "PATH is not set", ABSENT)


@pytest.mark.parametrize("command", ["tool", "", "x" * 5000, "\u00e9"])
def test_unknown_command_is_127(execute, command):
    """A name that no directory holds is not found, whatever its length and bytes."""
    status, stdout, stderr = execute(command, inherited=["PATH=/bin:/dev/null:/none"])

    assert (status, stdout) == (127, "")
    assert stderr.endswith(f": not found in PATH\nhint: {ABSENT}\n")


def test_missing_file_is_127(execute):
    """A path that leads nowhere is not found."""
    expected = refused(127, "/none/tool", "No such file or directory", ABSENT_FILE)

    assert execute("/none/tool") == expected


def test_missing_interpreter_is_127(execute, bins):
    """A script whose interpreter is missing gives the kernel's reason and a hint at the cause."""
    a = bins("a", text="#!/none/interpreter\n")

    expected = refused(127, f"{a}/tool", "No such file or directory", ABSENT_FILE)
    assert execute(f"{a}/tool") == expected


def test_file_that_is_not_executable_is_126(execute, bins):
    """Permission denied, by path and along PATH."""
    a = bins("a", mode=0o644)

    expected = refused(126, f"{a}/tool", "Permission denied", UNFIT)
    assert execute(f"{a}/tool") == expected
    expected = refused(126, "tool", "Permission denied", UNFIT)
    assert execute("tool", inherited=[f"PATH={a}:/none"]) == expected


def test_search_goes_on_after_a_file_that_is_not_executable(execute, bins):
    """A later candidate that may be executed is used."""
    a, b = bins("a", mode=0o644), bins("b")

    assert execute("tool", inherited=[f"PATH={a}:{b}"]) == (0, f"{b}/tool\n", "")


def test_directory_is_126(execute, tmp_path):
    """A directory cannot be executed."""
    expected = refused(126, str(tmp_path), "Permission denied", UNFIT)

    assert execute(tmp_path) == expected


def test_script_without_an_interpreter_is_never_given_to_a_shell(execute, bins, tmp_path):
    """A text without #! is 126, leaves no trace, and ends the search."""
    a, b = bins("a", text=f"touch {tmp_path}/ran\n"), bins("b")

    assert execute(f"{a}/tool") == refused(126, f"{a}/tool", "Exec format error", UNFIT)
    result = execute("tool", inherited=[f"PATH={a}:{b}"])

    assert result == refused(126, "tool", "Exec format error", UNFIT)
    assert not (tmp_path / "ran").exists()


def test_odd_bytes_of_a_name_are_escaped(execute):
    """A command's name can neither steer a terminal nor forge a line, and is cut when long."""
    name = b'/x"\\\n\x1b[31m\xff\x7f~'

    assert execute(name) == refused(
        127, r"/x\"\\\x0a\x1b[31m\xff\x7f~", "No such file or directory", ABSENT_FILE
    )
    long = "/" + "y" * 255
    assert f'cannot execute "{long}"...: ' in execute(long + "z" * 9)[2]
    assert f'cannot execute "{long}": ' in execute(long)[2]


def test_every_byte_of_the_longest_name_is_escaped(execute):
    """The message has room for the worst subject: both lines are whole."""
    name = b"\x01" * 5000

    expected = refused(127, "\\x01" * 256, "not found in PATH", ABSENT)
    result = execute(name, inherited=["PATH=/bin"])
    assert result == (127, "", expected[2].replace('": not', '"...: not'))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["-h"],
        ["--version", "x"],
        ["ENV"],
        ["ENV", "--"],
        ["ENV", "/bin/true"],
        ["ENV", "/bin/true", "x"],
        ["--", "/bin/true"],
        ["--", "ENV", "/bin/true"],
        ["exec"],
        ["exec", "--"],
        ["exec", "true"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_125(start, env_file, arguments):
    """Without an env file, `--` and a command, in this order, nothing is started."""
    path = env_file(sienv.encode([b"A=1"]))

    result = start(*[path if argument == "ENV" else argument for argument in arguments])

    assert (result.status, result.stdout) == (125, b"")
    assert result.stderr == (
        b"SI-614 launcher: usage: launcher ENVFILE -- COMMAND [ARG...], or launcher exec COMMAND"
        b" [ARG...]\nhint: the webhook writes the first; the second is for kubectl exec, with the"
        b" launcher's whole path\n"
    )


def test_empty_argument_vector_is_wrong_usage(start):
    """A process started with no argv at all, as execve allows, is refused too."""
    result = start(argv0=())

    assert (result.status, result.stderr[:7]) == (125, b"SI-614 ")


@pytest.mark.parametrize("closed", [1, 2])
def test_closed_output_changes_no_status(start, tmp_path, closed):
    """Without a stdout or stderr the status is the same, and no other file gets the message."""
    result = start(tmp_path / "none", "--", "x", before_exec=lambda: os.close(closed))

    assert result.status == 125
    assert (result.stderr == b"") == (closed == 2)
