"""What the tests of neighbours are given: nodes that exist in the API alone."""

from __future__ import annotations

import pytest

OLD = {"nodeInfo": {"kubeletVersion": "v1.33.4"}}


@pytest.fixture
def node(system):
    """Return a function that adds an old node of a cluster, with labels and taints."""
    cluster = system.cluster
    made = []

    def add(name, *, labels=None, taints=()):
        metadata = {"name": name, "labels": labels or {}}
        taints = [{"effect": "NoSchedule", **taint} for taint in taints]
        cluster.apply(
            {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": taints}}
        )
        made.append(name)
        path = cluster.api.resource("Node").path(None, name)
        merge = "application/merge-patch+json"
        cluster.api.request("PATCH", f"{path}/status", {"status": OLD}, content_type=merge)

    yield add
    for name in made:
        cluster.delete("Node", name)
