"""Scenarios: text that others put into `env`, and pods that come together with their namespace."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.services import resource
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import until

MESSAGE = "docs: explain #{k8s:prod-db#password} syntax"


def test_a_commit_message_reaches_a_ci_job_as_it_was_written(tenant, inside):
    """The token is injected into one container; the message is text in both, with a warning."""
    tenant.put_secret("npm", {"token": "from a Secret"})
    tenant.put_secret("prod-db", {"password": "not for this job"})
    env = [{"name": "CI_COMMIT_MESSAGE", "value": MESSAGE}]
    job = pods.pod(
        "runner",
        pods.app("build", command=pods.SLEEP, env=env),
        pods.app("helper", command=pods.SLEEP, env=env),
        annotations=pods.asking(env__build={"NPM_TOKEN": "#{k8s:npm#token}"}),
    )

    made = tenant.cluster.create(job, tenant.namespace)

    there = inside("runner")
    build, helper = there.environ("build"), there.environ("helper")
    assert build == {b"NPM_TOKEN": b"from a Secret", b"CI_COMMIT_MESSAGE": MESSAGE.encode()}
    assert helper == {b"CI_COMMIT_MESSAGE": MESSAGE.encode()}
    assert [text for text in made.warnings if "CI_COMMIT_MESSAGE (build, helper)" in text]
    assert len(made.warnings) == 1


@pytest.fixture
def by_label(tenant):
    """Put a policy for namespaces of a label, in force when this is given."""
    match = {"namespaceSelector": {"matchLabels": {"text-in-env": "files-only"}}}
    policy = resource(
        "ClusterInjectionPolicy", "files-only", {"match": match, "rules": {"env": "forbidden"}}
    )
    tenant.cluster.apply(policy)
    until(
        lambda: tenant.cluster.get("ClusterInjectionPolicy", "files-only").get("status"),
        what="the policy is known",
        timeout_s=30,
    )
    yield
    tenant.cluster.delete("ClusterInjectionPolicy", "files-only")


def test_a_policy_by_label_binds_the_first_pod_of_a_new_namespace(tenant, by_label):
    """Twenty namespaces, each with a pod in the same breath: none passes, and none is too early."""
    asks = pods.pod("first", pods.app(command=["true"]), annotations=pods.asking(env={"A": "x"}))
    said = set()
    for number in range(20):
        name = f"{tenant.namespace}-new-{number}"
        metadata = {"name": name, "labels": {"text-in-env": "files-only"}}
        tenant.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        tenant.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": name},
            }
        )
        with pytest.raises(ApiError) as refused:
            tenant.cluster.create(asks, name, dry_run=True)
        said |= {word for word in ("SI-121", "SI-123") if word in refused.value.message}
        tenant.cluster.delete("Namespace", name)

    assert said == {"SI-121"}
