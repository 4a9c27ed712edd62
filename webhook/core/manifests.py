"""Workloads and the pods they make: where in a manifest the pod template is."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from webhook.core import jsonpatch
from webhook.core.review import Kind, Operation, Request

TEMPLATES = {
    "Pod": "",
    "PodTemplate": "/template",
    "Deployment": "/spec/template",
    "ReplicaSet": "/spec/template",
    "ReplicationController": "/spec/template",
    "StatefulSet": "/spec/template",
    "DaemonSet": "/spec/template",
    "Job": "/spec/template",
    "CronJob": "/spec/jobTemplate/spec/template",
    "Rollout": "/spec/template",
}
"""Kind → JSON Pointer to its pod template; a Pod is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTemplate:
    """A pod as a manifest writes it, and where in the manifest it stands."""

    kind: str
    name: str
    namespace: str
    pointer: str
    pod: dict[str, Any]


def template(manifest: Mapping[str, Any], *, namespace: str) -> PodTemplate | None:
    """Return the pod template of a manifest, None when it makes no pods.

    `namespace` stands in where the manifest names none, as kubectl does it.
    """
    kind = str(manifest.get("kind") or "")
    pointer = TEMPLATES.get(kind)
    if pointer is None:
        return None
    node: Any = manifest
    for part in pointer.split("/")[1:]:
        node = node.get(part) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        return None
    metadata = manifest.get("metadata") or {}
    return PodTemplate(
        kind=kind,
        name=str(metadata.get("name") or metadata.get("generateName") or ""),
        namespace=str(metadata.get("namespace") or namespace),
        pointer=pointer,
        pod={"metadata": {}, **copy.deepcopy(dict(node))},
    )


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
    """Return the manifest with the operations applied to its pod template."""
    moved = [{**op, "path": f"{found.pointer}{op['path']}"} for op in operations]
    return jsonpatch.apply(manifest, moved)
