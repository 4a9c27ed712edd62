"""Dotenv files and the environment of the command itself, for laptops."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from injector.core import dotenv, errors
from injector.core.plan import Read
from injector.core.reporting import some
from injector.core.secret import MAX_DOCUMENT_BYTES, Failure, LoginFailed, Secret
from injector.core.stores import Store
from injector.core.stores.dotenv import Dotenv, Environment
from injector.deadline import Deadline
from injector.providers import Access


def open_session(store: Store, access: Access) -> VariablesSession | FolderSession:
    """Return a session on the file, the folder or the environment; raises LoginFailed."""
    if access.sources_dir is not None:
        what = "this kind of store is for laptops"
        raise LoginFailed(Failure(code=errors.NOT_SUPPORTED, what=what))
    match store.spec:
        case Environment(prefix=prefix):
            found = {
                os.fsdecode(name)[len(prefix) :]: value
                for name, value in os.environb.items()
                if os.fsdecode(name).startswith(prefix)
            }
            return VariablesSession(found, where="the environment")
        case Dotenv(folder=str(folder)):
            return FolderSession(Path(folder).expanduser())
        case Dotenv(file=str(file)):
            values = _opened(Path(file).expanduser())
            if isinstance(values, Failure):
                raise LoginFailed(values)
            return VariablesSession({n: v.encode() for n, v in values.items()}, where=file)
        case _:
            raise TypeError(store.provider)


class VariablesSession:
    """See `providers.Session`: every variable is a secret."""

    identity = ""

    def __init__(self, values: Mapping[str, bytes], *, where: str) -> None:
        """Read from the values; `where` names their place in messages."""
        self._values, self._where = values, where

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """Look everything up; nothing here waits for anybody."""
        del deadline
        return {read: self._one(read.path) for read in reads}

    def close(self) -> None:
        """Forget the values."""
        self._values = {}

    def _one(self, name: str) -> Secret | Failure:
        value = self._values.get(name)
        if value is None:
            return Failure(
                code=errors.MISSING,
                what=f"no such variable in {self._where}",
                hint=errors.did_you_mean(name, self._values),
            )
        return Secret(value)


class FolderSession:
    """See `providers.Session`: every file is a secret, its variables are the fields."""

    identity = ""

    def __init__(self, folder: Path) -> None:
        """Read from the folder, each file when it is asked for."""
        self._folder = folder

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """Read the files; nothing here waits for anybody."""
        del deadline
        return {read: self._one(read.path) for read in reads}

    def close(self) -> None:
        """Nothing is open."""

    def _one(self, name: str) -> Secret | Failure:
        file = self._folder / f"{name}.env"
        if not file.is_file():
            near = sorted(
                str(path.relative_to(self._folder))[:-4] for path in self._folder.rglob("*.env")
            )
            what = f"no file {file}; secrets there: {some(near) or 'none'}"
            hint = errors.did_you_mean(name, near)
            return Failure(code=errors.MISSING, what=what, hint=hint)
        values = _opened(file)
        return values if isinstance(values, Failure) else Secret(values)


def _opened(file: Path) -> dict[str, str] | Failure:
    try:
        data = file.read_bytes()
    except OSError as error:
        what = f"the file {file} cannot be read: {os.strerror(error.errno or 0)}".lower()
        return Failure(code=errors.UNAUTHENTICATED, what=what)
    if len(data) > MAX_DOCUMENT_BYTES:
        return Failure(code=errors.BODY, what=f"the file {file} is larger than 8 MiB")
    try:
        return dotenv.parse(data)
    except dotenv.NotDotenv as error:
        what = f"the file {file} is not a dotenv file: {error}"
        hint = "quote a value that has quotes, blanks, $ or #: NAME='value'"
        return Failure(code=errors.CONTENT, what=what, hint=hint)
