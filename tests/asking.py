"""Asking for a decision as the API server does: reviews, catalogs and what comes of them."""

import json

from webhook.core import decide, jsonpatch, review
from webhook.core.catalog import Catalog

INJECTION = decide.Injection(image="registry.example/secret-injector@sha256:" + "5e" * 32)
PREFIX = "secret-injector.io/"


def vault(name="vault", *, role="{namespace}", **spec):
    """Return a ClusterSecretStore; keywords go to its spec."""
    provider = {
        "address": "https://vault.example:8200",
        "auth": {"kubernetes": {"role": role}},
    }
    return {
        "kind": "ClusterSecretStore",
        "metadata": {"name": name},
        "spec": {"vault": provider, **spec},
    }


def node(version):
    """Return a Node with a kubelet of this version."""
    return {
        "kind": "Node",
        "metadata": {"name": "node-" + version},
        "status": {"nodeInfo": {"kubeletVersion": version}},
    }


def service(namespace, name, env=None, **spec):
    """Return a ServiceSecrets; keywords go to its spec."""
    return {
        "kind": "ServiceSecrets",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"env": env or {}, **spec},
    }


def policy(name="guard", **spec):
    """Return a ClusterInjectionPolicy; keywords go to its spec."""
    return {"kind": "ClusterInjectionPolicy", "metadata": {"name": name}, "spec": spec}


def pod(annotations=None, **container):
    """Return a pod with one container and these annotations of ours."""
    named = {PREFIX + name.replace("_", "-"): text for name, text in (annotations or {}).items()}
    app = {"name": "app", "image": "app", "command": ["/bin/app"], **container}
    return {"metadata": {"name": "app-0", "annotations": named}, "spec": {"containers": [app]}}


def request(found, namespace="shop"):
    """Return the request that a review of the pod's creation carries."""
    asked = {
        "uid": "1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": namespace,
        "object": found,
    }
    body = {"apiVersion": review.API_VERSION, "kind": "AdmissionReview", "request": asked}
    return review.parse(json.dumps(body).encode())


def outcome(found, *objects, namespace="shop", catalog=None):
    """Return what is decided about a pod in a cluster with these objects."""
    return decide.decide(request(found, namespace), catalog or Catalog.of(objects), INJECTION)


def patched(found, decided):
    """Return the pod after the decision."""
    return jsonpatch.apply(found, decided.operations)


def codes(decided):
    """Return the codes of the decision's problems, each once, sorted."""
    return sorted({problem.code.id for problem in decided.problems})
