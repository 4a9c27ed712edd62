"""Stores as a laptop has them: definitions that take the place of the cluster's, by name.

The file holds ClusterSecretStore objects; a credential may be a file there (`file: PATH`), and the
kinds `dotenv` and `env` are allowed. Paths are below the folder that holds the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from injector.core import errors, stores
from injector.core.errors import Problem, Refused
from webhook.commands import documents
from webhook.core.catalog import Catalog, StoreEntry

DEFAULT = Path(".secret-injector/stores.yaml")
_PATHS = ("file", "folder")


def chosen(filename: str | None) -> Path | None:
    """Return the file to read: the one named, else the default one where there is one."""
    if filename is not None:
        return Path(filename)
    return DEFAULT if DEFAULT.is_file() else None


def load(file: Path) -> dict[str, StoreEntry]:
    """Return the stores of the file by name; raises Refused with everything wrong with it."""
    found: dict[str, StoreEntry] = {}
    problems: list[Problem] = []
    for document in documents.load([str(file)]):
        place = f"{document.file}:{document.line}"
        metadata, spec = document.raw.get("metadata"), document.raw.get("spec")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if document.raw.get("kind") != "ClusterSecretStore" or not isinstance(name, str):
            what = "only ClusterSecretStore objects with a name belong here"
            problems.append(Problem(code=errors.ARGUMENT, what=what, source=place))
            continue
        if name in found:
            what = f'the store "{name}" stands twice'
            problems.append(Problem(code=errors.DUPLICATE, what=what, source=place))
        spec = _from_folder(spec, file.absolute().parent)
        try:
            store = stores.parse(name, spec, in_cluster=False)
        except Refused as refused:
            problems += refused.problems
            continue
        found[name] = StoreEntry(
            name=name,
            document=spec if isinstance(spec, Mapping) else {},
            store=store,
            problems=(),
            in_cluster=False,
        )
    if problems:
        raise Refused(problems)
    return found


def mapped(catalog: Catalog, entries: Mapping[str, StoreEntry]) -> Catalog:
    """Return the catalog with these stores in place of its own of the same names."""
    return replace(catalog, stores={**catalog.stores, **entries})


def _from_folder(node: object, folder: Path) -> object:
    """Return the definition with the paths in it made absolute; `~` and `/` stay as they are."""
    if isinstance(node, list):
        return [_from_folder(entry, folder) for entry in node]
    if not isinstance(node, Mapping):
        return node
    return {
        key: str(folder / value)
        if key in _PATHS and isinstance(value, str) and not value.startswith("~")
        else _from_folder(value, folder)
        for key, value in node.items()
    }
