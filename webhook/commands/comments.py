"""Comments of manifests that were meant as references: only their source text tells.

Of a resource every value counts, of a pod our annotations and the `env` of its served containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from injector.core import errors
from injector.core.errors import Problem
from webhook.commands.documents import Document
from webhook.commands.offline import KINDS
from webhook.core import asking, sidecars, yaml_comments
from webhook.core import pod as pods
from webhook.core.annotations import PREFIX, ours, parse
from webhook.core.manifests import PodTemplate

_ENV = re.compile(r"spec\.(initContainers|containers)\[([0-9]{1,6})\]\.env\[[0-9]{1,6}\]\.value")


def of_object(document: Document) -> Iterator[Problem]:
    """Yield a problem for each value of a resource of ours that ends in such a comment."""
    if document.raw.get("kind") in KINDS:
        for path in document.commented:
            if path.startswith("spec."):
                yield _problem(path)


def of_pod(document: Document, template: PodTemplate) -> Iterator[Problem]:
    """Yield a problem for each of our annotations, and each variable of a served container."""
    if not document.commented:
        return
    found = ours(pods.annotations_of(template.pod))
    if not found or found.get("inject") == "false":
        return
    above = f"{template.path}." if template.path else ""
    served = _served(template)
    for path in document.commented:
        inner = path.removeprefix(above) if path.startswith(above) else ""
        is_ours = any(path.startswith(f"{place}.{PREFIX}") for place in template.annotated)
        match = _ENV.fullmatch(inner)
        if is_ours or (match and (match[1], int(match[2])) in served):
            yield _problem(path)


def _served(template: PodTemplate) -> set[tuple[str, int]]:
    """Return where in the pod the served containers stand."""
    annotations = {k: str(v) for k, v in ours(pods.annotations_of(template.pod)).items()}
    wish = parse(annotations)[0]
    found = asking.targets(template.pod, wish, [], skipped=sidecars.skipped(template.pod))
    return {
        (part, index)
        for part in ("initContainers", "containers")
        for index, raw in enumerate(pods.spec(template.pod).get(part) or ())
        if raw.get("name") in found.served
    }


def _problem(path: str) -> Problem:
    return Problem(code=errors.COMMENT, what=yaml_comments.WHAT, source=path)
