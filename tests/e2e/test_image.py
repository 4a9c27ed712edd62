"""The image as the kubelet runs it, under the restricted profile."""

import json

from tests.e2e.testbed.cluster import Cluster
from webhook.core import our_container

_PYTHON = ["/usr/bin/python", "-I"]

# Imports everything at once, as no process of ours does, to find what the image lacks.
_IMPORT_ALL = """
import importlib, pkgutil, injector, webhook
failed = {}
for package in (injector, webhook):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                failed[module.name] = str(error)
import aiobotocore.session, aiohttp, cryptography.x509, hvac, pyrage, uvloop, yaml
assert yaml.__with_libyaml__
print(failed)
"""

_DESCRIBE = """
START = "/usr/lib/secret-injector/launcher"
import importlib.util, json, os, sys
from injector import privacy
privacy.hide()
module = importlib.util.find_spec("injector.core.plan")
print(json.dumps({
    "uid": os.getuid(),
    "python": list(sys.version_info[:2]),
    "cached": os.path.exists(module.cached),
    "shells": [path for path in ("/bin/sh", "/bin/bash", "/usr/bin/env") if os.path.exists(path)],
    "launcher": os.access(os.environ["SECRET_INJECTOR_LAUNCHER"], os.X_OK),
    "lazy": sys.get_lazy_imports(),
    "readable": [p for p in ("/usr/bin/python", START) if os.access(p, os.R_OK)],
    "owner": os.stat("/proc/self/environ").st_uid,
    "ctypes": "ctypes" in sys.modules,
}))
"""


def restricted(name, image, **fields):
    """Return a pod of our image that satisfies the restricted profile."""
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "app", "image": image, "imagePullPolicy": "Never"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "containers": [container | {"securityContext": context} | fields],
        },
    }


def run(cluster: Cluster, namespace, manifest):
    """Run a pod to its end; return its exit status and output."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.patch("Namespace", namespace, {"metadata": {"labels": labels}})
    cluster.apply(manifest, namespace)
    name = manifest["metadata"]["name"]
    ended = cluster.wait_finished(name, namespace)
    status = ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
    return status, cluster.logs(name, "app", namespace).decode()


def test_the_image_says_its_version(cluster: Cluster, namespace: str, image: str):
    """The entry point works read-only, without root and without capabilities."""
    status, said = run(cluster, namespace, restricted("version", image, args=["--version"]))

    assert status == 0
    assert said.startswith("secret-injector ")


def test_every_module_finds_what_it_imports(cluster: Cluster, namespace: str, image: str):
    """Nothing that our code or its libraries import was left out of the image."""
    command = [*_PYTHON, "-c", _IMPORT_ALL]

    status, said = run(cluster, namespace, restricted("imports", image, command=command))

    assert (status, said) == (0, "{}\n")


def test_the_image_holds_what_start_up_needs_and_no_shell(
    cluster: Cluster, namespace: str, image: str
):
    """Python 3.15 imports lazily, bytecode and launcher are there, a shell is not.

    Nobody can read the interpreter's file, which hides its processes at no cost.
    """
    command = [*_PYTHON, "-X", "lazy_imports=all", "-c", _DESCRIBE]

    status, said = run(cluster, namespace, restricted("describe", image, command=command))

    assert status == 0, said
    assert json.loads(said) == {
        "uid": 65532,
        "python": [3, 15],
        "cached": True,
        "shells": [],
        "launcher": True,
        "lazy": "all",
        "readable": [],
        "owner": 0,
        "ctypes": False,
    }


_FOREIGN = {
    "LD_PRELOAD": "/evil.so",
    "LD_LIBRARY_PATH": "/evil",
    "PYTHONPATH": "/evil",
    "PYTHONHOME": "/evil",
    "SSL_CERT_FILE": "/evil",
    "HTTPS_PROXY": "http://evil.example",
    "SECRET_INJECTOR_TERMINATION_LOG": "/evil",
    "SECRET_INJECTOR_LOG_LEVEL": "info",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/",
}


def test_the_fetcher_starts_whatever_others_put_into_its_environment(
    cluster: Cluster, namespace: str, image: str
):
    """Neither loader nor interpreter sees it; a cloud's identity that is none is left out, told."""
    fields = {
        "command": our_container.COMMAND,
        "args": our_container.FETCH,
        "env": [{"name": name, "value": value} for name, value in _FOREIGN.items()],
        "workingDir": "/tmp",
    }

    status, said = run(cluster, namespace, restricted("foreign", image, **fields))

    lines = said.splitlines()
    assert status == 2
    assert lines[0].startswith(
        "SI-615 launcher: variable not passed to the fetcher"
        ' "AWS_CONTAINER_CREDENTIALS_FULL_URI": it is not'
    )
    assert [line for line in lines if line.startswith("SI-")][1:] == [
        "SI-201 SECRET_INJECTOR_PLAN is not set"
    ]
    assert "evil" not in said
