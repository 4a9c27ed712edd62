"""Builders of our resources, and what the system makes of them: its answers, its plans."""

from __future__ import annotations

import pytest

from injector.core import plan_codec
from injector.core.plan import Plan, Use
from tests.e2e.scenarios import pods
from tests.e2e.scenarios.system import RELEASE
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.cluster import Cluster, Object
from tests.e2e.testbed.process import until

API_VERSION = "secret-injector.io/v1alpha1"
VALIDATING = "ValidatingWebhookConfiguration"
_DENIED = "denied the request: "


def resource(kind: str, name: str, spec: Object, namespace: str | None = None) -> Object:
    """Return an object of one of our kinds."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def service(name: str, namespace: str, env: Object, **spec: object) -> Object:
    """Return a ServiceSecrets."""
    return resource("ServiceSecrets", name, {"env": env, **spec}, namespace)


def asker(name: str = "trial", *, labels: Object | None = None, **annotations: object) -> Object:
    """Return a pod that asks by annotations and whose container has a command."""
    found = pods.pod(name, pods.app(command=["true"]), annotations=pods.asking(**annotations))
    return {**found, "metadata": {**found["metadata"], "labels": labels or {}}}


def denial(cluster: Cluster, manifest: Object, namespace: str) -> str:
    """Return why our webhook refuses to create an object; fails when it does not."""
    with pytest.raises(ApiError) as caught:
        cluster.create(manifest, namespace, dry_run=True)
    who, denied, why = caught.value.message.partition(_DENIED)
    assert denied, caught.value.message
    assert ".secret-injector.io" in who
    return why


def store_unchecked(cluster: Cluster, item: Object) -> None:
    """Apply an object while the validating webhooks are away, as if it had been there first."""
    kept = cluster.get(VALIDATING, RELEASE)["webhooks"]
    cluster.patch(VALIDATING, RELEASE, {"webhooks": []})
    try:
        until(
            lambda: cluster.apply(item),
            what="the object is stored without being judged",
            timeout_s=15,
            retry_on=(ApiError,),
        )
    finally:
        cluster.patch(VALIDATING, RELEASE, {"webhooks": kept})


def literals(cluster: Cluster, manifest: Object, namespace: str) -> dict[str, str]:
    """Return the variables that a pod would get, as its plan has them: none reads a store."""
    made = cluster.create(manifest, namespace, dry_run=True).json()
    plan = plan_codec.decode(
        next(e["value"] for e in pods.ours(made)["env"] if e["name"] == "SECRET_INJECTOR_PLAN")
    )
    (container,) = plan.containers
    return {item.name: _text(plan, item.value) for item in container.env}


def _text(plan: Plan, index: int) -> str:
    parts = plan.values[index].parts
    return "".join(_text(plan, p.value) if isinstance(p, Use) else str(p) for p in parts)
