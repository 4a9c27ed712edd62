"""How large our container is in a pod: valid wherever the pod itself is valid.

A ResourceQuota on a limit requires that limit of every container; a LimitRange bounds the size of
each container and the ratio of limit to request; pod-level resources bound all of them. We read
none of these objects. The pod's own containers have passed them, so ours stays within what they
show. An init container that is no larger than the pod's other containers together does not change
what the scheduler reserves.

    the pod                                     our container, for each resource
    Guaranteed                                  request = limit: the pod stays Guaranteed
    a limit on every container                  a limit too, no larger than the largest of them
    a request on every container                at least the smallest of them
    both on every container                     no higher ratio of limit to request than theirs
    pod-level resources                         within them
    otherwise                                   what the chart says

No limit of ours is below the chart's `minAllowed`, which the fetcher needs. The annotation
`resources` sets single figures, within bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webhook.core import pod as pods
from webhook.core import quantity

CPU, MEMORY, STORAGE = "cpu", "memory", "ephemeral-storage"
RESOURCES = (CPU, MEMORY, STORAGE)

Quantities = Mapping[str, int]
"""Resource → billionths, see `quantity`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Requests and limits of one container; what is absent is not set."""

    requests: Quantities = field(default_factory=dict)
    limits: Quantities = field(default_factory=dict)

    def manifest(self) -> dict[str, dict[str, str]]:
        """Return the sizes as the field `resources` of a container."""
        found = {}
        for name, sizes in (("requests", self.requests), ("limits", self.limits)):
            if sizes:
                found[name] = {
                    resource: text_of(sizes[resource], resource)
                    for resource in RESOURCES
                    if resource in sizes
                }
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """What the platform team decided: the usual sizes, and the bounds that hold in every pod."""

    usual: Sizes = field(
        default_factory=lambda: Sizes(
            requests=quantities(cpu="10m", memory="32Mi"), limits=quantities(memory="128Mi")
        )
    )
    min_allowed: Quantities = field(default_factory=lambda: quantities(cpu="10m", memory="64Mi"))
    max_allowed: Quantities = field(
        default_factory=lambda: quantities(cpu="2", memory="1Gi", ephemeral_storage="1Gi")
    )


def quantities(**texts: str) -> dict[str, int]:
    """Return quantities from texts by resource (`ephemeral_storage` is written so); "" is unset.

    Raises ValueError with the name of the first that is not a quantity.
    """
    found = {}
    for name, text in texts.items():
        if text:
            value = quantity.parse(text)
            if value is None or value < 0:
                raise ValueError(name)
            found[name.replace("_", "-")] = value
    return found


def sizes_of(raw: Mapping[str, Any]) -> Sizes:
    """Return the sizes of a container or a pod; a request that is not set is its limit.

    The API server applies that default before it asks us; files on disk have not been there.
    """
    resources = raw.get("resources") or {}
    # A limit of zero is no limit.
    limits = {name: value for name, value in _quantities(resources.get("limits")).items() if value}
    return Sizes(requests={**limits, **_quantities(resources.get("requests"))}, limits=limits)


def is_guaranteed(containers: Sequence[Sizes]) -> bool:
    """Say whether containers of these sizes make a pod of QoS class Guaranteed.

    Every container has a CPU and a memory limit, and its requests equal them. Pod-level resources
    decide instead where a pod has them.
    """
    return bool(containers) and all(
        sizes.limits.get(resource) and sizes.requests.get(resource) == sizes.limits[resource]
        for sizes in containers
        for resource in (CPU, MEMORY)
    )


def effective_requests(pod: Mapping[str, Any]) -> dict[str, int]:
    """Return what the scheduler reserves for a pod, its overhead apart.

    App containers and sidecars add up; an init container counts while it runs, beside the sidecars
    that started before it. Pod-level requests stand in place of the sum.
    """
    body = pods.spec(pod)
    stated = sizes_of(body).requests
    running: dict[str, int] = {}
    peak: dict[str, int] = {}
    for raw in body.get("initContainers") or ():
        requests = sizes_of(raw).requests
        is_sidecar = raw.get("restartPolicy") == "Always"
        for resource in RESOURCES:
            total = running.get(resource, 0) + requests.get(resource, 0)
            peak[resource] = max(peak.get(resource, 0), total)
            if is_sidecar:
                running[resource] = total
    for raw in body.get("containers") or ():
        for resource, value in sizes_of(raw).requests.items():
            running[resource] = running.get(resource, 0) + value
    return {
        resource: stated.get(resource, max(peak.get(resource, 0), running.get(resource, 0)))
        for resource in RESOURCES
    }


def out_of_bounds(wanted: Sizes, sizing: Sizing, lowered: Sequence[Quantities]) -> list[str]:
    """Return what is wrong with the sizes that a pod asks for.

    They may raise the chart's, up to its `maxAllowed`. Where policies state a least size
    (`lowered`), the greatest of these replaces the chart's.
    """
    found = []
    for kind, figures, usual in (
        ("requests", wanted.requests, sizing.usual.requests),
        ("limits", wanted.limits, sizing.usual.limits),
    ):
        for resource, value in figures.items():
            stated = [least[resource] for least in lowered if resource in least]
            least = max(stated) if stated else usual.get(resource, 0)
            most = sizing.max_allowed.get(resource)
            if value < least:
                found.append(f"{kind}.{resource} is below {text_of(least, resource)}")
            elif most is not None and value > most:
                found.append(f"{kind}.{resource} is above {text_of(most, resource)}")
    return found


def fit(pod: Mapping[str, Any], sizing: Sizing, wanted: Sizes) -> Sizes:
    """Return the sizes of our init container in a pod without parts of ours.

    `wanted` is what the pod's annotation asks for, within bounds that the caller has checked.
    """
    containers = [sizes_of(container.raw) for container in pods.containers(pod)]
    whole = sizes_of(pods.spec(pod))
    has_pod_level = bool(whole.requests or whole.limits)
    guaranteed = not has_pod_level and is_guaranteed(containers)
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    for resource in RESOURCES:
        request, limit = _fitted(resource, containers, sizing)
        request = wanted.requests.get(resource, request)
        limit = wanted.limits.get(resource, limit)
        if request is not None and limit is not None and request > limit:
            limit = request
        if guaranteed and resource != STORAGE:
            request = limit = max(request or 0, limit or 0)
        if limit is not None and resource in whole.limits:
            limit = min(limit, whole.limits[resource])
        bounds = [b for b in (limit, whole.requests.get(resource)) if b is not None]
        if request is not None and bounds:
            request = min(request, *bounds)
        if request:
            requests[resource] = request
        if limit:
            limits[resource] = limit
    return Sizes(requests=requests, limits=limits)


def _fitted(
    resource: str, containers: Sequence[Sizes], sizing: Sizing
) -> tuple[int | None, int | None]:
    """Return request and limit of one resource within what the pod's containers show."""
    least = sizing.min_allowed.get(resource, 0)
    request, limit = sizing.usual.requests.get(resource), sizing.usual.limits.get(resource)
    their_requests = [s.requests[resource] for s in containers if resource in s.requests]
    their_limits = [s.limits[resource] for s in containers if resource in s.limits]
    if containers and len(their_limits) == len(containers):
        largest = max(their_limits)
        limit = max(least, largest if limit is None else min(limit, largest))
    if containers and len(their_requests) == len(containers):
        request = max(request or 0, min(their_requests))
    if request is not None and limit is not None:
        # The smallest of theirs may be above our usual limit, which is then no limit for anybody.
        limit = max(limit, request)
        if len(their_limits) == len(their_requests) == len(containers):
            request = max(request, *(_share(limit, sizes, resource) for sizes in containers))
    return request, limit


def _share(limit: int, sizes: Sizes, resource: str) -> int:
    """Return the request that has the same ratio to our limit as a container's to its own."""
    theirs = sizes.limits[resource]
    return -(-limit * sizes.requests[resource] // theirs) if theirs else 0


def text_of(value: int, resource: str) -> str:
    """Return a quantity of the resource as the API server writes it."""
    return quantity.text_of(value, is_binary=resource != CPU)


def _quantities(raw: object) -> dict[str, int]:
    if not isinstance(raw, Mapping):
        return {}
    found = {name: quantity.parse(raw[name]) for name in RESOURCES if name in raw}
    return {name: value for name, value in found.items() if value is not None}
