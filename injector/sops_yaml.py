"""YAML of SOPS to values in order, straight from the parser's events.

Nothing recurses, whatever the file nests, and what an alias stands for counts as often as it is
used: a file cannot grow beyond `MAX_NODES` values.
"""

from __future__ import annotations

from typing import Any

import yaml

from injector.sops_format import Node, NotSops, Scalar, plain_scalar

MAX_NODES = 20_000
MAX_DIRECTIVES = 8
MAX_DOCUMENTS = 1000
_MAX_DEPTH = 100
_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_TEXT = (None, "!", "tag:yaml.org,2002:str")


def read(text: str) -> list[Node]:
    """Return the values of each document; raises NotSops."""
    if text.count("\n%") > MAX_DIRECTIVES:  # libyaml compares each directive with all before it
        raise NotSops("it is not yaml")
    building = _Building()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            building.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise NotSops(f"it is not yaml{where}") from None
    if not 1 <= len(building.documents) <= MAX_DOCUMENTS:
        raise NotSops(f"it holds no document, or more than {MAX_DOCUMENTS}")
    return building.documents


class _Building:
    """Values under construction: the collections that are open, innermost last."""

    def __init__(self) -> None:
        self.documents: list[Node] = []
        self._left = MAX_NODES
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}

    def take(self, event: yaml.Event) -> None:
        """Take the next event."""
        match event:
            case yaml.AliasEvent(anchor=anchor):
                if anchor not in self._anchors:
                    raise NotSops("it is not yaml")
                self._add(*self._anchors[anchor])
            case yaml.ScalarEvent(anchor=anchor, value=text):
                is_plain = not event.style and event.tag in _TEXT
                value = plain_scalar(text) if is_plain else Scalar(kind="str", text=text)
                if self._open and self._open[-1].wants_key():
                    self._open[-1].begin_entry(text)
                else:
                    self._add(value, 1)
                    self._anchor(anchor, value, 1)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                if len(self._open) >= _MAX_DEPTH:
                    raise NotSops("it is nested too deep")
                collection: Any = [] if isinstance(event, yaml.SequenceStartEvent) else {}
                self._open.append(_Open(collection, event.anchor, self._left))
                self._count(1)
            case yaml.CollectionEndEvent():
                done = self._open.pop()
                self._add(done.collection, 0)
                self._anchor(done.anchor, done.collection, done.left - self._left)
            case _:
                pass

    def _add(self, value: Node, count: int) -> None:
        """Put a value where it belongs; a collection or an alias is no key."""
        self._count(count)
        if self._open:
            self._open[-1].add(value)
        else:
            self.documents.append(value)

    def _anchor(self, name: str | None, value: Node, count: int) -> None:
        if name is not None:
            self._anchors[name] = (value, count)

    def _count(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise NotSops("it has too many values")


class _Open:
    """A list or a mapping whose end has not come yet; `left` is what was left when it began."""

    def __init__(self, collection: Any, anchor: str | None, left: int) -> None:
        self.collection, self.anchor, self.left = collection, anchor, left
        self._key: str | None = None

    def wants_key(self) -> bool:
        """Say whether what comes next is a key."""
        return isinstance(self.collection, dict) and self._key is None

    def begin_entry(self, key: str) -> None:
        """Take the key of the next value."""
        if key in self.collection:
            raise NotSops("a key is doubled or no text")
        self._key = key

    def add(self, value: Node) -> None:
        """Add an entry, or the value of the key before."""
        if isinstance(self.collection, list):
            self.collection.append(value)
        elif self._key is None:
            raise NotSops("a key is doubled or no text")
        else:
            self.collection[self._key] = value
            self._key = None
