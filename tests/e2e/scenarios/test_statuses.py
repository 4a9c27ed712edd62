"""Statuses and rights: what the system says of its objects, who says it, and what it may do."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios.replicas import Replicas
from tests.e2e.scenarios.services import resource, service, store_unchecked
from tests.e2e.scenarios.system import NAMESPACE, RELEASE, store
from tests.e2e.testbed.process import until
from webhook.api import RBAC

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
LATEST_S = 30
TAKE_OVER_S = 60

GOOD = {
    "ClusterSecretStore": {"k8s": {}},
    "EnvironmentSecrets": {
        "namespaceSelector": {"matchLabels": {"of": "nobody"}},
        "env": {"B": "1"},
    },
    "ClusterInjectionPolicy": {
        "match": {"namespaceSelector": {"matchLabels": {"of": "nobody"}}},
        "rules": {"paths": [{"store": "vault", "allow": ["secret/{namespace}/**"]}]},
    },
}
BROKEN = {
    "ClusterSecretStore": {
        "vault": {
            "address": "https://vault:99999",
            "auth": {"kubernetes": {"role": "app"}},
        }
    },
    "EnvironmentSecrets": {**GOOD["EnvironmentSecrets"], "env": {"A": "#{no reference"}},
    "ClusterInjectionPolicy": {**GOOD["ClusterInjectionPolicy"], "defaults": {"nonsense": "x"}},
}
"""What schemas let through and the validating webhook refuses."""


@pytest.fixture
def replicas(local_cluster, system):
    """Return the webhook's replicas."""
    return Replicas(local_cluster, namespace=NAMESPACE, deployment=RELEASE)


def ready(item):
    """Return the condition Ready of an object, once it speaks of its newest generation."""
    status = item.get("status", {})
    if status.get("observedGeneration") != item["metadata"]["generation"]:
        return None
    (condition,) = status["conditions"]
    assert condition["type"] == "Ready"
    assert condition["observedGeneration"] == item["metadata"]["generation"]
    return condition


def settled(cluster, kind, name, namespace=None, *, status):
    """Return reason and message of Ready, once it has this status for the newest generation."""
    item = cluster.wait(
        kind,
        name,
        namespace,
        until_true=lambda item: (ready(item) or {}).get("status") == status,
        what=f"Ready={status}",
        timeout_s=LATEST_S,
    )
    condition = ready(item)
    return condition["reason"], condition["message"]


def test_a_service_is_ready_once_its_imports_are_there(tenant):
    """Ready is False with the code and the line of what lacks, and True when it came."""
    cluster, here = tenant.cluster, tenant.namespace
    tenant.apply(service("app", here, {"__import_svc": "$later"}))

    assert settled(cluster, "ServiceSecrets", "app", here, status="False") == (
        "SI116",
        (
            f"SI-116 spec.env.__import_svc (ServiceSecrets {here}/app):"
            f" nothing called $later.{here} is offered here"
        ),
    )

    tenant.apply(service("later", here, {"A": "1"}))

    assert settled(cluster, "ServiceSecrets", "app", here, status="True") == ("Valid", "")
    columns = cluster.kubectl("get", "svcsec", "app", "-n", here).splitlines()
    assert columns[0].split() == ["NAME", "READY", "REASON", "AGE"]
    assert columns[1].split()[:3] == ["app", "True", "Valid"]


@pytest.mark.parametrize("kind", GOOD)
def test_an_object_that_nobody_refused_is_not_ready_until_it_is_mended(system, namespace, kind):
    """What came past the webhook is called wrong with its code, and Valid once it is changed."""
    cluster = system.cluster
    store_unchecked(cluster, resource(kind, namespace, BROKEN[kind]))
    try:
        reason, message = settled(cluster, kind, namespace, status="False")
        assert message.startswith(f"{reason[:2]}-{reason[2:]} ")

        cluster.apply(resource(kind, namespace, GOOD[kind]))

        assert settled(cluster, kind, namespace, status="True") == ("Valid", "")
    finally:
        cluster.delete(kind, namespace)


def test_a_store_names_its_provider(system, namespace):
    """`kubectl get csstore` shows which provider a store has and that it is fine."""
    cluster = system.cluster
    cluster.apply(store(namespace, {"k8s": {}}))
    try:
        settled(cluster, "ClusterSecretStore", namespace, status="True")
        columns = cluster.kubectl("get", "csstore", namespace).splitlines()
    finally:
        cluster.delete("ClusterSecretStore", namespace)

    assert columns[0].split() == ["NAME", "PROVIDER", "READY", "REASON", "AGE"]
    assert columns[1].split()[:4] == [namespace, "k8s", "True", "Valid"]


def test_one_replica_writes_and_another_takes_over(tenant, replicas):
    """One replica holds the lease; when it is lost, statuses go on under another one's name."""
    cluster, here = tenant.cluster, tenant.namespace

    def holder():
        lease = cluster.get("Lease", RELEASE, NAMESPACE)["spec"]
        return lease["holderIdentity"].rpartition("-")[0], lease["leaseTransitions"]

    first, transitions = holder()
    leading = {name: first == name for name in replicas.names()}
    until(
        lambda: replicas.metric("leading") == leading,
        what="exactly the holder of the lease says that it leads",
        timeout_s=LATEST_S,
    )
    assert sum(leading.values()) == 1

    cluster.delete("Pod", first, NAMESPACE, grace_s=0)
    tenant.apply(service("app", here, {"A": "1"}))

    cluster.wait(
        "ServiceSecrets", "app", here, until_true=ready, what="a status", timeout_s=TAKE_OVER_S
    )
    now, later = holder()
    assert (now != first, later) == (True, transitions + 1)
    replicas.wait_ready()


def test_the_account_may_do_what_the_list_says_and_no_more(system, namespace):
    """Asked what the webhook's account may do, the API server answers with the golden list."""
    for place in (NAMESPACE, namespace):
        own = {rule for rule in RBAC if not _is_of_the_own_namespace(rule) or place == NAMESPACE}

        assert rights(system.cluster, ACCOUNT, place) - rights(
            system.cluster, f"system:serviceaccount:{NAMESPACE}:default", place
        ) == {(group, name, verb, is_one) for group, name, verbs, is_one in own for verb in verbs}


def _is_of_the_own_namespace(rule):
    group, name, _, _ = rule
    return (group, name) in {("", "secrets"), ("coordination.k8s.io", "leases")}


def rights(cluster, user, namespace):
    """Return (group, resource, verb, whether only for objects by name) of all that a user may."""
    answer = cluster.api.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        {"spec": {"namespace": namespace}},
        user=user,
        groups=("system:serviceaccounts", "system:authenticated"),
    )
    status = answer.json()["status"]
    assert not status["incomplete"]
    return {
        (group, name, verb, bool(rule.get("resourceNames")))
        for rule in status["resourceRules"]
        for group in rule["apiGroups"]
        for name in rule["resources"]
        for verb in rule["verbs"]
    }
