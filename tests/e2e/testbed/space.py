"""The namespaces of one run: network, mounts and processes that the machine does not see.

Process 1 of the space dies with this process, and everything in the space with it: daemons,
container shims, containers, mounts and network devices. What is left afterwards is a state folder
and empty cgroups, which `close` removes.

One pair of addresses connects the space with the machine: *host_ip* outside, *node_ip* inside.
There is no default route, so nothing in the space reaches another network.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Self

from tests.e2e.testbed import cache
from tests.e2e.testbed.process import Daemon, run, until

POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
_NAMESPACES = ("--net", "--mount", "--pid", "--ipc", "--uts")
_CGROUPS = Path("/sys/fs/cgroup")

# Folders with fixed names that containerd, runc, CNI plugins and the kubelet write to.
_PRIVATE = ("/run", "/var/lib/cni", "/var/log")

# Kernel settings of the whole machine that a kubelet sets: here it writes to plain files.
_KERNEL = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


class Space:
    """Namespaces, addresses and the state folder of one run.

    *holder* is a static program that reaps children until it is killed (images/pause.c).
    Needs root. Use as a context manager, from the main thread: the kernel ties the life of the
    space to the thread that made it.
    """

    def __init__(self, holder: Path) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="secret-injector-e2e-"))
        self.name = self.state.name.rpartition("-")[2]
        self.cgroup = f"/{self.state.name}"
        self.logs = self.state / "log"
        self.logs.mkdir()
        self._number, self._lock = _reserve_number()
        _claim(self._lock, self.state)
        self.host_ip = f"172.31.{self._number}.1"
        self.node_ip = f"172.31.{self._number}.2"
        with (self.logs / "space.log").open("wb") as log:
            self._unshare = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL", "unshare", *_NAMESPACES),
                    *("--fork", "--kill-child=KILL", "--mount-proc", str(holder)),
                ],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self._process_1 = 0
        self._daemons: list[Daemon] = []
        try:
            self._process_1 = until(self._find_process_1, what="the space exists", timeout_s=10)
            self._set_up()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def enter(self) -> tuple[str, ...]:
        """The words that put the program behind them into the space."""
        return ("nsenter", f"--target={self._process_1}", *_NAMESPACES, "--")

    def run(self, *argv: str | Path, check: bool = True, timeout_s: float = 60) -> bytes:
        """Run a program in the space and return its output."""
        return run(*self.enter, *argv, check=check, timeout_s=timeout_s)

    def daemon(self, program: Path, *flags: str) -> Daemon:
        """Return a daemon, not yet started, that runs in the space and ends with it."""
        name = program.name
        log = self.logs / f"{name}.log"
        daemon = Daemon(name, [program, *flags], log=log, enter=self.enter)
        self._daemons.append(daemon)
        return daemon

    def close(self) -> None:
        """End every process of the space and remove the state folder and the cgroups."""
        if self._unshare.poll() is None:
            os.kill(self._process_1 or self._unshare.pid, signal.SIGKILL)
        self._unshare.wait()
        for daemon in self._daemons:
            daemon.reap()
        _remove_state(self.state)
        self._lock.truncate(0)
        self._lock.close()

    def _find_process_1(self) -> int | None:
        """Return the holder's process id once it runs, which is after its mounts were made."""
        if self._unshare.poll() is not None:
            said = (self.logs / "space.log").read_text().strip()
            raise RuntimeError(f"the end-to-end tests need root: {said}")
        text = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text()
        for pid in text.split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/exe").resolve().name == "pause":
                    return int(pid)
        return None

    def _set_up(self) -> None:
        kernel = self.state / "kernel"
        lines = ["set -eu", "mount --make-rshared /", "hostname testbed"]
        for folder in _PRIVATE:
            Path(folder).mkdir(parents=True, exist_ok=True)
            lines.append(f"mount -t tmpfs -o mode=755 tmpfs {folder}")
        for name in _KERNEL:
            source = Path("/proc/sys") / name
            if source.exists():
                copy = kernel / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(source.read_text())
                lines.append(f"mount --bind {copy} {source}")
        lines += [
            "mkdir -p /run/netns /run/lock /var/log/pods /var/log/containers",
            "ip link set lo up",
            f"ip address add {self.node_ip}/30 dev eth0",
            "ip link set eth0 up",
            # Service addresses need some route: kube-proxy rewrites them only after routing.
            f"ip route add {SERVICE_RANGE} dev eth0 src {self.node_ip}",
            "sysctl -qw net.ipv4.ip_forward=1",
            # Test doubles may listen on the machine's side: pods come there as the node.
            f"iptables -w -t nat -A POSTROUTING -s {POD_RANGE} -o eth0 -j MASQUERADE",
        ]
        device = f"sie2e{self._number}"
        run(*f"ip link add {device} type veth peer name eth0 netns {self._process_1}".split())
        run(*f"ip address add {self.host_ip}/30 dev {device}".split())
        run(*f"ip link set {device} up".split())
        self.run("sh", "-c", "\n".join(lines))
        for controller in _controllers():
            (controller / self.cgroup[1:]).mkdir(exist_ok=True)


def _controllers() -> list[Path]:
    """Return the cgroup hierarchies: one for version 2, one per controller for version 1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def _reserve_number() -> tuple[int, IO[str]]:
    """Return a number that no other run on this machine has, and the lock that keeps it."""
    folder = cache.cache_dir() / "numbers"
    folder.mkdir(parents=True, exist_ok=True)
    taken = run("ip", "-o", "-4", "address").decode()
    for number in range(200, 250):
        lock = (folder / str(number)).open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if f" 172.31.{number}." not in taken:
            return number, lock
        lock.close()
    raise RuntimeError("no free address range among 172.31.200.0/24 to 172.31.249.0/24")


def _claim(lock: IO[str], state: Path) -> None:
    """Note in *lock* whose it is, and remove what its last owner left when it was killed."""
    lock.seek(0)
    if left := lock.read().strip():
        _remove_state(Path(left))
    lock.truncate(0)
    lock.write(str(state))
    lock.flush()


def _remove_state(state: Path) -> None:
    """Remove the state folder and the cgroups of a run whose processes are dead or dying."""

    def remove_cgroups() -> bool:
        for controller in _controllers():
            folders = [Path(folder) for folder, _, _ in os.walk(controller / state.name)]
            try:
                for folder in reversed(folders):
                    folder.rmdir()
            except OSError:
                return False
        return True

    until(remove_cgroups, what=f"the cgroups of {state.name} are empty", timeout_s=30)
    shutil.rmtree(state, ignore_errors=True)
