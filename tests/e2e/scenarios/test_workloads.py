"""Scenario: jobs that end, and pods with init containers, sidecars, probes and hooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.scenarios import pods

SHOW = ["sh", "-c", 'cat /proc/1/environ; printf "\\n"; cat /run/secrets/injector/token']
SHARED = [{"name": "shared", "mountPath": "/shared"}]


def job(pod):
    """Return the specification of a job of one pod, which is not tried again."""
    template = pods.template(pod)
    return {"backoffLimit": 0, "template": template}


@pytest.fixture
def shown(tenant):
    """Return a function from a job's name, when it is complete, to what its pod showed."""

    def complete(name):
        tenant.cluster.wait_condition("Job", name, tenant.namespace, condition="Complete")
        (pod,) = tenant.cluster.find("Pod", tenant.namespace, selector=f"job-name={name}")
        log = tenant.cluster.logs(pod["metadata"]["name"], "app", tenant.namespace)
        environ, _, file = log.rpartition(b"\n")
        entries = [entry.partition(b"=") for entry in environ.split(b"\0")]
        return {name: value for name, _, value in entries}[b"TOKEN"], file

    return complete


def batch_pod(tenant):
    """Return a pod that shows what it was given and ends."""
    tenant.put_vault("batch", token="job token")
    reference = f"#{{vault:secret/{tenant.namespace}/batch#token}}"
    annotations = pods.asking(env={"TOKEN": reference}, files={"token": reference})
    return pods.pod("batch", pods.app(command=SHOW), annotations=annotations, restartPolicy="Never")


def test_a_job_completes(tenant, shown):
    """Nothing of ours keeps running beside a job's container."""
    pod = batch_pod(tenant)
    tenant.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": job(pod)}
    )

    assert shown("once") == (b"job token", b"job token")


def test_a_job_completes_beside_a_sidecar_that_is_injected_too(tenant, shown):
    """A native sidecar named in `containers` gets the values, and ends with the job."""
    pod = batch_pod(tenant)
    sidecar = pods.app("side", command=pods.SLEEP, restartPolicy="Always")
    pod["spec"]["initContainers"] = [sidecar]
    pod["metadata"]["annotations"] |= pods.asking(containers="app, side")
    tenant.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "side"}, "spec": job(pod)}
    )

    assert shown("side") == (b"job token", b"job token")


def test_a_cron_job_completes(tenant, shown):
    """The pods that a CronJob's controller starts are injected like all others."""
    pod = batch_pod(tenant)
    spec = {
        "schedule": "* * * * *",
        "concurrencyPolicy": "Forbid",
        "jobTemplate": {"spec": job(pod)},
    }
    (made,) = tenant.cluster.apply(
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cron"}, "spec": spec},
        tenant.namespace,
    )
    # The controller makes up for a missed run at once, so nobody waits for the next minute.
    missed = (datetime.now(UTC) - timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = tenant.cluster.api.resource("CronJob").path(tenant.namespace, made["metadata"]["name"])
    tenant.cluster.api.request(
        "PATCH",
        f"{path}/status",
        {"status": {"lastScheduleTime": missed}},
        content_type="application/merge-patch+json",
    )

    started = tenant.cluster.wait(
        "CronJob",
        "cron",
        tenant.namespace,
        until_true=lambda item: tenant.cluster.find("Job", tenant.namespace),
        what="a job",
        timeout_s=90,
    )

    assert started["metadata"]["name"] == "cron"
    (run, *_) = tenant.cluster.find("Job", tenant.namespace)
    assert shown(run["metadata"]["name"]) == (b"job token", b"job token")


def test_init_containers_sidecars_probes_and_hooks_use_the_variables(tenant, inside):
    """Those named in `containers` get them after `init-after`; probes and hooks run with them."""
    tenant.put_secret("s", {"password": "open sesame"})
    knows = ["sh", "-c", 'test "$PASSWORD" = "open sesame"']
    probe = {"exec": {"command": knows}, "periodSeconds": 1}
    told = 'printf %s "$PASSWORD" > /shared'
    # The last words of the container are what its hook wrote.
    work = "trap 'cat /shared/pre-stop > /dev/termination-log; exit 0' TERM; sleep 600 & wait $!"
    annotations = pods.asking(
        env={"PASSWORD": "#{k8s:s#password}"}, containers="setup,side,app", init_after="mesh"
    )
    pod = pods.pod(
        "parts",
        pods.app(
            command=["sh", "-c", work],
            startupProbe=probe,
            readinessProbe=probe,
            livenessProbe=probe,
            lifecycle={
                "postStart": {"exec": {"command": ["sh", "-c", f"{told}/post-start"]}},
                "preStop": {"exec": {"command": ["sh", "-c", f"{told}/pre-stop"]}},
            },
            volumeMounts=SHARED,
        ),
        pods.app("plain", command=pods.SLEEP, volumeMounts=SHARED),
        annotations=annotations,
        initContainers=[
            pods.app(
                "mesh",
                command=["sh", "-c", "cat /proc/1/environ > /shared/mesh"],
                volumeMounts=SHARED,
            ),
            pods.app(
                "setup",
                command=["sh", "-c", f"{told}/setup"],
                volumeMounts=SHARED,
            ),
            pods.app(
                "side",
                command=pods.SLEEP,
                restartPolicy="Always",
                startupProbe=probe,
                volumeMounts=SHARED,
            ),
        ],
        volumes=[{"name": "shared", "emptyDir": {}}],
        terminationGracePeriodSeconds=20,
    )
    # A pod with a finalizer stays to be looked at when its containers have ended.
    pod["metadata"]["finalizers"] = ["test.example.org/look"]
    tenant.apply(pod)
    try:
        there = inside("parts")
        stored = tenant.cluster.get("Pod", "parts", tenant.namespace)
        environs = {name: there.environ(name) for name in ("app", "side", "plain")}
        mounts = there.mounts("plain")
        written = {
            name: there.cluster.container_file(
                "parts", "plain", tenant.namespace, f"/shared/{name}"
            )
            for name in ("mesh", "setup", "post-start")
        }
        path = tenant.cluster.api.resource("Pod").path(tenant.namespace, "parts")
        tenant.cluster.api.request("DELETE", path)
        ended = tenant.cluster.wait(
            "Pod", "parts", tenant.namespace, until_true=last_words, what="the end of app"
        )
    finally:
        tenant.cluster.patch("Pod", "parts", {"metadata": {"finalizers": None}}, tenant.namespace)

    names = [container["name"] for container in stored["spec"]["initContainers"]]
    assert names == ["mesh", pods.OURS, "setup", "side"]
    injected = {b"PASSWORD": b"open sesame"}
    assert environs == {"app": injected, "side": injected, "plain": {}}
    assert mounts == {}
    assert b"PASSWORD" not in written.pop("mesh")
    assert written == {"setup": b"open sesame", "post-start": b"open sesame"}
    assert last_words(ended) == "open sesame"
    assert restarts(stored) == {"app": 0, "plain": 0}


def last_words(pod):
    """Return the termination message of the container app, or nothing."""
    (app,) = (s for s in pod["status"]["containerStatuses"] if s["name"] == "app")
    return app["state"].get("terminated", {}).get("message", "")


def restarts(pod):
    """Return how often each app container was restarted."""
    return {s["name"]: s["restartCount"] for s in pod["status"]["containerStatuses"]}
