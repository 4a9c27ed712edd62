"""Policies on a real API server: who is refused, who is warned, and what only the log hears."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.e2e.scenarios import examples
from tests.e2e.scenarios.replicas import Replicas
from tests.e2e.scenarios.services import (
    asker,
    denial,
    literals,
    resource,
    service,
    store_unchecked,
)
from tests.e2e.scenarios.system import NAMESPACE, RELEASE
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import until

PACK = examples.FOLDER / "06-policy-pack"
CASES = yaml.safe_load((PACK / "cases.yaml").read_text())["cases"]
KNOWN_S = 10


@pytest.fixture
def policy(tenant):
    """Return a function that makes a policy for the pods of this namespace alone."""
    made = []

    def make(name, how=tenant.cluster.apply, **spec):
        here = {"kubernetes.io/metadata.name": tenant.namespace}
        match = {"namespaceSelector": {"matchLabels": here}}
        item = resource("ClusterInjectionPolicy", name, {"match": match, **spec})
        made.append(name)
        how(item)

    yield make
    for name in made:
        tenant.cluster.delete("ClusterInjectionPolicy", name)


@pytest.fixture(scope="module")
def pack(system):
    """Put the policy pack and its world on the cluster, its store being the testbed's."""
    cluster = system.cluster
    files = [PACK / "world.yaml", PACK / "policies.yaml"]
    objects = [item for file in files for item in yaml.safe_load_all(file.read_text())]
    objects = [item for item in objects if item["kind"] != "ClusterSecretStore"]
    cluster.apply(objects)
    for case in CASES:
        cluster.wait(
            "ServiceAccount", "default", case["namespace"], until_true=bool, what="existence"
        )
    yield cluster
    for item in reversed(objects):
        metadata = item["metadata"]
        cluster.delete(item["kind"], metadata["name"], metadata.get("namespace"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"].replace(" ", "-") for case in CASES])
def test_the_policy_pack_answers_as_it_does_offline(pack, case):
    """The API server answers each case of the pack as `policy test` says that it will."""
    manifest = {"apiVersion": "v1", "kind": "Pod", **case["pod"]}

    def answered():
        found = verdict(pack, manifest, case["namespace"])
        return found if found[0] == case["expect"] else None

    _, text = until(answered, what=f"to {case['expect']}", timeout_s=KNOWN_S)

    assert [name for name in case.get("policies", ()) if f"(policy {name}, rule " not in text] == []
    assert [code for code in case.get("codes", ()) if f"{code} " not in text] == []


def verdict(cluster, manifest, namespace):
    """Return allow, warn or deny for a pod, and what the system said."""
    try:
        answer = cluster.create(manifest, namespace, dry_run=True)
    except ApiError as error:
        return "deny", error.message
    return "warn" if answer.warnings else "allow", "\n".join(answer.warnings)


def test_a_final_key_stays_as_it_was_imported(tenant, policy):
    """Neither a service nor a pod overrides a final key; the denial says whose it is."""
    here = tenant.namespace
    policy(f"{here}-final", final=["TOKEN"])
    tenant.apply(service("base", here, {"TOKEN": "1"}))
    tenant.apply(service("app", here, {"__import_svc": "$base"}))
    until(
        lambda: literals(tenant.cluster, asker(service="app"), here) == {"TOKEN": "1"},
        what="the service is known",
        timeout_s=KNOWN_S,
        retry_on=(ApiError,),
    )

    said = until(
        lambda: denial(tenant.cluster, asker(service="app", env={"TOKEN": "mine"}), here),
        what="a denial",
        timeout_s=KNOWN_S,
        retry_on=(pytest.fail.Exception,),
    )

    assert said.partition("\n")[0] == (
        "SI-121 for TOKEN (annotation secret-injector.io/env):"
        f' the key "TOKEN" of ServiceSecrets {here}/base is final and may not be overridden'
        f" (policy {here}-final, rule final)"
    )


def test_warn_lets_the_pod_in_and_tells_its_author(tenant, policy):
    """The author reads policy, rule and key as an admission warning; the pod gets its values."""
    here = tenant.namespace
    policy(f"{here}-w", action="Warn", rules={"env": "forbidden"})

    found = until(
        lambda: tenant.cluster.create(asker(env={"A": "1"}), here, dry_run=True).warnings,
        what="a warning",
        timeout_s=KNOWN_S,
        retry_on=(ApiError,),
    )

    said = f"variables are forbidden, use files: A (policy {here}-w, rule env)"
    assert found == (f"SI-121 container app: {said}",)
    assert literals(tenant.cluster, asker(env={"A": "1"}), here) == {"A": "1"}


def test_audit_speaks_to_the_log_alone(system, local_cluster, tenant, policy):
    """The author hears nothing; the replica that answered notes pod, policy, rule, and counts."""
    here = tenant.namespace
    replicas = Replicas(local_cluster, namespace=NAMESPACE, deployment=RELEASE)
    before = sum(replicas.metric("policy_audits_total").values())
    policy(f"{here}-a", action="Audit", rules={"env": "forbidden"})

    def noted():
        answer = tenant.cluster.create(asker(env={"A": "1"}), here, dry_run=True)
        assert answer.warnings == ()
        lines = (
            line
            for replica in system.replicas()
            for line in tenant.cluster.logs(
                replica["metadata"]["name"], "webhook", NAMESPACE
            ).splitlines()
            if here.encode() in line
        )
        # The review of the final state notes the same audits, and may have met another replica.
        reviews = (said for line in lines if "audits" in (said := json.loads(line)))
        return next((review for review in reviews if review["outcome"] == "inject"), None)

    found = until(noted, what="a line of the log", timeout_s=KNOWN_S)

    said = f"variables are forbidden, use files: A (policy {here}-a, rule env)"
    assert sum(replicas.metric("policy_audits_total").values()) > before
    assert found["audits"] == [f"SI-121 container app: {said}"]
    assert (found["name"], found["event"]) == ("trial", "review answered")


def test_a_policy_that_does_not_compile_denies_what_it_matches(tenant, policy):
    """Nobody slips through a policy that is wrong: its pods are refused, others are not."""
    here = tenant.namespace
    policy(
        f"{here}-broken",
        how=lambda item: store_unchecked(tenant.cluster, item),
        defaults={"nonsense": "x"},
    )

    said = until(
        lambda: denial(tenant.cluster, asker(env={"A": "1"}), here),
        what="a denial",
        timeout_s=KNOWN_S,
        retry_on=(pytest.fail.Exception,),
    )

    assert said.partition("\n")[0] == (
        "SI-121 the policy does not compile, so it denies what it matches"
        f" (policy {here}-broken, rule match)"
    )
    assert literals(tenant.cluster, asker(env={"A": "1"}), "default") == {"A": "1"}
