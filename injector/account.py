"""The account of a fetch: which secrets were read, from where, as whom; never what they hold.

Written as soon as the stores have answered, so that it is there when the pod fails afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from injector.logs import Log
from injector.visit import ReadFacts

MAX_BYTES = 12 * 1024
"""Bytes of reads in one line, which a runtime would split at 16 KiB; more reads, more lines."""
MAX_TEXT = 256
"""Characters of a path, a version or an identity."""


def tell(log: Log, namespace: str, reads: Iterable[ReadFacts]) -> None:
    """Write a line for each store, place and identity, with its reads."""
    groups: dict[tuple[str, str, str, str], list[dict[str, str]]] = {}
    for read in reads:
        key = (read.store, read.provider, read.served_by, read.identity)
        told = {"path": _cut(read.path)}
        if read.version:
            told["version"] = _cut(read.version)
        if read.code:
            told["code"] = read.code
        groups.setdefault(key, []).append(told)
    for (store, provider, served_by, identity), each in groups.items():
        for part in _parts(each):
            log.info(
                "secrets read",
                namespace=namespace,
                store=store,
                provider=provider,
                served_by=served_by,
                identity=_cut(identity),
                reads=part,
            )


def _parts(reads: Sequence[dict[str, str]]) -> Iterator[Sequence[dict[str, str]]]:
    """Yield all reads in portions of at most `MAX_BYTES` as JSON."""
    part: list[dict[str, str]] = []
    size = 0
    for read in reads:
        more = len(json.dumps(read))
        if part and size + more > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(read)
        size += more
    if part:
        yield part


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."
