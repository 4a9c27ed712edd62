"""Decrypting a file of SOPS: the data key by age, every value by AES-256-GCM, the whole by its MAC.

A value is bound to its place: the path of its keys is the additional data, so no two values can be
exchanged. The MAC is a SHA-512 over all values in order, itself encrypted, bound to the date of
the last change. Source: README of SOPS, "Encryption Protocol", "Message Authentication Code".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from injector import local_file
from injector.core import errors, pattern, pattern_syntax
from injector.core.pattern import PatternError
from injector.core.reporting import some
from injector.core.secret import Json, Number
from injector.local_format import LocalFileError
from injector.sops_format import Document, Scalar

_SEALED = re.compile(
    r"ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),"
    r"type:(str|int|float|bool|bytes|comment|time)\]"
)
_MAC_ONLY_ENCRYPTED = hashlib.sha256(b"sops").digest()
"""What SOPS hashes first when only encrypted values are in the MAC."""

_ANY_CASE = "(?i)"
_OF_RE2 = re.compile(
    r"\\.|\(\?P?<[A-Za-z_][A-Za-z0-9_]{0,30}>|\[:[a-z]{4,6}:\]|\[\^?\]?|.", re.DOTALL
)
_ENDS = {"\\A": "^", "\\z": "$"}
_POSIX = {
    "[:alpha:]": "A-Za-z",
    "[:alnum:]": "A-Za-z0-9",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:upper:]": "A-Z",
    "[:word:]": "A-Za-z0-9_",
    "[:xdigit:]": "0-9A-Fa-f",
}

MAX_DEPTH = 32
MAX_PATH = 4096
"""Characters of the keys down to a value: each value is bound to all of them, so all are hashed."""

_SERVICES = {
    "age": "age",
    "kms": "AWS KMS",
    "gcp_kms": "Google Cloud KMS",
    "azure_kv": "Azure Key Vault",
    "hc_vault": "Vault's transit engine",
    "pgp": "PGP",
}


def decrypt(document: Document, key: bytes) -> Mapping[str, Json | bytes]:
    """Return all values of a file; raises LocalFileError, which never quotes any."""
    if len(key) != 32:
        raise _damaged("its data key has not the length of one")
    return _Opening(document, key).opened()


def entries(document: Document, service: str) -> list[Mapping[str, Any]]:
    """Return the sealed data keys for `age` or `kms`; raises LocalFileError if there are none."""
    metadata = document.metadata
    if metadata.get("key_groups"):  # a single group's keys stand at the top, whatever the threshold
        what = "the file needs keys of several groups (Shamir), which is not supported"
        raise LocalFileError(errors.NOT_SUPPORTED, what, "encrypt it for one group")
    found = metadata.get(service)
    if isinstance(found, list) and found and all(isinstance(entry, Mapping) for entry in found):
        return found
    services = [words for name, words in _SERVICES.items() if metadata.get(name)]
    what = f"the file is encrypted by {' and '.join(services) or 'no service that we know'}"
    hint = "the store's identity is for age, its kms for AWS KMS; sops rotate -i adds a key"
    raise LocalFileError(
        errors.NOT_SUPPORTED, f"{what}, and the store is for {_SERVICES[service]}", hint
    )


def age_key(document: Document, identity: str) -> bytes:
    """Return the key of all values, from the first age entry that the identity opens."""
    sealed = entries(document, "age")
    keys = local_file.identities(identity)
    for entry in sealed:
        try:
            return bytes(pyrage.decrypt(str(entry.get("enc")).encode(), keys))
        except pyrage.DecryptError:
            continue
    there = some(str(entry.get("recipient")) for entry in sealed)
    what = f"the identity opens none of the file's age entries; it is encrypted for {there}"
    hint = "sops rotate -i --add-age RECIPIENT FILE adds it (age-keygen -y shows the recipient)"
    raise LocalFileError(errors.UNAUTHENTICATED, what, hint)


class _Opening:
    """One walk through a file: values are opened and hashed in their order."""

    def __init__(self, document: Document, key: bytes) -> None:
        self._document, self._cipher = document, AESGCM(key)
        self._is_encrypted = _rule(document.metadata)
        self._hashes_encrypted_only = document.metadata.get("mac_only_encrypted") in (True, "true")
        self._hash = hashlib.sha512()
        if self._hashes_encrypted_only:
            self._hash.update(_MAC_ONLY_ENCRYPTED)

    def opened(self) -> Mapping[str, Json | bytes]:
        """Return the values after the MAC has been verified; several documents by their numbers."""
        found = [
            {key: self._node(node, (key,)) for key, node in tree.items()}
            for tree in (self._document.tree, *self._document.more)
        ]
        self._verify()
        if not self._document.more:
            return found[0]
        return {str(number): values for number, values in enumerate(found)}

    def _node(self, node: Any, path: tuple[str, ...]) -> Any:
        if len(path) > MAX_DEPTH or sum(map(len, path)) > MAX_PATH:
            what = f"it nests more than {MAX_DEPTH} deep, or has keys of {MAX_PATH} characters"
            raise _damaged(what)
        if isinstance(node, Mapping):
            return {key: self._node(value, (*path, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [self._node(value, path) for value in node]
        return None if node is None else self._leaf(node, path)

    def _leaf(self, scalar: Scalar, path: tuple[str, ...]) -> Json | bytes:
        if not self._is_encrypted(path) or (scalar.kind, scalar.text) == ("str", ""):
            if not self._hashes_encrypted_only:
                self._hash.update(scalar.text.encode())
            return _typed(scalar.kind, scalar.text.encode())
        where = "/".join(path)
        data, kind = self._unseal(scalar.text, ":".join(path) + ":", f'the value of "{where}"')
        self._hash.update(data)
        value = _typed(kind, data)
        if isinstance(value, bytes) and (len(path) > 1 or self._document.more):
            raise _damaged(f'the value of "{where}" is not UTF-8; only a key at the top may be')
        return value

    def _unseal(self, text: str, additional: str, what: str) -> tuple[bytes, str]:
        match = _SEALED.fullmatch(text)
        if match is None:
            raise _damaged(f"{what} is not encrypted, and should be")
        try:
            data, nonce, tag = (
                base64.b64decode(part, validate=True) for part in match.groups()[:3]
            )
            return self._cipher.decrypt(nonce, data + tag, additional.encode()), match[4]
        except (binascii.Error, ValueError):
            raise _damaged(f"{what} is damaged") from None
        except InvalidTag:
            raise _damaged(f"{what} was changed, or moved here from elsewhere") from None

    def _verify(self) -> None:
        metadata = self._document.metadata
        mac, _ = self._unseal(
            str(metadata["mac"]), str(metadata.get("lastmodified", "")), "the file's MAC"
        )
        if not hmac.compare_digest(mac, self._hash.hexdigest().upper().encode()):
            raise _damaged("MAC mismatch: the file was changed without SOPS")


def _rule(metadata: Mapping[str, Any]) -> Callable[[tuple[str, ...]], bool]:
    """Return which paths hold encrypted values; raises LocalFileError for rules we do not know."""
    for name in ("encrypted_comment_regex", "unencrypted_comment_regex"):
        if metadata.get(name):
            what = f"the file uses {name}, which is not supported"
            raise LocalFileError(errors.NOT_SUPPORTED, what, "use encrypted_regex")
    for name, is_encrypted in (
        ("encrypted_suffix", True),
        ("unencrypted_suffix", False),
        ("encrypted_regex", True),
        ("unencrypted_regex", False),
    ):
        text = metadata.get(name)
        if not text:
            continue
        fits = _ending(str(text)) if name.endswith("suffix") else _fitting(name, str(text))
        return lambda path, yes=is_encrypted: any(map(fits, path)) is yes  # type: ignore[misc]  # mypy does not infer lambdas with defaults
    return lambda _: True


def _ending(suffix: str) -> Callable[[str], bool]:
    return lambda key: key.endswith(suffix)


def _fitting(name: str, text: str) -> Callable[[str], bool]:
    """Return whether the pattern fits a key somewhere; raises LocalFileError.

    The file's author wrote it, so it is matched by our own matcher, which cannot run away.
    """
    text = _as_ours(text)
    ignores_case = text.startswith(_ANY_CASE)
    try:
        if len(text) > pattern.MAX_TEXT:
            raise PatternError("the pattern is too long", pattern.MAX_TEXT)
        each = pattern_syntax.alternatives(text.removeprefix(_ANY_CASE))
        if sum(map(pattern.states, each)) >= pattern.MAX_STATES:
            raise PatternError("the pattern is too large", 0)
        patterns = [pattern.Pattern(one, ignores_case=ignores_case) for one in each]
    except PatternError as error:
        what = f"its {name} is no pattern that is supported: {error}"
        hint = "use characters, classes, groups and repetitions; docs/stores/sops.md lists them"
        raise LocalFileError(errors.NOT_SUPPORTED, what, hint) from None
    known: dict[str, bool] = {}

    def fits(key: str) -> bool:
        if key not in known:
            known[key] = any(one.matches(key) for one in patterns)
        return known[key]

    return fits


def _as_ours(text: str) -> str:
    """Return a pattern of RE2 in our language where it only has another spelling there.

    Ends of the text, named groups, POSIX classes, and brackets around all alternatives.
    """
    parts, is_in_class = [], False
    for token in _OF_RE2.findall(text[: pattern.MAX_TEXT + 1]):
        part = token
        if is_in_class:
            part = _POSIX.get(token, token)
            is_in_class = token != "]"
        elif token.startswith(("(?P<", "(?<")):
            part = "("
        else:
            part = _ENDS.get(token, token)
            is_in_class = token.startswith("[")
        parts.append(part)
    ours = "".join(parts)
    flag = _ANY_CASE if ours.startswith(_ANY_CASE) else ""
    inner = ours[len(flag) :]
    if inner.startswith("(") and _closing(inner) == len(inner) - 1:
        inner = inner[1:-1].removeprefix("?:")
    return flag + inner


def _closing(text: str) -> int:
    """Return where the bracket closes that a pattern begins with; -1 where that is not plain."""
    depth = 0
    for at, char in enumerate(text):
        if char in "\\[":
            return -1
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return at
    return -1


def _typed(kind: str, data: bytes) -> Json | bytes:
    """Return a value in its type: numbers as they are written, bytes that are no text as bytes."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return data
    if kind in ("int", "float"):
        return Number(text)
    return text == "True" if kind == "bool" else text


def _damaged(what: str) -> LocalFileError:
    return LocalFileError(errors.CONTENT, what, "restore the file, or edit it with sops")
