"""A catalog from files instead of a cluster, for demonstrations, tests and the tools for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from injector import nesting
from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook.core.catalog import Catalog


def load(path: Path) -> Catalog:
    """Return the catalog of a YAML file, or of all YAML files below a folder.

    Raises Refused (SI-201) naming the file that cannot be read. Other kinds are passed over.
    """
    files = sorted(path.rglob("*.y*ml")) if path.is_dir() else [path]
    return Catalog.of(each for file in files for each in _objects(file))


def _objects(file: Path) -> Iterator[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        nesting.check(text)
        documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not YAML"
        problem = Problem(code=errors.ARGUMENT, what=what or "unreadable", source=str(file))
        raise Refused([problem]) from None
    for document in documents:
        if isinstance(document, dict):
            items = document.get("items") if document.get("kind") == "List" else None
            yield from items if isinstance(items, list) else [document]
