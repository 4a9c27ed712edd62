"""The guard inside the API server: which pods it lets pass when no webhook has a say.

It is installed under another annotation prefix, for one namespace, so that no release is asked.
"""

import itertools
import json
import string

import pytest
import yaml

from tests.chart.manifests import CHART
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import until

PREFIX = "trial.example.org/"
NAMESPACE = "default"
ASKS = {f"{PREFIX}service": "shop"}
IMAGE = "secret-injector:0.1.0"
VOLUMES = [
    {"name": "secret-injector", "emptyDir": {"medium": "Memory"}},
    {"name": "secret-injector-sources", "projected": {"sources": []}},
]
NO_CONTAINER = (
    "the pod names values to inject, and no container of the injector is in it: the webhook was"
    " not asked, its work was undone, or the names stand for nothing;"
    f' {PREFIX}inject: "false" opts out'
)
FOREIGN_MOUNT = "another container mounts a volume of the injector, beyond its own read-only folder"
RIGHTS = "the container secret-injector has rights that the injector does not ask for"


def ours(*, security=(), **changes):
    """Return our init container as the webhook makes it, changed."""
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "secret-injector",
        "image": IMAGE,
        "command": ["/usr/lib/secret-injector/launcher"],
        "args": ["fetch"],
        "securityContext": context | dict(security),
        "volumeMounts": [{"name": "secret-injector", "mountPath": "/secret-injector/volume"}],
    }
    return container | changes


def app(*mounts, **fields):
    """Return an application's container."""
    return {"name": "app", "image": "app", "volumeMounts": list(mounts), **fields}


def mount(name, **fields):
    """Return a mount of a volume."""
    return {"name": name, "mountPath": "/x", **fields}


OWN_FOLDER = mount("secret-injector", readOnly=True, subPath="app/launch")


@pytest.fixture(scope="module")
def verdict(cluster, helm):
    """Return a function from a pod's annotations and spec to the guard's objection, or None."""
    values = {
        "webhook": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
        }
    }
    text = helm(
        *("template", "trial", CHART, "--namespace", "trial-system", "--values", "-"),
        *("--show-only", "templates/guard.yaml"),
        stdin=json.dumps(values),
    )
    text = text.replace("secret-injector.io/", PREFIX)
    text = text.replace("secret-injector[.]io/", PREFIX.replace(".", "[.]"))
    objects = list(yaml.safe_load_all(text))
    cluster.apply(objects)

    def judged(annotations, *init, containers=None, **spec):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "trial", "annotations": annotations},
            "spec": {
                "initContainers": list(init),
                "containers": containers or [app()],
                "volumes": VOLUMES,
                **spec,
            },
        }
        try:
            cluster.create(pod, NAMESPACE, dry_run=True)
        except ApiError as error:
            by, _, said = error.message.partition(" denied request: ")
            by_us = "ValidatingAdmissionPolicy 'trial-secret-injector-pods' with binding"
            return said if by_us in by else error.message
        return None

    until(lambda: judged(ASKS), what="the guard is in force", timeout_s=60)
    yield judged
    for item in reversed(objects):
        cluster.delete(item["kind"], item["metadata"]["name"])


@pytest.mark.parametrize(
    "annotations",
    [{}, {f"{PREFIX}inject": "false"}, {f"{PREFIX}inject": "false", **ASKS}, {"other/env": "x"}],
)
def test_pods_that_do_not_ask_pass(verdict, annotations):
    """Without an annotation of ours, or opted out, nothing is asked of a pod."""
    assert verdict(annotations) is None


def test_injected_pod_passes(verdict):
    """Our container, our image, the application at its own read-only folder."""
    assert verdict(ASKS, ours(), containers=[app(OWN_FOLDER)]) is None


@pytest.mark.parametrize("name", ["service", "env", "env.app", "files", "files.app"])
def test_pod_that_names_values_needs_our_container(verdict, name):
    """A pod that escaped the webhook is refused, whichever annotation names its values."""
    assert verdict({f"{PREFIX}{name}": "x"}) == NO_CONTAINER


def test_reference_in_a_container_counts(verdict):
    """A reference in a container's own variables is a value too; settings alone are none."""
    asks = {f"{PREFIX}inject": "true", f"{PREFIX}env-mode": "auto"}
    reference = app(env=[{"name": "A", "value": "#{k8s:a#b}"}])

    assert verdict(asks) is None
    assert verdict(asks, containers=[reference]) == NO_CONTAINER


@pytest.mark.parametrize(
    ("settings", "names", "verdict_"),
    [
        ({"env-mode": "auto"}, ["A"], None),
        ({"inject": "true", "containers": "other"}, ["A"], None),
        ({"inject": "true", "containers": "other, app"}, ["A"], NO_CONTAINER),
        ({"inject": "true", "inline": ""}, ["A"], None),
        ({"inject": "true", "inline": "B,DB_*"}, ["A", "XDB_"], None),
        ({"inject": "true", "inline": "B, DB_*"}, ["A", "DB_URL"], NO_CONTAINER),
        ({"inject": "true", "inline": "A.B"}, ["AxB"], None),
        ({"inject": "true", "inline": "A.B"}, ["A.B"], NO_CONTAINER),
    ],
)
def test_text_in_env_counts_only_where_the_webhook_would_evaluate_it(
    verdict, settings, names, verdict_
):
    """A commit message is no value to inject: not without the pod's word, not beside `inline`."""
    asks = {PREFIX + name: text for name, text in settings.items()}
    container = app(env=[{"name": name, "value": "#{k8s:a#b}"} for name in names])

    assert verdict(asks, containers=[container, {"name": "other", "image": "x"}]) == verdict_


def test_a_copy_of_our_annotations_in_env_is_no_value(verdict):
    """Argo's ARGO_TEMPLATE quotes the pod's annotations, references included."""
    copied = app(env=[{"name": "A", "value": PREFIX + "env: #{k8s:a#b}"}])

    assert verdict({f"{PREFIX}inject": "true"}, containers=[copied]) is None


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (
            ours(image="evil.example.org/secret-injector:0.1.0"),
            (
                "the container secret-injector is not of the injector's image:"
                " evil.example.org/secret-injector:0.1.0"
            ),
        ),
        (
            ours(image="secret-injector-evil:1"),
            "the container secret-injector is not of the injector's image: secret-injector-evil:1",
        ),
        (ours(args=["demo"]), "the container secret-injector does not run the injector"),
        (
            ours(command=["python3", "-c", "pass"]),
            "the container secret-injector does not run the injector",
        ),
        (ours(security={"allowPrivilegeEscalation": True}), RIGHTS),
        (ours(security={"allowPrivilegeEscalation": True, "privileged": True}), RIGHTS),
        (ours(security={"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}), RIGHTS),
        (ours(security={"capabilities": {"drop": ["CHOWN"]}}), RIGHTS),
    ],
)
def test_container_of_our_name_must_be_ours(verdict, container, said):
    """A name is nothing: the image, what it runs and its rights must be the injector's."""
    assert verdict(ASKS, container) == said


@pytest.mark.parametrize(
    "foreign",
    [
        mount("secret-injector"),
        mount("secret-injector", readOnly=True),
        mount("secret-injector", subPath="app/launch"),
        mount("secret-injector-sources", readOnly=True, subPath="tokens"),
    ],
)
def test_nobody_else_mounts_our_volumes(verdict, foreign):
    """An application may read its own folder, and neither write there nor see tokens."""
    assert verdict(ASKS, ours(), containers=[app(foreign)]) == FOREIGN_MOUNT


def test_largest_annotations_are_judged_within_the_budget(verdict):
    """A pod with as many annotations as Kubernetes allows is judged, not refused for its cost."""
    letters = string.ascii_lowercase + string.digits
    names = ("".join(word) for n in (1, 2, 3) for word in itertools.product(letters, repeat=n))
    annotations = dict.fromkeys(names, "")
    assert 130_000 < sum(map(len, annotations)) < 262_144

    assert verdict(annotations) is None
    assert verdict({**annotations, **ASKS}) == NO_CONTAINER


def test_ephemeral_containers_keep_away(cluster, verdict):
    """A debug container may be added, and may not reach into our volumes by mount or variable."""
    del verdict
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "guarded"},
        "spec": {
            "containers": [{"name": "app", "image": "app"}],
            "volumes": [*VOLUMES, {"name": "secret-injector-env", "emptyDir": {}}],
            "schedulerName": "nobody",
        },
    }
    cluster.create(pod, NAMESPACE)
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/guarded/ephemeralcontainers?dryRun=All"
    variable = {"volumeName": "secret-injector-env", "path": "app/A", "key": "A"}

    def added(**fields):
        container = {"name": "debug", "image": "debug", **fields}
        changes = {"spec": {"ephemeralContainers": [container]}}
        kind = "application/strategic-merge-patch+json"
        try:
            cluster.api.request("PATCH", path, changes, content_type=kind)
        except ApiError as error:
            return error.message.partition(" denied request: ")[2] or error.message
        return None

    try:
        found = [
            added(),
            added(volumeMounts=[mount("secret-injector-sources")]),
            added(env=[{"name": "A", "valueFrom": {"fileKeyRef": variable}}]),
        ]
    finally:
        cluster.delete("Pod", "guarded", NAMESPACE, grace_s=0)

    assert found == [
        None,
        "an ephemeral container may not mount a volume of the injector",
        "an ephemeral container may not take variables from a volume of the injector",
    ]
