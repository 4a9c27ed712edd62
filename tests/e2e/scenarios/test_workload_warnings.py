"""Scenario: `kubectl apply` of a workload shows what its pods would be refused for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.system import NAMESPACE as OURS
from tests.e2e.testbed.cluster import Cluster
from tests.e2e.testbed.process import run, until

BAD = {"A": "#{nowhere:a#b}"}
LINE = 'SI-110 {place}annotation secret-injector.io/env for A: no store "nowhere" serves namespace '


def asking_pod(**env):
    """Return a pod that ends at once and asks for variables."""
    return pods.pod(
        "trial",
        pods.app(command=["true"]),
        annotations=pods.asking(env=env),
        restartPolicy="Never",
    )


def workloads(pod):
    """Return a workload of each kind that makes such pods."""
    deployment = pods.deployment({**pod, "spec": {**pod["spec"], "restartPolicy": "Always"}})
    template = deployment["spec"]["template"]
    selected = {"selector": deployment["spec"]["selector"], "template": template}
    job = {"template": pods.template(pod)}
    cron = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}
    apps, batch = {"apiVersion": "apps/v1"}, {"apiVersion": "batch/v1"}
    metadata = {"metadata": {"name": "trial"}}
    return {
        "Deployment": deployment,
        "StatefulSet": {**apps, **metadata, "kind": "StatefulSet", "spec": selected},
        "DaemonSet": {**apps, **metadata, "kind": "DaemonSet", "spec": selected},
        "Job": {**batch, **metadata, "kind": "Job", "spec": job},
        "CronJob": {**batch, **metadata, "kind": "CronJob", "spec": cron},
    }


def sent(system, namespace):
    """Return kind and name of every workload of a namespace that a replica was asked about."""
    lines = []
    for replica in system.replicas():
        text = system.cluster.logs(replica["metadata"]["name"], "webhook", OURS).decode()
        lines += [json.loads(line) for line in text.splitlines()]
    return {
        (line["kind"], line["name"])
        for line in lines
        if line.get("namespace") == namespace and line.get("kind") not in (None, "Pod")
    }


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"])
def test_a_workload_is_stored_with_a_warning(tenant, kind):
    """The pods' line, when the workload is stored; a good one hears nothing."""
    bad, good = asking_pod(**BAD), asking_pod(A="#{k8s:a#b}")

    warned = tenant.cluster.create(workloads(bad)[kind], tenant.namespace, dry_run=True)
    passed = tenant.cluster.create(workloads(good)[kind], tenant.namespace, dry_run=True)

    (line,) = warned.warnings
    assert line.startswith(LINE.format(place="") + tenant.namespace)
    assert passed.warnings == ()


def test_kubectl_shows_the_line_first(tenant):
    """Above the word that the Deployment was created, and no line is longer than 200 characters."""
    manifest = json.dumps(workloads(asking_pod(**BAD))["Deployment"])
    command = (tenant.cluster._kubectl, "apply", "--namespace", tenant.namespace, "-f", "-")

    both = run(*("sh", "-c", '"$@" 2>&1', "sh"), *command, input=manifest, env=tenant.cluster.env)

    warning, created = both.decode().splitlines()
    assert warning.startswith("Warning: " + LINE.format(place=""))
    assert len(warning) <= 200 + len("Warning: ")
    assert created == "deployment.apps/trial created"


def test_an_update_is_judged_and_what_changes_no_pod_is_not(tenant):
    """A new template is judged; labels of the Deployment and its scale are nobody's mistake."""
    tenant.apply(workloads(asking_pod(A="#{k8s:a#b}"))["Deployment"])
    cluster, where = tenant.cluster, ("deployments.apps", "trial")
    template = {"spec": {"template": {"metadata": {"annotations": pods.asking(env=BAD)}}}}

    changed = cluster.patch(*where, template, tenant.namespace)
    labelled = cluster.patch(*where, {"metadata": {"labels": {"a": "b"}}}, tenant.namespace)

    assert [line[:6] for line in changed.warnings] == ["SI-110"]
    assert labelled.warnings == ()


def test_nobody_is_asked_about_workloads_that_ask_for_nothing_or_that_a_controller_writes(
    system, tenant
):
    """Of four that a tenant stores one comes; the Job of a CronJob does not."""
    plain = pods.pod("plain", pods.app(command=pods.SLEEP))
    opted_out = pods.pod("out", pods.app(command=pods.SLEEP), annotations={pods.INJECT: "false"})
    cron = workloads(asking_pod(**BAD))["CronJob"]
    cron["spec"]["schedule"] = "* * * * *"
    tenant.apply(pods.deployment(plain), pods.deployment(opted_out), cron)
    tenant.cluster.kubectl(
        *("create", "job", "--namespace", tenant.namespace, "--from=cronjob/trial", "by-hand")
    )
    until(
        lambda: [
            job
            for job in tenant.cluster.find("Job", tenant.namespace)
            if job["metadata"]["name"] != "by-hand"
        ],
        what="the CronJob's controller makes a Job",
        timeout_s=90,
    )

    assert sent(system, tenant.namespace) == {("CronJob", "trial")}


@pytest.fixture(scope="module")
def kinds(cluster: Cluster) -> Iterator[None]:
    """Define two kinds of other API groups, whose fields nothing checks."""
    names = [("argoproj.io", "Rollout", "rollouts"), ("tekton.dev", "Task", "tasks")]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definitions = [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural},
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": schema},
                    }
                ],
            },
        }
        for group, kind, plural in names
    ]
    cluster.apply(definitions)
    for definition in definitions:
        cluster.wait_condition(
            "crd", definition["metadata"]["name"], condition="Established", timeout_s=30
        )
    yield
    for definition in definitions:
        cluster.delete("crd", definition["metadata"]["name"])


def rollout(name, pod, **fields):
    """Return a Rollout of Argo with such pods."""
    spec = pods.deployment(pod)["spec"] | fields
    head = {"apiVersion": "argoproj.io/v1", "kind": "Rollout", "metadata": {"name": name}}
    return {**head, "spec": spec}


@pytest.mark.usefixtures("kinds")
def test_templates_of_kinds_that_nobody_knows_are_found_by_their_shape(system, tenant):
    """Of those that the rules list, and only where something in them asks."""
    task = {
        "apiVersion": "tekton.dev/v1",
        "kind": "Task",
        "metadata": {"name": "task", "annotations": pods.asking(env=BAD)},
        "spec": {"steps": [{"name": "one", "image": "busybox", "script": "true"}]},
    }
    odd = {"weights": [1, 2.5, None, True, {"a": []}]}
    plain = pods.pod("plain", pods.app(command=["true"]))
    create, where = tenant.cluster.create, tenant.namespace

    first = create(rollout("asks", asking_pod(**BAD), strategy=odd), where).warnings
    second = create(task, where).warnings
    third = create(rollout("plain", plain, strategy=odd), where).warnings
    fourth = tenant.cluster.patch("Rollout", "asks", {"status": {"replicas": 1}}, where).warnings

    assert [line.split(" serves")[0] + " serves namespace " for line in first] == [
        LINE.format(place="")
    ]
    assert [line[:6] for line in second] == ["SI-110"]
    assert (third, fourth) == ((), ())
    assert sent(system, where) == {("Rollout", "asks"), ("Task", "task")}
