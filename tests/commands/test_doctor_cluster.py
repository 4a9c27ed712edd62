"""`doctor --cluster`: what a pod on each node showed, which setting follows, and what is left."""

import json
import re
from datetime import UTC, datetime

import pytest
from aiohttp import web

from injector import cli
from tests.commands.desk import config
from tests.server.apiserver import NODES, status
from tests.server.secret_api import SecretApi, Threaded

DEPLOYMENTS = "/apis/apps/v1/deployments"
PODS = re.compile(r"/api/v1/namespaces/([^/]+)/pods(?:/([^/]+))?")
READY = {"type": "Ready", "status": "True"}
NEW, OLD = "v1.36.1", "v1.33.0"


class Kubelets(SecretApi):
    """An API server whose pods end at once, as the node's kubelet lets them.

    `ends` says how by node: an exit status, or the status of a pod that never ends. `knows` is
    whether the server knows fileKeyRef; `pods` are those there, `made` all that ever were.
    """

    def __init__(self):
        super().__init__()
        self.collections |= {DEPLOYMENTS}
        self.ends, self.knows, self.pods, self.made = {}, True, {}, []
        self.refuses = None

    async def _handle(self, request):
        found = PODS.fullmatch(request.path)
        if not found:
            return await super()._handle(request)
        name = found[2]
        if request.method == "POST":
            return await self._new(request, found[1])
        if request.method == "DELETE":
            assert (await request.json()) == {"gracePeriodSeconds": 0}
            return web.json_response({}) if self.pods.pop(name, None) else status(404, "NotFound")
        wanted = dict(each.split("=") for each in request.query["labelSelector"].split(","))
        items = [p for p in self.pods.values() if wanted.items() <= p["metadata"]["labels"].items()]
        return web.json_response({"items": items})

    async def _new(self, request, namespace):
        pod = await request.json()
        if self.refuses:
            return status(*self.refuses)
        if not self.knows and "env" in pod["spec"]["containers"][0]:
            return status(422, "Invalid")
        if request.query.get("dryRun"):
            return web.json_response(pod, status=201)
        terms = pod["spec"]["affinity"]["nodeAffinity"]
        (term,) = terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        (node,) = term["matchFields"][0]["values"]
        how = self.ends.get(node, 0)
        ended = [{"name": "read", "state": {"terminated": {"exitCode": how}}}]
        pod["metadata"]["creationTimestamp"] = "2026-01-31T12:00:00Z"
        pod["status"] = how if isinstance(how, dict) else {"containerStatuses": ended}
        self.made.append((namespace, pod))
        self.pods[pod["metadata"]["name"]] = pod
        return web.json_response(pod, status=201)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Return a cluster of kubelets, to which the kubeconfig of this machine leads."""
    threaded = Threaded(Kubelets)
    (tmp_path / "config").write_text(json.dumps(config(threaded.api.port)))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    yield threaded
    threaded.close()


@pytest.fixture
def doctor(cluster, capsys):
    """Return a function that runs the command and returns status, output and messages."""

    def run(*argv, left=()):
        done = cli.run(["doctor", "--cluster", *argv])
        assert tuple(cluster.api.pods) == left
        return done, *capsys.readouterr()

    return run


def node(cluster, name, kubelet=NEW, *, labels=(), conditions=(READY,), **spec):
    """Put a node there."""
    info = {"nodeInfo": {"kubeletVersion": kubelet}, "conditions": list(conditions)}
    metadata = {"labels": dict(labels)}
    cluster.do(cluster.api.put(NODES, name, metadata=metadata, spec=spec, status=info))


def release(cluster, setting="auto"):
    """Put a release there."""
    container = {
        "image": "mirror.example/secret-injector:1",
        "imagePullPolicy": "Always",
        "env": [{"name": "SECRET_INJECTOR_NATIVE_ENV", "value": setting}],
    }
    pod = {"containers": [container], "imagePullSecrets": [{"name": "mirror"}]}
    metadata = {"namespace": "injector-system"}
    spec = {"template": {"spec": pod}}
    cluster.do(cluster.api.put(DEPLOYMENTS, "injector", metadata=metadata, spec=spec))


def test_nodes_that_deliver_need_no_other_setting(cluster, doctor):
    """One line a node, one for the release; the pods are gone."""
    release(cluster)
    node(cluster, "a")
    node(cluster, "b", taints=[{"key": "gpu", "value": "x", "effect": "NoSchedule"}])

    done, out, err = doctor()

    assert done == 0
    assert out.splitlines() == [
        "NODE  KUBELET  NATIVE VARIABLES",
        "a     v1.36.1  delivered",
        "b     v1.36.1  delivered",
        "release injector-system/injector: injected.nativeEnv: auto is right",
    ]
    assert err == "making a pod on each of 2 nodes, in the namespace injector-system\n"
    assert [namespace for namespace, _ in cluster.api.made] == ["injector-system"] * 2
    spec = cluster.api.made[1][1]["spec"]
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["imagePullSecrets"] == [{"name": "mirror"}]
    assert {(c["image"], c["imagePullPolicy"]) for c in spec["containers"]} == {
        ("mirror.example/secret-injector:1", "Always")
    }


def test_a_kubelet_with_the_gate_off_is_found_and_the_setting_named(cluster, doctor):
    """The variable is empty, the kubelet is new enough: no version would have told."""
    release(cluster)
    node(cluster, "a")
    node(cluster, "b")
    cluster.api.ends["b"] = 3

    done, out, err = doctor()

    assert done == 3
    assert out.splitlines()[-2:] == [
        "b     v1.36.1  empty             its kubelet has the feature gate EnvFiles switched off",
        "release injector-system/injector: set injected.nativeEnv: never; it is auto",
    ]
    assert err.splitlines()[1:] == [
        (
            "SI-603 release injector-system/injector: injected.nativeEnv is auto,"
            " and variables stay empty on b"
        ),
        "       hint: set injected.nativeEnv: never in the chart",
    ]


def test_an_old_kubelet_is_what_auto_is_for(cluster, doctor):
    """`auto` is right, `always` is not."""
    node(cluster, "a")
    node(cluster, "b", OLD)
    cluster.api.ends["b"] = 3
    release(cluster)
    first = doctor()
    release(cluster, "always")

    second = doctor("-o", "json")

    assert (first[0], second[0]) == (0, 3)
    assert "its kubelet is older than 1.35, which auto knows" in first[1]
    assert json.loads(second[1])["nativeEnv"] == "auto"


def test_a_setting_that_is_safe_is_no_finding(cluster, doctor):
    """`never` costs the feature and leaves nothing empty."""
    release(cluster, "never")
    node(cluster, "a")

    done, out, _ = doctor()

    assert done == 0
    assert out.splitlines()[-1] == (
        "release injector-system/injector: injected.nativeEnv: never is safe;"
        " auto would work as well"
    )


def test_an_api_server_without_the_field_is_told_from_a_pod_that_is_wrong(cluster, doctor):
    """The same pod without the variable passes; where that is refused too, the refusal is shown."""
    release(cluster)
    node(cluster, "a")
    cluster.api.knows = False
    done, out, _ = doctor()
    cluster.api.refuses = (422, "Invalid")

    other, shown, err = doctor()

    assert (done, other, shown) == (3, 8, "")
    assert "empty             the API server does not know fileKeyRef" in out
    assert "SI-415 the API server /api/v1/namespaces/injector-system/pods" in err


def test_nodes_that_take_no_pod_are_named_with_the_reason(cluster, doctor):
    """A control plane is looked at when its name is given."""
    release(cluster)
    plane = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    node(cluster, "a")
    node(cluster, "cordoned", unschedulable=True)
    node(cluster, "plane", taints=[plane])
    node(cluster, "vk", labels={"type": "virtual-kubelet"})
    node(cluster, "win", labels={"kubernetes.io/os": "windows"})
    node(cluster, "off", conditions=())

    shown = json.loads(doctor("-o", "json")[1])["nodes"]
    named = json.loads(doctor("--node", "plane", "-o", "json")[1])["nodes"]

    assert {each["node"]: (each["result"], each["note"]) for each in shown} == {
        "a": ("delivered", ""),
        "cordoned": ("not looked at", "cordoned"),
        "plane": ("not looked at", "a control plane; --node names it"),
        "vk": ("not looked at", "a virtual node"),
        "win": ("not looked at", "Windows: no pod is injected there"),
        "off": ("not looked at", "not Ready"),
    }
    assert [(each["node"], each["result"]) for each in named] == [("plane", "delivered")]


def test_a_pod_that_does_not_start_proves_nothing_and_says_why(cluster, doctor):
    """The others still count."""
    release(cluster)
    node(cluster, "a")
    node(cluster, "b")
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
    cluster.api.ends["b"] = {"initContainerStatuses": [waiting]}

    done, out, err = doctor("--timeout", "1")

    assert done == 7
    assert "injected.nativeEnv: auto is right" in out
    assert "SI-504 node b: the pod did not end within 1 s: ImagePullBackOff" in err


def test_pods_that_a_killed_run_left_are_deleted_and_those_of_one_beside_are_not(cluster, doctor):
    """Old ones have ended by themselves; young ones may be somebody's who looks right now."""
    release(cluster)
    node(cluster, "a")
    labels = {"app.kubernetes.io/name": "secret-injector-doctor"}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for name, made in (("old", "2026-01-31T12:00:00Z"), ("young", now)):
        metadata = {"name": name, "labels": labels, "creationTimestamp": made}
        cluster.api.pods[name] = {"metadata": metadata}

    done, _, _ = doctor(left=("young",))

    assert done == 0


def test_a_context_that_acts_as_somebody_else_is_refused(cluster, doctor, tmp_path):
    """The library would use the person's own rights."""
    document = json.loads((tmp_path / "config").read_text())
    document["users"][0]["user"] = {"as": "somebody"}
    (tmp_path / "config").write_text(json.dumps(document))

    done, _, err = doctor()

    assert (done, err.split()[0]) == (2, "SI-112")


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        ((), 2, "SI-201 no release of secret-injector is in the cluster"),
        (("--image", "x", "--node", "b"), 2, "SI-201 there is no node b"),
        (("vault",), 2, "SI-201 --cluster looks at nodes, not at a store"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(cluster, doctor, argv, status, message):
    """Nothing was made."""
    node(cluster, "a")

    done, out, err = doctor(*argv)

    assert (done, out, cluster.api.made) == (status, "", [])
    assert err.startswith(message)


def test_options_for_a_cluster_want_the_word(capsys):
    """`doctor vault -n shop` would else do something else than was meant."""
    assert cli.run(["doctor", "vault", "-n", "shop"]) == 2
    assert capsys.readouterr().err.startswith("SI-201 --node, -n, --image")


def test_a_right_that_is_missing_is_named(cluster, doctor):
    """With the question for kubectl."""
    release(cluster)
    node(cluster, "a")
    cluster.api.refuses = (403, "Forbidden")

    done, _, err = doctor()

    assert done == 5
    assert "hint: kubectl auth can-i create pods -n injector-system; if it says yes" in err
