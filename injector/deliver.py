"""Rendered bytes into the pod's memory volumes: all of them, or none.

In: the plan and what `render` made of it. Everything that can be refused is refused first, every
file of every container is staged, and only then the sets become visible, one rename for each folder
(`publish`). Run again over an earlier delivery, it replaces that.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from injector.core import encode, errors
from injector.core.encode import Folder, Layout
from injector.core.errors import Code, DeliveryFailed, Problem
from injector.core.plan import Plan
from injector.core.record import Record
from injector.core.render import Rendered
from injector.publish import AtomicFolder, Planted

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Volumes(Record):
    """Mount points of the two volumes, and the launcher that is copied into the first."""

    volume: Path
    env: Path
    launcher: Path


class Delivered(Record):
    """What was handed over: numbers only."""

    variables: int
    files: int
    bytes: int


def deliver(p: Plan, rendered: Iterable[Rendered], volumes: Volumes) -> Delivered:
    """Hand the values over; raises DeliveryFailed, and then nothing new is there."""
    rendered = tuple(rendered)
    launcher = _read_launcher(volumes.launcher) if encode.needs_launcher(p) else b""
    layout = encode.lay_out(p, rendered, launcher=launcher)
    need = sum(len(file.data) for folder in _folders(layout) for file in folder.files)
    try:
        _write(layout, volumes)
    except Planted as error:
        what = f"{error.filename} {error.strerror}; nothing else may write there"
        raise DeliveryFailed([_problem(what)]) from None
    except OSError as error:
        raise DeliveryFailed([_refused(error, need)]) from None
    return Delivered(
        variables=sum(len(container.env) for container in rendered),
        files=sum(len(container.files) for container in rendered),
        bytes=need,
    )


def _write(layout: Layout, volumes: Volumes) -> None:
    with ExitStack() as cleanup:
        staged: list[tuple[AtomicFolder, Folder]] = []
        needs: list[tuple[int, int]] = []
        try:
            for path, folders in ((volumes.volume, layout.volume), (volumes.env, layout.env)):
                if not folders:
                    continue
                root = os.open(path, _FOLDER)
                cleanup.callback(os.close, root)
                needs.append((root, sum(_room(folder, root) for folder in folders)))
                for folder in folders:
                    atomic = AtomicFolder(
                        root, folder.place, mode=layout.folder_mode, group=layout.group
                    )
                    cleanup.callback(atomic.close)
                    staged.append((atomic, folder))
                    atomic.open()
            _check_room(needs)
            for atomic, folder in staged:
                atomic.stage(folder.files)
            for atomic, folder in staged:
                atomic.prepare(_top_names(folder))
            for atomic, _ in staged:
                atomic.swap()
        except BaseException:
            for atomic, _ in reversed(staged):
                with suppress(OSError):  # the others still go back; the next run cleans up this one
                    atomic.discard()
            raise
        for atomic, folder in staged:
            with suppress(OSError):  # all is delivered; the next run cleans up what is left
                atomic.settle(_top_names(folder))


def _check_room(needs_of_roots: list[tuple[int, int]]) -> None:
    """Raise DeliveryFailed for each file system that cannot hold what is to be written to it."""
    needs: dict[int, int] = {}
    descriptors: dict[int, int] = {}
    for root, need in needs_of_roots:
        device = os.fstat(root).st_dev
        needs[device] = needs.get(device, 0) + need
        descriptors[device] = root
    problems = []
    for device, need in needs.items():
        room = os.statvfs(descriptors[device])
        is_limited = room.f_blocks > 0  # a tmpfs without a limit says 0 of 0
        free = room.f_bavail * room.f_frsize
        if is_limited and need > free:
            problems.append(_problem(f"{need} bytes are needed, {free} are free"))
    if problems:
        raise DeliveryFailed(problems)


def _room(folder: Folder, root: int) -> int:
    """Return the bytes that the folder's files take in whole blocks."""
    block = os.statvfs(root).f_frsize
    return sum(-(-len(file.data) // block) * block for file in folder.files)


def _top_names(folder: Folder) -> set[str]:
    return {file.path.partition("/")[0] for file in folder.files}


def _folders(layout: Layout) -> tuple[Folder, ...]:
    return (*layout.volume, *layout.env)


def _read_launcher(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"the launcher cannot be read: {os.strerror(error.errno or 0)}"
        problem = Problem(code=errors.INTERNAL_ERROR, what=what, source=str(path))
        raise DeliveryFailed([problem]) from None


def _refused(error: OSError, need: int) -> Problem:
    number = error.errno or 0
    if number in _FULL:
        return _problem(f"{need} bytes are needed: {os.strerror(number).lower()}")
    if number in (errno.ELOOP, errno.ENOTDIR):
        what = f"{error.filename} is a link or no folder; nothing else may write there"
        return _problem(what)
    if number == errno.EPERM:
        what = "a file cannot be given to the group that shall read it"
        return _problem(what, hint="the pod must have the group in supplementalGroups")
    place = f"{error.filename}: " if error.filename else ""
    return _problem(f"{place}{os.strerror(number).lower()}")


def _problem(what: str, *, hint: str = "", code: Code = errors.VOLUME) -> Problem:
    return Problem(code=code, what=what, source="volume secret-injector", hint=hint)
