"""The webhook's replicas: how many, how they are, and ways to lose them."""

from __future__ import annotations

import re

from tests.e2e.testbed.cluster import Object
from tests.e2e.testbed.local import LocalCluster
from tests.e2e.testbed.process import until

_METRICS_PORT = 8080
_LIMIT_S = 120


class Replicas:
    """The pods of the webhook's Deployment."""

    def __init__(self, cluster: LocalCluster, *, namespace: str, deployment: str) -> None:
        self._cluster, self._namespace, self._deployment = cluster, namespace, deployment
        self._labels = (
            f"app.kubernetes.io/instance={deployment},app.kubernetes.io/component=webhook"
        )

    @property
    def count(self) -> int:
        """How many there should be."""
        wanted: int = self._get()["spec"]["replicas"]
        return wanted

    def names(self) -> list[str]:
        """Return the names of the pods that are not on their way out, sorted."""
        return sorted(
            pod["metadata"]["name"]
            for pod in self._pods()
            if not pod["metadata"].get("deletionTimestamp")
        )

    def restarts(self) -> dict[str, int]:
        """Return how often the process of each pod was started again."""
        return {
            pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
            for pod in self._pods()
        }

    # --- changes ---------------------------------------------------------------------------

    def scale(self, count: int, *, wait: bool = True) -> None:
        """Ask for so many replicas, and wait until they are ready and the others gone."""
        changes = {"spec": {"replicas": count}}
        self._cluster.patch("deployments.apps", self._deployment, changes, self._namespace)
        if wait:
            self.wait_ready()

    def restart(self) -> None:
        """Replace every pod, one after the other, and wait until the last old one is gone."""
        place = (f"deployment/{self._deployment}", "--namespace", self._namespace)
        self._cluster.kubectl("rollout", "restart", *place)
        self.wait_ready()

    def kill(self, *names: str) -> None:
        """Kill the processes of pods, without any warning to them; see `wait_restarted`."""
        self._signal("KILL", *names)

    def freeze(self, name: str) -> None:
        """Stop the process of a pod in its tracks: connections open, and nothing is answered."""
        self._signal("STOP", name)

    def thaw(self, name: str) -> None:
        """Let a frozen process go on."""
        self._signal("CONT", name)

    def wait_unready(self, name: str) -> None:
        """Wait until the kubelet has found a pod not ready."""
        self._cluster.wait(
            *("Pod", name, self._namespace),
            until_true=lambda pod: not pod["status"]["containerStatuses"][0]["ready"],
            what="being not ready",
        )

    def wait_restarted(self, before: dict[str, int]) -> None:
        """Wait until each of these pods has been started more often than *before*, and is ready."""
        until(
            lambda: all(self.restarts()[name] > count for name, count in before.items()),
            what="killed processes are started again",
            timeout_s=_LIMIT_S,
        )
        self.wait_ready()

    def delete_all(self) -> None:
        """Delete every pod, without grace."""
        for name in self.names():
            path = self._cluster.api.resource("Pod").path(self._namespace, name)
            self._cluster.api.request("DELETE", path, {"gracePeriodSeconds": 0})

    def wait_ready(self) -> None:
        """Wait until as many pods as there should be, and no others, are there and ready."""
        until(self._is_settled, what="the replicas are ready", timeout_s=_LIMIT_S)

    # --- metrics ---------------------------------------------------------------------------

    def metric(self, name: str) -> dict[str, float]:
        """Return the sum of a metric's series for each pod."""
        return {pod: _sum(self.metrics(pod), name) for pod in self.names()}

    def reviews(self) -> float:
        """Return how many reviews of pods all replicas have answered since they started."""
        return sum(self.metric("reviews_total").values())

    def metrics(self, name: str) -> str:
        """Return the metrics page of a pod."""
        pod = self._cluster.api.resource("Pod").path(self._namespace, f"{name}:{_METRICS_PORT}")
        return self._cluster.api.request("GET", f"{pod}/proxy/metrics", accept="*/*").body.decode()

    # --- inside ----------------------------------------------------------------------------

    def _signal(self, signal: str, *names: str) -> None:
        pids = [self._cluster.container_pid(name, "webhook", self._namespace) for name in names]
        self._cluster.space.run("kill", f"-{signal}", *map(str, pids))

    def _get(self) -> Object:
        return self._cluster.get("deployments.apps", self._deployment, self._namespace)

    def _pods(self) -> list[Object]:
        return self._cluster.find("Pod", self._namespace, selector=self._labels)

    def _is_settled(self) -> bool:
        item, pods = self._get(), self._pods()
        wanted, status = item["spec"]["replicas"], item["status"]
        seen = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
        is_seen = status.get("observedGeneration") == item["metadata"]["generation"]
        return is_seen and seen == [wanted] * 3 and len(pods) == wanted


def _sum(page: str, name: str) -> float:
    pattern = rf"(?m)^secret_injector_webhook_{name}(?:\{{.*\}})? (\S+)$"
    return sum(float(value) for value in re.findall(pattern, page))
