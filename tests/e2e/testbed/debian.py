"""The Debian packages that the harness needs on the machine."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.e2e.testbed.process import run

# What must be on the machine: a command or file, and the Debian package that has it.
_PACKAGES = {
    "age": "age",
    "buildah": "buildah",
    "busybox": "busybox-static",
    "conntrack": "conntrack",
    "gcc": "gcc",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "modprobe": "kmod",
    "musl-gcc": "musl-tools",
    "nsenter": "util-linux",
    "pkg-config": "pkg-config",
    "/usr/include/seccomp.h": "libseccomp-dev",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "/usr/lib/postgresql": "postgresql",
}


def install_missing(say: Callable[[str], None]) -> None:
    """Install the Debian packages that are missing, as root, and say so."""
    packages = sorted(package for part, package in _PACKAGES.items() if not _is_there(part))
    if not packages:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"please install these Debian packages: {' '.join(packages)}")
    say(f"installing the Debian packages {' '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "--quiet", "--quiet", env=quiet, timeout_s=600)
    install = ("apt-get", "install", "--quiet", "--quiet", "--yes", "--no-install-recommends")
    run(*install, *packages, env=quiet, timeout_s=1800)


def _is_there(part: str) -> bool:
    return Path(part).exists() if part.startswith("/") else shutil.which(part) is not None
