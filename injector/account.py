"""The account of a fetch: which secrets were read, from where, as whom; never what they hold.

Written as soon as the stores have answered, so that it is there when the pod fails afterwards. Of
keys that did not become variables it is told once their names are known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from injector.core.errors import printable
from injector.core.plan import Pick, Plan
from injector.core.render import Rendered
from injector.logs import Log
from injector.visit import ReadFacts

MAX_BYTES = 12 * 1024
"""Bytes of reads in one line, which a runtime would split at 16 KiB; more reads, more lines."""
MAX_KEYS = 64
"""Keys of one container that are told of."""
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


def tell_of_keys(log: Log, p: Plan, container: Rendered) -> None:
    """Write a line for each key that is not set, or that a policy speaks of; of many the first."""
    for line in container.told[:MAX_KEYS]:
        log.warning(
            "key left out" if line.is_left_out else "key set against a policy",
            code=line.code.id,
            **_place(p, line.value),
            container=container.name,
            key=printable(line.key[:MAX_TEXT]),
            variable=printable(line.name[:MAX_TEXT]),
            why=line.what,
            hint=line.hint,
        )
    more = len(container.told) - MAX_KEYS
    if more > 0:
        log.warning("more keys left out", container=container.name, keys=more)


def _place(p: Plan, value: int) -> dict[str, str]:
    """Return store and path of a value of the plan that is one read."""
    part = p.values[value].parts[0]
    if not isinstance(part, Pick):
        return {}
    read = p.reads[part.read]
    return {"store": p.stores[read.store].name, "path": _cut(read.path)}


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
