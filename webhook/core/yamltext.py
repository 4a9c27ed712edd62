"""YAML that a tenant wrote, read without surprises: texts, lists and mappings, nothing else.

Scalars keep the text that was written (`0755` stays `0755`, `yes` stays `yes`); aliases, merge
keys, doubled keys, tags and deep nesting are refused, so no input expands into more than it is.
The tree is built from the parser's events, as they come: `yaml.compose` of libyaml recurses in C
without a limit, and the limits hold before anything is built that they forbid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from injector.core import budget
from webhook.core import yaml_slips
from webhook.core.yaml_comments import Source

MAX_DEPTH = 8
MAX_NODES = 4096
"""Texts, lists and mappings in the YAML of one pod's annotations together."""

MAX_DIRECTIVES = 8

Tree = dict[str, "Tree"] | list["Tree"] | str | None

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = ("", "~", "null", "Null", "NULL")
_STANDARD_TAG = "tag:yaml.org,2002:"
# libyaml compares each directive with all before it; a line that begins so is one, or odd.
_DIRECTIVE = re.compile("(?:\\A|[\\r\\n\x85\u2028\u2029])%")


class YamlSlip(ValueError):
    """The text is not YAML of the plain kind; the message has line and column, and quotes keys."""


class TooManyNodes(YamlSlip):
    """The text writes more than is read."""


def parse(text: str) -> Tree:
    """Return the tree that the text writes; None for an empty text. Raises YamlSlip."""
    return read(text, most=MAX_NODES).tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What a text writes: `commented` are the values whose end its writer lost to a comment."""

    tree: Tree
    nodes: int
    commented: tuple[str, ...]


def read(text: str, *, most: int) -> Text:
    """Return the tree, of at most so many nodes, and more about the text; see `parse`."""
    budget.spend(1 + len(text) // 256)
    if "%" in text and len(_DIRECTIVE.findall(text)) > MAX_DIRECTIVES:
        raise YamlSlip("more than a few lines that begin with %")
    building = _Building(most, Source(text))
    try:
        for event in yaml.parse(text, Loader=_Loader):
            building.take(event)
    except yaml.MarkedYAMLError as error:
        if (found := yaml_slips.explained(error, text, _Loader)) is not None:
            raise YamlSlip(found[1]) from None
        mark = error.problem_mark or error.context_mark
        place = f"{_place(mark)}: " if mark else ""
        raise YamlSlip(f"{place}{error.problem or 'not YAML'}") from None
    except YamlSlip:
        raise
    except (yaml.YAMLError, RecursionError, ValueError):
        # ValueError: half a surrogate pair, or an escape that is no character.
        raise YamlSlip("not YAML") from None
    return Text(tree=building.root, nodes=building.count, commented=tuple(building.commented))


class _Building:
    """A tree under construction: the collections that are open, innermost last."""

    def __init__(self, most: int, source: Source) -> None:
        self.root: Tree = None
        self.count = 0
        self.commented: list[str] = []
        self._source = source
        self._most, self._documents = most, 0
        self._open: list[_Open] = []

    def take(self, event: yaml.Event) -> None:
        """Take the next event."""
        match event:
            case yaml.AliasEvent():
                raise YamlSlip("aliases are not allowed")
            case yaml.ScalarEvent():
                text = _scalar(event)
                if text is not None and self._source.is_suspect:
                    self._look_behind(event)
                self._node(event, text)
            case yaml.SequenceStartEvent():
                self._begin(event, [])
            case yaml.MappingStartEvent():
                self._begin(event, {})
            case yaml.CollectionEndEvent():
                self._open.pop()
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise YamlSlip(f"{_place(event.start_mark)}: but found another document")
            case _:
                pass

    def _begin(self, event: yaml.CollectionStartEvent, collection: Any) -> None:
        if len(self._open) + 1 >= MAX_DEPTH:
            raise YamlSlip(f"{_place(event.start_mark)}: nested more than {MAX_DEPTH} deep")
        path = self._path() if self._source.is_suspect else ""
        self._node(event, collection)
        self._open.append(_Open(collection, event, path))

    def _path(self) -> str:
        """Return the path of what comes next."""
        if not self._open:
            return ""
        within = self._open[-1]
        return ".".join(part for part in (within.path, within.at()) if part)

    def _look_behind(self, event: yaml.ScalarEvent) -> None:
        start, end = event.start_mark, event.end_mark
        if start and end and self._source.hides_reference(start, end, style=event.style):
            self.commented.append(self._path())

    def _node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, tree: Tree) -> None:
        budget.spend()
        self.count += 1
        if self.count > self._most:
            what = f"more than {self._most} texts, lists and mappings"
            raise TooManyNodes(f"{_place(event.start_mark)}: {what}")
        if event.tag is not None and event.tag != "!" and not event.tag.startswith(_STANDARD_TAG):
            raise YamlSlip(f"{_place(event.start_mark)}: tags are not allowed")
        if self._open:
            self._open[-1].add(tree)
        else:
            self.root = tree


class _Open:
    """A list or a mapping whose end has not come yet; `key` waits for its value."""

    def __init__(self, collection: Any, event: yaml.CollectionStartEvent, path: str) -> None:
        self._collection, self._event, self.path = collection, event, path
        self._key: str | None = None

    def at(self) -> str:
        """Return the name or the number of the entry that comes next, where it has one."""
        return str(len(self._collection)) if isinstance(self._collection, list) else self._key or ""

    def add(self, tree: Tree) -> None:
        """Add an entry, or a key, or the value of the key before."""
        if isinstance(self._collection, list):
            self._collection.append(tree)
        elif self._key is not None:
            self._collection[self._key] = tree
            self._key = None
        elif not isinstance(tree, str) or tree == "<<":
            raise YamlSlip(f"{_place(self._event.start_mark)}: keys must be plain texts")
        elif tree in self._collection:
            raise YamlSlip(f'{_place(self._event.start_mark)}: the key "{tree}" stands twice')
        else:
            self._key = tree


def _scalar(event: yaml.ScalarEvent) -> str | None:
    """Return the text; None for a plain scalar that means null, or one with null's tag."""
    is_untagged = event.tag is None and event.implicit[0] and event.value in _NULLS
    is_null = is_untagged or event.tag == f"{_STANDARD_TAG}null"
    return None if is_null and not event.style else str(event.value)  # C: "", Python: None


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
