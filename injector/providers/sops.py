"""One file of SOPS: decrypted and verified once, then every read is a look-up by its keys."""

from __future__ import annotations

import base64
import importlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

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
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_MERGE = "<<"
_SLASH = "a slash within a key is written ~1"


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
        values = sops_file.decrypt(document, _key(document, store, spec, access))
        return SopsSession(_merged(values) if spec.format == "yaml" else values)
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
        found = _found(self._values, path)
        if isinstance(found, Failure):
            return found
        if isinstance(found, Mapping | bytes):
            return Secret(found)
        is_text = isinstance(found, str)
        return Secret((found if is_text else secret.format_json(found)).encode())  # type: ignore[union-attr]  # is_text says it is a str


def _found(values: Mapping[str, Json | bytes], path: str) -> Json | bytes | Failure:
    """Return what the keys of a path lead to; a key may hold slashes itself.

    The path is first taken as it is, then with slashes inside of keys, then with `~1` for those.
    """
    steps = path.split("/")
    exact = _walked(values, steps)
    if not isinstance(exact, Failure):
        return exact
    meant, failed = _with_slashes(values, path)
    if not meant and "~" in path:
        plain = [step.replace("~1", "/").replace("~0", "~") for step in steps]
        return _walked(values, plain)
    if len(meant) > 1:
        what = "several keys of the file are written like this path"
        return Failure(code=errors.REFERENCE, what=what, hint=_SLASH)
    if meant and meant[0] is not None:
        return meant[0]
    return exact if meant else failed


def _walked(values: Any, steps: Sequence[str], done: str = "") -> Json | bytes | Failure:
    """Return what the keys lead to, each in the mapping or list that the one before led to.

    `done` is where the walk begins, for messages.
    """
    node: Json | bytes = values
    for step in steps:
        where = f"below {done}" if done else "at the top"
        if isinstance(node, list):
            if not _INDEX.fullmatch(step) or int(step) >= len(node):
                what = f"no such entry {where}: a list of {len(node)} is there"
                hint = "entries of a list are 0, 1, 2 ..."
                return Failure(code=errors.MISSING, what=what, hint=hint)
            node = node[int(step)]
        else:
            there = sorted(node) if isinstance(node, Mapping) else []
            if not isinstance(node, Mapping) or step not in node:
                what = f"no such key {where}; keys there: {some(there) or 'none'}"
                has_slash = any("/" in key for key in there)
                hint = errors.did_you_mean(step, there) or (_SLASH if has_slash else "")
                return Failure(code=errors.MISSING, what=what, hint=hint)
            node = node[step]
        done = f"{done}/{step}".strip("/")
        if node is None:
            return Failure(code=errors.MISSING, what=f"the key {done} is there and null")
    return node


def _with_slashes(
    values: Mapping[str, Json | bytes], path: str
) -> tuple[list[Json | bytes], Json | bytes | Failure]:
    """Return everything that keys with slashes between them lead to, whatever slashes they hold.

    And why there is nothing, told of the place that is nearest to the path's end.
    """
    found: list[Json | bytes] = []
    nearest: tuple[Any, str] = (values, path)
    waiting: list[tuple[Any, str]] = [(values, path)]
    while waiting:
        node, rest = waiting.pop()
        if len(rest) < len(nearest[1]):
            nearest = node, rest
        if isinstance(node, list):
            step = rest.partition("/")[0]
            is_entry = _INDEX.fullmatch(step) is not None and int(step) < len(node)
            inner: Mapping[str, Any] = {step: node[int(step)]} if is_entry else {}
        else:
            inner = node if isinstance(node, Mapping) else {}
        for key, value in inner.items():
            if rest == key:
                found.append(value)
            elif rest.startswith(f"{key}/"):
                waiting.append((value, rest[len(key) + 1 :]))
    node, rest = nearest
    return found, _walked(node, rest.split("/"), path[: len(path) - len(rest)].removesuffix("/"))


def _merged(node: Any) -> Any:
    """Return values with the mappings under YAML's merge keys put in, which lose to written ones.

    What SOPS decrypts still has the keys `<<`; whoever reads its YAML then merges them.
    """
    if isinstance(node, list):
        return [_merged(entry) for entry in node]
    if not isinstance(node, Mapping):
        return node
    values = {key: _merged(value) for key, value in node.items()}
    under = values.get(_MERGE)
    merged: list[Any] = under if isinstance(under, list) else [under]
    if not all(isinstance(each, Mapping) for each in merged) or _MERGE not in values:
        return values
    del values[_MERGE]
    for each in merged:  # of several, the first one wins
        for key, value in each.items():
            values.setdefault(key, value)
    return values


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
