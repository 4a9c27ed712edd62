"""Builds the programs of the cluster, once per version, into the cache.

A program is built again when its stamp, `bin/.stamps/<name>`, differs from what `programs` says.
"""

import os
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.testbed import cache, debian
from tests.e2e.testbed.process import run
from tests.e2e.testbed.programs import LANES, Build

_GO_AT_LEAST = (1, 26)
_BUILD_LIMIT_S = 3600
_BESIDE = {"helm", "sops", "vault"}

Say = Callable[[str], None]


def build_all(say: Say) -> None:
    """Install the missing Debian packages and build the missing programs.

    With KUBECONFIG in the environment only what runs beside an existing cluster is built. Raises
    RuntimeError, which says what to do, when the machine lacks something.
    """
    wanted = _BESIDE if os.environ.get("KUBECONFIG") else None
    if wanted is None:
        debian.install_missing(say)
    missing = [
        [build for build in lane if not is_built(build) and (not wanted or build.name in wanted)]
        for lane in LANES
    ]
    if any(missing):
        _check_go()
        say("building the cluster's programs; on two cores this takes about 25 minutes, once")
        started = time.monotonic()
        with ThreadPoolExecutor(len(missing)) as pool:
            list(pool.map(lambda lane: _build_in_order(lane, say), missing))
        say(f"all programs built after {time.monotonic() - started:.0f} s")


def build_one(build: Build, say: Say) -> None:
    """Build one program, unless it is there in the wanted version."""
    if not is_built(build):
        _check_go()
        _build(build, say)


def is_built(build: Build) -> bool:
    """Whether all programs of a build are there in the wanted version."""
    return all(
        (cache.bin_dir() / program).exists()
        and _stamp(program).exists()
        and _stamp(program).read_text() == build.stamp
        for program in build.programs
    )


def write_stamps(build: Build) -> None:
    """Record that the programs of a build are as `programs` says."""
    for program in build.programs:
        stamp = _stamp(program)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(build.stamp)


def _build_in_order(lane: list[Build], say: Say) -> None:
    for build in lane:
        _build(build, say)


def _build(build: Build, say: Say) -> None:
    started = time.monotonic()
    output = cache.bin_dir() / build.folder
    output.mkdir(parents=True, exist_ok=True)
    env = {"GOFLAGS": "-mod=mod", **dict(build.env)}
    if build.cgo is not None:
        env["CGO_ENABLED"] = str(int(build.cgo))
    if build.prepare or build.sources:
        work = cache.cache_dir() / "work" / build.name
        draft = work / "bin"
        draft.mkdir(parents=True, exist_ok=True)
        if build.sources:
            shutil.copytree(build.sources, work, dirs_exist_ok=True)
        if build.prepare:
            build.prepare(work)
        command = ("go", "build", *build.flags, "-o", f"{draft}/", *build.packages)
        run(*command, env=env, cwd=work, timeout_s=_BUILD_LIMIT_S)
        for name, program in zip(build.go_names, build.programs, strict=True):
            shutil.move(draft / name, cache.bin_dir() / program)
    else:
        env |= {"GOFLAGS": "", "GOBIN": str(output)}
        wanted = (f"{package}@{build.version}" for package in build.packages)
        run("go", "install", *build.flags, *wanted, env=env, timeout_s=_BUILD_LIMIT_S)
    write_stamps(build)
    names = ", ".join(build.programs)
    say(f"built {names} {build.version} in {time.monotonic() - started:.0f} s")


def _stamp(program: str) -> Path:
    return cache.bin_dir() / ".stamps" / program.replace("/", "_")


def _check_go() -> None:
    told = run("go", "version").decode() if shutil.which("go") else ""
    found = re.search(r"go(\d+)\.(\d+)", told)
    if not found or (int(found[1]), int(found[2])) < _GO_AT_LEAST:
        wanted = ".".join(map(str, _GO_AT_LEAST))
        raise RuntimeError(f"please install Go {wanted} or newer; found: {told or 'none'}")
