"""A pod as our webhook makes it, with everything it may carry, and ways to get at its parts."""

from tests import asking
from webhook.core import decide, jsonpatch
from webhook.core.catalog import Catalog

OWN = asking.INJECTION.image
BEFORE = "registry.example/secret-injector@sha256:" + "0b" * 32
NEXT = "registry.example/secret-injector@sha256:" + "ff" * 32
CLUSTER = (
    asking.vault(),
    asking.vault("bao", audience="https://bao.example"),
    asking.node("v1.36.0"),
    asking.service("shop", "db", {"DB": "#{vault:kv/shop/db#password}"}),
)
PLAN = "SECRET_INJECTOR_PLAN"
NAMESPACE = "apart"
"""Where tests on a cluster put these pods; they were decided for the namespace shop."""


def asked():
    """Return a pod that gets variables by the launcher, others natively, files, and a Secret."""
    pod = asking.pod(
        {
            "service": "db",
            "env": 'A: "#{bao:kv/shop/a#x}"\nK: "#{k8s:whole}"',
            "files": 'tls.key: "#{k8s:tls#key}"',
        }
    )
    pod["spec"]["containers"].append({"name": "aux", "image": "aux"})
    return pod


def injected(pod=None, *objects, injection=asking.INJECTION):
    """Return the pod after our webhook, in a cluster with these objects."""
    pod = pod or asked()
    decided = decide.decide(asking.request(pod), Catalog.of(objects or CLUSTER), injection)
    assert decided.kind == "inject", decided.problems
    return jsonpatch.apply(pod, decided.operations)


def ours(pod):
    """Return our init container."""
    return next(c for c in pod["spec"]["initContainers"] if c["name"] == "secret-injector")


def volume(pod, name):
    """Return a volume by its name."""
    return next(v for v in pod["spec"]["volumes"] if v["name"] == name)


def plan_entry(pod):
    """Return the variable with the plan."""
    return next(e for e in ours(pod)["env"] if e["name"] == PLAN)


def app(pod, name="app"):
    """Return an app container."""
    return next(c for c in pod["spec"]["containers"] if c["name"] == name)


def unmount(pod, container, path):
    """Take a mount off a container."""
    kept = [m for m in container["volumeMounts"] if m["mountPath"] != path]
    container["volumeMounts"] = kept


def tokens(pod):
    """Return the tokens of our sources."""
    sources = volume(pod, "secret-injector-sources")["projected"]["sources"]
    return [s["serviceAccountToken"] for s in sources if "serviceAccountToken" in s]
