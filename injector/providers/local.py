"""One age-encrypted file: opened once, then every read is a look-up."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from injector import local_file
from injector.core import errors
from injector.core.plan import Read
from injector.core.reporting import some
from injector.core.secret import Failure, LoginFailed, Secret
from injector.core.stores import Store
from injector.core.stores.local import Local
from injector.core.stores.source import (
    NOT_IN_IMAGE,
    ConfigMapSource,
    FileSource,
    ImageFile,
    LocalFile,
    SecretSource,
    place,
)
from injector.deadline import Deadline
from injector.local_file import LocalFileError, LocalSecrets, Version
from injector.providers import Access


def open_session(store: Store, access: Access) -> LocalSession:
    """Return a session on the decrypted file; raises LoginFailed."""
    spec = store.spec
    if not isinstance(spec, Local):
        raise TypeError(store.provider)
    sealed = _source(spec.file, access, "file")
    identity = _source(spec.identity, access, "identity")
    try:
        local_file.check_is_own(spec.identity)
        opened = local_file.decrypt(sealed, identity.decode("utf-8", "replace"))
    except LocalFileError as error:
        raise LoginFailed(Failure(code=error.code, what=error.what, hint=error.hint)) from None
    return LocalSession(opened, today=time.strftime("%Y-%m-%d", time.gmtime()))


class LocalSession:
    """See `providers.Session`."""

    identity = ""

    def __init__(self, opened: LocalSecrets, *, today: str) -> None:
        """Read from the secrets; `today` is the date in UTC as YYYY-MM-DD."""
        self._opened, self._today = opened, today

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """Look everything up; nothing here waits for anybody."""
        del deadline
        return {read: self._one(read) for read in reads}

    def close(self) -> None:
        """Forget the secrets."""
        self._opened = local_file.EMPTY

    def _one(self, read: Read) -> Secret | Failure:
        names = self._opened.secrets
        if read.path not in names:
            there = some(sorted(names)) or "none"
            return Failure(
                code=errors.MISSING,
                what=f"no such secret; secrets there: {there}",
                hint=errors.did_you_mean(read.path, names),
            )
        versions = names[read.path]
        wanted = [v for v in versions if read.version in (None, str(v.number))]
        if not wanted:
            there = some(str(version.number) for version in reversed(versions))
            return Failure(code=errors.MISSING, what=f"no such version; versions there: {there}")
        return self._opened_version(wanted[-1])

    def _opened_version(self, version: Version) -> Secret | Failure:
        if version.expires is not None and self._today >= version.expires:
            what = f"version {version.number} expired on {version.expires}"
            hint = "set a new version: secret-injector secret set"
            return Failure(code=errors.EXPIRED_VALUE, what=what, hint=hint)
        return Secret(dict(version.data), version=str(version.number))


def _source(source: FileSource, access: Access, what: str) -> bytes:
    """Return the bytes of the file or of its key; raises LoginFailed."""
    try:
        data = access.read_source(source)
    except FileNotFoundError:
        reason = "is not there"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}".lower()
    else:
        return data
    code = errors.UNAUTHENTICATED if what == "identity" else errors.DOWN
    if isinstance(source, ImageFile):
        code = errors.CONTENT
    raise LoginFailed(
        Failure(
            code=code,
            what=f"the {what} ({place(source)}) {reason}",
            hint=_look(source, access.namespace),
        )
    )


def _look(source: FileSource, namespace: str) -> str:
    """Return how to look for what is not there; a path of a laptop speaks for itself."""
    match source:
        case SecretSource(name=name):
            return f"kubectl -n {namespace} describe secret {name} lists its keys"
        case ConfigMapSource(name=name):
            return f"kubectl -n {namespace} describe configmap {name} lists its keys"
        case ImageFile():
            return NOT_IN_IMAGE
        case LocalFile():
            return ""
