"""The real API server presents a client certificate, by --admission-control-config-file.

A control plane of its own, without a node: the cluster of the other tests is started without it.
"""

import base64
import contextlib
import json
import ssl

import pytest

from tests.bench import review
from tests.e2e.testbed import build
from tests.e2e.testbed.api import Api, ApiError
from tests.e2e.testbed.cluster import Cluster
from tests.e2e.testbed.controlplane import ControlPlane
from tests.e2e.testbed.images import compile_static
from tests.e2e.testbed.process import until
from tests.e2e.testbed.space import Space
from tests.server import process

NAME = "kube-apiserver-admission"
CALLS = 'secret_injector_webhook_calls_total{certificate="%s"}'


def configured(plane, users):
    """Give the API server a certificate for each host; return its flag."""
    pair = plane.ca.issue("admission", common_name=NAME)
    state = plane.space.state
    credentials = {"client-certificate": str(pair[0]), "client-key": str(pair[1])}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "users": [{"name": user, "user": credentials} for user in users],
    }
    (state / "admission-kubeconfig.json").write_text(json.dumps(kubeconfig))
    inner = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "WebhookAdmissionConfiguration",
        "kubeConfigFile": str(state / "admission-kubeconfig.json"),
    }
    plugins = ["MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"]
    configuration = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{"name": name, "configuration": inner} for name in plugins],
    }
    path = state / "admission.json"
    path.write_text(json.dumps(configuration))
    return f"--admission-control-config-file={path}"


class Rig:
    """The API server, and webhooks by name that judge its certificate differently."""

    def __init__(self, cluster, webhooks):
        self.cluster = cluster
        self.webhooks = webhooks

    def is_asked(self, name):
        """Whether the API server asks the webhook of that name by now."""
        with contextlib.suppress(ApiError):
            self.create(name, dry_run=True)
        found = ("allowed", "none", "other_name")
        return any(self.webhooks[name].metric(CALLS % each) for each in found)

    def create(self, name, *, dry_run=False):
        """Create a pod that only the webhook of that name is asked about."""
        pod = review.pod()
        pod["metadata"] = pod["metadata"] | {"name": name, "labels": {"webhook": name}}
        pod["metadata"].pop("generateName", None)
        pod["spec"] |= {"automountServiceAccountToken": False, "serviceAccountName": "default"}
        made = {"apiVersion": "v1", "kind": "Pod"} | pod
        made["metadata"]["namespace"] = "shop"
        return self.cluster.create(made, "shop", dry_run=dry_run)


@pytest.fixture(scope="module")
def rig(tmp_path_factory, say):
    """A control plane whose API server has a certificate for all webhooks but one."""
    build.build_all(say)
    folder = tmp_path_factory.mktemp("webhooks")
    with Space(compile_static("pause")) as space, contextlib.ExitStack() as stack:
        plane = ControlPlane(space)
        server_pair = plane.ca.issue("webhook", common_name="webhook", hosts=(space.host_ip,))
        cases = {
            "allowed": ["--client-names", NAME, "--client-mode", "require"],
            "other-name": ["--client-names", "somebody-else", "--client-mode", "require"],
            "none": ["--client-names", NAME, "--client-mode", "require"],
            "none-reported": ["--client-names", NAME, "--client-mode", "report"],
        }
        webhooks = {}
        for name, flags in cases.items():
            place = folder / name
            place.mkdir()
            (place / "catalog.yaml").write_text(json.dumps(review.STORE))
            files = ["--tls-cert", str(server_pair[0]), "--tls-key", str(server_pair[1])]
            files += ["--catalog", str(place / "catalog.yaml"), "--host", "0.0.0.0"]
            files += ["--client-ca", str(plane.ca.cert)]
            running = process.running(place, *files, *flags, is_offline=False)
            webhooks[name] = stack.enter_context(running)

        def host(name):
            return f"{space.host_ip}:{webhooks[name].ports['reviews']}"

        plane.api_server.argv.append(configured(plane, [host("allowed"), host("other-name")]))
        tls = ssl.create_default_context(cadata=plane.ca.cert.read_text())
        tls.load_cert_chain(plane.admin_cert, plane.admin_key)
        kubeconfig = plane.write_kubeconfig("admin", plane.admin_cert, plane.admin_key)
        cluster = Cluster(Api(plane.server, tls), kubeconfig)
        plane.etcd.start()
        plane.api_server.start()
        until(
            lambda: cluster.api.request("GET", "/readyz", accept="*/*").body == b"ok",
            what="the API server is ready",
            timeout_s=60,
            retry_on=(ApiError, OSError),
            explain=plane.explain,
        )
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        cluster.apply(account, "shop")
        for name in webhooks:
            cluster.apply(configuration(name, host(name), plane.ca.cert.read_bytes()))
        made = Rig(cluster, webhooks)
        for name in webhooks:
            until(
                lambda: made.is_asked(name),  # noqa: B023  # called here
                what=f"the configuration {name} is in use",
                timeout_s=30,
            )
        yield made


def configuration(name, host, ca):
    """A webhook configuration for the pods with one label."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": f"{name}.secret-injector.io",
                "clientConfig": {
                    "url": f"https://{host}/mutate",
                    "caBundle": base64.b64encode(ca).decode(),
                },
                "objectSelector": {"matchLabels": {"webhook": name}},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                    }
                ],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail",
                "timeoutSeconds": 5,
            }
        ],
    }


@pytest.mark.parametrize(("name", "found"), [("allowed", "allowed"), ("none-reported", "none")])
def test_the_api_server_is_answered(rig, name, found):
    """With its certificate where that is required, and without one where it is only reported."""
    before = rig.webhooks[name].metric(CALLS % found)

    made = rig.create(name).json()

    assert [each["name"] for each in made["spec"]["initContainers"]] == ["secret-injector"]
    assert rig.webhooks[name].metric(CALLS % found) == before + 1


@pytest.mark.parametrize(("name", "found"), [("other-name", "other_name"), ("none", "none")])
def test_the_api_server_is_refused_and_so_is_the_pod(rig, name, found):
    """A certificate without an allowed name, or none: 403, and the pod is not created."""
    before = rig.webhooks[name].metric(CALLS % found)

    with pytest.raises(ApiError) as caught:
        rig.create(name)

    assert caught.value.status == 500
    assert f'failed calling webhook "{name}.secret-injector.io"' in caught.value.message
    assert rig.webhooks[name].metric(CALLS % found) == before + 1
