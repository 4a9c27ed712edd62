"""Scenario: who asked for what is in the webhook's log, the audit log and the pod's log."""

from __future__ import annotations

import json

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.system import NAMESPACE as OURS
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import until

WEBHOOK = "pods.secret-injector.io/"
CONTROLLER = "system:serviceaccount:kube-system:replicaset-controller"


def notes(local_cluster, namespace, outcome):
    """Return user and our annotations of the last audited creation of a pod with an outcome."""

    def found():
        for line in reversed(local_cluster.audit_log.read_text().splitlines()):
            event = json.loads(line)
            ours = {
                name.removeprefix(WEBHOOK): text
                for name, text in event.get("annotations", {}).items()
                if name.startswith(WEBHOOK)
            }
            where = event.get("objectRef", {}).get("namespace")
            if where == namespace and ours.get("outcome") == outcome:
                return event["user"]["username"], ours
        return None

    return until(found, what=f"an audit event with outcome {outcome}", timeout_s=10)


def reviews(system, namespace):
    """Return the lines of all replicas about injections in a namespace."""
    lines = []
    for replica in system.replicas():
        text = system.cluster.logs(replica["metadata"]["name"], "webhook", OURS).decode()
        lines += [json.loads(line) for line in text.splitlines()]
    return [
        line
        for line in lines
        if line.get("namespace") == namespace and line.get("endpoint") == "/mutate"
    ]


def test_an_injected_pod_is_accounted_for_from_request_to_read(system, local_cluster, tenant):
    """User, owner, ServiceAccount, store, path, version and identity, and nowhere the value."""
    tenant.put_vault("db", password="first")
    tenant.put_vault("db", password="told-c4n4ry")
    path = f"secret/{tenant.namespace}/db"
    asking = pods.asking(env={"PASSWORD": f"#{{vault:{path}#password}}"})
    tenant.apply(pods.deployment(pods.pod("app", pods.app(command=pods.SLEEP), annotations=asking)))
    local_cluster.wait_condition("deployments.apps", "app", tenant.namespace, condition="Available")
    (pod,) = local_cluster.find("Pod", tenant.namespace)
    owner = pod["metadata"]["ownerReferences"][0]

    (line,) = [line for line in reviews(system, tenant.namespace) if not line["dry_run"]]
    user, annotated = notes(local_cluster, tenant.namespace, "inject")
    read, _ = map(json.loads, tenant.injected_log(pod["metadata"]["name"]).splitlines())

    assert (line["user"], line["service_account"], line["owner"], line["stores"]) == (
        CONTROLLER,
        "default",
        f"ReplicaSet/{owner['name']}",
        ["vault"],
    )
    assert (user, annotated) == (CONTROLLER, {"outcome": "inject", "stores": "vault"})
    assert (read["event"], read["store"], read["reads"]) == (
        "secrets read",
        "vault",
        [{"path": path, "version": "2"}],
    )
    assert read["identity"].startswith(f'role "{tenant.namespace}" by kubernetes auth')
    assert "told-c4n4ry" not in json.dumps([line, annotated, read])


def test_a_refused_pod_is_in_the_audit_log_with_its_code(local_cluster, tenant):
    """Whoever keeps the audit log sees who was refused what, and why."""
    asking = pods.asking(env={"A": "#{nowhere:a#b}"})

    with pytest.raises(ApiError):
        local_cluster.create(
            pods.pod("app", pods.app(command=pods.SLEEP), annotations=asking), tenant.namespace
        )

    user, annotated = notes(local_cluster, tenant.namespace, "deny")
    assert (user, annotated) == (
        "admin",
        {"outcome": "deny", "reason": "refused", "codes": "SI-110"},
    )
