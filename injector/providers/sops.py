"""One file of SOPS: decrypted and verified once, then every read is a look-up by its keys."""

from __future__ import annotations

import base64
import importlib
import os
from collections.abc import Mapping, Sequence

from injector import local_file, sops_file, sops_format
from injector.core import errors, secret
from injector.core.errors import Code
from injector.core.plan import Read
from injector.core.reporting import some
from injector.core.secret import Failure, Json, LoginFailed, Secret
from injector.core.stores import Store
from injector.core.stores.address import Server
from injector.core.stores.sops import Sops
from injector.core.stores.source import NOT_IN_IMAGE, FileSource, ImageFile, place
from injector.deadline import Deadline
from injector.local_format import LocalFileError
from injector.providers import Access
from injector.sops_format import Document, NotSops

_KMS = "injector.providers.aws.kms"


def open_session(store: Store, access: Access) -> SopsSession:
    """Return a session on the decrypted file; raises LoginFailed."""
    spec = store.spec
    if not isinstance(spec, Sops):
        raise TypeError(store.provider)
    sealed = _source(spec.file, access, "file", errors.DOWN)
    if len(sealed) > secret.MAX_DOCUMENT_BYTES:
        what = f"the file ({place(spec.file)}) is larger than 8 MiB"
        raise LoginFailed(Failure(code=errors.BODY, what=what))
    try:
        document = sops_format.parse(sealed, spec.format)
        return SopsSession(sops_file.decrypt(document, _key(document, store, spec, access)))
    except NotSops as error:
        what = f"{place(spec.file)} is no file of SOPS: {error}"
        hint = "encrypt it: sops encrypt -i FILE; and check the store's format"
        raise LoginFailed(Failure(code=errors.CONTENT, what=what, hint=hint)) from None
    except LocalFileError as error:
        raise LoginFailed(Failure(code=error.code, what=error.what, hint=error.hint)) from None


def servers(store: Store) -> tuple[Server, ...]:
    """Return those of AWS KMS, where it opens the file; see `providers.servers`."""
    spec = store.spec
    if not isinstance(spec, Sops) or spec.kms is None:
        return ()
    found: tuple[Server, ...] = importlib.import_module(_KMS).servers(spec.kms)
    return found


def _key(document: Document, store: Store, spec: Sops, access: Access) -> bytes:
    """Return the key of all values; raises LoginFailed, LocalFileError."""
    if spec.identity is not None:
        identity = _source(spec.identity, access, "identity", errors.UNAUTHENTICATED)
        local_file.check_is_own(spec.identity)
        return sops_file.age_key(document, identity.decode("utf-8", "replace"))
    kms = importlib.import_module(_KMS)  # loads aiobotocore
    try:
        sealed = tuple(
            kms.SealedKey(
                arn=str(entry.get("arn")),
                data=base64.b64decode(str(entry.get("enc")), validate=True),
                context={str(k): str(v) for k, v in (entry.get("context") or {}).items()},
            )
            for entry in sops_file.entries(document, "kms")
        )
    except (ValueError, AttributeError):
        raise NotSops("its entries for AWS KMS are damaged") from None
    key: bytes = kms.open_key(store, spec.kms, access, sealed)
    return key


class SopsSession:
    """See `providers.Session`."""

    identity = ""

    def __init__(self, values: Mapping[str, Json | bytes]) -> None:
        """Read from the values."""
        self._values = values

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """Look everything up; nothing here waits for anybody."""
        del deadline
        return {read: self._one(read.path) for read in reads}

    def close(self) -> None:
        """Forget the values."""
        self._values = {}

    def _one(self, path: str) -> Secret | Failure:
        node: Json | bytes = dict(self._values)  # type: ignore[arg-type]  # bytes stand for text that is none
        done = ""
        for key in path.split("/"):
            if not isinstance(node, Mapping) or node.get(key) is None:
                there = sorted(node) if isinstance(node, Mapping) else []
                where = f"below {done}" if done else "at the top"
                what = f"no such key {where}; keys there: {some(there) or 'none'}"
                hint = errors.did_you_mean(key, there)
                return Failure(code=errors.MISSING, what=what, hint=hint)
            node = node[key]
            done = f"{done}/{key}".strip("/")
        if isinstance(node, Mapping | bytes):
            return Secret(node)
        is_text = isinstance(node, str)
        return Secret((node if is_text else secret.format_json(node)).encode())  # type: ignore[union-attr]  # is_text says it is a str


def _source(source: FileSource, access: Access, what: str, code: Code) -> bytes:
    """Return the bytes of the file or of its key; raises LoginFailed."""
    try:
        return access.read_source(source)
    except OSError as error:
        reason = os.strerror(error.errno or 2).lower()
        text = f"the {what} ({place(source)}) cannot be read: {reason}"
        if isinstance(source, ImageFile):
            raise LoginFailed(Failure(code=errors.CONTENT, what=text, hint=NOT_IN_IMAGE)) from None
        raise LoginFailed(Failure(code=code, what=text)) from None
