"""Reading a pod: the raw mapping of the review, seen as its containers.

Nothing is converted: fields we do not know stay where they are. The API server has checked types
and defaults before it asks us, so only presence is in question here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

NAME = "secret-injector"
"""The name of our init container and of our main volume."""

_READING = ("DAC_OVERRIDE", "DAC_READ_SEARCH")
_READ_ONLY = frozenset(("configMap", "secret", "downwardAPI", "projected", "image", "gitRepo"))
"""Volumes that nothing can be made in: a mount needs its file or folder there."""


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """One container of a pod; `pointer` is its JSON Pointer (`/spec/containers/0`)."""

    pointer: str
    raw: Mapping[str, Any]
    is_init: bool

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw.get("name") or "")

    @property
    def command(self) -> list[str]:
        """Its command; empty when the image's entrypoint runs."""
        return list(self.raw.get("command") or ())

    @property
    def env(self) -> list[Mapping[str, Any]]:
        """Its own env entries."""
        return list(self.raw.get("env") or ())

    def user(self, pod: Mapping[str, Any]) -> int | None:
        """Return the UID that the spec names for it, None when the image decides."""
        for owner in (self.raw, spec(pod)):
            uid = (owner.get("securityContext") or {}).get("runAsUser")
            if isinstance(uid, int):
                return uid
        return None

    def reads_any_file(self, pod: Mapping[str, Any]) -> bool:
        """Say whether it runs as root with a capability that no file's mode stands against.

        The runtime's default set has CAP_DAC_OVERRIDE; an entry counts before ALL, and a drop
        before an add.
        """
        if self.user(pod) != 0:
            return False
        context = self.raw.get("securityContext") or {}
        if context.get("privileged"):
            return True
        changed = context.get("capabilities") or {}
        added, dropped = (
            {str(name).upper().removeprefix("CAP_") for name in changed.get(kind) or ()}
            for kind in ("add", "drop")
        )
        for name in _READING:
            is_default = name == "DAC_OVERRIDE" or "ALL" in added
            has = name in added or (is_default and "ALL" not in dropped)
            if has and name not in dropped:
                return True
        return False

    def exec_hooks(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the pointer and the command of every exec probe and lifecycle hook."""
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            action = (self.raw.get(probe) or {}).get("exec") or {}
            if action.get("command"):
                yield f"{self.pointer}/{probe}/exec/command", list(action["command"])
        for hook in ("postStart", "preStop"):
            action = ((self.raw.get("lifecycle") or {}).get(hook) or {}).get("exec") or {}
            if action.get("command"):
                yield f"{self.pointer}/lifecycle/{hook}/exec/command", list(action["command"])


def spec(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the pod's spec."""
    return pod.get("spec") or {}


def annotations_of(pod: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the pod's annotations."""
    return (pod.get("metadata") or {}).get("annotations") or {}


def labels_of(pod: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the pod's labels."""
    return (pod.get("metadata") or {}).get("labels") or {}


def service_account(pod: Mapping[str, Any]) -> str:
    """Return the name of the pod's ServiceAccount."""
    return str(spec(pod).get("serviceAccountName") or "default")


def containers(pod: Mapping[str, Any]) -> list[Container]:
    """Return init containers (sidecars among them) and app containers, in the order they start."""
    return [
        Container(pointer=f"/spec/{part}/{index}", raw=raw, is_init=part == "initContainers")
        for part in ("initContainers", "containers")
        for index, raw in enumerate(spec(pod).get(part) or ())
    ]


def raw_containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield init containers and app containers as they stand in the pod."""
    body = spec(pod)
    yield from body.get("initContainers") or ()
    yield from body.get("containers") or ()


def writable_volumes(pod: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the pod's volumes in which a file or a folder can be made."""
    return frozenset(
        str(volume.get("name"))
        for volume in spec(pod).get("volumes") or ()
        if _READ_ONLY.isdisjoint(volume)
        and not any(type(source) is dict and source.get("readOnly") for source in volume.values())
    )


def other_mounts(container: Container) -> list[str]:
    """Return where devices are put into the container, and its file for a last message."""
    found = [str(d.get("devicePath")) for d in container.raw.get("volumeDevices") or ()]
    message = container.raw.get("terminationMessagePath")
    return [*found, str(message)] if message else found


def count(pod: Mapping[str, Any]) -> int:
    """Return how many containers the pod has."""
    body = spec(pod)
    return len(body.get("initContainers") or ()) + len(body.get("containers") or ())


def is_mirror(pod: Mapping[str, Any]) -> bool:
    """Say whether the pod mirrors a static pod: its node runs it whatever we answer."""
    return "kubernetes.io/config.mirror" in annotations_of(pod)


def required_terms(pod: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """Return the terms of the required node affinity, one of which must match; None without it."""
    affinity = (spec(pod).get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return None if not required else list(required.get("nodeSelectorTerms") or ())


def is_windows(pod: Mapping[str, Any]) -> bool:
    """Say whether the pod is for Windows nodes alone: by its OS, node selector or node affinity.

    The selector of a RuntimeClass is in the pod's own before a webhook sees it.
    """
    body = spec(pod)
    if (body.get("os") or {}).get("name") == "windows":
        return True
    if (body.get("nodeSelector") or {}).get("kubernetes.io/os") == "windows":
        return True
    terms = required_terms(pod)
    return bool(terms) and all(map(_is_for_windows, terms or ()))


def _is_for_windows(term: Mapping[str, Any]) -> bool:
    return any(
        (each.get("key"), each.get("operator"), each.get("values"))
        == ("kubernetes.io/os", "In", ["windows"])
        for each in term.get("matchExpressions") or ()
    )
