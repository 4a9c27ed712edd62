"""Scenario: pods that do not ask are left alone; asking twice, or for show, changes nothing."""

from __future__ import annotations

import json

import pytest

from tests.e2e.scenarios import other_webhook, pods, untouched
from tests.e2e.testbed.process import until

WEBHOOK = "pods.secret-injector.io"


@pytest.fixture
def asked(local_cluster):
    """Return a function from a created pod to what our webhook did to it, round by round.

    The API server notes in its audit log which webhooks it called and whether they changed the
    object; None is a round in which ours was not called.
    """

    def event_of(pod):
        uid = pod["metadata"]["uid"]
        for line in local_cluster.audit_log.read_text().splitlines():
            if uid in line:
                event = json.loads(line)
                made = event.get("responseObject", {}).get("metadata", {}).get("uid") == uid
                if made and event["verb"] == "create" and "subresource" not in event["objectRef"]:
                    return event
        return None

    def rounds(pod):
        event = until(lambda: event_of(pod), what="the audit event of the pod", timeout_s=10)
        notes = {
            name.split("/", 1)[1]: json.loads(text)
            for name, text in event.get("annotations", {}).items()
            if name.startswith("mutation.webhook.admission.k8s.io/")
        }
        return {
            name.partition("_index_")[0]: note["mutated"]
            for name, note in notes.items()
            if note["webhook"] == WEBHOOK
        }

    return rounds


@pytest.fixture
def annotated(tenant):
    """Return a pod that asks, of both modes of variables, with files and another init container."""
    tenant.put_vault("db", user="shop")
    tenant.put_secret("s", {"a": "from a Secret"})
    annotations = pods.asking(
        inject="true",
        env={"USER": f"#{{vault:secret/{tenant.namespace}/db#user}}"},
        files={"a": "#{k8s:s#a}"},
        containers="app,bare",
    )
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    own = [{"name": "OWN", "value": "#{k8s:s#a}!"}, {"name": "PLAIN", "value": "x"}]
    return pods.pod(
        "app",
        pods.app(command=pods.SLEEP, env=own[:1], readinessProbe=probe),
        pods.bare("bare", env=own),
        annotations=annotations,
        initContainers=[pods.app("setup", command=["true"])],
    )


def values_of(pod):
    """Return the files of the annotated pod's containers; they and the variables must be right."""
    injected = {b"USER": b"shop", b"OWN": b"from a Secret!"}
    found = {}
    for container, variables in (("app", injected), ("bare", {**injected, b"PLAIN": b"x"})):
        files = {name: file.content for name, file in pod.files(container=container).items()}
        assert pod.environ(container) == variables
        assert files == {"a": b"from a Secret"}
        found[container] = files
    return found


def test_pods_that_do_not_ask_are_answered_byte_for_byte_as_before(
    system, local_cluster, answers_without_system
):
    """The API server's answers are the same text as before the system was installed."""
    assert untouched.answers(local_cluster) == answers_without_system


def test_the_webhook_is_not_asked_about_pods_that_do_not_ask(tenant, asked):
    """The API server decides by itself, so those pods do not depend on the webhook at all."""
    made = [tenant.cluster.create(p, tenant.namespace).json() for p in untouched.plain_pods()]

    assert [asked(pod) for pod in made] == [{}, {}, {}]


def test_a_dry_run_shows_the_injected_pod_and_leaves_nothing(tenant, annotated, asked, inside):
    """What a dry-run shows is what a creation makes; the dry-run itself makes nothing."""
    path = tenant.cluster.api.resource("Pod").path(tenant.namespace, "app")

    shown = tenant.cluster.create(annotated, tenant.namespace, dry_run=True)
    left = (
        tenant.cluster.find("Pod", tenant.namespace),
        tenant.cluster.events("app", tenant.namespace),
    )
    made = tenant.cluster.create(annotated, tenant.namespace)

    assert left == ([], [])
    assert pods.is_injected(shown.json())
    assert (untouched.comparable(shown.body), shown.warnings) == (
        untouched.comparable(made.body),
        made.warnings,
    )
    assert asked(made.json()) == {"round_0": True}
    values_of(inside("app"))
    assert (
        tenant.cluster.api.request("GET", path).json()["spec"]["containers"]
        == (made.json()["spec"]["containers"])
    )


def test_kubectl_shows_the_injected_pod_before_it_is_created(tenant, annotated):
    """`kubectl apply --dry-run=server` is how a person looks first."""
    said = tenant.cluster.kubectl(
        *("apply", "--dry-run=server", "--output=json", "--namespace", tenant.namespace),
        "--filename=-",
        input=json.dumps(annotated),
    )

    assert pods.ours(json.loads(said))["args"] == ["fetch"]
    assert tenant.cluster.find("Pod", tenant.namespace) == []


def test_a_pod_made_from_an_injected_one_is_not_changed_again(tenant, annotated, asked, inside):
    """The second time the patch is empty, and the copy works as the first pod does."""
    first = tenant.cluster.create(annotated, tenant.namespace).json()
    copy = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "copy", "annotations": first["metadata"]["annotations"]},
        "spec": first["spec"],
    }

    second = tenant.cluster.create(copy, tenant.namespace).json()

    assert (asked(first), asked(second)) == ({"round_0": True}, {"round_0": False})
    assert second["spec"] == first["spec"]
    assert second["metadata"]["annotations"] == first["metadata"]["annotations"]
    assert values_of(inside("app")) == values_of(inside("copy"))


def test_the_second_round_after_another_webhook_changes_nothing(
    tenant, annotated, asked, inside, tmp_path
):
    """A mesh that adds its container makes the API server ask again, and all stays in place."""
    with other_webhook.running(tenant.cluster, tmp_path, tenant.namespace):
        seen = until(
            lambda: has_mesh(tenant.cluster.create(annotated, tenant.namespace, dry_run=True)),
            what="the other webhook is called",
            timeout_s=20,
        )
        made = tenant.cluster.create(annotated, tenant.namespace).json()

    assert seen
    assert asked(made) == {"round_0": True, "round_1": False}
    names = [container["name"] for container in made["spec"]["containers"]]
    assert names == ["app", "bare", "mesh"]
    there = inside("app")
    values_of(there)
    assert (there.environ("mesh"), there.mounts("mesh")) == ({}, {})


def has_mesh(answer):
    """Say whether the other webhook changed a pod."""
    return [c for c in answer.json()["spec"]["containers"] if c["name"] == "mesh"]
