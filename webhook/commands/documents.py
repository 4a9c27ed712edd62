"""Manifests from files, folders and standard input, each with the place it came from.

YAML and JSON, many documents in a file, `List` objects taken apart. What is no YAML is one problem
with file, line and column; the other files are still read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from injector import nesting
from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook.core import yaml_slips
from webhook.core.yaml_comments import Source

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One object of a file: `lines` maps the path of a field (`spec.env.API_KEY`) to its line.

    `commented` are the paths of values whose end is lost to a comment (see `yaml_comments`).
    """

    raw: dict[str, Any]
    file: str
    line: int
    lines: Mapping[str, int] = field(default_factory=dict)
    commented: tuple[str, ...] = ()

    def line_of(self, path: str) -> int:
        """Return the line of the field, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return self.lines.get(path, self.line)


def load(names: Iterable[str]) -> list[Document]:
    """Return every object of the files, folders (recursively) and `-`, in order.

    Raises Refused (SI-201) with every file that cannot be read or is no YAML.
    """
    found: list[Document] = []
    problems: list[Problem] = []
    for name in names:
        for file, text in _texts(name, problems):
            try:
                found += _documents(file, text)
            except yaml.MarkedYAMLError as error:
                problems.append(_no_yaml(file, text, error))
            except (yaml.YAMLError, RecursionError):
                problems.append(Problem(code=errors.ARGUMENT, what="not YAML", source=file))
    if problems:
        raise Refused(problems)
    return found


def _no_yaml(file: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    """Return the problem of a file that is no YAML, where its writer went wrong."""
    mark = error.problem_mark or error.context_mark
    place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
    what = error.problem or "not YAML"
    if (found := yaml_slips.explained(error, text, nesting.LOADER)) is not None:
        place, what = f"{file}:{found[0]}", found[1]
    return Problem(code=errors.ARGUMENT, what=what, source=place)


def _texts(name: str, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    if name == "-":
        yield "stdin", sys.stdin.read()
        return
    path = Path(name)
    files = sorted(p for p in path.rglob("*") if p.suffix in _SUFFIXES) if path.is_dir() else [path]
    for file in files:
        try:
            yield str(file), file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) and error.strerror else "not UTF-8"
            problems.append(Problem(code=errors.ARGUMENT, what=what.lower(), source=str(file)))


def _documents(file: str, text: str) -> Iterator[Document]:
    nesting.check(text)
    loader = nesting.LOADER(text)
    source = Source(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            raw = loader.construct_document(node)
            for index, entry in enumerate(_taken_apart(raw)):
                inner = node if entry is raw else _item(node, index)
                yield Document(
                    raw=entry,
                    file=file,
                    line=inner.start_mark.line + 1,
                    lines=dict(_lines(inner, "")),
                    commented=tuple(_commented(inner, "", source)) if source.is_suspect else (),
                )
    finally:
        loader.dispose()


def _taken_apart(raw: object) -> list[dict[str, Any]]:
    if not isinstance(raw, dict):
        return []
    if str(raw.get("kind", "")).endswith("List") and isinstance(raw.get("items"), list):
        return [item for item in raw["items"] if isinstance(item, dict)]
    return [raw]


def _item(node: yaml.Node, index: int) -> yaml.Node:
    items = next(value for key, value in node.value if key.value == "items")
    found: yaml.Node = items.value[index]
    return found


def _commented(node: yaml.Node, path: str, source: Source) -> Iterator[str]:
    """Yield the path of every value behind which a comment was meant as a reference."""
    entries: list[tuple[str, yaml.Node, int]] = []
    if isinstance(node, yaml.MappingNode):
        entries = [
            (f"{path}.{key.value}" if path else str(key.value), value, key.start_mark.column)
            for key, value in node.value
            if isinstance(key, yaml.ScalarNode)
        ]
    elif isinstance(node, yaml.SequenceNode):
        column = node.start_mark.column
        entries = [(f"{path}[{i}]", value, column) for i, value in enumerate(node.value)]
    for inner, value, column in entries:
        if not isinstance(value, yaml.ScalarNode):
            yield from _commented(value, inner, source)
            continue
        is_open = not value.style and not value.value  # it may go on below, farther in
        indent = column if is_open else None
        start, end = value.start_mark, value.end_mark
        if source.hides_reference(start, end, style=value.style, indent=indent):
            yield inner


def _lines(node: yaml.Node, path: str) -> Iterator[tuple[str, int]]:
    if path:
        yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                inner = f"{path}.{key.value}" if path else key.value
                yield inner, key.start_mark.line + 1
                yield from (entry for entry in _lines(value, inner) if entry[0] != inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, f"{path}[{index}]")
