"""What happens to creations and to running pods while parts of the system fail or are replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.scenarios import pods, refusals
from tests.e2e.scenarios.load import Load
from tests.e2e.scenarios.replicas import Replicas
from tests.e2e.scenarios.system import NAMESPACE as OURS
from tests.e2e.scenarios.system import RELEASE, System, Tenant, store
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.cluster import Object
from tests.e2e.testbed.local import LocalCluster
from tests.e2e.testbed.process import until

NAMESPACE = "availability"
RATE = 20
RUNS_EVERY = 100
"""One creation of so many is real and runs; the others are dry runs, admitted just the same."""

LAUNCHER = ["/run/secret-injector/launcher", "/run/secret-injector/env", "--"]
EXPIRY = "certificate_expiry_timestamp_seconds"
VALUE = b"from the Secret"
REFUSALS = tuple(
    "500 InternalError: Internal error occurred: failed calling webhook "
    f'"{name}.secret-injector.io": failed to call webhook: '
    f'Post "https://{RELEASE}.{OURS}.svc:443/{path}?timeout=5s": '
    for name, path in (("pods", "mutate"), ("final-state", "validate"))
)

Say = Callable[[str], None]


@pytest.fixture(scope="module")
def tenant(lasting_tenant: Tenant) -> Tenant:
    """Return the tenant of this file, with one Secret."""
    lasting_tenant.put_secret("set", {"value": VALUE})
    return lasting_tenant


@pytest.fixture(scope="module")
def replicas(system: System, local_cluster: LocalCluster) -> Iterator[Replicas]:
    """Return the webhook with three replicas."""
    found = Replicas(local_cluster, namespace=OURS, deployment=RELEASE)
    before = found.count
    found.scale(3)
    yield found
    found.scale(before, wait=False)


def annotated(name: str) -> Object:
    """Return a pod that asks for one value."""
    env = {"VALUE": "#{k8s:set#value}"}
    return pods.pod(name, pods.app(command=pods.SLEEP), annotations=pods.asking(env=env))


def is_whole(pod: Object) -> bool:
    """Say whether a pod has all that injection adds to it."""
    (app,) = pod["spec"]["containers"]
    mounted = [mount["mountPath"] for mount in app["volumeMounts"]]
    return (
        pods.is_injected(pod)
        and app["command"] == [*LAUNCHER, *pods.SLEEP]
        and "/run/secret-injector" in mounted
    )


@pytest.fixture
def load(tenant: Tenant, local_cluster: LocalCluster, request: pytest.FixtureRequest) -> Load:
    """Return a load of annotated pods of which some really run."""
    word = request.node.name.removeprefix("test_").replace("_", "-")[:30].strip("-")

    def create(number: int) -> Object:
        is_dry = number % RUNS_EVERY > 0
        pod = annotated(f"{word}-{number}")
        return local_cluster.create(pod, tenant.namespace, dry_run=is_dry).json()

    return Load(create, per_s=RATE, is_whole=is_whole)


def environments(cluster: LocalCluster, prefix: str) -> list[bytes | None]:
    """Return the variable of every pod of a load that runs, once all of them do; end the pods."""
    names = [pod["metadata"]["name"] for pod in cluster.find("Pod", NAMESPACE)]
    found = []
    for name in names:
        if name.startswith(prefix):
            cluster.wait("Pod", name, NAMESPACE, until_true=refusals.is_running, timeout_s=90)
            found.append(cluster.container_environ(name, "app", NAMESPACE).get(b"VALUE"))
            cluster.delete("Pod", name, NAMESPACE, grace_s=0)
    return found


def test_rolling_restarts_refuse_nothing(
    load: Load, replicas: Replicas, local_cluster: LocalCluster, say: Say
):
    """Two rolling restarts of three replicas under load: nothing fails, nothing slips through."""
    with load:
        for _ in range(2):
            replicas.restart()
        load.run_for(1)
    say(load.summary())

    assert (load.failed, load.uninjected) == ([], [])
    assert len(load.made) > 10 * RATE
    values = environments(local_cluster, "rolling-restarts")
    assert len(values) >= len(load.made) // RUNS_EVERY
    assert set(values) == {VALUE}


def test_killed_replicas_cost_a_moment(
    load: Load, replicas: Replicas, local_cluster: LocalCluster, say: Say
):
    """SIGKILL of one replica after the other: a few refusals each, until kube-proxy knows.

    What it was answering is lost, and a new connection may still be sent to it: the API server does
    not try another replica.
    """
    killed_s = []
    with load:
        load.run_for(1)
        for name, count in replicas.restarts().items():
            killed_s.append(load.elapsed_s)
            replicas.kill(name)
            replicas.wait_restarted({name: count})
            load.run_for(2)
    say(load.summary())

    assert load.uninjected == []
    after_s = [
        min(each.began_s - moment_s for moment_s in killed_s if each.began_s > moment_s - 1)
        for each in load.failed
    ]
    assert all(delay_s < 3 for delay_s in after_s), after_s
    assert len(after_s) < len(killed_s) * RATE / 2
    assert [each.error for each in load.failed if not each.error.startswith(REFUSALS)] == []
    assert set(environments(local_cluster, "killed-replicas")) == {VALUE}


def test_a_frozen_replica_is_taken_out(
    load: Load, replicas: Replicas, local_cluster: LocalCluster, say: Say
):
    """SIGSTOP of one replica: refusals within the API server's time limit, until it is out."""
    victim = replicas.names()[0]
    try:
        with load:
            load.run_for(1)
            frozen_s = load.elapsed_s
            replicas.freeze(victim)
            replicas.wait_unready(victim)
            out_s = load.elapsed_s
            load.run_for(8)
    finally:
        replicas.thaw(victim)
    replicas.wait_ready()
    say(f"out {out_s - frozen_s:.0f} s after it froze; {load.summary()}")

    assert load.uninjected == []
    assert [each for each in load.failed if each.began_s > out_s + 2] == []
    assert [each.error for each in load.failed if not each.error.startswith(REFUSALS)] == []
    assert max(each.took_s for each in load.made) < 7
    assert out_s - frozen_s < 30


def test_a_new_certificate_is_taken_up_without_a_failure(
    load: Load, replicas: Replicas, system: System, local_cluster: LocalCluster, say: Say
):
    """The certificate's Secret is emptied under load: every replica serves a new one soon."""
    before = replicas.metric(EXPIRY)
    with load:
        local_cluster.patch("Secret", f"{RELEASE}-tls", {"data": None}, OURS)
        until(
            lambda: all(expiry > before[name] for name, expiry in replicas.metric(EXPIRY).items()),
            what="every replica serves the new certificate",
            timeout_s=90,
        )
        took_s = load.elapsed_s
        load.run_for(3)
    say(f"served everywhere after {took_s:.0f} s; {load.summary()}")

    assert (load.failed, load.uninjected) == ([], [])
    assert set(environments(local_cluster, "a-new-certificate")) == {VALUE}


def test_only_pods_that_ask_are_sent_to_the_webhook(
    tenant: Tenant, replicas: Replicas, local_cluster: LocalCluster
):
    """Plain pods and pods that opt out are never seen by a replica; others twice.

    Once to be changed, once to be judged when everybody else has changed them.
    """
    before = replicas.reviews()
    for number in range(20):
        plain = pods.pod(f"plain-{number}", pods.app())
        refused = pods.pod(f"out-{number}", pods.app(), annotations={pods.INJECT: "false"})
        local_cluster.create(plain, NAMESPACE, dry_run=True)
        local_cluster.create(refused, NAMESPACE, dry_run=True)
    between = replicas.reviews()
    local_cluster.create(annotated("asks"), NAMESPACE, dry_run=True)

    assert between == before
    assert replicas.reviews() == before + 2


def test_without_the_webhook_only_pods_that_ask_are_refused(
    tenant: Tenant, replicas: Replicas, local_cluster: LocalCluster, system: System, say: Say
):
    """No replica: a refusal that names the webhook; other pods start; later all is well again."""
    refused = pods.deployment(annotated("patient"))
    replicas.scale(0)
    try:
        with pytest.raises(ApiError) as refusal:
            local_cluster.create(annotated("early"), NAMESPACE)
        local_cluster.apply(refused, NAMESPACE)
        began_s = time.monotonic()
        plain = pods.pod("plain", pods.app())
        opted_out = pods.pod("opted-out", pods.app(), annotations={pods.INJECT: "false"})
        local_cluster.apply([plain, opted_out], NAMESPACE)
        for name in ("plain", "opted-out"):
            local_cluster.wait_condition("Pod", name, NAMESPACE)
        started_s = time.monotonic() - began_s
        without = local_cluster.find("Pod", NAMESPACE, selector="app=patient")
    finally:
        replicas.scale(3, wait=False)
    began_s = time.monotonic()
    system.wait_until_it_injects()
    say(
        f"pods that do not ask ran after {started_s:.1f} s; from no replica to the first injection"
        f" {time.monotonic() - began_s:.1f} s"
    )
    replicas.wait_ready()
    local_cluster.wait(
        *("deployments.apps", "patient", NAMESPACE),
        until_true=lambda item: item["status"].get("readyReplicas") == 1,
        timeout_s=90,
    )

    assert str(refusal.value).startswith(REFUSALS)
    assert without == []
    (late,) = local_cluster.find("Pod", NAMESPACE, selector="app=patient")
    assert is_whole(late)


def test_replicas_that_all_died_come_back_unaided(
    tenant: Tenant, replicas: Replicas, local_cluster: LocalCluster, system: System, say: Say
):
    """SIGKILL of every replica, then loss of every pod: injection is back without any hands."""
    restarts = replicas.restarts()
    replicas.kill(*restarts)
    began_s = time.monotonic()
    system.wait_until_it_injects(timeout_s=60)
    restarted_s = time.monotonic() - began_s
    replicas.wait_restarted(restarts)

    before = set(replicas.names())
    replicas.delete_all()
    began_s = time.monotonic()
    replicas.wait_ready()
    recreated_s = time.monotonic() - began_s
    say(
        f"injection back {restarted_s:.1f} s after all were killed;"
        f" all replicas back {recreated_s:.1f} s after their pods were deleted"
    )

    assert before.isdisjoint(replicas.names())
    assert is_whole(local_cluster.create(annotated("after"), NAMESPACE, dry_run=True).json())


def test_an_api_server_restart_is_outlived(
    tenant: Tenant, replicas: Replicas, local_cluster: LocalCluster, system: System, say: Say
):
    """No replica restarts or forgets; creations are injected at once, and watches go on."""
    before = replicas.restarts()
    began_s = time.monotonic()
    local_cluster.restart_api_server()
    ready_s = time.monotonic() - began_s
    first = until(
        lambda: local_cluster.create(annotated("first"), NAMESPACE, dry_run=True).json(),
        what="the first creation",
        timeout_s=30,
        retry_on=(ApiError, OSError),
    )
    say(
        f"API server ready after {ready_s:.1f} s, first injection after"
        f" {time.monotonic() - began_s:.1f} s"
    )
    connection = {"address": system.vault.address, "auth": {"kubernetes": {"role": "any"}}}
    system.define(store("defined-later", {"vault": connection}))
    replicas.wait_ready()

    assert is_whole(first)
    assert replicas.restarts() == before


def test_a_new_sandbox_is_filled_again(tenant: Tenant, local_cluster: LocalCluster):
    """After a reboot or the loss of the sandbox the fetch runs again, and the set is complete."""
    local_cluster.apply(annotated("rebooted"), NAMESPACE)
    first = tenant.ready("rebooted")
    local_cluster.kill_sandbox("rebooted", NAMESPACE)
    again = local_cluster.wait(
        *("Pod", "rebooted", NAMESPACE),
        until_true=lambda pod: _app(pod)["restartCount"] == 1 and "running" in _app(pod)["state"],
    )

    assert _fetch(again)["containerID"] != _fetch(first)["containerID"]
    environ = local_cluster.container_environ("rebooted", "app", NAMESPACE)
    assert environ[b"VALUE"] == VALUE


def test_a_crashed_application_has_its_set_again(tenant: Tenant, local_cluster: LocalCluster):
    """A restarted container reads the same volume: no second fetch, no variable lost."""
    local_cluster.apply(annotated("crashed"), NAMESPACE)
    first = tenant.ready("crashed")
    pid = local_cluster.container_pid("crashed", "app", NAMESPACE)
    local_cluster.space.run("kill", "-9", str(pid))
    again = local_cluster.wait(
        *("Pod", "crashed", NAMESPACE),
        until_true=lambda pod: _app(pod)["restartCount"] == 1 and "running" in _app(pod)["state"],
    )

    assert _fetch(again)["containerID"] == _fetch(first)["containerID"]
    environ = local_cluster.container_environ("crashed", "app", NAMESPACE)
    assert environ[b"VALUE"] == VALUE


def test_a_kubelet_without_env_files_leaves_native_variables_empty(
    tenant: Tenant, local_cluster: LocalCluster
):
    """The limit of env-mode native: a node whose kubelet has the feature gate off says nothing.

    The webhook sees nodes' versions, not their gates. The launcher does not depend on the gate.
    """
    native = annotated("no-gate-native")
    native["metadata"]["annotations"] |= pods.asking(env_mode="native")
    local_cluster.restart_kubelet(feature_gates={"EnvFiles": False})
    try:
        local_cluster.apply([native, annotated("no-gate-launcher")], NAMESPACE)
        found = {}
        for name in ("no-gate-native", "no-gate-launcher"):
            tenant.ready(name)
            found[name] = local_cluster.container_environ(name, "app", NAMESPACE)[b"VALUE"]
    finally:
        local_cluster.restart_kubelet()

    assert found == {"no-gate-native": b"", "no-gate-launcher": VALUE}


def _app(pod: Object) -> Object:
    (status,) = pod["status"]["containerStatuses"]
    return dict(status)


def _fetch(pod: Object) -> Object:
    (status,) = pod["status"]["initContainerStatuses"]
    return dict(status)
