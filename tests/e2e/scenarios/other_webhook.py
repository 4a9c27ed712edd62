"""Another mutating webhook: what meshes, mirrors, autoscalers and proxy injectors do to pods."""

from __future__ import annotations

import base64
import copy
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.e2e.scenarios import pods
from tests.e2e.testbed.cluster import Cluster, Object
from tests.e2e.testbed.pki import Authority

NAME = "z-mesh"
"""Configurations are called in the order of their names, so this one comes after ours."""

BEFORE = "a-mesh"
"""This one comes before ours."""

CONTAINER = pods.app("mesh")

PROXY = [
    {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"},
    {"name": "NO_PROXY", "value": "10.0.0.0/8,172.16.0.0/12,.svc"},
]
"""Variables that a proxy injector gives to every container."""

Change = Callable[[Object], None]
"""Changes the spec of a pod in place, and a second time not at all."""


def add_container(spec: Object) -> None:
    """Add a container at the end, as a service mesh does."""
    if CONTAINER["name"] not in [each["name"] for each in spec["containers"]]:
        spec["containers"].append(copy.deepcopy(CONTAINER))


def add_native_sidecar(spec: Object) -> None:
    """Put a sidecar before all other init containers, as a mesh does with a native one."""
    sidecars = spec.setdefault("initContainers", [])
    if "mesh-proxy" not in [each["name"] for each in sidecars]:
        sidecars.insert(0, pods.app("mesh-proxy", command=pods.SLEEP, restartPolicy="Always"))


def add_sidecar_with_template(spec: Object) -> None:
    """Add a container whose variable is text of a template language that looks like ours."""
    if "template" not in [each["name"] for each in spec["containers"]]:
        env = [{"name": "FORMAT", "value": "#{k8s:s#password} #{level}"}]
        spec["containers"].append(pods.app("template", command=pods.SLEEP, env=env))


def mirror(spec: Object) -> None:
    """Take every image from a mirror, by its tag."""
    for container in everyone(spec):
        name = container["image"].partition("@")[0].partition("/")[2]
        container["image"] = f"mirror.example/{name}"


def raise_resources(spec: Object) -> None:
    """Raise what every container requests and may use, and limit its CPU, as autoscalers do."""
    for container in everyone(spec):
        container["resources"] = {
            "requests": {"cpu": "50m", "memory": "160Mi"},
            "limits": {"cpu": "1", "memory": "320Mi"},
        }


def add_proxy(spec: Object) -> None:
    """Give every container proxy variables, a library to preload, and its volume."""
    library = {"name": "LD_PRELOAD", "value": "/opt/company/trace.so"}
    for container in everyone(spec):
        env = container.setdefault("env", [])
        known = {each["name"] for each in env}
        env += [each for each in (*PROXY, library) if each["name"] not in known]
    _mount(spec, "company", "/opt/company")


def add_authority(spec: Object) -> None:
    """Give every container the company's authorities, where the system looks for its own."""
    authority = {"name": "SSL_CERT_FILE", "value": "/etc/company/ca.pem"}
    for container in everyone(spec):
        env = container.setdefault("env", [])
        if authority not in env:
            env.append(authority)
    _mount(spec, "company-ca", "/etc/company")


def _mount(spec: Object, volume: str, path: str) -> None:
    """Mount an empty volume in every container."""
    volumes = spec.setdefault("volumes", [])
    if volume not in [each["name"] for each in volumes]:
        volumes.append({"name": volume, "emptyDir": {}})
    for container in everyone(spec):
        mounts = container.setdefault("volumeMounts", [])
        if volume not in [each["name"] for each in mounts]:
            mounts.append({"name": volume, "mountPath": path, "readOnly": True})


def add_hooks(spec: Object) -> None:
    """Give the application a hook and a probe that run commands."""
    app = spec["containers"][0]
    told = 'test "$PASSWORD" = "open sesame"'
    app.setdefault("lifecycle", {}).setdefault("preStop", {"exec": {"command": ["sleep", "0"]}})
    command = ["sh", "-c", told]
    app.setdefault("readinessProbe", {"exec": {"command": command}, "periodSeconds": 1})


def add_launcher(spec: Object) -> None:
    """Start the application through another program, as tracers and other injectors do."""
    app = spec["containers"][0]
    if app["command"][0] != "env":
        app["command"] = ["env", "TRACED=yes", *app["command"]]


def be_another_release(spec: Object) -> None:
    """Leave our container as a release would that we cannot read: its plan, image and settings."""
    for container in spec.get("initContainers", []):
        if container["name"] == pods.OURS:
            container["image"] = f"{container['image'].partition('@')[0].rpartition(':')[0]}:next"
            container["resources"]["limits"]["memory"] = "96Mi"
            for entry in container["env"]:
                if entry["name"] == "SECRET_INJECTOR_PLAN":
                    entry["value"] = "of-a-later-version"


def everyone(spec: Object) -> list[Object]:
    """Return all containers of a pod, ours too."""
    found: list[Object] = [*spec.get("initContainers", []), *spec["containers"]]
    return found


class _Server(ThreadingHTTPServer):
    """Knows what to do to pods."""

    changes: tuple[Change, ...] = ()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Answer a review: change the pod's spec unless nothing is left to change."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        response = {"uid": request["uid"], "allowed": True}
        spec = request["object"]["spec"]
        before = json.dumps(spec)
        for change in self.server.changes:
            change(spec)
        if json.dumps(spec) != before:
            operations = [{"op": "replace", "path": "/spec", "value": spec}]
            patch = base64.b64encode(json.dumps(operations).encode()).decode()
            response |= {"patchType": "JSONPatch", "patch": patch}
        body = json.dumps(
            {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the base class's name
        """Write nothing: the test's output is the report."""


@contextmanager
def running(
    cluster: Cluster,
    folder: Path,
    namespace: str,
    *changes: Change,
    name: str = NAME,
    reinvocation: str = "Never",
) -> Iterator[None]:
    """Serve the webhook for the pods of one namespace, by a URL on this machine.

    Without *changes* it adds a container. *reinvocation* is its reinvocationPolicy.
    """
    authority = Authority(folder, f"{name}-ca")
    certificate, key = authority.issue(name, common_name=name, hosts=(cluster.host_ip,))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with _Server((cluster.host_ip, 0), _Handler) as server:
        server.changes = changes or (add_container,)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"https://{cluster.host_ip}:{server.server_address[1]}/"
            ca = authority.cert.read_bytes()
            cluster.apply(_configuration(name, address, ca, namespace, reinvocation))
            yield
        finally:
            cluster.delete("MutatingWebhookConfiguration", name)
            server.shutdown()
            thread.join()


def _configuration(
    name: str, url: str, authority: bytes, namespace: str, reinvocation: str
) -> Object:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": f"pods.{name}.example.org",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": base64.b64encode(authority).decode()},
                "rules": [{**rule, "operations": ["CREATE"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "reinvocationPolicy": reinvocation,
                "sideEffects": "None",
                "timeoutSeconds": 5,
            }
        ],
    }
