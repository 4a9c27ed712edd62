"""The launcher takes an env file of exactly one form, and starts nothing on any other."""

import os
import re
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.launcher import sienv

SHOW = ("--", "/bin/cat", "/proc/self/environ")
"""A command that prints its environment as the kernel was given it."""

HINTS = {
    "SI-610": "the pod's secret-injector container writes this file; its log says why it did not",
    "SI-611": "launcher and injector must come from the same image, "
    "and nothing else may write this file",
}


def refusal(path, code, why):
    """Return what a refused env file must lead to: both lines, nothing started."""
    what = {"SI-610": "cannot read env file", "SI-611": "malformed env file"}[code]
    return (125, b"", f'{code} launcher: {what} "{path}": {why}\nhint: {HINTS[code]}\n'.encode())


def outcome(result):
    """Return all that a run can be judged by."""
    return (result.status, result.stdout, result.stderr)


@pytest.mark.parametrize(("content", "why"), sienv.MALFORMED.values(), ids=sienv.MALFORMED.keys())
def test_malformed_file_is_refused(start, program, env_file, content, why):
    """Each rule, broken alone, is refused with its reason and without a byte of the file."""
    assert sienv.decode(content) is None
    path = env_file(content)

    result = start(path, *SHOW, program=program)

    assert outcome(result) == refusal(path, "SI-611", why)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [b"A="],
        [b"_=1", b"a1=2", b"A" * 300 + b"=3", b"A=4"],
        [bytes([code]) + b"=" for code in range(0x20, 0x7F) if code != ord("=")],
        [b"spring.datasource.password=1", b"xpack.security-key=2", b"1 /%=3", b" =4", b"  =5"],
        [b"A=" + bytes(range(1, 256))],
        [b"A==", b"B=a=b", b"C=\n", b"D=$(A) ${A} `A`", b"E='\"\\", b"F= x ", b"G=A=1\nH=2"],
        [b"A=\xff\xfe\xc0", "B=\N{KEY}\N{RIGHT-TO-LEFT OVERRIDE}".encode()],
    ],
    ids=[
        "none",
        "empty value",
        "names",
        "every character",
        "odd names",
        "every byte",
        "syntax of others",
        "not UTF-8",
    ],
)
def test_well_formed_file_is_set_byte_for_byte(start, program, env_file, entries):
    """Values reach the command as they are: nothing is expanded, unquoted, trimmed or decoded."""
    path = env_file(sienv.encode(entries))

    result = start(path, *SHOW, program=program)

    assert outcome(result) == (0, b"".join(entry + b"\0" for entry in entries), b"")


def test_file_of_8_mib_is_read(start, program, env_file):
    """The limit itself is allowed; what fails is the kernel's limit for one variable."""
    content = sienv.encode([b"A=" + b"x" * (sienv.MAX_FILE_BYTES - 20)])
    assert len(content) == sienv.MAX_FILE_BYTES

    result = start(env_file(content), *SHOW, program=program)

    assert (result.status, result.stderr.split(b" ")[0]) == (126, b"SI-613")


entries = st.lists(
    st.builds(
        lambda name, value: name.encode() + b"=" + value.replace(b"\0", b""),
        st.from_regex(re.compile(r"[ -<>-~]{1,4}"), fullmatch=True),
        st.binary(max_size=12),
    ),
    max_size=6,
)
well_formed = entries.map(lambda es: list({e.split(b"=")[0]: e for e in es}.values())).map(
    sienv.encode
)


@st.composite
def damaged(draw):
    """Return a well-formed file after a few cuts and insertions."""
    content = draw(well_formed)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(len(content), start + 4)))
        piece = draw(st.one_of(st.sampled_from([b"", b"\0", b"0", b" ", b"\n"]), st.binary()))
        content = content[:start] + piece + content[stop:]
    return content


@given(content=st.one_of(st.binary(), well_formed, entries.map(sienv.encode), damaged()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_file_is_read_by_the_rules_or_refused(start, program, env_file, content):
    """Any bytes either give the entries that the reference reader sees, or start nothing."""
    path = env_file(content)
    expected = sienv.decode(content)

    result = start(path, *SHOW, program=program)

    if expected is None:
        why = result.stderr.split(b'": ')[1].split(b"\n")[0].decode()
        assert why in {reason for _, reason in sienv.MALFORMED.values()}
        assert outcome(result) == refusal(path, "SI-611", why)
    else:
        assert outcome(result) == (0, b"".join(entry + b"\0" for entry in expected), b"")


def test_missing_file_is_refused(start, program, tmp_path):
    """A file that was never written keeps the command from starting."""
    path = tmp_path / "env"

    result = start(path, *SHOW, program=program)

    assert outcome(result) == refusal(path, "SI-610", "No such file or directory")


def test_dangling_symlink_is_refused(start, program, tmp_path):
    """A link to nothing is a missing file."""
    path = tmp_path / "env"
    path.symlink_to("..data/env")

    result = start(path, *SHOW, program=program)

    assert outcome(result) == refusal(path, "SI-610", "No such file or directory")


def test_symlinks_are_followed(start, program, tmp_path):
    """The published layout is read: a link to a file in a directory that is a link itself."""
    (tmp_path / "..1").mkdir()
    (tmp_path / "..1/env").write_bytes(sienv.encode([b"A=1"]))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "env").symlink_to("..data/env")

    result = start(tmp_path / "env", *SHOW, program=program)

    assert outcome(result) == (0, b"A=1\0", b"")


@pytest.mark.parametrize("kind", ["directory", "FIFO", "device"])
def test_anything_but_a_regular_file_is_refused(start, program, tmp_path, kind):
    """A directory, a device and a FIFO that nobody writes to are refused, without waiting."""
    path = tmp_path / "env"
    match kind:
        case "directory":
            path.mkdir()
        case "FIFO":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")

    result = start(path, *SHOW, program=program)

    assert outcome(result) == refusal(path, "SI-611", "it is not a regular file")


def test_file_of_another_size_than_stated_is_refused(start, program):
    """A file that gives more bytes than its size, as one that is being written does, is refused."""
    path = "/proc/version"  # its size is 0

    result = start(path, *SHOW, program=program)

    assert outcome(result) == refusal(path, "SI-611", "it changed while it was read")


def test_socket_is_refused(start, program, tmp_path, monkeypatch):
    """A socket cannot be opened at all."""
    monkeypatch.chdir(tmp_path)  # an address holds 107 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("env")

        result = start("env", *SHOW, program=program)

    assert result.status == 125
    assert result.stderr.startswith(b'SI-610 launcher: cannot read env file "env": No such device')


def test_unreadable_file_is_refused(start, launcher, tmp_path):
    """A file that the container's user may not read is reported as such."""
    path = tmp_path / "env"
    path.write_bytes(sienv.encode([b"A=1"]))
    path.chmod(0)
    user = 65534 if os.geteuid() == 0 else None

    with launcher.open("rb") as binary:  # the directories above may be closed to that user
        fd = binary.fileno()
        result = start(
            "env", *SHOW, program=f"/proc/self/fd/{fd}", user=user, pass_fds=[fd], cwd=tmp_path
        )

    assert outcome(result) == refusal("env", "SI-610", "Permission denied")
