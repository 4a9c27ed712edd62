"""Who is served, and which nodes count, as a real API server and its webhooks make it."""

from __future__ import annotations

from tests.e2e.scenarios import other_webhook, pods
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import until

PROXY = {"name": "istio-proxy", "image": "registry.example/istio/proxyv2:1.29.0"}
ASKS = pods.asking(env={"PASSWORD": "#{k8s:s#password}"})


def add_proxy(spec):
    """Add the proxy of a mesh, with a user of its own, as Istio's webhook does before ours."""
    if PROXY["name"] not in [each["name"] for each in spec["containers"]]:
        spec["containers"].append({**PROXY, "securityContext": {"runAsUser": 1337}})


def test_the_proxy_of_a_mesh_gets_no_secret_and_the_person_is_told(tenant, tmp_path):
    """Its UID does not widen the mode of the application's files either."""
    pod = pods.pod(
        "app",
        pods.restricted(pods.app(command=pods.SLEEP), user=1234),
        annotations={**ASKS, **pods.asking(files={"password": "#{k8s:s#password}"})},
    )
    change = (tenant.cluster, tmp_path, tenant.namespace, add_proxy)
    with other_webhook.running(*change, name=other_webhook.BEFORE):
        answer = until(
            lambda: proxied(tenant.cluster.create(pod, tenant.namespace, dry_run=True)),
            what="the mesh's webhook is called",
            timeout_s=20,
        )

    app, proxy = answer.json()["spec"]["containers"]
    assert [mount["name"] for mount in app["volumeMounts"] if mount["name"] == pods.OURS] == [
        pods.OURS,
        pods.OURS,
    ]
    assert [mount for mount in proxy["volumeMounts"] if mount["name"].startswith(pods.OURS)] == []
    # One user: our container runs as it, and no group is added.
    assert pods.ours(answer.json())["securityContext"]["runAsUser"] == 1234
    assert "supplementalGroups" not in answer.json()["spec"].get("securityContext", {})
    assert [line for line in answer.warnings if line.startswith("SI-145")] == [
        (
            "SI-145 annotation secret-injector.io/containers: not served, since another injector"
            " added it: istio-proxy (Istio)"
        )
    ]


def proxied(answer):
    """Return the answer if the mesh's proxy is in the pod."""
    names = [each["name"] for each in answer.json()["spec"]["containers"]]
    return answer if names == ["app", "istio-proxy"] else None


def mode_of(tenant, **spec):
    """Return how a container without command gets its variable: native, or the refusal's text."""
    pod = pods.pod("native", pods.bare("app"), annotations=ASKS, **spec)
    try:
        made = tenant.cluster.create(pod, tenant.namespace, dry_run=True).json()
    except ApiError as refused:
        return refused.message
    (entry,) = made["spec"]["containers"][0]["env"]
    return "native" if "fileKeyRef" in entry["valueFrom"] else str(entry)


def test_an_old_node_counts_only_for_pods_that_can_land_on_it(tenant, node):
    """Taints and selectors keep pods away from it; the message names the node that blocks."""
    tenant.put_secret("s", {"password": "x"})
    node("tainted", taints=[{"key": "old", "value": "yes"}])
    node("virtual", labels={"type": "virtual-kubelet"})
    tolerates = {"tolerations": [{"key": "old", "operator": "Exists"}]}

    blocked = until(
        lambda: text if (text := mode_of(tenant, **tolerates)) != "native" else None,
        what="the webhook knows the old node",
        timeout_s=20,
    )

    assert 'node "tainted" runs v1.33.4' in blocked
    assert "secret-injector.io/containers" in blocked
    assert mode_of(tenant) == "native"
    selector = {"kubernetes.io/hostname": "testbed"}
    assert mode_of(tenant, **tolerates, nodeSelector=selector) == "native"


def test_the_setting_decides_where_versions_do_not(system, tenant, node):
    """`never` refuses although every node is new; `always` goes by nobody's version."""
    tenant.put_secret("s", {"password": "x"})
    try:
        system.install(injected={"nativeEnv": "never"})
        refused = until(
            lambda: text if (text := mode_of(tenant)) != "native" else None,
            what="native variables are refused",
            timeout_s=30,
        )
        node("old")
        system.install(injected={"nativeEnv": "always"})
        until(lambda: mode_of(tenant) == "native", what="native again", timeout_s=30)
    finally:
        system.install()

    assert "env-mode native does not work: the platform switched it off" in refused
