"""Containers of other injectors: recognised by name and image, wherever the image is mirrored."""

from pathlib import Path

import pytest

from webhook.core import sidecars


def _pod(name, image, **annotations):
    return {
        "metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": name, "image": image}]},
    }


@pytest.mark.parametrize(
    ("name", "image", "owner"),
    [
        ("istio-proxy", "docker.io/istio/proxyv2:1.24.0", "Istio"),
        ("istio-proxy", "registry.example/mesh/istio-proxyv2-rhel9@sha256:0", "Istio"),
        ("istio-proxy", "localhost:5000/proxyv2-rhel8", "Istio"),
        ("linkerd-proxy", "cr.l5d.io/linkerd/proxy:stable-2.14", "Linkerd"),
        ("consul-dataplane", "hashicorp/consul-dataplane:1.6", "Consul"),
        ("kuma-sidecar", "docker.io/kumahq/kuma-dp:2.9", "Kuma"),
        ("daprd", "ghcr.io/dapr/daprd:1.15", "Dapr"),
        (
            "queue-proxy",
            "gcr.io/knative-releases/knative.dev/serving/cmd/queue@sha256:0",
            "Knative",
        ),
        ("cloud-sql-proxy", "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2", "Cloud SQL"),
        ("wait", "quay.io/argoproj/argoexec:v3.6", "Argo Workflows"),
        (
            "helper",
            "registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper:x86_64-v17",
            "GitLab Runner",
        ),
        ("datadog-agent", "gcr.io/datadoghq/agent:7", "Datadog"),
        ("istio-proxy", "shop/app:1", ""),
        ("app", "docker.io/istio/proxyv2:1.24.0", ""),
        ("wait", "busybox", ""),
        ("helper", "", ""),
    ],
)
def test_name_and_image_decide_together(name, image, owner):
    """A name alone is the owner's own word; an image alone may be served as any other."""
    found = sidecars.skipped(_pod(name, image))
    assert found == ({name: owner} if owner else {})


def test_the_default_container_is_rescued():
    """Its owner says that it is theirs."""
    pod = _pod("daprd", "daprio/daprd", **{sidecars.DEFAULT_CONTAINER: "daprd"})
    assert sidecars.skipped(pod) == {}


def test_the_page_lists_every_row():
    """Who wonders why a container got nothing finds it in docs/annotations.md."""
    page = (Path(__file__).parents[2] / "docs" / "annotations.md").read_text(encoding="utf-8")
    for row in sidecars.KNOWN:
        names = ", ".join(f"`{name}`" for name in row.names)
        images = ", ".join(f"`{image}`" for image in row.images)
        assert f"| {row.owner} | {names} | {images} |" in page
