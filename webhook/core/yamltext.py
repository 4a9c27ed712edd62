"""YAML that a tenant wrote, read without surprises: texts, lists and mappings, nothing else.

Scalars keep the text that was written (`0755` stays `0755`, `yes` stays `yes`); aliases, merge
keys, doubled keys, tags and deep nesting are refused, so no input expands into more than it is.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_DEPTH = 8

Tree = dict[str, "Tree"] | list["Tree"] | str | None

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlSlip(ValueError):
    """The text is not YAML of the plain kind; the message has line and column, and quotes keys."""


def parse(text: str) -> Tree:
    """Return the tree that the text writes; None for an empty text. Raises YamlSlip."""
    try:
        _check_shape(text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{_place(mark)}: " if mark else ""
        raise YamlSlip(f"{place}{error.problem or 'not YAML'}") from None
    except YamlSlip:
        raise
    except (yaml.YAMLError, RecursionError, ValueError):
        # ValueError: half a surrogate pair, or an escape that is no character.
        raise YamlSlip("not YAML") from None
    return None if node is None else _tree(node)


def _check_shape(text: str) -> None:
    """Raise YamlSlip for aliases and deep nesting, before anything recurses over the text.

    `yaml.compose` of libyaml recurses in C without a limit: 50 000 times "- " ends the process.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise YamlSlip("aliases are not allowed")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth >= MAX_DEPTH:
                place = _place(event.start_mark)
                raise YamlSlip(f"{place}: nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _tree(node: yaml.Node) -> Tree:
    place = _place(node.start_mark)
    if node.tag.startswith("!"):
        raise YamlSlip(f"{place}: tags are not allowed")
    if isinstance(node, yaml.ScalarNode):
        is_null = node.tag == "tag:yaml.org,2002:null" and not node.style  # C: "", Python: None
        return None if is_null else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_tree(entry) for entry in node.value]
    found: dict[str, Tree] = {}
    for key_node, value_node in node.value:
        key = _tree(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str) or key == "<<":
            raise YamlSlip(f"{place}: keys must be plain texts")
        if key in found:
            raise YamlSlip(f'{place}: the key "{key}" stands twice')
        found[key] = _tree(value_node)
    return found


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
