"""Quotas, limit ranges and pod-level resources: a pod that is valid without us is valid with us.

The API server's own admission plugins judge (LimitRanger, ResourceQuota), and its status says which
QoS class a pod has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.cluster import Object

SMALL: Object = {"cpu": "100m", "memory": "100Mi"}
EQUAL: Object = {"requests": SMALL, "limits": SMALL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Rules of a namespace, a pod that they allow, and one that shows that they are in force."""

    rules: tuple[Object, ...] = ()
    resources: Object = field(default_factory=dict)
    refused: Object | None = None
    pod_level: Object = field(default_factory=dict)
    qos: str = "Burstable"


def limit_range(**limit: object) -> Object:
    """Return a LimitRange for containers."""
    spec = {"limits": [{"type": "Container", **limit}]}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "range"}, "spec": spec}


def quota(**hard: str) -> Object:
    """Return a ResourceQuota; two underscores in a name become a dot."""
    spec = {"hard": {name.replace("__", "."): figure for name, figure in hard.items()}}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": spec}


CASES = {
    "a quota on limits.cpu": Case(
        rules=(quota(limits__cpu="1"),),
        resources={"limits": {"cpu": "200m"}, "requests": {"cpu": "100m"}},
        refused={"requests": {"cpu": "100m"}},
    ),
    "a quota on requests and limits that is used up by the pod": Case(
        rules=(quota(limits__cpu="100m", limits__memory="100Mi", requests__cpu="100m"),),
        resources=EQUAL,
        refused={"requests": SMALL, "limits": {"cpu": "101m", "memory": "100Mi"}},
        qos="Guaranteed",
    ),
    "a limit range with a maximum of memory below the usual limit": Case(
        rules=(limit_range(max={"memory": "100Mi"}),),
        resources={"requests": {"cpu": "50m"}, "limits": {"memory": "100Mi"}},
        refused={"limits": {"memory": "101Mi"}},
    ),
    "a limit range with a minimum of cpu above the usual request": Case(
        rules=(limit_range(min={"cpu": "50m"}),),
        resources={"requests": {"cpu": "50m"}},
        refused={"requests": {"cpu": "49m"}},
    ),
    "a limit range with a ratio that the usual figures exceed": Case(
        rules=(limit_range(maxLimitRequestRatio={"memory": "2"}),),
        resources={"requests": {"memory": "100Mi"}, "limits": {"memory": "200Mi"}},
        refused={"requests": {"memory": "99Mi"}, "limits": {"memory": "200Mi"}},
    ),
    "a limit range that sets limits where there are none": Case(
        rules=(
            limit_range(
                default={"cpu": "200m", "memory": "90Mi"},
                defaultRequest={"cpu": "100m", "memory": "90Mi"},
                max={"cpu": "200m", "memory": "90Mi"},
            ),
        ),
        resources={},
        refused={"limits": {"memory": "91Mi"}},
    ),
    "pod-level resources below the usual ones": Case(
        pod_level={"requests": {"memory": "30Mi", "cpu": "5m"}, "limits": {"memory": "100Mi"}},
        refused={"limits": {"memory": "101Mi"}},
    ),
    "pod-level resources that make it Guaranteed": Case(pod_level=EQUAL, qos="Guaranteed"),
    "requests equal to limits": Case(resources=EQUAL, qos="Guaranteed"),
    "requests equal to limits, smaller than the fetcher needs": Case(
        resources={
            "requests": {"cpu": "5m", "memory": "20Mi"},
            "limits": {"cpu": "5m", "memory": "20Mi"},
        },
        qos="Guaranteed",
    ),
}


def pod(case: Case, name: str, resources: Object, **annotations: object) -> Object:
    """Return a pod of one container, with an init container of the same size."""
    spec: Object = {"resources": case.pod_level} if case.pod_level else {}
    return pods.pod(
        name,
        pods.app(command=pods.SLEEP, resources=resources),
        annotations=pods.asking(**annotations),
        initContainers=[pods.app("setup", command=["true"], resources=resources)],
        **spec,
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_pod_that_is_valid_without_injection_starts_with_it_in_its_class(tenant, inside, case):
    """It passes the plugins, keeps its QoS class, and gets its value in the size that it has."""
    cluster, namespace = tenant.cluster, tenant.namespace
    tenant.put_secret("s", {"password": "open sesame"})
    tenant.apply(*case.rules)
    for rule in case.rules:
        if rule["kind"] == "ResourceQuota":
            cluster.wait(
                *("ResourceQuota", rule["metadata"]["name"], namespace),
                until_true=lambda item: item["status"].get("hard"),
                what="the quota is counted",
            )
    if case.refused is not None:
        with pytest.raises(ApiError):
            cluster.create(pod(case, "refused", case.refused), namespace, dry_run=True)
    plain = cluster.create(pod(case, "plain", case.resources), namespace, dry_run=True).json()

    tenant.apply(pod(case, "app", case.resources, env={"PASSWORD": "#{k8s:s#password}"}))

    there = inside("app")
    item = cluster.get("Pod", "app", namespace)
    classes = (plain["status"]["qosClass"], item["status"]["qosClass"])
    assert classes == (case.qos, case.qos)
    assert there.environ() == {b"PASSWORD": b"open sesame"}
