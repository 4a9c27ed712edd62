"""The folders of `examples/`: what is put on the cluster, and what must then be found in it.

A folder with workloads holds an `expected.toml`, which kubectl passes over:

    [given.local."hello/db"]              # put into the encrypted file of the folder's local store
    user = "hello"
    [given.vault."secret/shop/db"]        # put into Vault (KV version 2)
    password = "..."
    [given.secrets.licence]               # made as a Secret, where the folder itself has none
    key = "..."

    [pods.checkout.app.env]               # pods.POD.CONTAINER: all variables, all files
    DATABASE_URL = "postgres://..."
    SESSION_ID = true                     # there, whatever it is
    [pods."shop-dev/checkout".app.files]  # in a namespace that the folder makes
    "tls.key" = "..."

    [pods.hello.app]                      # all that it wrote
    log = "hello"

POD is a pod's name, or the name of the workload that made it. What names no namespace goes to
`default`, as kubectl does it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.testbed.cache import PROJECT
from tests.e2e.testbed.cluster import Object

FOLDER = PROJECT / "examples"
EXPECTED = "expected.toml"
_WORKLOADS = {"CronJob", "DaemonSet", "Deployment", "Job", "Pod", "StatefulSet"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One folder: its manifests by file name, in the order that kubectl applies them."""

    name: str
    manifests: dict[str, list[Object]]
    expected: dict[str, Any]

    def objects(self) -> Iterator[Object]:
        """Yield every object of the folder."""
        for documents in self.manifests.values():
            yield from documents

    def namespaces(self) -> list[str]:
        """Return the namespaces that the folder makes."""
        return [i["metadata"]["name"] for i in self.objects() if i["kind"] == "Namespace"]

    def images(self) -> set[str]:
        """Return the images that its workloads run."""
        pods = (_pod_of(item) for item in self.objects() if item["kind"] in _WORKLOADS)
        return {
            container["image"]
            for pod in pods
            for container in (*pod["containers"], *pod.get("initContainers", ()))
        }

    def has_workloads(self) -> bool:
        """Say whether something in the folder starts a pod."""
        return any(item["kind"] in _WORKLOADS for item in self.objects())


def read_all() -> list[Example]:
    """Return the examples that start pods, in the order of their names."""
    found = (_read(folder) for folder in sorted(FOLDER.iterdir()) if folder.is_dir())
    return [example for example in found if example.has_workloads()]


def _read(folder: Path) -> Example:
    expected = folder / EXPECTED
    return Example(
        name=folder.name,
        manifests={
            path.name: [
                document
                for document in yaml.safe_load_all(path.read_text())
                if document and "kind" in document
            ]
            for path in sorted(folder.glob("*.yaml"))
        },
        expected=tomllib.loads(expected.read_text()) if expected.exists() else {},
    )


def _pod_of(item: Object) -> Object:
    """Return the specification of the pods that a workload starts."""
    spec: Object = item["spec"]
    if item["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec if item["kind"] == "Pod" else spec["template"]["spec"]
