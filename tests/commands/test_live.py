"""Commands that ask a cluster: what they read of it, what they never read, and how they fail."""

import asyncio
import json

import pytest

from injector import cli
from tests import asking
from tests.server.apiserver import NAMESPACES, NODES, STORES, ApiServer, answer

SERVICES = STORES.replace("clustersecretstores", "servicesecrets")
ENVIRONMENTS = STORES.replace("clustersecretstores", "environmentsecrets")
POLICIES = STORES.replace("clustersecretstores", "clusterinjectionpolicies")
PODS, DEPLOYMENTS, JOBS = "/api/v1/pods", "/apis/apps/v1/deployments", "/apis/batch/v1/jobs"
READ = {
    *(NAMESPACES, NODES, STORES, SERVICES, ENVIRONMENTS, POLICIES, PODS, DEPLOYMENTS, JOBS),
    *("/apis/apps/v1/statefulsets", "/apis/apps/v1/daemonsets", "/apis/batch/v1/cronjobs"),
}
"""All that is ever asked for: no Secret is among it."""

SPEC = {"address": "https://vault.example.com", "auth": {"kubernetes": {"role": "app"}}}
ASKING = {"secret-injector.io/service": "checkout"}


@pytest.fixture
def ask(tmp_path, capsys):
    """Return a function that runs a command against a server that holds a small shop.

    It returns exit status, output, messages and the server; `prepare` changes the server first.
    """

    def run(*argv, prepare=lambda server: None):
        return asyncio.run(asked(argv, prepare))

    async def asked(argv, prepare):
        async with ApiServer() as server:
            await fill(server)
            prepare(server)
            kubeconfig = tmp_path / "kubeconfig"
            kubeconfig.write_text(json.dumps(config(server.port)))
            status = await asyncio.to_thread(cli.run, [*argv, "--kubeconfig", str(kubeconfig)])
            return status, *capsys.readouterr(), server

    return run


def config(port):
    """Return a kubeconfig for a server without TLS."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {}}],
    }


async def fill(server):
    """Put a store, a service, a Deployment that uses it and an injected pod of it there."""
    server.collections |= READ
    store, service = asking.vault(), asking.service("shop", "checkout", {"A": "#{vault:kv/a#b}"})
    place = {"namespace": "shop", "managedFields": [{"manager": "x"}]}
    pod = asking.pod()
    pod["metadata"] = {"annotations": ASKING}
    injected = asking.patched(pod, asking.outcome(pod, store, service))
    await server.put(STORES, "vault", spec=store["spec"])
    await server.put(SERVICES, "checkout", metadata=place, spec=service["spec"])
    await server.put(
        DEPLOYMENTS,
        "checkout",
        metadata=place,
        spec={"replicas": 2, "template": pod},
    )
    await server.put(
        PODS,
        "checkout-1",
        metadata={**place, "annotations": ASKING},
        spec=injected["spec"],
    )
    await server.put(PODS, "other", metadata=place, spec=pod["spec"])


def test_a_running_pod_is_explained_by_its_name(ask):
    """The pod that runs is explained as it was asked for; nothing but lists was requested."""
    status, out, err, server = ask("explain", "checkout-1")

    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "Pod shop/checkout-1",
        "└─ A   (container app)",
        "     is        #{vault:kv/a#b}",
        "     from      ServiceSecrets shop/checkout spec.env.A",
        "     reads     vault kv/a#b",
        "reserved for the pod, before → after injection: cpu 0 → 10m, memory 0 → 32Mi",
    ]
    assert set(server.seen) == {("list", path) for path in READ}


def test_who_uses_a_path_names_services_workloads_and_running_pods(ask):
    """The reverse inventory holds everything that reads it, and no pod that does not."""
    status, out, _, _ = ask("who-uses", "vault:kv/a", "-o", "json")

    assert status == 0
    assert [each["by"] for each in json.loads(out)] == [
        "ServiceSecrets shop/checkout",
        "Pod shop/checkout-1",
        "Deployment shop/checkout",
    ]


def test_files_are_judged_by_what_the_cluster_holds(ask, tmp_path):
    """With files they alone are looked at; stores and services of the cluster stand behind them."""
    file = tmp_path / "pod.json"
    pod = asking.pod({"env": 'B: "#{$checkout/A}"'})
    pod["metadata"]["namespace"] = "shop"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", **pod}))

    status, out, err, _ = ask("mutate", "-f", str(file), "-o", "patch")

    assert (status, err) == (0, f"{file}:1: Pod shop/app-0: inject (injected)\n")
    assert "/spec/volumes" in {operation["path"] for operation in json.loads(out)}
    assert ask("lint", "-f", str(file))[:3] == (0, "", "")


def test_a_running_pod_is_mutated_as_if_it_were_created_anew(ask):
    """What was injected before is taken out first, so that the two can be compared."""
    status, out, err, _ = ask("mutate", "-o", "patch")

    assert status == 0
    assert err.splitlines() == [
        "cluster:0: Pod shop/checkout-1: inject (injected)",
        "cluster:0: Deployment shop/checkout: inject (injected)",
    ]
    assert out.count('"path": "/spec/initContainers"') == 2


def test_a_cluster_that_is_in_order_has_nothing_to_lint(ask):
    """Objects of the cluster are judged as those of files are."""
    assert ask("lint")[:3] == (0, "", "")


def test_a_kind_that_may_not_be_listed_is_named_and_passed_over(ask):
    """A developer who may not list nodes still gets an answer, and is told what was left out."""

    def prepare(server):
        server.collections.discard(JOBS)  # not installed: nothing to say
        server.faults.extend([("list", served) for served in [refused_for(NODES, server)] * 12])

    status, out, err, _ = ask("who-uses", "vault", prepare=prepare)

    assert status == 0
    assert "Deployment shop/checkout" in out
    assert err == "not looked at: SI-403 the API server /api/v1/nodes: 403 Forbidden\n"


def refused_for(path, server):
    """Return a fault that refuses one path and lists every other one."""

    async def fault(request):
        if request.path == path:
            return await answer(403, "Forbidden")(request)
        return (
            await server._list(request)
            if request.path in server.collections
            else (await answer(404, "NotFound")(request))
        )

    return fault


@pytest.mark.parametrize(
    ("status", "reason", "line", "exit_status"),
    [
        (401, "Unauthorized", "SI-401 the API server {}: 401 Unauthorized", 5),
        (403, "Forbidden", "SI-403 the API server {}: 403 Forbidden", 5),
        (500, "InternalError", "SI-503 the API server {}: 500 InternalError", 7),
    ],
)
def test_our_own_kinds_must_be_readable(ask, status, reason, line, exit_status):
    """Without stores, services and policies there is no answer; the message names what failed."""

    def prepare(server):
        async def fault(request):
            if request.path.startswith("/apis/secret-injector.io"):
                return await answer(status, reason)(request)
            return await server._list(request)

        server.faults.extend([("list", fault)] * 12)

    found, out, err, _ = ask("lint", prepare=prepare)

    assert (found, out) == (exit_status, "")
    assert line.format(STORES) in err
    assert "canary-of-a-message" not in err


def test_where_to_look_must_be_said(capsys):
    """Neither files nor a cluster is a mistake in the call, not an empty answer."""
    status = cli.run(["lint"])

    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.splitlines()[0] == "SI-201 say where to look: -f FILE, or --cluster"


def test_the_cost_of_a_rollout_is_a_table_and_data(ask):
    """One login and two calls a pod at Vault; fifty pods make fifty and a hundred."""
    row = {"store": "vault", "provider": "vault", "reads": 50, "logins": 50, "calls": 100}

    _, table, _, _ = ask("explain", "checkout", "--cost", "--pods", "50")
    _, data, _, _ = ask("explain", "checkout", "--cost", "--pods", "50", "-o", "json")

    assert [line.split() for line in table.splitlines()] == [
        ["WORKLOAD", "PODS", "STORE", "PROVIDER", "READS", "LOGINS", "CALLS"],
        ["Deployment", "shop/checkout", "50", "vault", "vault", "50", "50", "100"],
    ]
    assert json.loads(data) == {
        "workloads": [{"workload": "Deployment shop/checkout", "pods": 50, "stores": [row]}],
        "total": [row],
    }
