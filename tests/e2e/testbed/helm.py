"""Helm against the cluster of the tests."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.testbed import cache
from tests.e2e.testbed.api import Object
from tests.e2e.testbed.cluster import Cluster
from tests.e2e.testbed.process import run


class Helm:
    """The helm command; a failure raises CommandFailedError with what helm said."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __call__(
        self, *arguments: str | Path, stdin: str | None = None, timeout_s: float = 180
    ) -> str:
        """Run helm and return its standard output."""
        program = cache.bin_dir() / "helm"
        env = self._cluster.env
        return run(program, *arguments, input=stdin, env=env, timeout_s=timeout_s).decode()

    def install(
        self,
        release: str,
        chart: Path,
        namespace: str,
        values: Mapping[str, object] | None = None,
        *,
        timeout_s: int = 120,
    ) -> None:
        """Install or upgrade a release and wait until all of its workloads are ready."""
        self(
            *("upgrade", "--install", release, chart, "--namespace", namespace),
            *("--create-namespace", "--wait", "--timeout", f"{timeout_s}s", "--values", "-"),
            stdin=json.dumps(values or {}),
            timeout_s=timeout_s + 30,
        )

    def uninstall(self, release: str, namespace: str) -> None:
        """Remove a release and wait until its objects are gone."""
        self("uninstall", release, "--namespace", namespace, "--wait", "--ignore-not-found")

    def values(self, release: str, namespace: str) -> Object:
        """Return the values that a release was installed with."""
        parsed: Object = json.loads(self("get", "values", release, "-n", namespace, "-o", "json"))
        return parsed
