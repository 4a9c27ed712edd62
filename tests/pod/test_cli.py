"""The command as a process: finding programs, ending them, and saying nothing it should not."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

import injector
from injector import cli

CANARY = "c4n4ry-5f0e"


def run(*argv, **options):
    """Run the command and return what it did."""
    command = [sys.executable, "-m", "injector", *argv]
    options = {"capture_output": True, "text": True, **options}
    return subprocess.run(command, check=False, **options)


def outcome(done):
    """Return exit status, output and messages."""
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def program(tmp_path):
    """Return how to run a program of our own through the real command, as a process."""

    def start(body):
        source = f"import sys, os, signal\ndef main(argv):\n{textwrap.indent(body, '    ')}\n"
        (tmp_path / "planted.py").write_text(source)
        code = (
            "import sys\nfrom injector import cli\n"
            "planted = cli.Command(name='planted', target='planted:main', summary='')\n"
            "cli.COMMANDS['planted'] = planted\n"
            "sys.argv = ['secret-injector', 'planted']\nsys.exit(cli.main())\n"
        )
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:."}
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_the_version_is_the_packages():
    """Two spellings, one line."""
    line = f"secret-injector {injector.__version__}\n"

    assert outcome(run("--version")) == outcome(run("version")) == (0, line, "")


def test_help_begins_with_examples_and_lists_every_command():
    """Asked for, it is output; without a command it is a wrong call."""
    asked, blank = run("--help"), run()

    assert asked.stdout.startswith("examples:\n  secret-injector ")
    assert all(f"  {name} " in asked.stdout for name in cli.COMMANDS)
    assert max(map(len, asked.stdout.splitlines())) <= 100
    assert (asked.returncode, blank.returncode) == (0, 2)


def test_an_unknown_command_is_met_with_the_nearest():
    """Two lines on standard error, nothing on standard output."""
    message = 'SI-201 there is no command "fech"\n       hint: did you mean "fetch"?\n'

    assert outcome(run("fech")) == (2, "", message)


def test_starting_a_command_loads_no_other_programs_libraries():
    """The pod pays for what it uses."""
    code = "import sys, injector.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    heavy = {"click", "yaml", "logging", "asyncio", "structlog", "aiohttp", "argparse", "threading"}
    assert heavy.isdisjoint(loaded.stdout.split())


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_of_the_table_explains_itself(name):
    """Its module is there, and `--help` is an answer."""
    done = run(name, "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert name in done.stdout


class TestEnds:
    """How a program ends."""

    @pytest.mark.parametrize(
        ("body", "status", "message"),
        [
            (
                f"raise ValueError('{CANARY}')",
                1,
                "SI-500 ValueError at injector.cli:",
            ),
            (
                f"raise OSError(28, '{CANARY}', '{CANARY}')",
                1,
                "SI-500 OSError (no space left on device) at injector.cli:",
            ),
            (
                (
                    "from injector.core import errors\n"
                    "raise errors.Refused([errors.Problem(code=errors.PLAN, what='it is cut off')])"
                ),
                2,
                "SI-202 it is cut off",
            ),
            (
                (
                    f"import threading\n"
                    f"from injector import faults\n"
                    f"faults.silence_threads()\n"
                    f"def work(): raise ValueError('{CANARY}')\n"
                    f"thread = threading.Thread(target=work); thread.start(); thread.join()\n"
                    f"return 0"
                ),
                0,
                "SI-500 ValueError at planted:",
            ),
            (
                (
                    f"class Thing:\n    def __del__(self): raise ValueError('{CANARY}')\n"
                    f"Thing()\nreturn 0"
                ),
                0,
                "SI-500 ValueError at planted:",
            ),
        ],
        ids=["fault", "system", "problem", "thread", "finalizer"],
    )
    def test_an_exception_is_told_without_its_message(self, program, body, status, message):
        """The code, the type and the place; the text could quote a value."""
        process = program(body)
        output, messages = process.communicate(timeout=20)

        assert (process.returncode, output) == (status, "")
        assert messages.startswith(message)
        assert CANARY not in messages
        assert "Traceback" not in messages

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_signal_ends_it_quietly_after_its_clean_up(self, program, number, status):
        """Through `finally`, with the status a shell would give, without a word."""
        process = program(
            "try:\n    print('ready', flush=True)\n    signal.pause()\n"
            "finally:\n    print('clean', flush=True)"
        )
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        output, messages = process.communicate(timeout=20)

        assert (process.returncode, output, messages) == (status, "clean\n", "")

    def test_a_closed_pipe_ends_it_quietly(self, program):
        """As `head` does to every well-behaved program."""
        process = program("for _ in range(100_000): print('x' * 80)\nreturn 0")
        process.stdout.readline()
        process.stdout.close()
        messages = process.stderr.read()

        assert (process.wait(timeout=20), messages) == (141, "")
        process.stderr.close()


def test_a_wrong_option_is_a_wrong_call():
    """What the command's own parser says, with our code and status."""
    done = run("mutate", "--filenam", "pod.yaml")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.lower().startswith("si-201 no such option '--filenam'")
