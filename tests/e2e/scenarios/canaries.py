"""Random values that must not be found anywhere, and the search for them in every usual form."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.testbed.process import run

_LENGTH = 28
_ALIGNMENTS = (0, 1, 2)

Hits = frozenset[tuple[str, str]]
"""What was found in one place: names of canaries and their forms there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One value: `core` is the random part of it that is searched for."""

    name: str
    value: bytes
    core: bytes

    def forms(self) -> Mapping[str, bytes]:
        """Return the texts to search for, by form; none holds a line break or a NUL."""
        core = self.core
        found = {
            "raw": core,
            "reversed": core[::-1],
            "hex": core.hex().encode(),
            "upper-hex": core.hex().upper().encode(),
            "percent": b"".join(b"%%%02X" % byte for byte in core),
            "lower-percent": b"".join(b"%%%02x" % byte for byte in core),
        }
        for shift in _ALIGNMENTS:
            found[f"base64+{shift}"] = _base64(core, shift, base64.b64encode)
            found[f"base64url+{shift}"] = _base64(core, shift, base64.urlsafe_b64encode)
        return found


def text(name: str, *, before: str = "", after: str = "") -> Canary:
    """Return a canary of letters and digits between two other texts."""
    letters = string.ascii_letters + string.digits
    core = "".join(random.choices(letters, k=_LENGTH)).encode()
    return Canary(name=name, value=before.encode() + core + after.encode(), core=core)


def binary(name: str) -> Canary:
    """Return a canary that is no text; its core has neither a NUL nor a line break."""
    core = bytes(random.choices([*range(1, 10), *range(11, 256)], k=_LENGTH))
    return Canary(name=name, value=b"\0\xff\n" + core + b"\0", core=core)


def search(canaries: Iterable[Canary], content: bytes) -> Hits:
    """Return what a text holds."""
    return frozenset(
        (canary.name, form)
        for canary in canaries
        for form, needle in canary.forms().items()
        if needle in content
    )


def needles(canaries: Iterable[Canary], path: Path) -> Path:
    """Write every form of every canary into a file for `grep --file`, and return it."""
    lines = {needle for canary in canaries for needle in canary.forms().values()}
    path.write_bytes(b"\n".join(sorted(lines)) + b"\n")
    return path


def files_with(patterns: Path, folder: str | Path, enter: Iterable[str] = ()) -> list[str]:
    """Return the files below a folder, on its own file system alone, that hold a pattern.

    *enter* are the words that put a program into other namespaces.
    """
    grep = f"LC_ALL=C xargs -0 -r grep -s -l -a -F -f {patterns}"
    script = f"find {folder} -xdev -type f -print0 | {grep} || true"
    return run(*enter, "sh", "-c", script, timeout_s=300).decode().splitlines()


def lines_with(patterns: Path, path: Path) -> list[bytes]:
    """Return the lines of a file that hold a pattern."""
    command = ("env", "LC_ALL=C", "grep", "-a", "-F", "-f", patterns, path)
    return run(*command, check=False, timeout_s=300).splitlines()


def _base64(core: bytes, shift: int, encode: Callable[[bytes], bytes]) -> bytes:
    """Return the base64 of *core* as it looks after so many other bytes, without the two ends."""
    begin, end = -(-shift * 8 // 6), (shift + len(core)) * 8 // 6
    return encode(b"\0" * shift + core)[begin:end]
