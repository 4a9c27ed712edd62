"""Pods that do not ask for injection, and what the API server answers to them, made comparable."""

from __future__ import annotations

import re

from tests.e2e.scenarios import pods
from tests.e2e.testbed.cluster import Cluster, Object

_SET_BY_SERVER = re.compile(
    r'"(?:uid|resourceVersion|creationTimestamp|time)":"[^"]*",?|kube-api-access-[a-z0-9]{5}'
)


def plain_pods() -> list[Object]:
    """Return pods of many shapes that do not ask."""
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 7}
    rich = pods.pod(
        "rich",
        pods.app(
            command=["sh", "-c", "sleep 1"],
            args=["$(HOST)", "#{k8s:s#a}"],
            env=[{"name": "HOST", "value": "#{k8s:s#host} $(X)"}, {"name": "EMPTY"}],
            livenessProbe=probe,
            lifecycle={"preStop": {"exec": {"command": ["true"]}}},
            volumeMounts=[{"name": "shared", "mountPath": "/shared"}],
        ),
        pods.bare("other"),
        annotations={"example.org/note": "secret-injector.io/env", "secret-injector.org/env": "x"},
        initContainers=[pods.app("setup"), pods.app("side", restartPolicy="Always")],
        securityContext={"supplementalGroups": [1, 2], "fsGroup": 3},
        volumes=[{"name": "shared", "emptyDir": {"medium": "Memory"}}],
    )
    opted_out = pods.pod(
        "opted-out",
        pods.app(env=[{"name": "A", "value": "#{k8s:s#a}"}]),
        annotations={pods.INJECT: "false", **pods.asking(env={"B": "#{k8s:s#b}"})},
    )
    return [pods.pod("smallest", pods.app()), rich, opted_out]


def answers(cluster: Cluster) -> dict[str, str]:
    """Return, by name, the very text that the API server answers to each pod's dry-run."""
    return {
        pod["metadata"]["name"]: comparable(cluster.create(pod, "default", dry_run=True).body)
        for pod in plain_pods()
    }


def comparable(body: bytes) -> str:
    """Return the text of an answer without what the server sets anew each time."""
    return _SET_BY_SERVER.sub("", body.decode())
