"""`secret-injector demo` as a newcomer runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from webhook.commands import demo as demo_command
from webhook.commands import rehearsal
from webhook.commands.story import Story


@pytest.fixture(scope="module")
def demo():
    """What one run said."""
    if not Path("build/launcher").exists():
        pytest.skip("make launcher has not run")
    argv = [sys.executable, "-m", "injector", "demo"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_the_demo_ends_well(demo):
    """Every step did what it says."""
    assert (demo.returncode, demo.stderr) == (0, "")
    assert demo.stdout.count("as stored") == 3
    assert "none is there" in demo.stdout


def test_the_demo_shows_the_refusal_with_its_way_out(demo):
    """Both slips are told at once, with what was meant."""
    assert 'did you mean "demo"?' in demo.stdout
    assert 'did you mean "files"?' in demo.stdout


def test_without_a_terminal_there_is_no_colour_and_no_long_line(demo):
    """What is piped is plain text of 100 columns."""
    assert "\x1b" not in demo.stdout
    assert max(map(len, demo.stdout.splitlines())) <= 100


def test_a_value_in_an_output_fails_the_demo(capsys):
    """The search decides the exit status, and does not repeat what it found."""
    status = demo_command.searched(Story(), ["harmless", "so: c4n4ry!"], {"token": "c4n4ry"})

    assert status == 1
    assert "c4n4ry" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "x s3cr3t-v4lue+/' y",
        "cDogczNjcjN0LXY0bHVlKy8nCg",
        "czNjcjN0LXY0bHVlKy8n",
        "7333637233742d76346c75652b2f27",
        "s3cr3t-v4lue%2B%2F%27",
    ],
)
def test_the_search_finds_a_value_in_every_spelling(text):
    """As it is, in base64 wherever it begins, in hexadecimal and in a URL."""
    assert rehearsal.leaks(["harmless", text], ["s3cr3t-v4lue+/'"]) == 1


def test_the_search_finds_nothing_where_nothing_is():
    """Else the demo could never end well."""
    assert rehearsal.leaks(["harmless", "c2VjcmV0"], ["s3cr3t-v4lue+/'"]) == 0
