"""The chart's files read without Helm: good enough where a template only fills in names."""

import re
from pathlib import Path

import yaml

CHART = Path(__file__).parents[2] / "helm" / "secret-injector"
TEMPLATES = CHART / "templates"

_WHOLE_LINE = re.compile(r"^\s*\{\{.*\}\}\s*$")
_INLINE = re.compile(r"\{\{-?\s*(?:include\s+)?[$\"]?([\w.-]+).*?\}\}")


def documents(path):
    """Return the documents of a template: lines of directives are left out, names stand for values.

    Both branches of a condition remain, so this suits templates whose conditions only add.
    """
    kept = [line for line in path.read_text().splitlines() if not _WHOLE_LINE.match(line)]
    text = _INLINE.sub(r"\1", "\n".join(kept))
    return [document for document in yaml.safe_load_all(text) if document is not None]


def definitions():
    """Return the CustomResourceDefinitions by kind."""
    found = [
        document for path in (TEMPLATES / "crds").glob("*.yaml") for document in documents(path)
    ]
    return {document["spec"]["names"]["kind"]: document for document in found}


def schema(kind):
    """Return the OpenAPI schema of a kind."""
    [version] = definitions()[kind]["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]
