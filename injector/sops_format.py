"""Files of SOPS before anything is decrypted: the tree of values, in order, and SOPS's own data.

YAML (1.2's core schema, as SOPS reads it), JSON, dotenv and ini; binary is JSON with one value.
Scalars keep the text that SOPS's MAC is computed from: `10`, `1.5`, `True`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from injector.core.record import Record, hidden

METADATA = "sops"


class NotSops(ValueError):
    """The file is not one that SOPS wrote; the message quotes nothing of it."""


class Scalar(Record):
    """A value as it stands in the file: its kind (str, int, float, bool, time) and its text."""

    kind: str
    text: str = hidden()


Node = Mapping[str, Any] | list[Any] | Scalar | None
"""Any is a Node again; None is null."""


class Document(Record):
    """A file: values in their order, and the metadata as plain data.

    `more` are the further documents of a YAML file; one MAC is over all of them in their order.
    """

    tree: Mapping[str, Any] = hidden()
    metadata: Mapping[str, Any]
    more: tuple[Mapping[str, Any], ...] = ()


def parse(data: bytes, form: str) -> Document:
    """Return the document of a file in one of the formats of SOPS; raises NotSops."""
    try:
        trees = _READERS[form](data.decode("utf-8"))
        tree, *more = trees
        found = [each.pop(METADATA, None) if isinstance(each, dict) else None for each in trees]
        metadata = _plain(found[0])
    except NotSops:
        raise
    except json.JSONDecodeError as error:
        from injector.core import json_slip  # for files that are refused only

        raise NotSops(f"it is not JSON: {json_slip.of_syntax(error)}") from None
    except (ValueError, RecursionError):
        raise NotSops(f"it is not {form}") from None
    if not all(isinstance(each, dict) for each in trees):
        raise NotSops("it is no mapping")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("mac"), str):
        raise NotSops("it has no data of SOPS; is it encrypted at all?")
    return Document(tree=tree, metadata=metadata, more=tuple(more))


_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BOOLS = {"true": "True", "True": "True", "TRUE": "True"}
_BOOLS |= {"false": "False", "False": "False", "FALSE": "False"}
_NULLS = ("", "~", "null", "Null", "NULL")
_BEYOND = dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), "+Inf")
_BEYOND |= dict.fromkeys(("-.inf", "-.Inf", "-.INF"), "-Inf")
_BEYOND |= dict.fromkeys((".nan", ".NaN", ".NAN"), "NaN")


def _yaml(text: str) -> list[Any]:
    from injector import sops_yaml

    documents: list[Any] = sops_yaml.read(text)
    if len(documents) == 1:
        return documents
    return [{} if each is None else each for each in documents]  # `---` alone is empty for SOPS


def _ini(text: str) -> list[Any]:
    from injector import sops_ini

    sections = sops_ini.read(text)
    tree: dict[str, Any] = {
        name: {key: Scalar(kind="str", text=value) for key, value in values.items()}
        for name, values in sections.items()
    }
    metadata: dict[str, Any] = {}
    for name, value in sections.get(METADATA, {}).items():
        _unflatten(metadata, name, Scalar(kind="str", text=value.replace("\\n", "\n")))
    if METADATA in tree:
        tree[METADATA] = metadata
    return [tree]


def plain_scalar(text: str) -> Node:
    """Return what a plain scalar of YAML means."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return Scalar(kind="bool", text=_BOOLS[text])
    if _INT.fullmatch(text):
        return Scalar(kind="int", text=str(int(text)))
    if _FLOAT.fullmatch(text) and not math.isinf(float(text)):  # what is too large is a text in Go
        return Scalar(kind="float", text=_float(text))
    if text in _BEYOND:
        return Scalar(kind="float", text=_BEYOND[text])
    if _DATE.fullmatch(text):
        return Scalar(kind="time", text=f"{text}T00:00:00Z")
    return Scalar(kind="str", text=text)


def _float(text: str) -> str:
    """Return the shortest text without an exponent (Go's `FormatFloat(f, 'f', -1, 64)`)."""
    shown = format(Decimal(repr(float(text))), "f")
    return shown.removesuffix(".0")


def _json(text: str) -> list[Any]:
    def node(of: object) -> Node:
        if isinstance(of, dict):
            return {key: node(value) for key, value in of.items()}
        if isinstance(of, list):
            return [node(value) for value in of]
        if isinstance(of, bool):
            return Scalar(kind="bool", text=str(of))
        if isinstance(of, str):
            return Scalar(kind="str", text=of)
        return of if isinstance(of, Scalar) else None

    def no_json(name: str) -> NoReturn:
        raise NotSops(f"it holds {name}, which is no JSON")

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise NotSops("a key is doubled")
        return found

    found = json.loads(
        text,
        parse_int=lambda number: Scalar(kind="int", text=str(int(number))),
        parse_float=lambda number: Scalar(kind="float", text=_float(number)),
        parse_constant=no_json,
        object_pairs_hook=unique,
    )
    return [node(found)]


def _dotenv(text: str) -> list[Any]:
    """Return the lines NAME=VALUE, a backslash and n in a value being a line break.

    A carriage return before the line's end belongs to the value, as SOPS has it; where its own data
    have one, something has changed the file since, and SOPS itself does not read it any more.
    """
    tree: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.partition("=")
        if not sign or name in tree:
            raise NotSops("a line is not NAME=value, or a name stands twice")
        scalar = Scalar(kind="str", text=value.replace("\\n", "\n"))
        if name.startswith(f"{METADATA}_"):
            if value.endswith("\r"):
                raise NotSops(
                    "its lines end with CRLF, which git or an editor made of SOPS's LF;"
                    " convert them back (and *.env -text in .gitattributes)"
                )
            _unflatten(metadata, name.removeprefix(f"{METADATA}_"), scalar)
        else:
            tree[name] = scalar
    return [{**tree, METADATA: metadata} if metadata else tree]


_READERS = {"yaml": _yaml, "json": _json, "dotenv": _dotenv, "ini": _ini, "binary": _json}


_STEP = re.compile(r"__(list|map)_")
_MAX_STEPS = 16
"""SOPS's own data is four deep."""


def _unflatten(metadata: dict[str, Any], name: str, value: Scalar) -> None:
    """Put `age__list_0__map_enc` where it belongs: SOPS has flat names for what is deep."""
    first, *steps = _STEP.split(name, _MAX_STEPS)
    at: Any = metadata
    key: str | int = first
    for kind, step in zip(steps[::2], steps[1::2], strict=True):
        inner: dict[str, Any] | list[Any] = [] if kind == "list" else {}
        at = _below(at, key, inner)
        key = int(step) if kind == "list" and step.isdecimal() else step
    _below(at, key, value)


def _below(at: Any, key: str | int, new: Any) -> Any:
    """Return what stands at the key of a mapping or list, put there now if nothing does."""
    if isinstance(at, dict) and isinstance(key, str):
        return at.setdefault(key, new)
    if isinstance(at, list) and isinstance(key, int) and key <= len(at):
        if key == len(at):
            at.append(new)
        return at[key]
    raise NotSops("its data of SOPS is damaged")


def _plain(node: object) -> Any:
    """Return metadata without our scalars."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, Scalar):
        return node.text == "True" if node.kind == "bool" else node.text
    return node
