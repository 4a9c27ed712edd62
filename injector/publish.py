"""One folder whose files change all in one moment, as Kubernetes' own atomic volumes do it.

    ..1700000000000000000/    the files of one run          ..data -> ..1700000000000000000
    password -> ..data/password                             certs  -> ..data/certs

A reader goes through `..data`; one rename of that link replaces the whole set. The steps, which
`deliver` takes for all folders side by side:

    open      walk to the folder, create what is missing, refuse what is not ours
    stage     write every file into a new `..<stamp>` folder
    prepare   make the links, `..data` under another name; everything that needs room is now done
    swap      rename the new `..data` over the old one
    settle    remove the old files and the links to names that are gone
    discard   (instead) undo whatever of this was done

Killed at any moment, the folder shows the old set, the new one or nothing; the next run's `open`
removes the leftovers. Every system call takes a descriptor and a single name, and no link is ever
followed, so a link planted in the volume is refused and a path cannot lead elsewhere.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from injector.core.encode import File

_DATA = "..data"
_NEW_DATA = "..data_new"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Planted(OSError):
    """Something stands in the folder that we did not put there; `filename` names it."""


class AtomicFolder:
    """A folder on its way from one set of files to the next; every method may raise OSError."""

    def __init__(self, root: int, place: Sequence[str], *, mode: int, group: int | None) -> None:
        """Take `place` below the descriptor `root`; folders are made with `mode` and `group`."""
        self._root, self._place = root, place
        self._mode, self._group = mode, group
        self._fd = os.dup(root)
        self._made: list[int] = []
        self._old: str | None = None
        self._staged: str | None = None
        self._links: list[str] = []

    def open(self) -> None:
        """Walk to the folder; raises Planted if something in it is not ours."""
        self._enter()
        self._old = _target_of_data(self._fd)
        self._check_and_clean()

    def stage(self, files: Iterable[File]) -> None:
        """Write the files where nobody looks."""
        self._staged = f"..{time.time_ns()}"
        opened = {"": self._make_folder(self._staged, self._fd)}
        try:
            for file in files:
                *parents, name = file.path.split("/")
                self._write(name, self._open_parents(parents, opened), file)
        finally:
            for descriptor in opened.values():
                os.close(descriptor)

    def prepare(self, names: Iterable[str]) -> None:
        """Make the links of the top-level names, and the one that `swap` will move into place."""
        self._links = sorted(set(names).difference(os.listdir(self._fd)))
        for name in self._links:
            os.symlink(f"{_DATA}/{name}", name, dir_fd=self._fd)
        os.symlink(self._staged or "", _NEW_DATA, dir_fd=self._fd)

    def swap(self) -> None:
        """Show the new set: one rename."""
        os.rename(_NEW_DATA, _DATA, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def settle(self, names: Iterable[str]) -> None:
        """Remove what the new set no longer has."""
        for name in set(os.listdir(self._fd)).difference(names):
            if not name.startswith(".."):
                os.unlink(name, dir_fd=self._fd)
        if self._old is not None:
            _remove_tree(self._old, self._fd)

    def discard(self) -> None:
        """Go back to the old set, or to none, and remove everything of the new one."""
        if self._staged is not None and _link(_DATA, self._fd) == self._staged:
            if self._old is None:
                os.unlink(_DATA, dir_fd=self._fd)
            else:
                os.symlink(self._old, _NEW_DATA, dir_fd=self._fd)
                self.swap()
        for name in (*self._links, _NEW_DATA, self._staged):
            if name is not None:
                _remove_tree(name, self._fd)
        self._unmake()

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._fd)

    def _enter(self) -> None:
        """Move the descriptor to the folder itself, name by name."""
        for depth, name in enumerate(self._place):
            above = self._fd
            if not _exists(name, above):
                self._made.append(depth)
            self._fd = self._make_folder(name, above)
            os.close(above)

    def _unmake(self) -> None:
        """Remove the folders on the way that this run made and nobody else uses."""
        for depth in reversed(self._made):
            above = os.dup(self._root)
            with suppress(OSError):  # another set of the same container is in it
                for name in self._place[:depth]:
                    outer, above = above, os.open(name, _FOLDER, dir_fd=above)
                    os.close(outer)
                os.rmdir(self._place[depth], dir_fd=above)
            os.close(above)

    def _make_folder(self, name: str, parent: int) -> int:
        """Return a descriptor of the folder, made if it is missing."""
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            return os.open(name, _FOLDER, dir_fd=parent)
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
        self._give(descriptor, self._mode)
        return descriptor

    def _give(self, descriptor: int, mode: int) -> None:
        """Set group and mode; the umask has no say in it."""
        if self._group is not None and os.fstat(descriptor).st_gid != self._group:
            os.fchown(descriptor, -1, self._group)
        os.fchmod(descriptor, mode)

    def _open_parents(self, parents: Sequence[str], opened: dict[str, int]) -> int:
        path = ""
        for name in parents:
            above, path = opened[path], f"{path}/{name}"
            if path not in opened:
                opened[path] = self._make_folder(name, above)
        return opened[path]

    def _write(self, name: str, parent: int, file: File) -> None:
        descriptor = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            rest = memoryview(file.data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            self._give(descriptor, file.mode)
        finally:
            os.close(descriptor)

    def _check_and_clean(self) -> None:
        """Refuse foreign entries; remove what a killed run left behind."""
        for name in os.listdir(self._fd):
            if name.startswith(".."):
                if name not in (_DATA, self._old):
                    _remove_tree(name, self._fd)
            elif _link(name, self._fd) != f"{_DATA}/{name}":
                raise Planted(0, "is not a link of ours", name)


def _target_of_data(folder: int) -> str | None:
    """Return the name of the folder that `..data` points to, None when there is no such link."""
    try:
        target = os.readlink(_DATA, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Planted(0, "is not a link of ours", _DATA) from error
    if not target.startswith("..") or not target[2:].isdecimal():
        raise Planted(0, "is not a link of ours", _DATA)
    return target


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _link(name: str, folder: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _remove_tree(name: str, parent: int) -> None:
    """Remove an entry and all below it, links as links; nothing there is fine."""
    try:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
            return
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
    except FileNotFoundError:
        return
    try:
        for entry in os.listdir(descriptor):
            _remove_tree(entry, descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=parent)
