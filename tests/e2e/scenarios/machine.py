"""A person's machine beside the cluster: a folder, a kubeconfig with few rights, a command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.e2e.testbed.cluster import Cluster, Object

_DOCS = Path(__file__).parents[3] / "docs/stores/kubernetes.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command ended with; `err` are the lines of its messages."""

    status: int
    out: str
    err: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A folder to run commands in."""

    folder: Path
    kubeconfig: Path | None = None

    def secret(self, *argv: str, stdin: str = "") -> Done:
        """Run `secret-injector secret` with a text on its standard input."""
        config = {} if self.kubeconfig is None else {"KUBECONFIG": str(self.kubeconfig)}
        ended = subprocess.run(
            [sys.executable, "-m", "injector", "secret", *argv],
            cwd=self.folder,
            env={**os.environ, **config},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(status=ended.returncode, out=ended.stdout, err=ended.stderr.splitlines())

    def values(self, name: str, *options: str) -> Object:
        """Return the values of a secret."""
        done = self.secret("get", name, "--reveal", "-o", "json", *options)
        assert (done.status, done.err) == (0, [])
        found: Object = json.loads(done.out)
        return found

    def write(self, name: str, content: object) -> None:
        """Write a file of the folder, as JSON, which is YAML."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))


def manager(cluster: Cluster, namespace: str, folder: Path) -> Machine:
    """Return the machine of somebody with no rights but those that the page of the store states."""
    account = {"kind": "ServiceAccount", "name": "manager", "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    subjects = {"subjects": [account]}
    cluster.apply(
        [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "manager"}},
            _role(),
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "secret-managers"},
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "secret-manager"},
                **subjects,
            },
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": f"{namespace}-sees"},
                "roleRef": {
                    "apiGroup": group,
                    "kind": "ClusterRole",
                    "name": "secret-injector-view",
                },
                **subjects,
            },
        ],
        namespace,
    )
    token = cluster.token("manager", namespace)
    path = folder / "kubeconfig"
    path.write_text(json.dumps(_kubeconfig(cluster, namespace, {"token": token})))
    return Machine(folder=folder, kubeconfig=path)


def _role() -> Object:
    """Return the Role that the page says to paste."""
    blocks = re.findall(r"```yaml\n(.*?)```", _DOCS.read_text(), re.DOTALL)
    (role,) = (each for each in map(yaml.safe_load, blocks) if each["kind"] == "Role")
    found: Object = role
    return found


def _kubeconfig(cluster: Cluster, namespace: str, user: Mapping[str, object]) -> Object:
    """Return a kubeconfig for the cluster of the tests, as another user."""
    given: Object = yaml.safe_load(cluster.kubeconfig.read_text())
    current = next(c for c in given["contexts"] if c["name"] == given["current-context"])
    place = {"cluster": current["context"]["cluster"], "user": "manager", "namespace": namespace}
    return {
        **given,
        "contexts": [{"name": "here", "context": place}],
        "current-context": "here",
        "users": [{"name": "manager", "user": user}],
    }
