"""Scenario: the release is upgraded while pods that it injected run."""

from __future__ import annotations

import json

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.testbed.process import until

NEXT = "of-the-next-release"
"""The tag of an image that nobody has: pods that name it are only asked for, and never run."""

WAITS = ["sh", "-c", "until [ -e /go ]; do sleep 1; done"]


@pytest.fixture
def upgraded(system):
    """Return a function that upgrades the release to one with another image; take it back later."""
    image = system.values.get("image", {})
    yield lambda: system.install(injected={"image": {**image, "tag": NEXT}})
    system.install()


def _if_of(tag, pod):
    """Return a pod whose container of ours has the tag, else None."""
    return pod if pods.ours(pod)["image"].endswith(f":{tag}") else None


def test_what_an_upgrade_meets_finishes_and_goes(system, upgraded, tenant, local_cluster):
    """A Job that runs over the upgrade ends and is cleaned up; the guard knows both images."""
    cluster = local_cluster
    tenant.put_vault("db", password="x")
    asking = pods.asking(env={"P": f"#{{vault:secret/{tenant.namespace}/db#password}}"})
    pod = pods.pod("over", pods.app(command=WAITS), annotations=asking, restartPolicy="Never")
    template = pods.template(pod)
    tenant.apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "over"},
            "spec": {"template": template},
        }
    )

    def running():
        found = cluster.find("Pod", tenant.namespace, selector="job-name=over")
        return [each for each in found if each["status"].get("phase") == "Running"]

    (before,) = until(running, what="the Job's pod runs", timeout_s=90)
    name = before["metadata"]["name"]
    image = pods.ours(before)["image"]
    upgraded()
    # A replica of before answers until it has gone.
    after = until(
        lambda: _if_of(NEXT, cluster.create(pod, tenant.namespace, dry_run=True).json()),
        what="a new replica answers",
        timeout_s=60,
    )
    policy = json.dumps(cluster.get("ValidatingAdmissionPolicy", "secret-injector-pods"))
    cluster.patch("Pod", name, {"metadata": {"labels": {"seen": "yes"}}}, tenant.namespace)
    cluster.exec(name, "app", "touch", "/go", namespace=tenant.namespace)
    cluster.wait_condition("Job", "over", tenant.namespace, condition="Complete")
    cluster.delete("Job", "over", tenant.namespace)
    until(
        lambda: not cluster.find("Pod", tenant.namespace, selector="job-name=over"),
        what="the Job's pods are gone",
        timeout_s=60,
    )

    new = pods.ours(after)["image"]
    assert new.endswith(f":{NEXT}")
    assert image != new
    assert f"'{image}'" in policy
    assert f"'{new}'" in policy
