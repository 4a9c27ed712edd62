"""Replicas of two releases, or of two settings, beside a mesh: nobody is refused or left out.

Pods are created at a steady rate while the replicas change; the other webhook changes each of them,
so that each is looked at twice, by whichever replica comes next, and then judged by a third one.
Nearly all are dry runs: no controller would send them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.scenarios import other_webhook, pods
from tests.e2e.scenarios.load import Load
from tests.e2e.scenarios.replicas import Replicas
from tests.e2e.scenarios.system import NAMESPACE, RELEASE, System
from tests.e2e.testbed import product
from tests.e2e.testbed.cluster import Object
from tests.e2e.testbed.helm import Helm
from tests.e2e.testbed.local import LocalCluster

RATE = 20
images: set[str] = set()
"""The images that our container had in the pods of a load."""

LAUNCHER = ["/run/secret-injector/launcher", "/run/secret-injector/env", "--"]

SETTINGS: dict[str, Object] = {
    "resources": {"requests": {"cpu": "15m"}, "limits": {"memory": "160Mi"}},
    "minAllowed": {"memory": "48Mi"},
    "maxAllowed": {"memory": "2Gi"},
    "skippedContainers": [{"owner": "Acme", "names": ["helper"], "images": ["acme/*"]}],
    "nativeEnv": "never",
    "runAsUser": 1234,
    "imagePullSecrets": [{"namespaces": ["*"], "names": ["pull"]}],
    "deadlineSeconds": 60,
    "logLevel": "debug",
    "image": {"pullPolicy": "IfNotPresent"},
}


@pytest.fixture
def replicas(local_cluster: LocalCluster, system: System) -> Replicas:
    """Return the webhook's replicas."""
    del system
    return Replicas(local_cluster, namespace=NAMESPACE, deployment=RELEASE)


@pytest.fixture
def load(
    local_cluster: LocalCluster, system: System, namespace: str, tmp_path: Path
) -> Iterator[Load]:
    """Return a load of pods that ask in every way, in a namespace with another webhook."""
    del system
    images.clear()
    env = [{"name": "INLINE", "value": "x#{k8s:set#value}"}]
    as_user = {"securityContext": {"runAsUser": 1000}, "command": pods.SLEEP}

    def create(number: int) -> Object:
        pod = pods.pod(
            f"rollout-{number}",
            pods.app(env=env, **as_user),
            {"name": "helper", "image": "registry.example/acme/helper:1", **as_user},
            annotations=pods.asking(
                inject="true", env={"VALUE": "#{k8s:set#value}"}, files={"f": "#{k8s:set#value}"}
            ),
        )
        return local_cluster.create(pod, namespace, dry_run=True).json()

    with other_webhook.running(local_cluster, tmp_path, namespace):
        yield Load(create, per_s=RATE, is_whole=is_whole)


def is_whole(pod: Object) -> bool:
    """Say whether a pod has all that injection and the mesh add to it."""
    app, _, mesh = pod["spec"]["containers"]
    mounted = [mount["mountPath"] for mount in app["volumeMounts"]]
    images.add(pods.ours(pod)["image"])
    return (
        pods.is_injected(pod)
        and mesh["name"] == "mesh"
        and app["command"] == [*LAUNCHER, *pods.SLEEP]
        and "INLINE" not in [entry["name"] for entry in app.get("env", [])]
        and {"/run/secret-injector", pods.FILES} <= set(mounted)
    )


def assert_nobody_was_refused(load: Load, say: Callable[[str], None]) -> None:
    """Say the figures of the load, and hold them to none refused and none left out."""
    say(load.summary())
    assert [creation.error for creation in load.failed] == []
    assert load.uninjected == []


def test_an_upgrade_and_its_rollback_refuse_nobody(
    system: System,
    helm: Helm,
    local_cluster: LocalCluster,
    replicas: Replicas,
    load: Load,
    tmp_path: Path,
    say: Callable[[str], None],
):
    """The next release has another image, and writes plans that this one cannot read."""
    name, archive = product.build_next(tmp_path)
    local_cluster.load_image(archive)
    tag = name.partition(":")[2]
    image = {**system.values["image"], "tag": tag}
    try:
        with load:
            load.run_for(2)
            system.install(image=image, injected={"logLevel": "debug", "deadlineSeconds": 60})
            replicas.wait_ready()
            load.run_for(2)
            say("upgraded")
            place = ("--namespace", NAMESPACE, "--wait", "--timeout", "120s")
            helm("rollback", RELEASE, *place)
            replicas.wait_ready()
            load.run_for(2)
    finally:
        system.install()

    assert_nobody_was_refused(load, say)
    assert images == {product.IMAGE, name}


def test_no_change_of_a_setting_refuses_anybody(
    system: System, replicas: Replicas, load: Load, say: Callable[[str], None]
):
    """Each value under `injected`, one upgrade after the other."""
    injected: dict[str, Object] = {}
    try:
        with load:
            for setting, value in SETTINGS.items():
                injected[setting] = value
                system.install(injected=injected)
                replicas.wait_ready()
                say(f"injected.{setting} is in force")
    finally:
        system.install()

    assert_nobody_was_refused(load, say)
