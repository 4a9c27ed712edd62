"""Names of variables that steer a process, in one table of two classes.

    code       the value, or a file that it names, decides which code the process runs
    endpoint   it decides whom the process talks to, whom it believes, where it finds its data

The pod's own annotation and a container's own `env` may set every one of them. What a service
brings may never be code. An endpoint is free within the namespace, where `lint` points at it; from
another namespace it arrives only where an import names it, as every key does.

Names that merely hold a credential or an address for the application are not in the table
(`DATABASE_URL`, `PGPASSWORD`, `AWS_SECRET_ACCESS_KEY`, `VAULT_TOKEN`): those are what one injects.
"""

from __future__ import annotations

import re
from enum import Enum

from injector.core.steering_names import (
    CODE,
    CODE_PREFIXES,
    CODE_SUFFIXES,
    ENDPOINT_PREFIXES,
    ENDPOINT_SUFFIXES,
    ENDPOINTS,
)


class Steers(Enum):
    """What a variable steers, in words for people."""

    CODE = "which code a process runs"
    ENDPOINT = "whom a process talks to or believes"


def of(name: str) -> Steers | None:
    """Return what the name steers, None for an ordinary one.

    Programs read many of them in any case (`Http_Proxy`, `npm_config_registry`), so case counts
    only for the few that are ordinary words when they are written small. A dot or a dash is what
    an underscore is: `spring.config.location` is read like `SPRING_CONFIG_LOCATION`.
    """
    folded = name.upper()
    if not folded.isidentifier():
        folded = _SEPARATOR.sub("_", folded)
    if folded in _WORDS and name != folded:
        return None
    if folded in ENDPOINTS:
        return Steers.ENDPOINT
    if folded in CODE:
        return Steers.CODE
    if folded in _ORDINARY or folded.endswith(_ORDINARY_SUFFIXES):
        return None
    if folded.startswith(CODE_PREFIXES) or folded.endswith(CODE_SUFFIXES):
        return Steers.CODE
    if folded.startswith(ENDPOINT_PREFIXES) or folded.endswith(ENDPOINT_SUFFIXES):
        return Steers.ENDPOINT
    return None


_SEPARATOR = re.compile(r"[^A-Z0-9_]")
_WORDS_TEXT = "BROWSER EDITOR EMACS ENV HOME JAVA MAKE OPENER PAGER PATH SHELL STRIP"
_WORDS = frozenset(_WORDS_TEXT.split())
"""Programs read these in capitals alone."""

_ORDINARY_TEXT = "BRANCH COMMIT HASH REF REPO REVISION SHA TAG URL"
_ORDINARY = frozenset(f"GIT_{word}" for word in _ORDINARY_TEXT.split())
"""Names like those of a program that the program itself never reads."""

_ORDINARY_SUFFIXES = (
    "_TOKEN", "_PASSWORD", "_PASSWD", "_PASS", "_PWD", "_SECRET", "_KEY", "_KEYS", "_USER",
    "_USERNAME", "_LOGIN", "_EMAIL", "_ID", "_LICENSE", "_PORT", "_VERSION",
)  # fmt: skip
"""A credential for a program has the program's name in front; it steers nothing."""
