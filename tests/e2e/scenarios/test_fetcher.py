"""Scenario: our own container, caught while it waits for a store that does not answer."""

from __future__ import annotations

import base64
import json

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.inside import Inside
from tests.e2e.testbed.vault import AUDIENCE

SOURCES = "/var/run/secrets/kubernetes.io/serviceaccount"
NOBODY = "65532"


def is_fetching(pod):
    """Say whether our container runs."""
    statuses = pod["status"].get("initContainerStatuses", [])
    return any(s["name"] == pods.OURS and "running" in s["state"] for s in statuses)


def test_our_container_holds_the_tokens_of_its_stores_and_no_right_beyond(
    tenant, inside, local_cluster
):
    """No API token, no capability, no root, no value: an audience-bound token and single keys."""
    tenant.put_vault("db", user="shop")
    tenant.put_secret("s", {"used": "from a Secret", "unused": "never mounted"})
    env = {"USER": f"#{{vault:secret/{tenant.namespace}/db#user}}", "KEY": "#{k8s:s#used}"}
    pod = pods.pod("app", pods.bare(command=["/envdump"]), annotations=pods.asking(env=env))
    there = Inside(cluster=local_cluster, pod="app", namespace=tenant.namespace)
    tenant.vault.hang()
    try:
        tenant.apply(pod)
        tenant.cluster.wait(
            "Pod", "app", tenant.namespace, until_true=is_fetching, what="our container"
        )
        environ = there.environ(pods.OURS)
        sources = there.files(SOURCES, pods.OURS)
        status = there.status(pods.OURS)
        waiting = tenant.cluster.get("Pod", "app", tenant.namespace)
    finally:
        tenant.vault.resume()
    served = inside("app").environ()

    assert set(environ) == {
        b"SECRET_INJECTOR_PLAN",
        b"SECRET_INJECTOR_LOG_LEVEL",
        b"POD_NAME",
    }
    assert set(sources) == {"secrets/s/used", "tokens/vault"}
    assert sources["secrets/s/used"].content == b"from a Secret"
    claims = claims_of(sources["tokens/vault"].content)
    assert claims["aud"] == [AUDIENCE]
    assert claims["sub"] == f"system:serviceaccount:{tenant.namespace}:default"
    assert claims["exp"] - claims["iat"] <= 600 + 7
    assert claims["kubernetes.io"]["pod"]["name"] == "app"
    assert status["Uid"] == status["Gid"] == [NOBODY] * 4
    assert {status[name][0].strip("0") for name in ("CapEff", "CapPrm", "CapBnd")} == {""}
    assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])
    assert waiting["status"]["containerStatuses"][0]["state"] == {
        "waiting": {"reason": "PodInitializing"}
    }
    assert served == {b"USER": b"shop", b"KEY": b"from a Secret"}


LOOK = """
for process in /proc/[0-9]*; do
    read -r name < $process/comm
    for file in environ maps root/app/start.py cwd/app/start.py; do
        (: < $process/$file) 2>/dev/null && echo "$name $file"
    done
done; true
"""


def test_a_neighbour_of_the_same_user_in_a_shared_pid_namespace_cannot_read_our_container(tenant):
    """A sidecar that starts before ours sees the process, and nothing of it."""
    tenant.put_vault("db", user="shop")
    env = {"USER": f"#{{vault:secret/{tenant.namespace}/db#user}}"}
    peer = pods.restricted(pods.app("peer", command=pods.SLEEP), user=int(NOBODY))
    pod = pods.pod(
        "shared",
        pods.bare(command=["/envdump"]),
        annotations=pods.asking(env=env, **{"init-after": "peer"}),
        shareProcessNamespace=True,
        initContainers=[{**peer, "restartPolicy": "Always"}],
    )
    tenant.vault.hang()
    try:
        tenant.apply(pod)
        tenant.cluster.wait(
            "Pod", "shared", tenant.namespace, until_true=is_fetching, what="our container"
        )
        seen = tenant.cluster.exec(
            *("shared", "peer", "sh", "-c", "cat /proc/[0-9]*/comm"), namespace=tenant.namespace
        )
        told = tenant.cluster.exec("shared", "peer", "sh", "-c", LOOK, namespace=tenant.namespace)
    finally:
        tenant.vault.resume()

    assert b"python" in seen
    names = {line.split()[0] for line in told.splitlines()}
    assert b"sh" in names
    assert names & {b"python", b"python3.15", b"launcher"} == set()


def claims_of(token):
    """Return the claims of a JSON Web Token."""
    payload = token.split(b".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
