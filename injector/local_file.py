"""The file of a `local` store, encrypted by age for its readers and rewritten in one step.

`decrypt` and `encrypt` are the two sides of the file, `local_format` is what stands in it; any age
tool opens it as well. `put` and `delete` make new secrets from old.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyrage

from injector import whole_file
from injector.core import errors
from injector.core.secret import MAX_DOCUMENT_BYTES
from injector.core.stores.source import Credential, LocalFile
from injector.local_format import (
    EMPTY,
    LocalFileError,
    LocalSecrets,
    Version,
    decode,
    delete,
    encode,
    put,
)

__all__ = [
    "EMPTY",
    "LocalFileError",
    "LocalSecrets",
    "Version",
    "decode",
    "decrypt",
    "delete",
    "encode",
    "encrypt",
    "identities",
    "put",
    "reader_count",
    "recipients",
    "rewrite",
]

_ARMOUR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_HEADER = b"age-encryption.org/v1\n"
_KEY = re.compile(r"(?m)^(AGE-SECRET-KEY-1[0-9A-Z]+)\r?$")


def decrypt(data: bytes, identity: str) -> LocalSecrets:
    """Return the content of an age file, armoured or not; raises LocalFileError.

    `identity` is the text of an age identity file: keys and comments.
    """
    _check_header(data)
    keys = identities(identity)
    try:
        return decode(pyrage.decrypt(data, keys))
    except pyrage.DecryptError as error:
        if "no matching keys" in str(error).lower():
            what = "the file is encrypted for other keys than the identity"
            hint = "encrypt it for the identity's recipient too (age-keygen -y shows it)"
            raise LocalFileError(errors.UNAUTHENTICATED, what, hint) from None
        what = "the file is damaged or cut off"
        raise LocalFileError(errors.CONTENT, what, "restore it from its last good copy") from None


def recipients(identity: str) -> list[str]:
    """Return the public keys of an age identity file; raises LocalFileError."""
    return [str(key.to_public()) for key in identities(identity)]


def reader_count(data: bytes) -> int:
    """Return for how many public keys an age file is encrypted: its X25519 stanzas."""
    _check_header(data)
    return _header(data).partition(b"\n---")[0].count(b"\n-> X25519 ")


def encrypt(secrets: LocalSecrets, recipients: Iterable[str]) -> bytes:
    """Return an armoured age file that each of the recipients can open; raises LocalFileError."""
    try:
        readers = [pyrage.x25519.Recipient.from_str(text) for text in recipients]
    except pyrage.RecipientError:
        readers = []
    if not readers:
        what = "at least one recipient is needed, and each must be an age public key"
        raise LocalFileError(errors.ARGUMENT, what, "a recipient starts with age1")
    sealed: bytes = pyrage.encrypt(encode(secrets), readers, armored=True)
    if len(sealed) > MAX_DOCUMENT_BYTES:
        what = f"the file would take {len(sealed)} bytes, the limit is {MAX_DOCUMENT_BYTES}"
        raise LocalFileError(errors.TOO_LARGE, what, "delete old versions")
    return sealed


def rewrite(
    path: Path,
    identity: str,
    recipients: Sequence[str],
    change: Callable[[LocalSecrets], LocalSecrets],
) -> LocalSecrets:
    """Change a file in one step and return what it now holds; a missing file starts empty.

    Others who rewrite wait; who reads sees the old file or the new one. The file is its owner's
    alone (0600). Raises LocalFileError, OSError; the file is then as it was.
    """
    import fcntl  # only writers need it

    lock = os.open(
        path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        old = decrypt(path.read_bytes(), identity) if path.exists() else EMPTY
        new = change(old)
        whole_file.replace(path, encrypt(new, recipients))
        return new
    finally:
        os.close(lock)


def identities(identity: str) -> list[pyrage.x25519.Identity]:
    """Return the keys of an age identity file; raises LocalFileError."""
    try:
        keys = [pyrage.x25519.Identity.from_str(key) for key in _KEY.findall(identity)]
    except pyrage.IdentityError:
        keys = []
    if not keys:
        what = "the identity holds no age key"
        hint = "age-keygen makes one; its line starts with AGE-SECRET-KEY-1"
        raise LocalFileError(errors.UNAUTHENTICATED, what, hint)
    return keys


def check_is_own(identity: Credential) -> None:
    """Refuse a key of a laptop that others than its owner can read, as ssh does."""
    if not isinstance(identity, LocalFile):
        return
    path = Path(identity.path).expanduser()
    if path.stat().st_mode & 0o077:
        what = f"the identity ({path}) can be read by others than its owner"
        raise LocalFileError(errors.UNAUTHENTICATED, what, f"chmod 600 {path}")


def _check_header(data: bytes) -> None:
    """Refuse what is no age file, and files that a passphrase opens (age-encryption.org/v1)."""
    if len(data) > MAX_DOCUMENT_BYTES:
        what = f"the file takes {len(data)} bytes, the limit is {MAX_DOCUMENT_BYTES}"
        raise LocalFileError(errors.BODY, what)
    head = _header(data)
    if not head.startswith(_HEADER):
        what = "the file is not encrypted by age, or damaged at its beginning"
        raise LocalFileError(errors.CONTENT, what, "secret-injector secret set makes such a file")
    if head.startswith(_HEADER + b"-> scrypt "):
        what = "the file is encrypted with a passphrase, and nobody is there to type it"
        raise LocalFileError(errors.CONTENT, what, "encrypt it for a recipient: age -r age1...")


def _header(data: bytes) -> bytes:
    """Return the beginning of the file without its armour, at least its header of a few readers."""
    head = data[:65536]
    if not head.lstrip().startswith(_ARMOUR):
        return head
    lines = head.split(_ARMOUR, 1)[1].split()
    try:
        return base64.b64decode(b"".join(line for line in lines if len(line) == 64))
    except binascii.Error:
        return b""
