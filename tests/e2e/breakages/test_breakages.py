"""Each thing that people get wrong, made for real: what kubectl shows first is the cure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping

import pytest

from tests.e2e.breakages import cases
from tests.e2e.breakages.cases import APPLIED, CALLS, CASES, DESCRIBED, NAMESPACE, STARTED, Breakage
from tests.e2e.scenarios import pods, system
from tests.e2e.scenarios.system import MUTATING, RELEASE, System, Tenant, store
from tests.e2e.testbed.cluster import Cluster, Object
from tests.e2e.testbed.process import run, until
from tests.e2e.testbed.vault_client import AUDIENCE

OURS = system.NAMESPACE
OLD: Object = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "old"},
    "spec": {"taints": [{"key": "old", "effect": "NoSchedule"}]},
}

OTHERWISE = {
    "vault-sabound": {"role": "sabound"},
    "vault-nowhere": {"role": "{namespace}", "mountPath": "kubernetes-prod"},
}
"""Stores with a login that Vault refuses."""


def of_kind(kind: str, name: str, spec: Object) -> Object:
    """Return an object of the core group."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def deployment(case: Breakage) -> Object:
    """Return the Deployment of a case."""
    container = {**pods.app(command=pods.SLEEP), **case.container}
    container = {key: value for key, value in container.items() if value is not None}
    annotations = {cases.PREFIX + name: text for name, text in case.annotations.items()}
    annotations |= case.others
    pod = pods.pod(case.name, container, annotations=annotations, **case.spec)
    found = pods.deployment(pod)
    found["metadata"]["annotations"] = {cases.PREFIX + n: text for n, text in case.beside.items()}
    return found


def kubectl(cluster: Cluster, *arguments: str, objects: list[Object] | None = None) -> str:
    """Run kubectl as a person does and return all that the terminal shows, whatever its status."""
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects or []})
    command = ("sh", "-c", '"$@" 2>&1', "sh", cluster._kubectl, *arguments)
    return run(*command, input=manifest, env=cluster.env, check=False).decode()


@pytest.fixture(scope="module")
def tenant(system: System) -> Iterator[Tenant]:
    """Return the namespace of the table, with what its references read and one limit of each kind.

    The node `old` takes no pods; the limits are in namespaces of their own.
    """
    cluster = system.cluster
    names = [NAMESPACE, *(f"{NAMESPACE}-{case.name}" for case in STARTED)]
    for name in names:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for name in names:
        cluster.wait("ServiceAccount", "default", name, until_true=bool, what="existence")
        system.vault.kubernetes_role(name, f"tenant-{NAMESPACE}", namespaces=[name])
    found = system.tenant(NAMESPACE)
    found.put_vault("db", password="there", empty="")
    found.put_secret("db", {"password": "there"})
    provider = {
        "address": system.vault.address,
        "caBundle": system.vault.ca_pem,
        "auth": {"kubernetes": {"role": "{namespace}"}},
    }
    system.vault.kubernetes_role(
        "sabound", f"tenant-{NAMESPACE}", namespaces=[NAMESPACE], service_accounts=["checkout"]
    )
    for name, login in OTHERWISE.items():
        otherwise = {**provider, "auth": {"kubernetes": login}}
        spec = {"vault": otherwise, "audience": AUDIENCE, "allowedNamespaces": [NAMESPACE]}
        cluster.apply(store(name, spec))
    cluster.apply(store("vault-team", {"vault": provider, "allowedNamespaces": ["team-*"]}))
    cluster.apply(
        of_kind("ResourceQuota", "limits", {"hard": {"limits.cpu": "2"}}), f"{NAMESPACE}-quota"
    )
    limit = {
        "type": "Container",
        "min": {"cpu": "50m"},
        "max": {"memory": "100Mi"},
        "maxLimitRequestRatio": {"memory": "2"},
    }
    cluster.apply(of_kind("LimitRange", "limits", {"limits": [limit]}), f"{NAMESPACE}-limit-range")
    cluster.apply(OLD)
    node = cluster.api.resource("Node").path(None, "old")
    info = {"status": {"nodeInfo": {"kubeletVersion": "v1.34.2"}}}
    cluster.api.request(
        "PATCH", f"{node}/status", info, content_type="application/merge-patch+json"
    )
    yield found
    for name in names:
        cluster.api.request("DELETE", cluster.api.resource("Namespace").path(None, name))
    cluster.delete("Node", "old")
    for name in ("vault-team", *OTHERWISE):
        cluster.delete("ClusterSecretStore", name)


@pytest.fixture(scope="module")
def applied(system: System, tenant: Tenant) -> Mapping[str, list[str]]:
    """Apply every case in one go; return the lines that kubectl shows for each, above its name."""
    (by_node,) = (case for case in APPLIED if case.name == "native-on-old-node")
    until(
        lambda: (
            'node "old"'
            in str(system.cluster.create(deployment(by_node), NAMESPACE, dry_run=True).warnings)
        ),
        what="the webhook has heard of the store and the node",
        timeout_s=30,
    )
    objects = [deployment(case) for case in CASES]
    for case, one in zip(CASES, objects, strict=True):
        limited = f"{NAMESPACE}-{case.name}" if case in STARTED else NAMESPACE
        one["metadata"]["namespace"] = limited
    lines: dict[str, list[str]] = {}
    above: list[str] = []
    for line in kubectl(system.cluster, "apply", "-f", "-", objects=objects).splitlines():
        created = re.fullmatch(r"deployment\.apps/(\S+) created", line)
        if created:
            lines[created[1]], above = above, []
        else:
            above.append(line)
    assert above == []
    return lines


@pytest.mark.parametrize("case", APPLIED, ids=lambda case: case.name)
def test_apply_shows_the_cure_above_the_word_created(applied, case: Breakage):
    """One warning, whole, within 200 characters."""
    assert applied[case.name] == [f"Warning: {case.shown}"]
    assert len(case.shown) <= 200


@pytest.mark.parametrize("case", [*DESCRIBED, *STARTED], ids=lambda case: case.name)
def test_apply_is_silent_about_what_only_a_store_or_nothing_can_tell(applied, case: Breakage):
    """No warning that is not true."""
    assert applied[case.name] == []


@pytest.mark.parametrize("case", [c for c in APPLIED if not c.starts], ids=lambda case: case.name)
def test_get_pods_shows_nothing_of_what_was_warned_of(applied, tenant, case: Breakage):
    """Which is why the warning is needed: the denial stands in an event of the ReplicaSet."""
    code = case.shown.partition(" ")[0]
    of_case = ("--namespace", NAMESPACE, "--selector", f"app={case.name}")
    until(
        lambda: f" {code} " in kubectl(tenant.cluster, "describe", "replicaset", *of_case),
        what="the denial is an event",
        timeout_s=60,
    )

    shown = kubectl(tenant.cluster, "get", "pods", *of_case)

    assert shown == f"No resources found in {NAMESPACE} namespace.\n"


@pytest.mark.parametrize("case", DESCRIBED, ids=lambda case: case.name)
def test_describe_shows_the_line_and_its_cure(applied, tenant, case: Breakage):
    """As it stands in the container's termination message."""
    wanted = (case.shown, f"hint: {case.hint}")

    def described() -> str:
        of_case = ("--namespace", NAMESPACE, "--selector", f"app={case.name}")
        return kubectl(tenant.cluster, "describe", "pod", *of_case)

    until(
        lambda: all(text in described() for text in wanted),
        what="the pod says why",
        timeout_s=90,
        explain=described,
    )


@pytest.mark.parametrize("case", STARTED, ids=lambda case: case.name)
def test_a_pod_starts_within_the_limits_of_its_namespace(applied, tenant, case: Breakage):
    """Our container fits, so there is nothing to read."""
    tenant.cluster.wait_condition(
        *("deployments.apps", case.name, f"{NAMESPACE}-{case.name}"), condition="Available"
    )


def scale(cluster: Cluster, name: str, replicas: int) -> None:
    """Scale a Deployment of ours and wait until its pods are gone or there."""
    cluster.kubectl("scale", "deployment", name, "-n", OURS, f"--replicas={replicas}")
    cluster.kubectl("rollout", "status", "deployment", name, "-n", OURS, "--timeout=60s")


@pytest.fixture
def without_replicas(system: System, tenant: Tenant) -> Iterator[None]:
    """Stop every replica of the webhook for one test."""
    scale(system.cluster, RELEASE, 0)
    yield
    scale(system.cluster, RELEASE, 2)
    system.wait_until_it_injects()


@pytest.fixture
def wrong_authority(system: System, tenant: Tenant) -> Iterator[None]:
    """Give the API server another authority than that of the webhook's certificate."""
    certificates = f"{RELEASE}-certificates"
    scale(system.cluster, certificates, 0)
    bundle = base64.b64encode(system.vault.ca_pem.encode()).decode()
    change = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]
    path = system.cluster.api.resource(MUTATING).path(None, RELEASE)
    system.cluster.api.request("PATCH", path, change, content_type="application/json-patch+json")
    yield
    scale(system.cluster, certificates, 1)
    system.wait_until_it_injects()


def refused(cluster: Cluster, why: str) -> str:
    """Return what kubectl shows of a pod that cannot be judged for a reason."""
    asking = {cases.PREFIX + "env": f'A: "{cases.GOOD}"'}
    pod = pods.pod("call", pods.app(command=pods.SLEEP), annotations=asking)
    pod["metadata"]["namespace"] = NAMESPACE
    seen: list[str] = []

    def attempt() -> bool:
        seen.append(kubectl(cluster, "create", "--dry-run=server", "-f", "-", objects=[pod]))
        return why in seen[-1]

    until(attempt, what=why, timeout_s=30, explain=lambda: seen[-1])
    return seen[-1]


@pytest.mark.usefixtures("without_replicas")
def test_no_replica_is_named_by_the_api_server_and_workloads_are_stored(system: System):
    """A pod that asks is refused in its words; a Deployment that does is stored without a word."""
    _, why = CALLS["webhook-down"]

    text = refused(system.cluster, why)
    late = Breakage(name="late", wrong="", annotations=cases.env("#{nowhere:a#b}"))
    one = deployment(late)
    one["metadata"]["namespace"] = NAMESPACE
    stored = kubectl(system.cluster, "create", "-f", "-", objects=[one])

    assert cases.FAILED_CALL in text
    assert stored == "deployment.apps/late created\n"


@pytest.mark.usefixtures("wrong_authority")
def test_a_wrong_authority_is_named_by_the_api_server(system: System):
    """The certificates process would put it right; it is stopped here."""
    _, why = CALLS["wrong-ca"]

    assert cases.FAILED_CALL in refused(system.cluster, why)


def test_every_case_has_a_name_of_its_own():
    """The names of Deployments."""
    assert len({case.name for case in CASES}) == len(CASES)
