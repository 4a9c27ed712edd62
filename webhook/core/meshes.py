"""Service meshes: where our init container belongs beside a proxy, and who has no network there.

    the pod has                                    our container
    a native proxy (restartPolicy: Always)         behind it: its network leads through the proxy
    a classic proxy and the mesh's init container  in front of both: the network is still the node's
    a classic proxy and a CNI plugin               has no network unless its ports are left out
    no proxy (ambient, Cilium)                     first, as without a mesh

A native proxy is waited for until it has started, so whoever comes behind it can use the network.
docs/meshes.md has the settings of each mesh.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from webhook.core import pod as pods


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """A mesh as `sidecars` calls it, with the names of its containers.

    `redirecting` lead the network to the proxy, `validators` check that a CNI plugin did.
    `excluding` are annotations by which the pod's own network traffic passes the proxy by; `native`
    says how the mesh is told to make its proxy a native sidecar.
    """

    owner: str
    proxies: tuple[str, ...]
    redirecting: tuple[str, ...]
    validators: tuple[str, ...]
    excluding: tuple[str, ...]
    native: str


MESHES = {
    mesh.owner: mesh
    for mesh in (
        Mesh(
            owner="Istio",
            proxies=("istio-proxy",),
            redirecting=("istio-init",),
            validators=("istio-validation",),
            excluding=(
                "traffic.sidecar.istio.io/excludeOutboundPorts",
                "traffic.sidecar.istio.io/excludeOutboundIPRanges",
            ),
            native='sidecar.istio.io/nativeSidecar: "true"',
        ),
        Mesh(
            owner="Linkerd",
            proxies=("linkerd-proxy",),
            redirecting=("linkerd-init",),
            validators=("linkerd-network-validator",),
            excluding=("config.linkerd.io/skip-outbound-ports", "config.linkerd.io/skip-subnets"),
            native='config.beta.linkerd.io/proxy-enable-native-sidecar: "true"',
        ),
        Mesh(
            owner="Consul",
            proxies=("consul-dataplane", "envoy-sidecar"),
            redirecting=("consul-connect-inject-init",),
            validators=(),
            excluding=(
                "consul.hashicorp.com/transparent-proxy-exclude-outbound-ports",
                "consul.hashicorp.com/transparent-proxy-exclude-outbound-cidrs",
            ),
            native="",
        ),
        Mesh(
            owner="Kuma",
            proxies=("kuma-sidecar",),
            redirecting=("kuma-init",),
            validators=("kuma-validation",),
            excluding=("traffic.kuma.io/exclude-outbound-ports",),
            native="experimental.sidecarContainers: true, in its chart",
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The mesh that a pod is part of: `native` names its proxy among the init containers."""

    mesh: Mesh
    native: str = ""
    is_captured: bool = False
    """A CNI plugin leads the network of init containers to a proxy that does not run yet."""


def of(pod: Mapping[str, Any], skipped: Mapping[str, str]) -> Beside | None:
    """Return the mesh whose proxy is in the pod; `skipped` are the containers of others by owner.

    A pod may have proxies of two meshes, seldom: a native one comes before the others.
    """
    if not skipped:
        return None
    found: Beside | None = None
    names = {container.name for container in pods.containers(pod)}
    for container in pods.containers(pod):
        mesh = MESHES.get(skipped.get(container.name, ""))
        if mesh is None or container.name not in mesh.proxies:
            continue
        if container.is_init and container.raw.get("restartPolicy") == "Always":
            return Beside(mesh=mesh, native=container.name)
        if not container.is_init and found is None:
            excluded = any(name in pods.annotations_of(pod) for name in mesh.excluding)
            is_captured = not names.isdisjoint(mesh.validators) and not excluded
            found = Beside(mesh=mesh, is_captured=is_captured)
    return found


def redirecting(pod: Mapping[str, Any], skipped: Mapping[str, str]) -> frozenset[str]:
    """Return the init containers behind which there is no network until a classic proxy runs."""
    beside = of(pod, skipped)
    if beside is None or beside.native:
        return frozenset()
    return frozenset(name for name in beside.mesh.redirecting if name in skipped)


def after(
    pod: Mapping[str, Any], skipped: Mapping[str, str], targets: Collection[str]
) -> str | None:
    """Return the native proxy that our container goes behind; None when it goes first.

    An init container that wants values (`targets`) still comes after ours: where one stands in
    front of the proxy, so does ours.
    """
    found: str | None = None
    for container in pods.containers(pod) if skipped else ():
        if not container.is_init or container.name in targets:
            break
        mesh = MESHES.get(skipped.get(container.name, ""))
        is_native = container.raw.get("restartPolicy") == "Always"
        if mesh is not None and is_native and container.name in mesh.proxies:
            found = container.name
    return found
