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


def claims_of(token):
    """Return the claims of a JSON Web Token."""
    payload = token.split(b".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
