"""Values for `secret set`: from files, a pipe or a prompt; from arguments only with a warning."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from injector.commands.calling import is_interactive, refused, tell
from injector.core.secret import MAX_BYTES, text_or_bytes

_HISTORY = "--data shows the value in the shell's history and, while we run, in the process list"


def values(items: Sequence[str], data: Sequence[str]) -> dict[str, str | bytes]:
    """Return the keys with their values; raises Refused for what names none.

    An item is KEY=@FILE (bytes as they are, `-` is standard input) or KEY, which asks on a terminal
    and else reads a line or more from standard input, without the last line break.
    """
    found: dict[str, str | bytes] = {}
    from_stdin = [item for item in items if "=" not in item or item.endswith("=@-")]
    if len(from_stdin) > 1 and not is_interactive():
        what = f"only one value can come from standard input, not {len(from_stdin)}"
        raise refused(what, hint="KEY=@FILE takes it from a file")
    for item in items:
        key, sign, rest = item.partition("=")
        _check(key, found)
        if not sign:
            found[key] = _asked(key)
        elif rest.startswith("@"):
            found[key] = text_or_bytes(_read(rest[1:]))
        else:
            hint = "KEY=@FILE, KEY (asks, or reads standard input), or --data KEY=VALUE"
            raise refused(f'"{key}=..." has its value in the arguments', hint=hint)
    for entry in data:
        key, sign, text = entry.partition("=")
        if not sign:
            raise refused("--data needs KEY=VALUE")
        _check(key, found)
        tell(f"warning: {_HISTORY}")
        found[key] = text
    if not found:
        raise refused("no key is named", hint="secret set NAME KEY, or KEY=@FILE")
    return found


def _check(key: str, found: dict[str, str | bytes]) -> None:
    if not key or not key.isprintable():
        raise refused("a key is empty or holds unprintable characters")
    if key in found:
        raise refused(f'"{key}" is named twice')


def _asked(key: str) -> str | bytes:
    if is_interactive():
        text: str = click.prompt(f"{key}", hide_input=True, confirmation_prompt=True, err=True)
        return text
    data = _read("-")
    return text_or_bytes(data.removesuffix(b"\n").removesuffix(b"\r"))


def _read(name: str) -> bytes:
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1) if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise refused(os.strerror(error.errno or 0).lower(), source=name) from None
    if len(data) > MAX_BYTES:
        raise refused("the value is larger than 1 MiB", source=name)
    return data
