"""Where in the files something is written: from what messages say to FILE:LINE."""

from __future__ import annotations

import re
from collections.abc import Sequence

from webhook.commands.documents import Document
from webhook.commands.offline import KINDS, World

_ANNOTATION = re.compile(r"annotation (\S+)")


def line(document: Document, source: str, annotated: Sequence[str] = ()) -> int:
    """Return the line of a place such as `spec.env.KEY` or `annotation secret-injector.io/env`.

    `annotated` are the paths of the maps that the pod in question has its annotations from.
    """
    if match := _ANNOTATION.match(source):
        for place in reversed(annotated):
            if at := document.lines.get(f"{place}.{match[1]}"):
                return at
        suffix = f"metadata.annotations.{match[1]}"
        found = (at for path, at in document.lines.items() if path.endswith(suffix))
        return next(found, document.line)
    return document.line_of(source.partition(" ")[0])


class Places:
    """The documents of a world by the names that messages give their objects."""

    def __init__(self, world: World) -> None:
        """Look at every document once."""
        self._documents = {
            origin(document, world.namespace): document
            for document in world.documents
            if document.raw.get("kind") in KINDS
        }

    def of(self, by: str, place: str, pod: Document | None) -> str:
        """Return FILE:LINE of what `by` wrote, empty when no file has it; `pod` wrote its own."""
        document = self._documents.get(by)
        is_pods = document is None and by.partition(" ")[0] not in KINDS
        found = pod if is_pods else document
        if found is None or not found.line:  # what a cluster holds stands in no file
            return ""
        return f"{found.file}:{line(found, by) if is_pods else found.line_of(place)}"


def origin(document: Document, namespace: str) -> str:
    """Return the object of a document as messages name it."""
    kind, metadata = str(document.raw.get("kind")), document.raw.get("metadata") or {}
    name = str(metadata.get("name") or "")
    if kind != "ServiceSecrets":
        return f"{kind} {name}"
    return f"{kind} {metadata.get('namespace') or namespace}/{name}"
