"""Writing to a local store: the age file is rewritten whole, for all who could read it before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyrage

from injector import local_file, whole_file
from injector.core import errors
from injector.core.errors import Code, FetchFailed, Problem
from injector.core.stores import Store
from injector.core.stores.local import Local
from injector.core.stores.source import LocalFile
from injector.local_file import EMPTY, LocalFileError, LocalSecrets
from injector.providers import Access
from injector.writers import Change, Held, Past


def open_writer(store: Store, access: Access) -> LocalWriter:
    """Return a writer; where there is neither file nor identity yet, an identity is made."""
    del access
    spec = store.spec
    if not isinstance(spec, Local):
        raise TypeError(store.provider)
    if not isinstance(spec.file, LocalFile) or not isinstance(spec.identity, LocalFile):
        what = "the file and the identity must be files of this machine to be written"
        raise FetchFailed([_problem(store.name, errors.STORE_SPEC, what)])
    file, key = Path(spec.file.path).expanduser(), Path(spec.identity.path).expanduser()
    try:
        if not file.exists() and not key.exists():
            _make_identity(key)
        identity = key.read_text(encoding="utf-8")
    except OSError as error:
        what = f"the identity ({key}) {os.strerror(error.errno or 0)}".lower()
        hint = "it is the file that age-keygen made for this store"
        raise FetchFailed([_problem(store.name, errors.UNAUTHENTICATED, what, hint)]) from None
    return LocalWriter(store.name, file, identity, spec.recipients)


class LocalWriter:
    """See `writers.Writer` and `writers.KeepsDates`."""

    def __init__(self, name: str, file: Path, identity: str, recipients: Sequence[str]) -> None:
        """Write the file of the store of this name."""
        self._name, self._file, self._identity = name, file, identity
        self._recipients = tuple(recipients)
        self.expires: str | None = None

    def names(self, folder: str = "") -> Sequence[str]:
        """Return all names."""
        del folder
        return sorted(self._opened().secrets)

    def read(self, name: str, version: str | None = None) -> Held | None:
        """Return the newest version, or the one of this number."""
        versions = self._opened().secrets.get(name, ())
        wanted = [v for v in versions if version in (None, str(v.number))]
        return Held(data=wanted[-1].data, version=str(wanted[-1].number)) if wanted else None

    def history(self, name: str) -> Sequence[Past]:
        """Return all versions, all of which are kept."""
        return [
            Past(
                version=str(version.number),
                created=version.created,
                state=f"expires {version.expires}" if version.expires else "",
                keys=tuple(sorted(version.data)),
            )
            for version in self._opened().secrets.get(name, ())
        ]

    def change(self, name: str, change: Change) -> str:
        """Rewrite the file under its lock."""
        number = ""

        def changed(old: LocalSecrets) -> LocalSecrets:
            nonlocal number
            versions = old.secrets.get(name, ())
            before = versions[-1].data if versions else None
            after = change(before)
            if after is None:
                return local_file.delete(old, name)
            number = str(versions[-1].number) if versions else ""
            is_same = before is not None and dict(after) == dict(before)
            if is_same and self.expires in (None, versions[-1].expires):
                return old
            created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            new = local_file.put(old, name, after, created=created, expires=self.expires)
            number = str(new.secrets[name][-1].number)
            return new

        def rewrite() -> None:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            local_file.rewrite(self._file, self._identity, self._readers(), changed)

        self._try(rewrite)
        return number

    def close(self) -> None:
        """Nothing is open."""

    def _opened(self) -> LocalSecrets:
        found = EMPTY

        def read() -> None:
            nonlocal found
            if self._file.exists():
                found = local_file.decrypt(self._file.read_bytes(), self._identity)

        self._try(read)
        return found

    def _readers(self) -> Sequence[str]:
        """Return whom to encrypt for; raises LocalFileError if somebody would be shut out."""
        readers = list(dict.fromkeys([*self._recipients, *local_file.recipients(self._identity)]))
        before = local_file.reader_count(self._file.read_bytes()) if self._file.exists() else 0
        if before > len(readers):
            what = f"the file has {before} readers, and only {len(readers)} are known here"
            raise LocalFileError(errors.STORE_SPEC, what, "list the age1... keys under recipients")
        return readers

    def _try(self, work: Callable[[], None]) -> None:
        """Do the work; raises FetchFailed for what the file or the system refuses."""
        try:
            work()
        except LocalFileError as error:
            raise FetchFailed([_problem(self._name, error.code, error.what, error.hint)]) from None
        except OSError as error:
            what = f"{error.filename or self._file}: {os.strerror(error.errno or 0).lower()}"
            raise FetchFailed([_problem(self._name, errors.DOWN, what)]) from None


def _make_identity(path: Path) -> None:
    """Write a new key, its owner's alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    identity = pyrage.x25519.Identity.generate()
    text = f"# public key: {identity.to_public()}\n{identity}\n"
    whole_file.replace(path, text.encode())


def _problem(store: str, code: Code, what: str, hint: str = "") -> Problem:
    return Problem(code=code, what=what, source=f"store {store}", hint=hint)
