"""New values by rule: `alnum:32`, `hex:64`, `digits:6`, `symbols:24`, `base64:32`, `uuid`."""

from __future__ import annotations

import base64
import re
import string
import uuid
from collections.abc import Callable

_ALPHABETS = {
    "alnum": string.ascii_letters + string.digits,
    "hex": "0123456789abcdef",
    "digits": string.digits,
    "symbols": string.ascii_letters + string.digits + "!#%&*+,-./:;<=>?@^_~",
}
KINDS = (*_ALPHABETS, "base64", "uuid")
_RULE = re.compile(r"([a-z0-9]+)(?::([1-9][0-9]{0,3}))?")
FORM = "alnum:N, hex:N, digits:N, symbols:N (N characters), base64:N (N bytes) or uuid"


def is_rule(rule: str) -> bool:
    """Say whether the text is a rule."""
    match = _RULE.fullmatch(rule)
    return match is not None and match[1] in KINDS and (match[2] is None) == (match[1] == "uuid")


def generate(rule: str, *, random_bytes: Callable[[int], bytes]) -> str:
    """Return a new value; every character is equally likely. The rule is one (`is_rule`)."""
    kind, _, size = rule.partition(":")
    if kind == "uuid":
        return str(uuid.UUID(bytes=random_bytes(16), version=4))
    if kind == "base64":
        return base64.b64encode(random_bytes(int(size))).decode()
    alphabet = _ALPHABETS[kind]
    fair = 256 - 256 % len(alphabet)  # bytes from here on would favour the first characters
    found = ""
    while len(found) < int(size):
        found += "".join(alphabet[b % len(alphabet)] for b in random_bytes(64) if b < fair)
    return found[: int(size)]
