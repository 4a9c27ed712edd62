"""The Pythons that fetch is measured under: the one of `.venv`, and the one of our image.

The image's files are unpacked from its archive and entered by chroot, so nothing but the programs
differs; what is started is what the webhook writes into a pod, as its user and in its folders.
Without an image, only the first is measured.
"""

import json
import os
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.testbed import cache
from webhook.core import our_container


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to start, and what first: to take a folder as the root of all files, to be a user."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    root: Path | None = None
    user: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python: `argv` starts it bare, `command` as `secret-injector`, `fetch` as in a pod."""

    name: str
    argv: tuple[str, ...]
    command: tuple[str, ...]
    fetch: tuple[str, ...]
    env: dict[str, str]
    root: Path | None = None

    def inside(self, path: Path) -> Path:
        """Return a path of this machine as the interpreter sees it."""
        return Path("/") / path.relative_to(self.root) if self.root else path


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one process took; its peak is at least ours, as Linux counts what forked it."""

    ms: float
    peak_mib: float


def found(folder: Path) -> list[Interpreter]:
    """Return the interpreters; the newest image is unpacked below the folder."""
    bare = (sys.executable, "-I")
    here = Interpreter(
        name="3.11" if sys.version_info[:2] == (3, 11) else "venv",
        argv=bare,
        command=(*bare, "-m", "injector"),
        fetch=(*bare, "-m", "injector", "fetch"),
        env={"SECRET_INJECTOR_LAUNCHER": str(Path("build/launcher").resolve())},
    )
    images = cache.cache_dir() / "images"
    archives = sorted(images.glob("secret-injector-*.tar"), key=os.path.getmtime)
    if not archives:
        sys.stderr.write("no image of ours: `make image` makes one, for the figures of 3.15\n")
        return [here]
    root = folder / "root"
    settings = unpack(archives[-1], root)
    image = Interpreter(
        name="image",
        argv=("/usr/bin/python", "-I"),
        command=tuple(settings["Entrypoint"]),
        fetch=(*our_container.COMMAND, *our_container.FETCH),
        env=dict(each.split("=", 1) for each in settings["Env"]),
        root=root,
    )
    return [here, image]


def unpack(archive: Path, root: Path) -> dict:
    """Write the files of a docker-archive's layers below the root; return how it is started."""
    root.mkdir(parents=True)
    with tarfile.open(archive) as outer:
        [manifest] = json.load(outer.extractfile("manifest.json"))
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(name)) as layer:
                layer.extractall(root, filter="fully_trusted")  # noqa: S202  # our own image
        settings = json.load(outer.extractfile(manifest["Config"]))["config"]
    (root / "tmp").mkdir(exist_ok=True)
    return settings


def timed(program: Program) -> Run:
    """Run the program to its end; anything but success is an error."""

    def enter() -> None:
        if program.root is not None:
            os.chroot(program.root)
        if program.user is not None:
            os.setgroups([])
            os.setgid(program.user)
            os.setuid(program.user)

    began = time.perf_counter()
    process = subprocess.Popen(
        program.argv,
        env={"PATH": "/usr/bin:/bin", **program.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=enter,  # noqa: PLW1509  # no threads here
        cwd="/",
    )
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    ms = (time.perf_counter() - began) * 1000
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(said.decode(errors="replace"))
    return Run(ms=ms, peak_mib=usage.ru_maxrss / 1024)
