"""Quantities as Kubernetes writes them: `100m`, `0.1` and `1e-1` are equal.

Exact integers of a billionth (the API server keeps no more digits), so that quantities are compared
as quantities and never as text. See k8s.io/apimachinery/pkg/api/resource.
"""

from __future__ import annotations

import re
from functools import lru_cache

NANO = 1
UNIT = 10**9
MAX_CHARACTERS = 64

_FORM = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?"
    r"(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE](?P<power>[+-]?[0-9]{1,2}))?"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def parse(text: object) -> int | None:
    """Return the quantity in billionths, rounded up as the API server does; None if it is none."""
    text = str(text)
    return _parsed(text) if len(text) <= MAX_CHARACTERS else None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> int | None:
    found = _FORM.fullmatch(text)
    if found is None or not (found["whole"] or found["part"]):
        return None
    part = found["part"] or ""
    digits = int(found["whole"] + part)
    suffix = found["suffix"] or ""
    if suffix in _BINARY:
        scaled, power = digits << (10 * _BINARY[suffix]), -len(part)
    else:
        exponent = int(found["power"]) if found["power"] else _DECIMAL[suffix]
        scaled, power = digits, exponent - len(part)
    power += 9
    ten: int = 10 ** abs(power)
    value = scaled * ten if power >= 0 else -(-scaled // ten)
    return -value if found["sign"] == "-" else value


@lru_cache(maxsize=4096)
def text_of(value: int, *, is_binary: bool) -> str:
    """Return the canonical text of a quantity: what the API server would store.

    Binary quantities (memory, storage) become whole bytes, rounded up.
    """
    if not is_binary:
        for suffix, power in (("E", 27), ("P", 24), ("T", 21), ("G", 18), ("M", 15), ("k", 12)):
            if value and value % 10**power == 0:
                return f"{value // 10**power}{suffix}"
        for suffix, power in (("", 9), ("m", 6), ("u", 3)):
            if value % 10**power == 0:
                return f"{value // 10**power}{suffix}"
        return f"{value}n"
    whole = -(-value // UNIT)
    for suffix, power in reversed(_BINARY.items()):
        if whole and whole % 1024**power == 0:
            return f"{whole // 1024**power}{suffix}"
    return str(whole)
