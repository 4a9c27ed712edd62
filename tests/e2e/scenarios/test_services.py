"""Services on a real API server: what is refused and warned of, what is shared and with whom."""

from __future__ import annotations

import os
import sys
import time

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.services import asker, denial, literals, service
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import run, until

IN_EFFECT_S = 1.0


@pytest.fixture
def lender(system, namespace):
    """Return a second namespace, that other tenants may be granted keys of."""
    name = f"{namespace}-lender"
    system.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    system.cluster.delete("Namespace", name)


def test_a_cycle_is_refused_with_its_path(tenant):
    """The object that would close the circle is not stored, and the whole path is named."""
    cluster, here = tenant.cluster, tenant.namespace
    tenant.apply(service("a", here, {"__import_svc": "$b"}))
    tenant.apply(service("b", here, {"__import_svc": "$c"}))

    def refused():
        why = denial(cluster, service("c", here, {"__import_svc": "$a"}), here)
        return why.partition("\n")[0]

    circle = f"{here}/a → {here}/b → {here}/c → {here}/a"
    line = f"SI-115 spec.env.__import_svc (ServiceSecrets {here}/b): services import each other: "
    assert (
        until(refused, what="a denial", timeout_s=5, retry_on=(pytest.fail.Exception,))
        == line + circle
    )
    with pytest.raises(ApiError, match="not found"):
        cluster.get("ServiceSecrets", "c", here)


def test_a_missing_import_only_warns(tenant):
    """Manifests of one set arrive in any order: the importer is stored, its author is told."""
    here = tenant.namespace

    answer = tenant.cluster.create(service("a", here, {"__import_svc": "$later"}), here)

    assert answer.warnings == (
        (
            f"SI-116 spec.env.__import_svc (ServiceSecrets {here}/a):"
            f" nothing called $later.{here} is offered here"
        ),
    )
    assert "generation" in tenant.cluster.get("ServiceSecrets", "a", here)["metadata"]


def test_what_is_referred_to_stays(tenant):
    """Deletion is refused with who refers to it, and goes through once nobody does."""
    cluster, here = tenant.cluster, tenant.namespace
    tenant.apply(service("base", here, {"A": "1"}))
    tenant.apply(service("user", here, {"B": "#{$base/A}"}))
    path = cluster.api.resource("ServiceSecrets").path(here, "base")

    def refused():
        with pytest.raises(ApiError) as caught:
            cluster.api.request("DELETE", path, query={"dryRun": "All"})
        return caught.value.message.partition("denied the request: ")[2].partition("\n")[0]

    line = (
        f"SI-120 ServiceSecrets {here}/base:"
        f" it is referred to by ServiceSecrets {here}/user spec.env.B"
    )
    said = until(refused, what="a denial", timeout_s=5, retry_on=(pytest.fail.Exception,))
    assert said == line
    cluster.delete("ServiceSecrets", "user", here)
    until(
        lambda: cluster.api.request("DELETE", path),
        what="the deletion of what nobody refers to",
        timeout_s=5,
        retry_on=(ApiError,),
    )


def test_a_namespace_takes_its_services_along(system, namespace):
    """Services that refer to each other do not hold their namespace back when it goes."""
    name = f"{namespace}-going"
    system.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    system.cluster.apply([service("a", name, {"A": "1"}), service("b", name, {"B": "#{$a/A}"})])

    system.cluster.delete("Namespace", name, timeout_s=60)

    assert system.cluster.find("ServiceSecrets", name) == []


def test_a_change_is_in_effect_within_a_second(tenant):
    """No pod that is created a second after a service changed gets what was there before."""
    cluster, here = tenant.cluster, tenant.namespace
    trial = asker(service="app")
    tenant.apply(service("app", here, {"A": "before"}))
    until(
        lambda: literals(cluster, trial, here) == {"A": "before"},
        what="the service is known",
        timeout_s=10,
        retry_on=(ApiError,),
    )
    for round_ in ("first", "second", "third"):
        tenant.apply(service("app", here, {"A": round_}))
        changed_s = time.monotonic()
        stale_s = [0.0]
        while (asked_s := time.monotonic()) < changed_s + 2 * IN_EFFECT_S:
            if literals(cluster, trial, here) != {"A": round_}:
                stale_s.append(asked_s - changed_s)
        assert max(stale_s) < IN_EFFECT_S


def test_a_grant_lets_one_namespace_take_one_key(tenant, lender):
    """What is granted works; what is not granted reads word for word like what is not there."""
    cluster, here = tenant.cluster, tenant.namespace
    exports = [{"to": {"namespaces": [here], "services": ["borrower"]}, "keys": ["OPEN_*"]}]
    keys = {"OPEN_A": "granted", "CLOSED": "not granted"}
    cluster.apply(service("source", lender, keys, exports=exports))
    tenant.apply(service("borrower", here, {"A": f"#{{$source.{lender}/OPEN_A}}"}))
    tenant.apply(service("stranger", here, {"A": f"#{{$source.{lender}/OPEN_A}}"}))
    until(
        lambda: literals(cluster, asker(service="borrower"), here) == {"A": "granted"},
        what="the grant works",
        timeout_s=10,
        retry_on=(ApiError,),
    )

    def refused(key, by="borrower"):
        reference = f"#{{$source.{lender}/{key}}}"
        if by == "stranger":
            return denial(cluster, asker(service="stranger"), here)
        return denial(cluster, asker(service=by, env={"B": reference}), here)

    not_granted, missing = refused("CLOSED"), refused("ABSENT")
    assert not_granted.replace("CLOSED", "KEY") == missing.replace("ABSENT", "KEY")
    assert f"nothing called $source.{lender}/CLOSED is offered here" in not_granted
    assert f"nothing called $source.{lender}/OPEN_A is offered here" in refused("", by="stranger")


def test_an_import_from_another_namespace_names_its_keys(tenant, lender):
    """The schema takes the mapping and a list of both forms; every other form gets its line."""
    cluster, here = tenant.cluster, tenant.namespace
    exports = [{"to": {"namespaces": [here]}, "keys": ["*"]}]
    cluster.apply(service("source", lender, {"A": "1", "B": "2"}, exports=exports))
    tenant.apply(service("base", here, {"C": "3"}))
    taken = {"from": f"$source.{lender}", "keys": ["A"]}
    tenant.apply(service("app", here, {"__import_svc": ["$base", taken]}))
    until(
        lambda: literals(cluster, asker(service="app"), here) == {"A": "1", "C": "3"},
        what="the services are known",
        timeout_s=10,
        retry_on=(ApiError,),
    )

    for form in (f"$source.{lender}", {"from": f"$source.{lender}", "keys": ["*"]}):
        said = denial(cluster, service("plain", here, {"__import_svc": form}), here)

        assert said.startswith(f"SI-131 spec.env.__import_svc (ServiceSecrets {here}/plain): ")
        assert f"hint: write {{from: $source.{lender}, keys: [A, B]}}" in said
    # A key that appears later does not arrive, neither does one that decides which code runs.
    cluster.apply(service("source", lender, {"A": "new", "LATER": "x"}, exports=exports))
    until(
        lambda: literals(cluster, asker(service="app"), here) == {"A": "new", "C": "3"},
        what="the change is known",
        timeout_s=10,
        retry_on=(ApiError,),
    )


def test_an_expression_of_another_namespace_reads_no_secret_of_this_one(tenant, lender):
    """What would put a Secret of this namespace into an exporter's address is refused."""
    cluster, here = tenant.cluster, tenant.namespace
    exports = [{"to": {"namespaces": [here]}, "keys": ["*"]}]
    url = "https://evil.example/?k=#{k8s:db-credentials#password}"
    cluster.apply(service("source", lender, {"URL": url, "OPEN": "1"}, exports=exports))
    open_ = asker(env={"A": f"#{{$source.{lender}/OPEN}}"})
    until(
        lambda: literals(cluster, open_, here) == {"A": "1"},
        what="the service is known",
        timeout_s=10,
        retry_on=(ApiError,),
    )

    said = denial(cluster, asker(env={"A": f"#{{$source.{lender}/URL}}"}), here)
    answer = cluster.create(
        service("app", here, {"A": f"#{{$source.{lender}/URL}}"}), here, dry_run=True
    )

    assert said.startswith(f"SI-130 spec.env.URL for URL (ServiceSecrets {lender}/source): ")
    # Storing what takes it is warned of: the exporter may still change its key.
    assert [text.partition(" ")[0] for text in answer.warnings] == ["SI-130"]


def test_people_ask_the_cluster_itself(tenant):
    """`explain` and `who-uses` answer from the cluster, of a pod that runs and holds its plan."""
    cluster, here = tenant.cluster, tenant.namespace
    tenant.apply(service("base", here, {"A": "1"}), service("app", here, {"B": "#{$base/A}!"}))
    until(
        lambda: literals(cluster, asker(service="app"), here),
        what="the service is known",
        timeout_s=10,
        retry_on=(ApiError,),
    )
    cluster.create(asker(service="app"), here)

    def ask(*argv):
        command = (sys.executable, "-m", "injector", *argv, "--cluster")
        return run(*command, env={**os.environ, **cluster.env}).decode().splitlines()

    *explained, reserved = ask("explain", "trial")
    assert reserved.startswith("reserved for the pod, before → after injection: cpu ")
    assert explained == [
        f"Pod {here}/trial",
        "└─ B   (container app)",
        "     is        #{$base/A}!",
        f"     from      ServiceSecrets {here}/app spec.env.B",
        f"     uses      A of ServiceSecrets {here}/base",
    ]
    users = [line.split()[:2] for line in ask("who-uses", f"{here}/*")[1:]]
    assert users == [["ServiceSecrets", f"{here}/app"], ["Pod", f"{here}/trial"]]


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("Deployment", "spec.template"),
        ("Job", "spec.template"),
        ("CronJob", "spec.jobTemplate.spec.template"),
    ],
)
def test_annotations_beside_the_template_are_warned_of(tenant, kind, place):
    """Our annotations do nothing on a workload itself, and its author is told where they belong."""
    plain = pods.pod("trial", pods.app(command=["true"]), restartPolicy="Never")
    job = {"template": pods.template(plain)}
    workloads = {
        "Deployment": pods.deployment(pods.pod("trial", pods.app())),
        "Job": {"apiVersion": "batch/v1", "kind": "Job", "spec": job},
        "CronJob": {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}},
        },
    }
    metadata = {"name": "trial", "annotations": pods.asking(service="app")}

    answer = tenant.cluster.create(
        {**workloads[kind], "metadata": metadata}, tenant.namespace, dry_run=True
    )

    assert answer.warnings == (
        (
            f"secret-injector: secret-injector.io/service on a {kind} does nothing;"
            f" move it to {place}.metadata.annotations"
        ),
    )
