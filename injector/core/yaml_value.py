"""YAML in a value, as the JSON that it stands for: what the filter `yaml` reads.

Configuration that people keep in one key of a secret is read, and nothing that expands or means
another thing to another reader: no aliases, merge keys or tags, no doubled keys, one document. A
bare word is a number where JSON would take it for one, `true`, `false` and `null` are what they
say, and everything else is text: `yes`, `0755`, `2026-01-31`, `1_000`.

The tree is built from the parser's events, so nothing recurses and the limits come first.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from injector.core.secret import MAX_DEPTH, Json, Number

MAX_NODES = 65_536
MAX_DIRECTIVES = 8

_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
# libyaml compares each directive with all before it; a line that begins so is one, or odd.
_DIRECTIVE = re.compile("(?:\\A|[\r\n\x85\u2028\u2029])%")


class NotYaml(ValueError):
    """The text is not YAML that is read here; the message has a line, and quotes nothing."""


def parse(text: str) -> Json:
    """Return what the text stands for; raises NotYaml."""
    if "%" in text and len(_DIRECTIVE.findall(text)) > MAX_DIRECTIVES:
        raise NotYaml("more than a few lines that begin with %")
    building = _Building()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            building.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYaml(
            f"line {mark.line + 1} cannot be read" if mark else "it is not YAML"
        ) from None
    except NotYaml:
        raise
    except (yaml.YAMLError, ValueError):
        raise NotYaml("it is not YAML") from None
    if not building.documents:
        raise NotYaml("it is empty")
    return building.documents[0]


class _Building:
    """A document under construction: the collections that are open, innermost last."""

    def __init__(self) -> None:
        self.documents: list[Json] = []
        self._open: list[_Open] = []
        self._nodes = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event."""
        match event:
            case yaml.AliasEvent():
                raise NotYaml(f"{_line(event)}: aliases are not read")
            case yaml.ScalarEvent():
                self._node(event, _scalar(event))
            case yaml.SequenceStartEvent():
                self._begin(event, [])
            case yaml.MappingStartEvent():
                self._begin(event, {})
            case yaml.CollectionEndEvent():
                self._open.pop()
            case _:
                pass

    def _begin(self, event: yaml.CollectionStartEvent, collection: Any) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise NotYaml(f"{_line(event)}: nested more than {MAX_DEPTH} deep")
        self._node(event, collection)
        self._open.append(_Open(collection))

    def _node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, value: Json) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise NotYaml(f"more than {MAX_NODES} texts, lists and mappings")
        if event.tag not in (None, "!"):
            raise NotYaml(f"{_line(event)}: tags are not read")
        if self._open:
            self._open[-1].add(event, value)
        elif self.documents:
            raise NotYaml(f"{_line(event)}: a second document")
        else:
            self.documents.append(value)


class _Open:
    """A list or a mapping whose end has not come yet; `key` waits for its value."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self._key: str | None = None

    def add(self, event: yaml.NodeEvent, value: Json) -> None:
        """Add an entry, or a key, or the value of the key before."""
        if isinstance(self._collection, list):
            self._collection.append(value)
        elif self._key is not None:
            self._collection[self._key] = value
            self._key = None
        elif not isinstance(event, yaml.ScalarEvent) or (event.value == "<<" and not event.style):
            raise NotYaml(f"{_line(event)}: a key is no text")
        elif event.value in self._collection:
            raise NotYaml(f"{_line(event)}: a key stands twice")
        else:
            self._key = str(event.value)


def _scalar(event: yaml.ScalarEvent) -> Json:
    """Return the value of a scalar: by its look where it is bare, else its text."""
    text = str(event.value)
    if event.style or event.tag == "!":
        return text
    if text in _WORDS:
        return _WORDS[text]
    return Number(text) if _NUMBER.fullmatch(text) else text


def _line(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1}" if event.start_mark else "somewhere"
