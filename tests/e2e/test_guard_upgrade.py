"""The guard comes after the pods: what an earlier release injected goes on and ends."""

from tests.e2e.test_guard import (
    ASKS,
    PREFIX,
    STRATEGIC,
    bare,
    injected,
    kind,
    rendered,
    said,
    stored,
)
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.images import BUSYBOX_IMAGE
from tests.e2e.testbed.process import until
from tests.tampering import NAMESPACE, app, ours

__all__ = ["stored"]


def older():
    """Return a pod as an earlier release might have made it: hardly anything is as today."""
    pod = injected()
    ours(pod).update(
        image="registry.example/secret-injector:0.0.1",
        command=["old"],
        args=["run"],
        securityContext={},
        volumeMounts=[{"name": "secret-injector", "mountPath": "/old"}],
    )
    app(pod)["command"] = ["old-launcher"]
    app(pod)["volumeMounts"] = [{"name": "secret-injector", "mountPath": "/old"}]
    kind("secret-injector", emptyDir={})(pod)
    return pod


def test_pods_of_an_earlier_release_go_on_and_end(cluster, helm, stored):
    """Labels, annotations, owners, finalizers, tolerations and deletion pass, whatever is in it."""
    pod = older()
    pod["metadata"]["finalizers"] = ["example.org/held"]
    name = stored(pod)
    objects = rendered(helm, "guard")
    cluster.apply(objects)
    try:
        until(lambda: refusal(cluster, bare(ASKS)), what="the guard is in force", timeout_s=60)
        owned = cluster.get("ConfigMap", "kube-root-ca.crt", NAMESPACE)["metadata"]
        owner = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owned["name"],
            "uid": owned["uid"],
        }
        cluster.patch("Pod", name, {"metadata": {"labels": {"a": "b"}}}, NAMESPACE)
        cluster.patch("Pod", name, {"metadata": {"annotations": {"a": "b"}}}, NAMESPACE)
        cluster.patch(
            "Pod", name, {"metadata": {"annotations": {f"{PREFIX}service": "other"}}}, NAMESPACE
        )
        cluster.patch("Pod", name, {"spec": {"activeDeadlineSeconds": 9999}}, NAMESPACE)
        cluster.patch("Pod", name, {"metadata": {"ownerReferences": [owner]}}, NAMESPACE)
        cluster.patch("Pod", name, {"metadata": {"ownerReferences": []}}, NAMESPACE)
        debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "debug"}]}}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/ephemeralcontainers"
        cluster.api.request("PATCH", path, debug, content_type=STRATEGIC)
        cluster.patch("Pod", name, {"metadata": {"finalizers": None}}, NAMESPACE)
        cluster.delete("Pod", name, NAMESPACE, grace_s=0)
    finally:
        for item in reversed(objects):
            cluster.delete(item["kind"], item["metadata"]["name"])


def refusal(cluster, pod):
    """Return what the guard says of a pod, or None."""
    try:
        cluster.create(pod, NAMESPACE, dry_run=True)
    except ApiError as error:
        return said(error)
    return None


def test_a_job_of_an_earlier_release_finishes_and_its_pods_go(local_cluster, helm, apart):
    """A Job that was injected by an earlier release ends after the upgrade, and is cleaned up."""
    own = {"name": "secret-injector", "image": BUSYBOX_IMAGE, "imagePullPolicy": "Never"}
    main = {**own, "name": "app", "command": ["sh", "-c", "until [ -e /go/on ]; do sleep 1; done"]}
    main["volumeMounts"] = [{"name": "go", "mountPath": "/go"}]
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "older"},
        "spec": {
            "template": {
                "metadata": {"annotations": ASKS},
                "spec": {
                    "restartPolicy": "Never",
                    "initContainers": [{**own, "command": ["true"]}],
                    "containers": [main],
                    "volumes": [{"name": "go", "emptyDir": {}}],
                },
            }
        },
    }
    cluster = local_cluster
    cluster.create(job, NAMESPACE)
    objects = []
    try:
        selector = "batch.kubernetes.io/job-name=older"
        (pod,) = until(
            lambda: [
                found
                for found in cluster.find("Pod", NAMESPACE, selector=selector)
                if found["status"].get("phase") == "Running"
            ],
            what="the Job's pod runs",
            timeout_s=60,
        )
        objects = rendered(helm, "guard")
        cluster.apply(objects)
        until(lambda: refusal(cluster, bare(ASKS)), what="the guard is in force", timeout_s=60)
        cluster.exec(pod["metadata"]["name"], "app", "touch", "/go/on", namespace=NAMESPACE)
        cluster.wait_condition("Job", "older", NAMESPACE, condition="Complete")
        cluster.delete("Job", "older", NAMESPACE)
        until(
            lambda: not cluster.find("Pod", NAMESPACE, selector=selector),
            what="the Job's pods are gone",
            timeout_s=60,
        )
    finally:
        for item in reversed(objects):
            cluster.delete(item["kind"], item["metadata"]["name"])
        cluster.delete("Job", "older", NAMESPACE)
