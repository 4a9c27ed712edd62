"""Whoever stores a workload is told what its pods would be told, and is never refused."""

import json

import pytest

from tests.asking import INJECTION, PREFIX, pod, policy, vault
from webhook.core import review, workloads
from webhook.core.catalog import Catalog

HERE = Catalog.of([vault("vault"), vault("elsewhere", allowedNamespaces=["billing"])])
GOOD, BAD = "#{vault:secret/shop/db#password}", "#{elsewhere:secret/shop/db#password}"
REFUSED = (
    f"SI-110 annotation {PREFIX}env for A: "
    'the store "elsewhere" does not serve namespace shop: its allowedNamespaces'
)


def template(annotations=None, **container):
    """Return the template of a pod."""
    made = pod(annotations, **container)
    return {"metadata": {"annotations": made["metadata"]["annotations"]}, "spec": made["spec"]}


def workload(kind, found, **metadata):
    """Return a workload of a kind with a pod template."""
    spec = {"template": found}
    if kind == "CronJob":
        spec = {"schedule": "@daily", "jobTemplate": {"spec": spec}}
    return {"kind": kind, "metadata": {"name": "web", **metadata}, "spec": spec}


def request(raw, *, user="jane", operation="CREATE", namespace="shop"):
    """Return the request that a review of storing the workload carries."""
    asked = {
        "uid": "1",
        "kind": {"group": "apps", "version": "v1", "kind": raw["kind"]},
        "operation": operation,
        "namespace": namespace,
        "userInfo": {"username": user},
        "object": raw,
    }
    body = {"apiVersion": review.API_VERSION, "kind": "AdmissionReview", "request": asked}
    return review.parse(json.dumps(body).encode())


def judged(raw, *, catalog=HERE, **asked):
    """Return the outcome for a workload."""
    return workloads.judge(request(raw, **asked), catalog, INJECTION)


def env(**values):
    """Return the annotation that sets variables."""
    return {"env": json.dumps(values)}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"])
def test_what_would_refuse_the_pods_is_said_when_the_workload_is_stored(kind):
    """The line of the pods' denial and its cure, as a warning; the workload itself is allowed."""
    found = judged(workload(kind, template(env(A=BAD))))

    assert (found.kind, found.reason, found.facts) == (
        "allow",
        "would_be_refused",
        {"codes": ["SI-110"]},
    )
    assert found.problems == ()
    (line,) = found.warnings
    assert line.startswith(REFUSED)
    assert "; kubectl get csstore lists the stores" in line[:200]


def test_a_workload_whose_pods_will_be_injected_hears_nothing():
    """Nothing is said where there is nothing to do."""
    found = judged(workload("Deployment", template(env(A=GOOD))))

    assert (found.kind, found.reason, found.warnings) == ("allow", "judged", ())


def test_what_pods_would_be_warned_of_is_said_as_well():
    """A policy that warns, and a reference that stays text."""
    catalog = HERE.with_object(
        "ClusterInjectionPolicy", policy(action="Warn", rules={"env": "forbidden"})
    )
    found = judged(workload("Deployment", template(env(A=GOOD))), catalog=catalog)

    assert (found.reason, found.facts) == ("would_be_warned_of", {"codes": ["SI-121"]})
    assert [line[:6] for line in found.warnings] == ["SI-121"]


def test_injection_without_anything_to_inject_is_said():
    """As to a pod."""
    found = judged(workload("Deployment", template({"inject": "true"})))

    assert found.warnings == (
        "secret-injector: injection is asked for and nothing is to be injected",
    )


@pytest.mark.parametrize(
    "raw",
    [
        workload("Deployment", template()),
        workload("Deployment", template({**env(A=BAD), "inject": "false"})),
        workload("Deployment", template(env(A=BAD)), deletionTimestamp="2026-01-31T12:00:00Z"),
        workload("Job", template(env(A=BAD)), ownerReferences=[{"controller": True}]),
        {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {}},
        {"kind": "ConfigMap", "metadata": {"name": "web"}, "data": {}},
    ],
    ids=["asks-not", "opted-out", "on-its-way-out", "made-by-a-cronjob", "no-template", "no-pods"],
)
def test_who_asks_for_nothing_or_is_not_a_persons_work_hears_nothing(raw):
    """No template that asks, or one that a controller wrote."""
    found = judged(raw)

    assert (found.kind, found.reason, found.warnings) == ("allow", "not_judged", ())


@pytest.mark.parametrize(
    "user",
    [
        "system:serviceaccount:kube-system:deployment-controller",
        "system:kube-controller-manager",
        "system:node:worker-1",
    ],
)
def test_controllers_are_not_told(user):
    """Nobody reads the warnings that a controller gets."""
    raw = workload("Deployment", template(env(A=BAD)))

    assert judged(raw, user=user).warnings == ()


def test_a_pipelines_account_is_told():
    """What applies manifests for people shows them the warnings."""
    raw = workload("Deployment", template(env(A=BAD)))

    assert len(judged(raw, user="system:serviceaccount:argocd:deployer").warnings) == 1


def test_nothing_is_said_in_a_namespace_that_is_not_injected():
    """kube-system's pods are skipped, whatever they ask for."""
    raw = workload("Deployment", template(env(A=BAD)))

    assert judged(raw, namespace="kube-system").warnings == ()


def test_annotations_beside_the_template_and_mistakes_in_it_are_both_told():
    """What is on the wrong object comes first."""
    raw = workload("Deployment", template(env(A=BAD)), annotations={f"{PREFIX}service": "app"})

    first, second = judged(raw).warnings

    assert first == (
        f"secret-injector: {PREFIX}service on a Deployment does nothing;"
        " move it to spec.template.metadata.annotations"
    )
    assert second.startswith(REFUSED)


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (["env", "files"], f"{PREFIX}env, {PREFIX}files"),
        (["a", "b", "c", "d"], f"{PREFIX}a, {PREFIX}b, {PREFIX}c, ..."),
        (["env." + "a" * 59, "env." + "b" * 59], f"{PREFIX}env.{'a' * 59}, ..."),
    ],
)
def test_many_annotations_beside_the_template_leave_room_for_where_they_belong(names, listed):
    """The first three of them, or as many as leave the cure within the first 200 characters."""
    raw = workload("Deployment", template(), annotations={PREFIX + name: "x" for name in names})

    (line,) = judged(raw).warnings

    assert len(line) <= 200
    assert line == (
        f"secret-injector: {listed} on a Deployment does nothing;"
        " move it to spec.template.metadata.annotations"
    )


def test_ten_lines_at_most_and_the_last_one_counts_the_others():
    """Thirty mistakes are nine lines and a number."""
    wrong = {f"A{number}": "#{nowhere:a#b}" for number in range(30)}
    found = judged(workload("Deployment", template(env(**wrong))))

    assert len(found.warnings) == 10
    assert all(
        line.startswith(f"SI-110 annotation {PREFIX}env for A") for line in found.warnings[:9]
    )
    assert found.warnings[9] == "SI-117 and 21 more: secret-injector mutate -f FILE shows them all"


def test_ten_mistakes_are_ten_lines():
    """The number takes no line where none is needed."""
    wrong = {f"A{number}": "#{nowhere:a#b}" for number in range(10)}
    found = judged(workload("Deployment", template(env(**wrong))))

    assert [line[:6] for line in found.warnings] == ["SI-110"] * 10


def test_code_place_and_cure_stand_in_the_first_two_hundred_characters():
    """However long names are: the API server cuts long warnings."""
    name, path = "A" * 120, "p" * 300
    text = f"#{{vault:{path}#a | base65}}"
    found = judged(workload("Deployment", template(env(**{name: text}))))

    (line,) = found.warnings
    assert len(line) <= 200
    assert line.startswith("SI-101 AAAA")
    assert f"(annotation {PREFIX}env): " in line
    assert "base64" in line
    assert line.isprintable()


def test_a_name_in_control_characters_obeys_nobody():
    """A terminal shows them escaped, and the line stays within its length."""
    found = judged(workload("Deployment", template({"container\x1b[31m" * 20: "x"})))

    assert found.warnings
    assert all(line.isprintable() and len(line) <= 200 for line in found.warnings)


def test_what_may_have_been_stored_a_moment_ago_is_waited_for():
    """A store or service that is not there yet; a mistake in the text will not mend itself."""
    unknown = judged(workload("Deployment", template(env(A="#{nowhere:a#b}"))))
    slip = judged(workload("Deployment", template(env(A="#{vault:"))))

    assert (unknown.awaits_news, slip.awaits_news) == (True, False)


def test_what_could_not_be_decided_passes():
    """Too much work is said, since the workload is the reason; all else is ours alone."""
    over = review.denial(
        [workloads.Problem(code=workloads.errors.WORK, what="x")], reason="over_budget"
    )
    fault = review.denial(
        [workloads.Problem(code=workloads.errors.INTERNAL_ERROR, what="x")], reason="fault"
    )

    assert [workloads.passed(outcome).kind for outcome in (over, fault)] == ["allow", "allow"]
    assert workloads.passed(fault).warnings == ()
    assert workloads.passed(over).warnings == (
        (
            "SI-122 pod template: this workload takes more work to judge than a warning is worth;"
            " its pods are judged; secret-injector mutate -f FILE judges it without a limit"
        ),
    )


VOLCANO = {
    "apiVersion": "batch.volcano.sh/v1alpha1",
    "kind": "Job",
    "metadata": {"name": "train"},
    "spec": {
        "tasks": [
            {"name": "one", "template": template(env(A=GOOD))},
            {"name": "two", "template": template(env(A=BAD))},
            {"name": "three", "template": template(env(A=BAD, B=BAD))},
        ]
    },
}


def test_templates_are_found_by_shape_and_named_where_the_kind_does_not_say_it():
    """In a kind of somebody else's with several templates: each mistake once, with its place."""
    found = judged(VOLCANO)

    assert [line.split(" annotation")[0] for line in found.warnings] == [
        "SI-110 spec.tasks[1].template",
        "SI-110 spec.tasks[2].template",
    ]
    assert [" for A: " in line or " for B: " in line for line in found.warnings] == [True, True]
    assert all(len(line) <= 200 for line in found.warnings)


def test_a_kind_that_hands_its_own_annotations_on_is_in_order():
    """A Tekton Task's annotations are its pod's."""
    task = {
        "apiVersion": "tekton.dev/v1",
        "kind": "Task",
        "metadata": {"name": "build", "annotations": {f"{PREFIX}env": json.dumps({"A": BAD})}},
        "spec": {"steps": [{"name": "one", "image": "busybox", "script": "true"}]},
    }

    assert [line[:6] for line in judged(task).warnings] == ["SI-110"]


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"annotations": {f"{PREFIX}env": 7}}},
        {"metadata": {"annotations": [f"{PREFIX}env"]}},
        {"spec": {"containers": [{"name": "app", "env": "A"}]}},
        {"spec": {"containers": [{"name": "app", "env": [{"name": "A", "value": 7}]}]}},
        {"spec": {"containers": [{"name": ["app"], "command": "run"}]}},
        {"spec": {"containers": [{"name": "app"}], "volumes": 7}},
    ],
)
def test_what_only_looks_like_a_pod_is_left_alone(change):
    """A custom resource may hold anything; one template that is none does not hide the others."""
    tasks = [{"template": {**template(env(A=BAD)), **change}}, {"template": template(env(A=BAD))}]
    raw = {"apiVersion": "x/v1", "kind": "Odd", "metadata": {}, "spec": {"tasks": tasks}}

    assert [line[:29] for line in judged(raw).warnings] == ["SI-110 spec.tasks[1].template"]
