"""Workloads and the pods they make: what the API server would ask about them, and the changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from webhook.core import jsonpatch
from webhook.core.pod_templates import TEMPLATES, PodTemplate, pod_templates
from webhook.core.review import Kind, Operation, Request

__all__ = ["TEMPLATES", "PodTemplate", "mutated", "pod_templates", "request", "template"]


def template(manifest: Mapping[str, Any], *, namespace: str) -> PodTemplate | None:
    """Return the first pod template of a manifest, None when it makes no pods.

    `namespace` stands in where the manifest names none, as kubectl does it.
    """
    return next(pod_templates(manifest, namespace=namespace), None)


def request(found: PodTemplate) -> Request:
    """Return the request that the API server would send for a pod of the template."""
    return Request(
        uid="offline",
        kind=Kind(kind="Pod", version="v1"),
        operation="CREATE",
        namespace=found.namespace,
        name=found.name,
        dry_run=True,
        object=found.pod,
    )


def mutated(
    manifest: Mapping[str, Any], found: PodTemplate, operations: Iterable[Operation]
) -> dict[str, Any]:
    """Return the manifest with the operations applied to its pod template.

    A pod that a controller composes is not in the manifest: the manifest stays as it is.
    """
    if found.is_composed:
        return dict(manifest)
    moved = [{**op, "path": f"{found.pointer}{op['path']}"} for op in operations]
    return jsonpatch.apply(manifest, moved)
