"""Builders of what tenants create, and what an injected pod looks like."""

from __future__ import annotations

import json

from tests.e2e.testbed.cluster import Object
from tests.e2e.testbed.images import BUSYBOX_IMAGE, DISTROLESS_IMAGE

PREFIX = "secret-injector.io/"
INJECT = f"{PREFIX}inject"
OURS = "secret-injector"
"""The name of our init container and of its volumes."""

FILES = "/run/secrets/injector"
SLEEP = ["sh", "-c", "trap 'exit 0' TERM; sleep 2147483647 & wait $!"]
"""A command for busybox that lasts until it is told to end."""

RESTRICTED: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""The security context that the restricted profile of pod security asks for."""


def app(name: str = "app", **fields: object) -> Object:
    """Return a container of busybox that sleeps, or does what *fields* say."""
    return {"name": name, "image": BUSYBOX_IMAGE, "imagePullPolicy": "Never", **fields}


def bare(name: str = "app", **fields: object) -> Object:
    """Return a container of the image that holds `/envdump` and nothing else."""
    said = {"image": DISTROLESS_IMAGE, "imagePullPolicy": "Never", "args": ["sleep"]}
    return {"name": name, **said, **fields}


def restricted(container: Object, *, user: int) -> Object:
    """Return the container as the restricted profile wants it, run by *user*."""
    return {**container, "securityContext": {**RESTRICTED, "runAsUser": user}}


def pod(
    name: str, *containers: Object, annotations: Object | None = None, **spec: object
) -> Object:
    """Return a pod that ends at once when it is told to."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers), **spec},
    }


def deployment(pod_object: Object, *, replicas: int = 1) -> Object:
    """Return a Deployment whose template is a pod."""
    name = pod_object["metadata"]["name"]
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": template(pod_object, labels),
        },
    }


def template(pod_object: Object, labels: Object | None = None) -> Object:
    """Return a pod as the template of a workload."""
    annotations = pod_object["metadata"]["annotations"]
    metadata = {"labels": labels or {}, "annotations": annotations}
    return {"metadata": metadata, "spec": pod_object["spec"]}


def asking(**annotations: object) -> Object:
    """Return annotations of ours: `env={...}` becomes a YAML map, a text stays what it is.

    Underscores in a name become hyphens, two of them a dot: `env__worker`, `env_mode`.
    """
    return {
        PREFIX + name.replace("__", ".").replace("_", "-"): (
            value if isinstance(value, str) else json.dumps(value)
        )
        for name, value in annotations.items()
    }


def is_injected(pod_object: Object) -> bool:
    """Say whether our init container is in a pod."""
    containers = pod_object["spec"].get("initContainers", [])
    return any(container["name"] == OURS for container in containers)


def ours(pod_object: Object) -> Object:
    """Return our init container of an injected pod."""
    (found,) = (c for c in pod_object["spec"]["initContainers"] if c["name"] == OURS)
    container: Object = found
    return container
