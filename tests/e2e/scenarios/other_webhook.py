"""Another mutating webhook, as a service mesh has one: it adds a container after ours was added."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.e2e.scenarios import pods
from tests.e2e.testbed.cluster import Cluster, Object
from tests.e2e.testbed.pki import Authority

NAME = "z-mesh"
"""Configurations are called in the order of their names, so this one comes after ours."""

CONTAINER = pods.app("mesh")


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Answer a review: add the container unless it is there."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        response = {"uid": request["uid"], "allowed": True}
        names = [container["name"] for container in request["object"]["spec"]["containers"]]
        if CONTAINER["name"] not in names:
            operations = [{"op": "add", "path": "/spec/containers/-", "value": CONTAINER}]
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
def running(cluster: Cluster, folder: Path, namespace: str) -> Iterator[None]:
    """Serve the webhook for the pods of one namespace, by a URL on this machine."""
    authority = Authority(folder, "mesh-ca")
    certificate, key = authority.issue("mesh", common_name="mesh", hosts=(cluster.host_ip,))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with ThreadingHTTPServer((cluster.host_ip, 0), _Handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"https://{cluster.host_ip}:{server.server_address[1]}/"
            cluster.apply(_configuration(address, authority.cert.read_bytes(), namespace))
            yield
        finally:
            cluster.delete("MutatingWebhookConfiguration", NAME)
            server.shutdown()
            thread.join()


def _configuration(url: str, authority: bytes, namespace: str) -> Object:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [
            {
                "name": "pods.mesh.example.org",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": base64.b64encode(authority).decode()},
                "rules": [{**rule, "operations": ["CREATE"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "sideEffects": "None",
                "timeoutSeconds": 5,
            }
        ],
    }
