"""The images that test pods run, made without a registry: docker-archive files from this code."""

import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.testbed import cache
from tests.e2e.testbed.node import PAUSE_IMAGE
from tests.e2e.testbed.process import run

BUSYBOX_IMAGE = "localhost/busybox:testbed"
"""A shell and its commands, `/tmp`, users root and app (1234); sleeps until it is told to end."""

BUSYBOX_APP_IMAGE = "localhost/busybox-app:testbed"
"""The same, of the user app: as many images, it says by itself who runs it."""

APP_USER = 1234

DISTROLESS_IMAGE = "localhost/distroless:testbed"
"""One static file, `/envdump`; see images/envdump.c for what it does."""

_SOURCES = cache.HERE / "images"
_BUSYBOX = Path("/bin/busybox")
_SLEEP = "trap 'exit 0' TERM; sleep 2147483647 & wait $!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file, folder (no content) or link (a target) of an image."""

    path: str
    mode: int = 0o755
    content: bytes | None = None
    target: str = ""


def base_images() -> tuple[Path, ...]:
    """Return the archives of pause, busybox and distroless, made when they are missing."""
    shell = {"Cmd": ["sh", "-c", _SLEEP], "Env": ["PATH=/bin"]}
    return (
        _archive(PAUSE_IMAGE, (_program("pause"),), {"Entrypoint": ["/pause"]}),
        _archive(BUSYBOX_IMAGE, _busybox(), shell),
        _archive(BUSYBOX_APP_IMAGE, _busybox(), {**shell, "User": str(APP_USER)}),
        _archive(DISTROLESS_IMAGE, (_program("envdump"),), {"Entrypoint": ["/envdump"]}),
    )


def compile_static(name: str) -> Path:
    """Compile images/<name>.c to a static binary in the cache and return its path."""
    source = _SOURCES / f"{name}.c"
    key = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    binary = cache.cache_dir() / "images" / key / name
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        draft = binary.with_suffix(f".{os.getpid()}")
        flags = (
            "-std=c11",
            "-D_POSIX_C_SOURCE=200809L",
            "-static",
            "-Os",
            "-s",
            "-Wall",
            "-Werror",
        )
        run("musl-gcc", *flags, "-o", draft, source)
        draft.rename(binary)
    return binary


def _program(name: str) -> Entry:
    return Entry(path=name, content=compile_static(name).read_bytes())


def _busybox() -> tuple[Entry, ...]:
    commands = run(_BUSYBOX, "--list").decode().split()
    users = b"root:x:0:0:root:/:/bin/sh\napp:x:1234:1234:app:/tmp:/bin/sh\n"
    return (
        Entry(path="bin"),
        Entry(path="bin/busybox", content=_BUSYBOX.read_bytes()),
        Entry(path="etc"),
        Entry(path="etc/passwd", mode=0o644, content=users),
        Entry(path="etc/group", mode=0o644, content=b"root:x:0:\napp:x:1234:\n"),
        Entry(path="tmp", mode=0o1777),
        *(Entry(path=f"bin/{name}", target="busybox") for name in commands if name != "busybox"),
    )


def _archive(name: str, entries: tuple[Entry, ...], config: dict[str, object]) -> Path:
    """Write an image of one layer as a docker-archive named by its content; return its path."""
    layer = _tar(entries)
    layer_hash = hashlib.sha256(layer).hexdigest()
    description: dict[str, object] = {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_hash}"]},
        "history": [],
    }
    config_json = json.dumps(description, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config_json).hexdigest()}.json"
    layer_name = f"{layer_hash}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]
    files = (
        Entry(path=config_name, content=config_json),
        Entry(path=layer_name, content=layer),
        Entry(path="manifest.json", content=json.dumps(manifest).encode()),
    )
    path = cache.cache_dir() / "images" / f"{config_name[:16]}.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(_tar(files))
        draft.rename(path)
    return path


def _tar(entries: tuple[Entry, ...]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.mode = entry.mode
            if entry.target:
                info.type, info.linkname = tarfile.SYMTYPE, entry.target
            elif entry.content is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(entry.content)
            archive.addfile(info, io.BytesIO(entry.content or b""))
    return stream.getvalue()
