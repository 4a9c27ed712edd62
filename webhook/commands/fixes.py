"""`lint --fix`: imports from other namespaces, rewritten in their files to name what they take.

The one rewrite there is: `$svc.ns` becomes `{from: $svc.ns, keys: [KEY, ...]}` with the keys that
are exported to the importer today, and a pattern among `keys` becomes the keys that match it. All
other bytes of a file stay as they are; what cannot be rewritten in place is left, and stays a
finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook.commands.offline import World
from webhook.core import inheritance
from webhook.core.annotations import PREFIX
from webhook.core.catalog import Catalog
from webhook.core.definition_reader import Reader
from webhook.core.definitions import IMPORT, ServiceRef
from webhook.core.globs import any_matches

STDIN = "stdin"

_Place = Callable[[int], int]
"""From an offset in the text of a node to the offset in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One piece of a file, from `start` up to `end`, that becomes `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """Who imports, and how its text stands in the file: `is_inner` within an annotation's text."""

    catalog: Catalog
    namespace: str
    service: str
    place: _Place
    is_json: bool
    is_inner: bool


def fix(world: World) -> list[tuple[str, int]]:
    """Rewrite the files of the world; return file and line of every import that was rewritten."""
    done = []
    for name in dict.fromkeys(d.file for d in world.documents if d.line and d.file != STDIN):
        path = Path(name)
        text = path.read_bytes().decode()
        edits = sorted(edits_of(text, name, world), key=lambda edit: edit.start)
        done += [(name, text.count("\n", 0, edit.start) + 1) for edit in edits]
        if not edits:
            continue
        for edit in reversed(edits):
            text = text[: edit.start] + edit.text + text[edit.end :]
        try:
            path.write_bytes(text.encode())
        except OSError as error:
            problem = Problem(code=errors.ARGUMENT, what="cannot be written", source=name)
            raise Refused([problem]) from error
    return done


def edits_of(text: str, name: str, world: World) -> list[Edit]:
    """Return what to change in the text of a file."""
    found: list[Edit] = []
    for node in _objects(text):
        kind = _text(_child(node, "kind"))
        metadata = _child(node, "metadata")
        namespace = _text(_child(metadata, "namespace")) or world.namespace
        is_json = name.endswith(".json")
        if kind == "ServiceSecrets":
            context = _Context(
                catalog=world.catalog,
                namespace=namespace,
                service=_text(_child(metadata, "name")),
                place=_as_it_is,
                is_json=is_json,
                is_inner=False,
            )
            entry = _child(_child(_child(node, "spec"), "env"), IMPORT)
            found += _imports(entry, context)
            continue
        # Whatever kind it is: annotations of ours stand where its pods are.
        for ours in _annotation_maps(node):
            context = _Context(
                catalog=world.catalog,
                namespace=namespace,
                service=_text(_child(ours, f"{PREFIX}service")),
                place=_as_it_is,
                is_json=False,
                is_inner=True,
            )
            found += _annotation(_child(ours, f"{PREFIX}env"), text, context)
    # An alias stands for a node that is written once.
    return list(dict.fromkeys(found))


def _annotation_maps(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yield every mapping below the key `annotations`, in the order of the file."""
    stack = [node]
    seen: set[int] = set()
    while stack:
        here = stack.pop()
        if id(here) in seen:  # an alias; one may even stand in itself
            continue
        seen.add(id(here))
        if isinstance(here, yaml.SequenceNode):
            stack += reversed(here.value)
        elif isinstance(here, yaml.MappingNode):
            for key, value in here.value:
                if _text(key) == "annotations" and isinstance(value, yaml.MappingNode):
                    yield value
            stack += [value for _, value in reversed(here.value)]


def _annotation(node: yaml.Node | None, text: str, context: _Context) -> Iterator[Edit]:
    """Yield the edits of YAML that stands inside an annotation."""
    if not isinstance(node, yaml.ScalarNode):
        return
    places = _places(node, text)
    if places is None:
        return
    try:
        inner = yaml.compose(node.value, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return
    yield from _imports(
        _child(inner, IMPORT),
        _Context(
            catalog=context.catalog,
            namespace=context.namespace,
            service=context.service,
            place=lambda at: places[at],
            is_json=False,
            is_inner=True,
        ),
    )


def _places(node: yaml.ScalarNode, text: str) -> list[int] | None:
    """Return where in the file each character of a text stands; None where that is not plain."""
    start, end = node.start_mark.index, node.end_mark.index
    if node.style == "|":
        return _places_of_lines(node.value, text, start, end)
    if node.style not in ("'", '"'):
        return None
    places, seen = [], []
    at = start + 1
    while at < end - 1:
        places.append(at)
        if text[at] == "\\" and node.style == '"':
            seen.append({"n": "\n", "t": "\t"}.get(text[at + 1], text[at + 1]))
            at += 2
        else:
            seen.append(text[at])
            at += 1
    return [*places, end - 1] if "".join(seen) == node.value else None


def _places_of_lines(value: str, text: str, start: int, end: int) -> list[int] | None:
    places: list[int] = []
    at = text.find("\n", start) + 1
    for line in value.split("\n"):
        after = text.find("\n", at)
        after = after if 0 <= after < end else end
        outer = text[at:after].removesuffix("\r")
        if not outer.endswith(line):
            return None
        first = at + len(outer) - len(line)
        places += range(first, first + len(line) + 1)
        at = after + 1
    return [*places, end]


def _imports(entry: yaml.Node | None, context: _Context) -> Iterator[Edit]:
    nodes = entry.value if isinstance(entry, yaml.SequenceNode) else [entry]
    for node in nodes:
        if isinstance(node, yaml.ScalarNode):
            yield from _plain(node, context)
        elif isinstance(node, yaml.MappingNode):
            yield from _patterns(node, context)


def _plain(node: yaml.ScalarNode, context: _Context) -> Iterator[Edit]:
    ref = _ref(node.value, context)
    names = [] if ref is None else _offered(ref, context)
    if ref is None or not names or _is_marked(node):
        return
    name = f"${ref.service}.{ref.namespace}"
    text = f"{{from: {name}, keys: [{', '.join(names)}]}}"
    if context.is_json or (node.style == '"' and not context.is_inner):
        keys = ", ".join(f'"{each}"' for each in names)
        text = f'{{"from": "{name}", "keys": [{keys}]}}'
    yield _edit(node, text, context)


def _patterns(node: yaml.MappingNode, context: _Context) -> Iterator[Edit]:
    """Yield the edits that put names in the place of patterns, each name once."""
    keys = _child(node, "keys")
    if not isinstance(keys, yaml.SequenceNode) or not all(
        isinstance(each, yaml.ScalarNode) and not _is_marked(each) for each in keys.value
    ):
        return
    written = [each.value for each in keys.value]
    ref = _ref({"from": _text(_child(node, "from")), "keys": written}, context)
    offered = [] if ref is None else _offered(ref, context)
    seen = {name for name in written if "*" not in name}
    for each in keys.value:
        if "*" not in each.value:
            continue
        names = [name for name in offered if any_matches(name, [each.value]) and name not in seen]
        if not names or (context.is_inner and not keys.flow_style):
            continue
        seen.update(names)
        mark = '"' if context.is_json or (each.style == '"' and not context.is_inner) else ""
        between = ", " if keys.flow_style else "\n" + " " * keys.start_mark.column + "- "
        yield _edit(each, between.join(f"{mark}{name}{mark}" for name in names), context)


def _ref(entry: object, context: _Context) -> ServiceRef | None:
    """Return the import that must name its keys and does not; None for any other."""
    _, refs = Reader("import", []).env({IMPORT: entry}, "")
    for ref in refs:
        is_elsewhere = ref.namespace not in (None, context.namespace)
        if is_elsewhere and not inheritance.names_its_keys(ref):
            return ref
    return None


def _offered(ref: ServiceRef, context: _Context) -> list[str]:
    return inheritance.names_to_write(
        context.catalog, ref, namespace=context.namespace, service=context.service
    )


def _edit(node: yaml.ScalarNode, text: str, context: _Context) -> Edit:
    start, end = context.place(node.start_mark.index), context.place(node.end_mark.index)
    return Edit(start=start, end=end, text=text)


def _as_it_is(at: int) -> int:
    return at


def _is_marked(node: yaml.Node) -> bool:
    """Say whether an anchor or a tag stands before the node."""
    text = node.start_mark.buffer or ""
    return text[node.start_mark.pointer : node.start_mark.pointer + 1] in ("&", "!", "*")


def _objects(text: str) -> Iterator[yaml.Node]:
    for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
        items = _child(node, "items") if _text(_child(node, "kind")).endswith("List") else None
        if isinstance(items, yaml.SequenceNode):
            yield from items.value
        elif node is not None:
            yield node


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    found = [value for key, value in node.value if _text(key) == name]
    return found[-1] if found else None


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""
