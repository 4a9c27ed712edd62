"""Scenario: a shell with the variables, a command that is not there, and a pod that runs once."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios import pods, refusals
from tests.e2e.testbed.cluster import Object
from tests.e2e.testbed.images import BUSYBOX_IMAGE
from tests.e2e.testbed.local import LocalCluster

ENV = {"WANTED": '#{k8s:none#x | default("wanted value")}'}


@pytest.mark.parametrize(
    "words",
    [["exec"], ["exec", "--"], ["/run/secret-injector/env", "--"]],
    ids=" ".join,
)
def test_a_command_in_a_running_container_gets_its_variables(tenant, local_cluster, words):
    """As kubectl exec runs it: with the launcher in front, and not without."""
    name = "shell"
    tenant.apply(pods.pod(name, pods.app(command=pods.SLEEP), annotations=pods.asking(env=ENV)))
    local_cluster.wait(
        "Pod", name, tenant.namespace, until_true=refusals.is_running, what="the pod runs"
    )
    show = ["sh", "-c", 'printf %s "$WANTED"']
    launcher = ["/run/secret-injector/launcher", *words]

    def run(*command: str) -> bytes:
        return local_cluster.exec(name, "app", *command, namespace=tenant.namespace)

    assert run(*launcher, *show) == b"wanted value"
    assert run(*show) == b""


def _ended(item: Object) -> Object | None:
    statuses = item["status"].get("containerStatuses", [])
    states = [each["state"].get("terminated") for each in statuses]
    return states[0] if states and states[0] else None


def test_a_command_that_is_not_there_is_told_by_describe(tenant, local_cluster):
    """Not only its exit code: the line and its hint are the container's termination message."""
    tenant.apply(
        pods.pod(
            "absent",
            {"name": "app", "image": BUSYBOX_IMAGE, "imagePullPolicy": "Never", "command": ["/no"]},
            annotations=pods.asking(env=ENV),
            restartPolicy="Never",
        )
    )
    local_cluster.wait("Pod", "absent", tenant.namespace, until_true=_ended, what="its end")
    ended = _ended(local_cluster.get("Pod", "absent", tenant.namespace))
    described = local_cluster.kubectl("describe", "pod", "absent", "-n", tenant.namespace)

    assert ended is not None
    assert ended["exitCode"] == 127
    assert ended["message"] == (
        'SI-612 launcher: cannot execute "/no": No such file or directory\nhint: check the'
        " container's command; the interpreter or loader that the file names must exist too\n"
    )
    assert 'SI-612 launcher: cannot execute "/no"' in described


def test_a_pod_that_runs_once_says_that_it_does_not_retry(tenant, local_cluster: LocalCluster):
    """Its deadline is its own, and the truth about retries is in its message."""
    name = "once"
    asking = pods.asking(env={"A": "#{vault:secret/none#x}"}, deadline="5s")
    pod = pods.pod(name, pods.app(command=["true"]), annotations=asking, restartPolicy="Never")
    vault = tenant.vault
    vault.stop()
    try:
        tenant.apply(pod)
        refusals.wait_failed(local_cluster, name, tenant.namespace)
    finally:
        vault.start()
    failed = refusals.look(local_cluster, name, tenant.namespace)

    _, hint = failed.message.splitlines()
    assert failed.exit_code == 7
    assert hint.startswith("       hint: restartPolicy is Never, so this pod does not retry: ")
    assert "secret-injector.io/deadline" in hint
    assert refusals.never_started(failed)
