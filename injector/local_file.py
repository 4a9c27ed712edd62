"""The file of a `local` store: secrets and their versions as JSON, encrypted by age for readers.

    {"format": 1, "secrets": {"shop/db": {"versions": [
        {"version": 1, "created": "2026-01-31T12:00:00Z", "expires": null or "2027-01-31",
         "data": {"user": "shop", "key.der": {"base64": "..."}}}]}}}

`decrypt` and `encrypt` are the two sides of the file; `put` and `delete` make new data from old;
`rewrite` changes a file on disk in one step, under a lock. Any age tool opens the file as well.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyrage

from injector.core import errors, secret
from injector.core.errors import Code
from injector.core.secret import NotJson

FORMAT = 1
MAX_FILE_BYTES = 8 * 1024 * 1024
_ARMOUR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_HEADER = b"age-encryption.org/v1\n"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_KEY = re.compile(r"(?m)^(AGE-SECRET-KEY-1[0-9A-Z]+)\r?$")


class LocalFileError(Exception):
    """The file cannot be used: code, what and hint for a problem; never anything of its content."""

    def __init__(self, code: Code, what: str, hint: str = "") -> None:
        """Keep the three."""
        self.code, self.what, self.hint = code, what, hint
        super().__init__(what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One state of a secret; `created` is an ISO time in UTC, `expires` an ISO date or None."""

    number: int
    created: str
    expires: str | None
    data: Mapping[str, str | bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSecrets:
    """All secrets of a file: name → versions, oldest first, never none."""

    secrets: Mapping[str, tuple[Version, ...]]


EMPTY = LocalSecrets(secrets={})


def decrypt(data: bytes, identity: str) -> LocalSecrets:
    """Return the content of an age file, armoured or not; raises LocalFileError.

    `identity` is the text of an age identity file: keys and comments.
    """
    _check_header(data)
    try:
        keys = [pyrage.x25519.Identity.from_str(key) for key in _KEY.findall(identity)]
    except pyrage.IdentityError:
        keys = []
    if not keys:
        what = "the identity holds no age key"
        hint = "age-keygen makes one; its line starts with AGE-SECRET-KEY-1"
        raise LocalFileError(errors.UNAUTHENTICATED, what, hint)
    try:
        return decode(pyrage.decrypt(data, keys))
    except pyrage.DecryptError as error:
        if "no matching keys" in str(error).lower():
            what = "the file is encrypted for other keys than the identity"
            hint = "encrypt it for the identity's recipient too (age-keygen -y shows it)"
            raise LocalFileError(errors.UNAUTHENTICATED, what, hint) from None
        what = "the file is damaged or cut off"
        raise LocalFileError(errors.CONTENT, what, "restore it from its last good copy") from None


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
    if len(sealed) > MAX_FILE_BYTES:
        what = f"the file would take {len(sealed)} bytes, the limit is {MAX_FILE_BYTES}"
        raise LocalFileError(errors.TOO_LARGE, what, "delete old versions")
    return sealed


def encode(secrets: LocalSecrets) -> bytes:
    """Return the content as canonical JSON."""
    document = {
        "format": FORMAT,
        "secrets": {
            name: {
                "versions": [
                    {
                        "version": version.number,
                        "created": version.created,
                        "expires": version.expires,
                        "data": {key: _written(value) for key, value in version.data.items()},
                    }
                    for version in versions
                ]
            }
            for name, versions in secrets.secrets.items()
        },
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def decode(data: bytes) -> LocalSecrets:
    """Return the content that a JSON text holds; raises LocalFileError."""
    try:
        document = secret.parse_json(data)
        if not isinstance(document, Mapping) or not isinstance(document.get("secrets"), Mapping):
            raise _not_ours("it is no JSON of ours")
        if document.get("format") != str(FORMAT):
            raise _not_ours(f"its format is not {FORMAT}", "use a newer secret-injector")
        return LocalSecrets(
            secrets={
                name: _versions(name, entry)
                for name, entry in _mapping(document["secrets"]).items()
            }
        )
    except NotJson as error:
        raise _not_ours(str(error)) from None
    except UnicodeEncodeError:
        raise _not_ours("a text has half a surrogate pair") from None


def put(
    secrets: LocalSecrets,
    name: str,
    data: Mapping[str, str | bytes],
    *,
    created: str,
    expires: str | None = None,
) -> LocalSecrets:
    """Return the secrets with a new version of one: its data anew, the old versions as they are."""
    versions = secrets.secrets.get(name, ())
    number = versions[-1].number + 1 if versions else 1
    new = Version(number=number, created=created, expires=expires, data=dict(data))
    return replace(secrets, secrets={**secrets.secrets, name: (*versions, new)})


def delete(secrets: LocalSecrets, name: str) -> LocalSecrets:
    """Return the secrets without one and all its versions; a name that is not there is no error."""
    kept = {other: versions for other, versions in secrets.secrets.items() if other != name}
    return replace(secrets, secrets=kept)


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
        _replace(path, encrypt(new, recipients))
        return new
    finally:
        os.close(lock)


def _replace(path: Path, data: bytes) -> None:
    """Put a new file in place of the old one, complete or not at all, also after a power cut."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_header(data: bytes) -> None:
    """Refuse what is no age file, and files that a passphrase opens (age-encryption.org/v1)."""
    if len(data) > MAX_FILE_BYTES:
        what = f"the file takes {len(data)} bytes, the limit is {MAX_FILE_BYTES}"
        raise LocalFileError(errors.BODY, what)
    head = data[:4096]
    if head.lstrip().startswith(_ARMOUR):
        lines = head.split(_ARMOUR, 1)[1].split()
        try:
            head = base64.b64decode(b"".join(line for line in lines if len(line) == 64))
        except binascii.Error:
            head = b""
    if not head.startswith(_HEADER):
        what = "the file is not encrypted by age, or damaged at its beginning"
        raise LocalFileError(errors.CONTENT, what, "secret-injector secret set makes such a file")
    if head.startswith(_HEADER + b"-> scrypt "):
        what = "the file is encrypted with a passphrase, and nobody is there to type it"
        raise LocalFileError(errors.CONTENT, what, "encrypt it for a recipient: age -r age1...")


def _versions(name: str, entry: object) -> tuple[Version, ...]:
    listed = _mapping(entry).get("versions")
    found = tuple(_version(name, each) for each in listed) if isinstance(listed, list) else ()
    numbers = [version.number for version in found]
    if not found or numbers != sorted(set(numbers)):
        raise _not_ours(f'the versions of "{name}" are not in order')
    return found


def _version(name: str, entry: object) -> Version:
    version = _mapping(entry)
    number, created, expires = (version.get(key) for key in ("version", "created", "expires"))
    if not isinstance(number, secret.Number) or not re.fullmatch(r"[1-9][0-9]{0,9}", number):
        raise _not_ours(f'a version of "{name}" has no number')
    if expires is not None and not (isinstance(expires, str) and _DATE.fullmatch(expires)):
        raise _not_ours(f'version {number} of "{name}" expires at no date')
    data = {key: _read(name, value) for key, value in _mapping(version.get("data")).items()}
    return Version(
        number=int(number),
        created=created if isinstance(created, str) else "",
        expires=expires,
        data=data,
    )


def _written(value: str | bytes) -> object:
    if isinstance(value, str):
        return value
    return {"base64": base64.b64encode(value).decode()}


def _read(name: str, value: object) -> str | bytes:
    if isinstance(value, str) and not isinstance(value, secret.Number):
        value.encode()
        return value
    text = value.get("base64") if isinstance(value, Mapping) else None
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    raise _not_ours(f'a value of "{name}" is neither a text nor base64')


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _not_ours("a mapping is missing")
    return value


def _not_ours(why: str, hint: str = "") -> LocalFileError:
    what = f"the file opens, and its content is not what we write: {why}"
    return LocalFileError(errors.CONTENT, what, hint or "was it made by secret-injector?")
