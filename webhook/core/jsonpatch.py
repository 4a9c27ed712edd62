"""JSON Patch (RFC 6902), as much as we write: add, replace, remove by JSON Pointer (RFC 6901)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any


def add(pointer: str, value: object) -> dict[str, object]:
    """Return the operation that adds a member, inserts at an index, or appends with `/-`."""
    return {"op": "add", "path": pointer, "value": value}


def replace(pointer: str, value: object) -> dict[str, object]:
    """Return the operation that replaces what is there."""
    return {"op": "replace", "path": pointer, "value": value}


def remove(pointer: str) -> dict[str, object]:
    """Return the operation that removes what is there."""
    return {"op": "remove", "path": pointer}


def append(pointer: str, there: object, entries: list[Any]) -> list[dict[str, object]]:
    """Return the operations that put the entries at the end of a list, made when absent."""
    if not entries:
        return []
    return [add(f"{pointer}/-", entry) for entry in entries] if there else [add(pointer, entries)]


def prepend(pointer: str, there: object, entries: list[Any]) -> list[dict[str, object]]:
    """Return the operations that put the entries at the front of a list, made when absent."""
    if not entries:
        return []
    return (
        [add(f"{pointer}/0", entry) for entry in reversed(entries)]
        if there
        else [add(pointer, entries)]
    )


def apply(document: Mapping[str, Any], operations: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a copy with the operations applied; raises LookupError for a bad path."""
    result: dict[str, Any] = copy.deepcopy(dict(document))
    for operation in operations:
        *parents, last = [
            part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
        ]
        node: Any = result
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node[part]
        value = copy.deepcopy(operation.get("value"))
        if isinstance(node, list):
            index = len(node) if last == "-" else int(last)
            if operation["op"] == "add":
                node.insert(index, value)
            elif operation["op"] == "replace":
                node[index] = value
            else:
                del node[index]
        elif operation["op"] == "remove":
            del node[last]
        else:
            node[last] = value
    return result
