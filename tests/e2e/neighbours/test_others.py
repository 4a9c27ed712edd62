"""Whatever others do to a pod that is injected already, it is accepted and gets its values.

The other webhook is called after ours and changes the pod; the API server then asks ours again
(`reinvocationPolicy: IfNeeded`), and the guard and the final state's webhook judge what comes out.
"""

from __future__ import annotations

import copy

import pytest

from tests.e2e.scenarios import other_webhook, pods
from tests.e2e.testbed.process import until

ROLES = (
    other_webhook.add_container,
    other_webhook.add_native_sidecar,
    other_webhook.add_sidecar_with_template,
    other_webhook.raise_resources,
    other_webhook.add_proxy,
    other_webhook.add_hooks,
    other_webhook.add_launcher,
)
# What is put right in our container, and would be refused if it were done once more after that.
PUT_RIGHT = (other_webhook.add_authority, other_webhook.be_another_release)
VALUES = {b"PASSWORD": b"open sesame"}
MIRRORED = "mirror.example/secret-injector:testbed"


def asking_pod(name="app", **spec):
    """Return a pod that asks for a variable and a file."""
    annotations = pods.asking(
        env={"PASSWORD": "#{k8s:s#password}"}, files={"password": "#{k8s:s#password}"}
    )
    return pods.pod(name, pods.app(command=pods.SLEEP), annotations=annotations, **spec)


def change(tenant, folder, *changes, **options):
    """Run the other webhook, and wait until the API server calls it."""
    return other_webhook.running(tenant.cluster, folder, tenant.namespace, *changes, **options)


def wait_until_changed(tenant, *changes):
    """Wait until a pod that does not ask comes out as the other webhook makes it."""
    plain = pods.pod("plain", pods.app(command=pods.SLEEP))

    def is_changed():
        made = tenant.cluster.create(plain, tenant.namespace, dry_run=True).json()
        before = copy.deepcopy(made["spec"])
        for each in changes:
            each(made["spec"])
        return made["spec"] == before

    until(is_changed, what="the other webhook is called", timeout_s=20)


def only_ours(environ):
    """Return what we gave, of all that the process has."""
    return {name: value for name, value in environ.items() if name in VALUES}


@pytest.mark.parametrize(
    "role", [*ROLES, *PUT_RIGHT], ids=lambda role: role.__name__.replace("_", "-")
)
def test_a_pod_that_others_changed_after_us_starts_with_its_values(tenant, inside, tmp_path, role):
    """Each of them alone, with its own values left in place."""
    tenant.put_secret("s", {"password": "open sesame"})
    # A pod that does not ask shows no trace of the one who changes our container alone.
    roles = (other_webhook.add_container, role)
    with change(tenant, tmp_path, *roles):
        wait_until_changed(tenant, *roles)
        tenant.apply(asking_pod())
    there = inside("app")
    stored = tenant.cluster.get("Pod", "app", tenant.namespace)

    assert only_ours(there.environ()) == VALUES
    assert {name: file.content for name, file in there.files().items()} == {
        "password": b"open sesame"
    }
    assert pods.ours(stored)["image"].endswith("secret-injector:testbed")
    after = without_ours(stored["spec"])
    role(stored["spec"])
    assert without_ours(stored["spec"]) == after


def without_ours(spec):
    """Return a copy of a pod's spec without our container, of which not all is kept."""
    sidecars = [each for each in spec["initContainers"] if each["name"] != pods.OURS]
    return copy.deepcopy({**spec, "initContainers": sidecars})


@pytest.mark.parametrize("reinvocation", ["Never", "IfNeeded"])
def test_all_of_them_together_change_nothing_of_it(tenant, inside, tmp_path, reinvocation):
    """Also where the API server asks both webhooks again."""
    tenant.put_secret("s", {"password": "open sesame"})
    with change(tenant, tmp_path, *ROLES, reinvocation=reinvocation):
        wait_until_changed(tenant, *ROLES)
        tenant.apply(asking_pod())

    assert only_ours(inside("app").environ()) == VALUES


def test_an_image_from_a_mirror_stays_where_it_is_listed_and_is_ours_where_not(
    system, tenant, tmp_path
):
    """`guard.images` says which names of a mirror count."""
    tenant.put_secret("s", {"password": "open sesame"})
    shown = {}
    try:
        for images in ([], [MIRRORED]):
            system.install(guard={"images": images})
            with change(tenant, tmp_path, other_webhook.mirror):
                wait_until_changed(tenant, other_webhook.mirror)
                made = tenant.cluster.create(asking_pod(), tenant.namespace, dry_run=True).json()
            everyone = [*made["spec"]["initContainers"], *made["spec"]["containers"]]
            shown[len(images)] = {each["name"]: each["image"] for each in everyone}
    finally:
        system.install()

    app = "mirror.example/busybox:testbed"
    assert shown == {
        0: {pods.OURS: "localhost/secret-injector:testbed", "app": app},
        1: {pods.OURS: MIRRORED, "app": app},
    }


def test_figures_that_the_server_writes_differently_are_the_same_figures(
    system, tenant, inside, tmp_path
):
    """A request of `0.1` is stored as `100m`; a LimitRange adds what is not set."""
    tenant.put_secret("s", {"password": "open sesame"})
    limit = {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "0.01"}}
    spec = {"limits": [limit]}
    tenant.apply(
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "range"}, "spec": spec}
    )
    try:
        system.install(injected={"resources": {"requests": {"cpu": "0.1", "memory": "0.0625Gi"}}})
        with change(tenant, tmp_path, other_webhook.add_container):
            wait_until_changed(tenant, other_webhook.add_container)
            tenant.apply(asking_pod())
        values = only_ours(inside("app").environ())
    finally:
        system.install()

    stored = tenant.cluster.get("Pod", "app", tenant.namespace)
    assert values == VALUES
    assert pods.ours(stored)["resources"]["requests"] == {"cpu": "100m", "memory": "64Mi"}


def test_a_copy_of_a_pod_starts_after_the_chart_has_changed(system, tenant, inside):
    """As a restore makes it: the stored object, created again, gets what is right today."""
    tenant.put_secret("s", {"password": "open sesame"})
    tenant.apply(asking_pod("first"))
    inside("first")
    first = tenant.cluster.get("Pod", "first", tenant.namespace)
    again = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "copy", "annotations": first["metadata"]["annotations"]},
        "spec": {name: field for name, field in first["spec"].items() if name != "nodeName"},
    }
    changed = {
        "logLevel": "debug",
        "deadlineSeconds": 90,
        "resources": {"limits": {"memory": "96Mi"}},
    }
    try:
        system.install(injected=changed)
        tenant.apply(again)
        values = only_ours(inside("copy").environ())
        second = tenant.cluster.get("Pod", "copy", tenant.namespace)
    finally:
        system.install()

    assert values == VALUES
    env = {entry["name"]: entry.get("value") for entry in pods.ours(second)["env"]}
    assert env["SECRET_INJECTOR_LOG_LEVEL"] == "debug"


@pytest.fixture
def debugging(tenant, inside):
    """Return a function that copies a running injected pod by `kubectl debug`."""
    tenant.put_secret("s", {"password": "open sesame"})
    tenant.apply(asking_pod())
    inside("app")

    def copied(*options):
        tenant.cluster.kubectl(
            *("debug", "app", "--copy-to=copy", "--namespace", tenant.namespace, *options),
            *("--image=localhost/busybox:testbed", "--image-pull-policy=Never", "--attach=false"),
            *("--container=debugger", "--profile=general"),
        )

    return copied


@pytest.mark.parametrize("options", [(), ("--keep-annotations",)], ids=["without", "with"])
def test_kubectl_debug_can_copy_an_injected_pod(debugging, inside, options):
    """`--copy-to` is how people look at a pod that crashes; by itself it drops the annotations."""
    debugging(*options)

    assert only_ours(inside("copy").environ()) == VALUES
