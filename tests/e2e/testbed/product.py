"""Our own image: built from the Dockerfile of this tree with buildah, on a base made from Debian.

No registry is asked. Storage, base and finished images stay in the cache, keyed by what they are
made of.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.e2e.testbed import cache
from tests.e2e.testbed.process import CommandFailedError, run

IMAGE = "localhost/secret-injector:testbed"

Say = Callable[[str], None]

# What the first stage of the Dockerfile needs; the Python is that of the public base image.
_BASE_PACKAGES = (
    *("python3.15", "python3.15-dev", "python3.15-venv", "ca-certificates"),
    *("gcc", "libc6-dev", "libyaml-dev", "make", "musl-tools"),
)
_SUITE = "sid"
_MIRROR = "http://deb.debian.org/debian"

# A mirror may lag behind by more days than a fast-moving suite signs its lists for.
_LISTS_VALID_S = 90 * 24 * 3600

_CONTEXT = ("Dockerfile", "Makefile", "injector", "requirements", "tools", "webhook")
_BUILD_LIMIT_S = 1800


def build_image(say: Say, *, name: str = IMAGE, base: str = "") -> Path:
    """Build the image of this tree unless it exists already, and return its docker-archive.

    Without *base* it is built on the base made from Debian.
    """
    stem = name.rpartition("/")[2].replace(":", "-")
    key = hashlib.sha256(f"{name} {base} {_fingerprint()}".encode()).hexdigest()[:16]
    archive = cache.cache_dir() / "images" / f"{stem}-{key}.tar"
    if archive.exists():
        return archive
    base = base or build_base(say)
    started = time.monotonic()
    authority = os.environ.get("SSL_CERT_FILE")
    secret = (f"--secret=id=ca,src={authority}",) if authority else ()
    _buildah(
        *("bud", "--isolation=chroot", "--layers", "--force-rm", "--timestamp=0", *secret),
        *(f"--build-arg=BASE={base}", f"--tag={name}", str(cache.PROJECT)),
    )
    draft = archive.with_suffix(f".{os.getpid()}")
    _buildah("push", name, f"docker-archive:{draft}:{name}")
    for older in archive.parent.glob(f"{stem}-*.tar"):
        older.unlink(missing_ok=True)
    draft.rename(archive)
    megabytes = archive.stat().st_size / 1e6
    say(f"built {name}, {megabytes:.0f} MB, in {time.monotonic() - started:.0f} s")
    return archive


def build_upon(name: str, file: Path, path: str) -> Path:
    """Build an image upon ours with one more file, readable by everybody; return its archive."""
    container = _buildah("from", IMAGE).decode().strip()
    _buildah("copy", "--quiet", "--chmod=0444", container, str(file), path)
    _buildah("commit", "--quiet", "--rm", container, name)
    archive = file.with_suffix(".tar")
    _buildah("push", "--quiet", name, f"docker-archive:{archive}:{name}")
    _buildah("rmi", name)
    return archive


def build_next(folder: Path) -> tuple[str, Path]:
    """Build the image of a release after this one, whose plans only it can read.

    Return its name and its archive, which is put in *folder*. It is ours with other versions of the
    plan, in a module that is compiled when it starts.
    """
    source = cache.PROJECT / "injector" / "core" / "plan.py"
    changed = folder / "plan.py"
    changed.write_text(
        re.sub(
            r"^(VERSION\w*) = (\d+)$",
            lambda found: f"{found[1]} = {int(found[2]) + 2}",
            source.read_text(),
            flags=re.MULTILINE,
        )
    )
    name = IMAGE.replace(":", ":next-")
    container = _buildah("from", IMAGE).decode().strip()
    _buildah(
        "copy", "--quiet", "--chmod=0444", container, str(changed), "/app/injector/core/plan.py"
    )
    compiled = "/app/injector/core/__pycache__/plan.*"
    forget = f"import glob, os; [os.remove(path) for path in glob.glob('{compiled}')]"
    start = ("--isolation=chroot", "--user=0", container, "--", "/usr/bin/python", "-I", "-S")
    _buildah("run", *start, "-c", forget)
    _buildah("commit", "--quiet", "--rm", container, name)
    archive = folder / "next.tar"
    _buildah("push", "--quiet", name, f"docker-archive:{archive}:{name}")
    _buildah("rmi", name)
    return name, archive


def reachable_base(say: Say) -> str:
    """Return the base that the Dockerfile names, or "" where no registry has it for us."""
    dockerfile = (cache.PROJECT / "Dockerfile").read_text()
    public = dockerfile.partition("ARG BASE=")[2].split()[0]
    try:
        _buildah("pull", "--quiet", public)
    except CommandFailedError:
        say(f"{public} cannot be pulled, so the base is made from Debian packages")
        return ""
    return public


def build_base(say: Say) -> str:
    """Make the Debian base image unless it exists already, and return its name."""
    recipe = " ".join((_SUITE, *_BASE_PACKAGES))
    name = f"localhost/secret-injector-base:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if _buildah("images", "--quiet", "--filter", f"reference={name}").strip():
        return name
    started = time.monotonic()
    tar = cache.cache_dir() / "images" / f"base.{os.getpid()}.tar"
    run(
        *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_BASE_PACKAGES)}"),
        f'--aptopt=Acquire::Min-ValidTime "{_LISTS_VALID_S}"',
        *(_SUITE, tar, _MIRROR),
        timeout_s=_BUILD_LIMIT_S,
    )
    container = _buildah("from", "scratch").decode().strip()
    _buildah("add", "--quiet", container, str(tar), "/")
    _buildah("commit", "--quiet", "--rm", container, name)
    tar.unlink()
    say(f"made the base image from Debian {_SUITE} in {time.monotonic() - started:.0f} s")
    return name


def _buildah(*arguments: str) -> bytes:
    storage = cache.cache_dir() / "containers"
    (cache.cache_dir() / "images").mkdir(parents=True, exist_ok=True)
    places = (f"--root={storage / 'root'}", f"--runroot={storage / 'run'}")
    # In a mount namespace of its own, so that no mount of the storage outlives the command.
    return run("unshare", "--mount", "buildah", *places, *arguments, timeout_s=_BUILD_LIMIT_S)


def _fingerprint() -> str:
    """Return a hash of every file that the image is built from."""
    digest = hashlib.sha256(" ".join((_SUITE, *_BASE_PACKAGES)).encode())
    for path in sorted(_context_files()):
        name = str(path.relative_to(cache.PROJECT)).encode()
        content = path.read_bytes()
        digest.update(b"%d %s %d %s" % (len(name), name, len(content), content))
    return digest.hexdigest()[:16]


def _context_files() -> Iterator[Path]:
    for name in _CONTEXT:
        top = cache.PROJECT / name
        files = top.rglob("*") if top.is_dir() else [top]
        yield from (f for f in files if f.is_file() and "__pycache__" not in f.parts)
