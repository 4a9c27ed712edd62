"""What can be seen of a pod whose fetch failed: from the API, from kubectl and on the node."""

from __future__ import annotations

from dataclasses import dataclass

from tests.e2e.scenarios import pods
from tests.e2e.testbed.cluster import Object
from tests.e2e.testbed.local import LocalCluster
from tests.e2e.testbed.process import until


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """One look at such a pod.

    `message` is the termination message of our container and `exit_code` its status; `described`
    is what `kubectl describe pod` prints; `app` is the status of the application's container,
    `app_ids` are the containers that the runtime ever made for it; `left` are the paths below our
    two memory volumes.
    """

    message: str
    exit_code: int
    described: str
    app: Object
    app_ids: tuple[str, ...]
    left: tuple[str, ...]


def wait_failed(cluster: LocalCluster, pod: str, namespace: str, *, timeout_s: float = 60) -> None:
    """Wait until our container of a pod has failed once."""
    cluster.wait(
        *("Pod", pod, namespace), until_true=_ended, what="a failed fetch", timeout_s=timeout_s
    )


def look(cluster: LocalCluster, pod: str, namespace: str) -> Failed:
    """Return how a pod stands that has failed once and may be trying again."""
    # Between two tries both are there: the end of the last one, and no new end yet.
    seen = until(
        lambda: _ended(cluster.get("Pod", pod, namespace)), what="a failed fetch", timeout_s=5
    )
    item = cluster.get("Pod", pod, namespace)
    (app,) = item["status"]["containerStatuses"]
    return Failed(
        message=seen["message"],
        exit_code=seen["exitCode"],
        described=cluster.kubectl("describe", "pod", pod, "--namespace", namespace),
        app=app,
        app_ids=_made(cluster, pod, app["name"], namespace),
        left=_files(cluster, item),
    )


def never_started(failed: Failed) -> bool:
    """Say whether the application's container was never even made, by API and runtime alike."""
    app = failed.app
    return (
        app["state"] == {"waiting": {"reason": "PodInitializing"}}
        and app["lastState"] == {}
        and app["restartCount"] == 0
        and not app.get("containerID")
        and not failed.app_ids
    )


def is_running(item: Object) -> bool:
    """Say whether every container of a pod runs and none was ever started twice."""
    statuses = item["status"].get("containerStatuses", [])
    return bool(statuses) and all(
        "running" in each["state"] and each["restartCount"] == 0 for each in statuses
    )


def _ended(item: Object) -> Object | None:
    """Return the last end of our container if it was a failure."""
    for status in item["status"].get("initContainerStatuses", []):
        if status["name"] == pods.OURS:
            for state in (status["state"], status["lastState"]):
                ended: Object | None = state.get("terminated")
                if ended and ended["exitCode"]:
                    return ended
    return None


def _made(cluster: LocalCluster, pod: str, container: str, namespace: str) -> tuple[str, ...]:
    labels = {"pod.name": pod, "pod.namespace": namespace, "container.name": container}
    query = ",".join(f'labels."io.kubernetes.{key}"=={value}' for key, value in labels.items())
    return tuple(cluster.node.ctr("containers", "list", "--quiet", query).decode().split())


def _files(cluster: LocalCluster, item: Object) -> tuple[str, ...]:
    volumes = (
        f"{cluster.kubelet_dir}/pods/{item['metadata']['uid']}/volumes/kubernetes.io~empty-dir"
    )
    found = cluster.space.run("find", volumes, "-mindepth", "2").decode()
    return tuple(line.removeprefix(f"{volumes}/") for line in found.splitlines())
