"""The command takes the launcher's place: everything but the environment is as without it."""

import os
import resource
import shutil
import signal
import subprocess

import pytest

from tests.launcher import sienv

OUR_NAMESPACES = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
"""What unshare(1) needs first where it is not run by root."""

PROGRAM_ENDS = [
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGABRT,
    signal.SIGKILL,
    signal.SIGUSR1,
    signal.SIGSEGV,
    signal.SIGUSR2,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGTERM,
    signal.SIGXCPU,
    signal.SIGSYS,
    signal.SIGRTMIN,
    signal.SIGRTMAX,
]


@pytest.fixture
def planned(env_file):
    """An env file with one variable."""
    return env_file(sienv.encode([b"A=1"]))


def test_process_id_stays(launcher, planned):
    """The command is the process that was started, not a child of it."""
    command = [launcher, planned, "--", "/bin/sh", "-c", "echo $$"]

    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        seen = process.communicate()[0]

    assert seen == b"%d\n" % process.pid


def test_arguments_are_passed_on_unchanged(start, planned):
    """Empty arguments, options of ours, shell syntax and odd bytes arrive as they are."""
    arguments = [b"", b"--", b"--version", b"$A $(A) *", b"\n", b"\xff\x01", b" x ", b"-e", b""]

    result = start(planned, "--", "/usr/bin/printf", r"%s\0", "first", *arguments)

    assert result.stdout.split(b"\0") == [b"first", *arguments, b""]


def test_first_argument_is_the_command_as_written(start, planned):
    """A command found along PATH sees its short name, as from a runtime."""
    show = ("sh", "-c", "cat /proc/$$/cmdline")

    result = start(planned, "--", *show, environment=[b"PATH=/usr/bin:/bin"])

    assert result.stdout == b"sh\0-c\0cat /proc/$$/cmdline\0"


@pytest.mark.parametrize("status", [0, 1, 2, 42, 124, 125, 126, 127, 128, 143, 254, 255])
def test_exit_status_is_the_commands(start, planned, status):
    """Every status comes back, those that the launcher itself uses too."""
    result = start(planned, "--", "/bin/sh", "-c", f"exit {status}")

    assert (result.status, result.stderr) == (status, b"")


@pytest.mark.parametrize("number", PROGRAM_ENDS, ids=lambda number: number.name)
def test_signal_ends_the_command(launcher, planned, tmp_path, number):
    """A signal sent to the process that was started reaches the command with its default effect."""
    command = [launcher, planned, "--", "/bin/sh", "-c", "ulimit -c 0; echo on; exec sleep 60"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout.readline() == b"on\n"
        process.send_signal(number)
        status = process.wait(timeout=30)

    assert status == -number


def test_everything_inherited_is_passed_on(start, launcher, planned, tmp_path):
    """Descriptors, umask, directory, limits, credentials, priority and signal state are kept."""
    show = """
        cd -P . && pwd && umask && nice
        cat /proc/self/limits
        grep -E '^(Umask|[UG]id|Groups|Seccomp|NoNewPrivs|Cap.*|Sig[^Q].*|Shd.*):' /proc/self/status
        echo /proc/self/fd/*
        cat <&7
    """
    (tmp_path / "seven").write_text("from descriptor 7")

    def set_up():
        os.umask(0o027)
        os.nice(3)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGTERM])
        os.dup2(os.open(tmp_path / "seven", os.O_RDONLY), 7)

    shell = ("/bin/sh", "-c", show)
    options = {"before_exec": set_up, "cwd": tmp_path, "environment": [b"PATH=/usr/bin:/bin"]}

    direct = start("-c", show, program="/bin/sh", argv0=(b"/bin/sh",), **options)
    launched = start(planned, "--", *shell, **options)

    assert launched == direct
    assert direct.status == 0
    assert direct.stdout.endswith(b"from descriptor 7")
    assert b"Umask:\t0027" in direct.stdout


def test_closed_descriptors_stay_closed(start, planned):
    """Where 0 and 2 are closed the env file may take such a number; the command does not see it."""

    def close_some():
        os.close(0)
        os.close(2)

    show = ("/bin/sh", "-c", "echo /proc/self/fd/[0-2]")

    result = start(planned, "--", *show, before_exec=close_some)

    direct = start(*show[1:], program="/bin/sh", argv0=(b"sh",), before_exec=close_some)
    assert (result.status, result.stdout) == (0, direct.stdout)


def test_it_runs_as_process_1(launcher, planned):
    """As the first process of a PID namespace the command becomes that first process."""
    unshare = ["unshare", *OUR_NAMESPACES, "--pid", "--fork"]

    command = [*unshare, launcher, planned, "--", "/bin/sh", "-c", "echo $$ $A"]
    seen = subprocess.check_output(command, text=True)

    assert seen == "1 1\n"


TERMINATION_LOG = (
    "mount -t tmpfs none /dev && : > /dev/termination-log"
    ' && mount -o bind "$0" /dev/termination-log && exec "$@"'
)
"""What the kubelet does for a container, as far as it concerns the file."""


def test_a_first_process_leaves_its_failure_for_the_kubelet(launcher, planned, tmp_path):
    """`kubectl describe pod` shows the line of a command that is not there."""
    log = tmp_path / "termination-log"
    log.write_text("what another run has left, which is longer than the line" * 9)
    unshare = ["unshare", *OUR_NAMESPACES, "--mount", "--pid", "--fork"]
    command = [*unshare, "/bin/sh", "-c", TERMINATION_LOG, log, launcher, planned, "--", "/none"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 127
    assert done.stderr == (
        'SI-612 launcher: cannot execute "/none": No such file or directory\nhint: check the'
        " container's command; the interpreter or loader that the file names must exist too\n"
    )
    assert log.read_text() == done.stderr


def test_another_process_leaves_the_termination_log_alone(launcher, planned, tmp_path):
    """What kubectl exec or a probe starts does not say why the container ended."""
    log = tmp_path / "termination-log"
    log.write_text("the container's own")
    unshare = ["unshare", *OUR_NAMESPACES, "--mount"]
    command = [*unshare, "/bin/sh", "-c", TERMINATION_LOG, log, launcher, planned, "--", "/none"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr[:6]) == (127, "SI-612")
    assert log.read_text() == "the container's own"


@pytest.mark.parametrize("words", [["exec"], ["exec", "--"]], ids=" ".join)
def test_exec_takes_the_env_file_beside_the_launcher(launcher, planned, words):
    """The short way into a container: kubectl exec POD -- /run/secret-injector/launcher exec sh."""
    beside = shutil.copy(launcher, planned.parent / "launcher")

    command = [beside, *words, "/bin/sh", "-c", "echo $A $0 $1", "name", "--"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={})

    assert (done.returncode, done.stdout, done.stderr) == (0, "1 name --\n", "")


def test_exec_needs_the_launchers_path_and_its_env_file(launcher, planned):
    """Neither is searched for."""
    beside = shutil.copy(launcher, planned.parent / "launcher")
    planned.unlink()

    done = subprocess.run([beside, "exec", "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert done.stderr.startswith(f'SI-610 launcher: cannot read env file "{planned}"')
    path = {"PATH": str(planned.parent)}
    done = subprocess.run(["launcher", "exec", "x"], capture_output=True, check=False, env=path)
    assert (done.returncode, done.stderr[:6]) == (125, b"SI-614")


def test_it_runs_in_an_empty_read_only_image(launcher, planned, tmp_path):
    """A root that holds only the launcher and the env file, read-only, is enough."""
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(launcher, root / "launcher")
    shutil.copy(planned, root / "env")
    mount = 'mount -o bind,ro "$0" "$0" && ! touch "$0/x" 2>/dev/null && exec chroot "$0" "$@"'
    unshare = ["unshare", *OUR_NAMESPACES, "--mount", "/bin/sh", "-c", mount, root]

    command = [*unshare, "/launcher", "/env", "--", "/launcher", "/env", "--"]
    seen = subprocess.check_output([*command, "/launcher", "--version"], text=True)

    assert seen.startswith("secret-injector launcher ")
