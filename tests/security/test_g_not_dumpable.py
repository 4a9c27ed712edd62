"""Row G: a process of the same user in a shared PID namespace reads nothing of ours.

Both sides run as the same user without any capability, as containers of a pod do.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.launcher import sienv
from tests.launcher.conftest import launcher, strace
from tests.pod.init_container import Pod, plan_for

__all__ = ["launcher", "strace"]  # fixtures

PATIENCE_S = 20
BARE = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []

READER = """
import os, sys
for name in ("environ", "mem", "maps", "root", "cwd", "exe", "fd/1"):
    path = f"/proc/{sys.argv[1]}/{name}"
    try:
        if name in ("exe", "fd/1"):
            os.readlink(path)
        elif name in ("root", "cwd"):
            os.listdir(path)
        else:
            os.close(os.open(path, os.O_RDONLY))
        print(name)
    except PermissionError:
        pass
"""


def readable(pid):
    """Return what of a process another one of its user may open."""
    command = [*BARE, sys.executable, "-I", "-c", READER, str(pid)]
    return subprocess.check_output(command, text=True, timeout=PATIENCE_S).split()


@contextmanager
def ended(process):
    """Give the process, and end it."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(is_true):
    """Poll until it is so."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.fixture
def silent():
    """A server that accepts and never answers; gives its socket and address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        yield server


def test_other_programs_of_the_same_user_can_be_read():
    """What the other tests show is not a property of this machine."""
    command = [*BARE, sys.executable, "-I", "-c", "import time; print(flush=True); time.sleep(60)"]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE)) as process:
        process.stdout.readline()

        assert {"environ", "root", "cwd", "fd/1"} <= set(readable(process.pid))


def test_the_fetcher_cannot_be_read(tmp_path, silent):
    """While it waits for a store, its environment, memory, descriptors and files are its own."""
    pod = Pod(tmp_path)
    (pod.folder / "sources/secrets/app/token").write_text("t0k3n")
    token = {"secretRef": {"name": "app", "key": "token"}}
    address = "http://{}:{}".format(*silent.getsockname())
    document = {"vault": {"address": address, "auth": {"token": {"token": token}}}}
    plan = plan_for(("secret/a", "x"), name="vault", document=document)
    with ended(pod.start(plan, before=BARE)) as process:
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)

            assert readable(process.pid) == []


@pytest.mark.parametrize("command", ["demo", "run", "env", "export", "secret", "webhook"])
def test_no_command_can_be_read(command):
    """Every program of ours begins with it, since execve undoes it."""
    code = (
        "import sys, time; from injector import cli\n"
        "def stay(argv): print(flush=True); time.sleep(60)\n"
        "cli.run = stay\n"
        f"sys.argv[1:] = [{command!r}]; cli.main()"
    )
    with ended(
        subprocess.Popen([*BARE, sys.executable, "-c", code], stdout=subprocess.PIPE)
    ) as process:
        process.stdout.readline()

        assert readable(process.pid) == []


def test_a_program_that_cannot_be_read_is_hidden_from_its_first_instruction(tmp_path):
    """As the image's interpreter and launcher are: it takes no call and no time."""
    python = tmp_path / "python"
    shutil.copy(os.path.realpath(sys.executable), python)
    python.chmod(0o111)
    script = "print(flush=True); import time; time.sleep(60)"
    home = {"PYTHONHOME": sys.base_prefix, "PATH": os.environ["PATH"]}
    # `env`: setpriv itself still has the rights to read the file when it executes it.
    argv = [*BARE, "env", python, "-S", "-c", script]
    with ended(subprocess.Popen(argv, stdout=subprocess.PIPE, env=home)) as process:
        process.stdout.readline()

        assert readable(process.pid) == []


def test_the_launcher_cannot_be_read_while_it_holds_values(tmp_path, launcher, strace):
    """Held in front of its execve, with all variables in its memory."""
    file = tmp_path / "env"
    file.write_bytes(sienv.encode([b"A=" + sienv.CANARY]))
    argv = [launcher, file, "--", "/bin/sleep", "60"]
    held = [strace, "-o", tmp_path / "log", "-e", "trace=execve,close"]
    held += ["-e", f"inject=execve:delay_enter={PATIENCE_S}s:when=1+"]
    with ended(subprocess.Popen([*BARE, *held, *argv])) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        log = tmp_path / "log"
        until(lambda: log.exists() and "close(3)" in log.read_text())
        (child,) = children.read_text().split()

        assert readable(child) == []
