"""A pod that already carries our parts: the second round of admission, or a forgery.

The API server may ask again after other webhooks changed the pod, and a person may create a pod
from one that was injected. A marker would prove nothing, since tenants can write it. So the parts
are taken out again, the decision is made anew, and what is there must cover what we would add.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from injector.core import budget, plan_codec
from injector.core.errors import Refused
from injector.core.plan import Plan
from webhook.core import images, our_container, patch
from webhook.core import pod as pods

_NOT_FOR_OURS = ("lifecycle", "restartPolicy", "volumeDevices", "workingDir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A pod as it was before our parts, and the plan that it carried."""

    pod: dict[str, Any]
    plan: Plan


def carries_parts(pod: Mapping[str, Any]) -> bool:
    """Say whether the pod has a container or a volume with a name of ours."""
    body = pods.spec(pod)
    named = [*(body.get("initContainers") or ()), *(body.get("containers") or ())]
    return any(raw.get("name") == pods.NAME for raw in named) or any(
        patch.is_volume_name(str(volume.get("name"))) for volume in body.get("volumes") or ()
    )


def before(pod: Mapping[str, Any]) -> Undone | None:
    """Return the pod as it was before our parts, or None when the parts are not of our making."""
    plan = plan_of(pod)
    if plan is None:
        return None
    found: dict[str, Any] = copy.deepcopy(dict(pod))
    body = found["spec"]
    body["initContainers"] = [c for c in body["initContainers"] if c.get("name") != pods.NAME]
    if not body["initContainers"]:
        del body["initContainers"]
    body["volumes"] = [
        v for v in body.get("volumes") or () if not patch.is_volume_name(str(v.get("name")))
    ]
    texts = {(container, name): text for container, name, text in plan.sources}
    for part in plan.containers:
        for container in pods.containers(found):
            if container.name == part.name:
                _undo(container, texts)
    return Undone(pod=found, plan=plan)


def covers(there: object, wanted: object) -> bool:
    """Say whether everything wanted is there: other webhooks and defaults may have added more.

    Lists of named entries are compared by name, other lists must be equal. Images are equal when
    their digests are: a mirror may have changed the registry. The API server leaves out a list
    that is empty, such as the env of a container that held references alone.
    """
    if wanted == []:
        return not there or _are_named(there)
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(
            _is_kept(name, there.get(name), value) for name, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not isinstance(there, Sequence) or isinstance(there, str):
            return False
        if _are_named(wanted):
            return all(_covers_entry(there, entry) for entry in wanted)
        return len(there) == len(wanted) and all(
            covers(a, b) for a, b in zip(there, wanted, strict=True)
        )
    return there == wanted


def _are_named(entries: object) -> bool:
    return isinstance(entries, Sequence) and all(
        isinstance(entry, Mapping) and "name" in entry for entry in entries
    )


def _covers_entry(there: Sequence[Any], wanted: Mapping[str, Any]) -> bool:
    # Of two entries with one name the last counts: there must be one.
    budget.spend(1 + len(there) // 8)
    found = [e for e in there if isinstance(e, Mapping) and _is_same_entry(e, wanted)]
    return (
        len(found) == 1
        and covers(found[0], wanted)
        and not (wanted["name"] == pods.NAME and "args" in wanted and _is_meddled(found[0], wanted))
    )


def _is_meddled(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether our container was given something that changes what it does.

    Variables do not: the launcher passes on those that it knows (see `patch`).
    """
    made = [mount["mountPath"] for mount in wanted["volumeMounts"]]
    return any(there.get(field) for field in _NOT_FOR_OURS) or any(
        our_container.is_over_ours(str(mount.get("mountPath")))
        for mount in there["volumeMounts"]
        if mount.get("mountPath") not in made
    )


def _is_kept(name: str, there: object, wanted: Any) -> bool:
    if name == "resources":
        return True  # quotas, autoscalers and policies change them; they give no rights
    if name == "image":
        return images.is_same(str(there), str(wanted))
    if name == "supplementalGroups":
        return isinstance(there, Sequence) and set(wanted) <= set(there)
    return covers(there, wanted)


def _is_same_entry(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.get("name") == other.get("name") and one.get("mountPath") == other.get("mountPath")


def plan_of(pod: Mapping[str, Any]) -> Plan | None:
    """Return the plan that the pod carries; None when it is not one, or not in one place."""
    ours = [c for c in pods.containers(pod) if c.name == pods.NAME]
    if len(ours) != 1 or not ours[0].is_init:
        return None
    text = next(
        (e.get("value") for e in ours[0].env if e.get("name") == our_container.PLAN_VARIABLE), None
    )
    try:
        return plan_codec.decode(str(text)) if text else None
    except Refused:
        return None


def _undo(container: pods.Container, texts: Mapping[tuple[str, str], str]) -> None:
    """Take our parts out of one container of a pod that is a copy of our own."""
    raw: dict[str, Any] = container.raw  # type: ignore[assignment]  # `before` made the copy
    mounts = [
        m for m in raw.get("volumeMounts") or () if not patch.is_volume_name(str(m.get("name")))
    ]
    for owner in (raw, *_exec_owners(raw)):
        command = owner.get("command") or []
        if command[: len(patch.LAUNCHER)] == patch.LAUNCHER:
            owner["command"] = command[len(patch.LAUNCHER) :]
    env = [e for e in raw.get("env") or () if not _is_file_key(e)]
    there = {e.get("name") for e in env}
    env += [
        {"name": name, "value": text}
        for (owner, name), text in texts.items()
        if owner == container.name and name not in there
    ]
    # An empty list is no list: what is not there must not be asked for again.
    for name, entries in (("volumeMounts", mounts), ("env", env)):
        raw.pop(name, None)
        if entries:
            raw[name] = entries


def _exec_owners(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    lifecycle = raw.get("lifecycle") or {}
    actions = [raw.get("livenessProbe"), raw.get("readinessProbe"), raw.get("startupProbe")]
    actions += [lifecycle.get("postStart"), lifecycle.get("preStop")]
    return [action["exec"] for action in actions if action and action.get("exec")]


def _is_file_key(entry: Mapping[str, Any]) -> bool:
    ref = (entry.get("valueFrom") or {}).get("fileKeyRef") or {}
    return ref.get("volumeName") == our_container.ENV_VOLUME
