"""The patch: what must be added to a pod so that a plan is carried out in it.

Pieces are made from the plan and the pod as it was before us, and put in by the smallest
operations: entries are appended or inserted, single ones replaced, no list is rewritten.

    volumes           secret-injector and secret-injector-env (tmpfs), secret-injector-sources
    init container    secret-injector: `launcher fetch` with the plan in its env
    app containers    read-only mounts of their own folders; a wrapped command, or fileKeyRefs
    pod               one supplemental group, where containers run as different users

How our container is made, and what may be added to it: `our_container`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from injector.core import absence, plan_codec
from injector.core.plan import NATIVE, ContainerPlan, Plan
from injector.core.stores.source import Source
from webhook.core import jsonpatch, sizing
from webhook.core import pod as pods
from webhook.core.annotations import Wish
from webhook.core.globs import any_matches
from webhook.core.our_container import (
    ENV_VOLUME,
    GROUP,
    SECRET_VOLUME,
    SOURCES_VOLUME,
    Injection,
    PullSecrets,
    init_container,
)
from webhook.core.pod import NAME, Container
from webhook.core.review import Operation
from webhook.core.source_volumes import projected, sources, whole_secrets

LAUNCH_PATH = "/run/secret-injector"
LAUNCHER = [f"{LAUNCH_PATH}/launcher", f"{LAUNCH_PATH}/env", "--"]
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
_SAFE_TO_EVICT_POINTER = "/metadata/annotations/" + SAFE_TO_EVICT.replace("/", "~1")
OPENSHIFT_SCC = "openshift.io/scc"
READ_ANNOTATIONS = (SAFE_TO_EVICT, OPENSHIFT_SCC)
"""Annotations of others that a patch depends on."""

_MIB = 1024 * 1024
_MAX_VALUES = 4 * _MIB  # of one pod, as the fetcher allows
_FILE_BYTES, _ENV_BYTES, _LAUNCHER_BYTES = _MIB, 128 * 1024, 256 * 1024
_MAX_VOLUME = 64 * _MIB


def operations(
    pod: Mapping[str, Any],
    plan: Plan,
    encoded: str,
    injection: Injection,
    *,
    wish: Wish,
    packed_sources: str = "",
) -> list[Operation]:
    """Return the operations that carry out the plan in a pod that has no parts of ours.

    The wish says what the plan does not: folders, users, sizes and order.
    """
    by_name = {part.name: part for part in plan.containers}
    targets = tuple(c for c in pods.containers(pod) if c.name in by_name)
    needed = sources(plan)
    body = pods.spec(pod)
    found: list[Operation] = []
    has_native = any(part.env and part.env_mode == NATIVE for part in plan.containers)
    may_be_absent = absence.of_values(plan.values) if has_native else ()
    for container in targets:
        part = by_name[container.name]
        is_native = part.env_mode == NATIVE
        absent = frozenset(
            item.name for item in part.env if is_native and may_be_absent[item.value]
        )
        found += container_operations(container, part, wish.files_path_of(part.name), absent)
    found += jsonpatch.append("/spec/volumes", body.get("volumes"), volumes(plan, needed))
    if plan.group is not None:
        found += group_operations(pod)
    found += pull_secret_operations(body, plan.namespace, injection.pull_secrets)
    found += eviction_operations(pod, plan)
    fetcher = init_container(
        plan,
        encoded,
        needed,
        injection,
        user=owner(pod, targets, injection, wish.run_as)[0],
        sizes=sizing.fit(pod, injection.sizing, wish.resources),
        packed_sources=packed_sources,
    )
    # Last, for it moves the indexes of the other init containers.
    inits = [str(c.get("name")) for c in body.get("initContainers") or ()]
    if not inits:
        return [*found, jsonpatch.add("/spec/initContainers", [fetcher])]
    index = inits.index(wish.init_after) + 1 if wish.init_after else 0
    return [*found, jsonpatch.add(f"/spec/initContainers/{index}", fetcher)]


def container_operations(
    container: Container,
    part: ContainerPlan,
    files_path: str,
    absent: frozenset[str],
) -> list[Operation]:
    """Return the operations that give one container its variables and files.

    `absent` names the variables that are left out when they have no value. Entries of the
    container's own `env` with a name of the plan are what it was made from, or what it overrides:
    ours take their place.
    """
    found: list[Operation] = []
    is_native = part.env_mode == NATIVE
    raw, pointer = container.raw, container.pointer
    names = [str(entry.get("name")) for entry in container.env]
    ours = {item.name for item in part.env}
    taken = [index for index, name in enumerate(names) if name in ours]
    kept: dict[str, int] = {}
    if part.has_variables and not is_native:
        for at, command in ((f"{pointer}/command", container.command), *container.exec_hooks()):
            found += jsonpatch.prepend(at, command, LAUNCHER)
    entries = {
        item.name: _file_key(container.name, index, item.name, is_optional=item.name in absent)
        for index, item in enumerate(part.env if is_native else ())
    }
    for index in taken:
        if names[index] in entries:
            kept.setdefault(names[index], index)
    places = set(kept.values())
    found += [jsonpatch.replace(f"{pointer}/env/{i}", entries[name]) for name, i in kept.items()]
    found += [jsonpatch.remove(f"{pointer}/env/{i}") for i in reversed(taken) if i not in places]
    new = [entry for name, entry in entries.items() if name not in kept]
    if new:
        found += jsonpatch.prepend(f"{pointer}/env", raw.get("env"), new)
    return found + jsonpatch.append(
        f"{pointer}/volumeMounts", raw.get("volumeMounts"), mounts(part, files_path)
    )


def mounts(part: ContainerPlan, files_path: str) -> list[dict[str, object]]:
    """Return the read-only mounts of one app container: its own folders and files, nothing else.

    A mount of a single file shows it as it is when the container starts: mode init alone has them.
    """
    found: list[dict[str, object]] = []
    if part.has_variables and part.env_mode != NATIVE:
        found.append(
            {
                "name": NAME,
                "mountPath": LAUNCH_PATH,
                "subPath": f"{part.name}/launch",
                "readOnly": True,
            }
        )
    if any(not file.path.startswith("/") for file in part.files):
        found.append(
            {
                "name": NAME,
                "mountPath": files_path,
                "subPath": f"{part.name}/files",
                "readOnly": True,
            }
        )
    found += [
        {
            "name": NAME,
            "mountPath": file.path,
            "subPath": f"{part.name}/placed{file.path}",
            "readOnly": True,
        }
        for file in part.files
        if file.path.startswith("/")
    ]
    return found


def volumes(plan: Plan, needed: Sequence[Source]) -> list[dict[str, Any]]:
    """Return the volumes that the plan and its sources need."""
    found: list[dict[str, Any]] = [
        {"name": NAME, "emptyDir": {"medium": "Memory", "sizeLimit": _size(plan)}},
        {"name": SOURCES_VOLUME, "projected": {"defaultMode": 0o444, "sources": projected(needed)}},
    ]
    if any(part.env and part.env_mode == NATIVE for part in plan.containers):
        found.append(
            {"name": ENV_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": _size(plan)}}
        )
    for index, name in enumerate(whole_secrets(needed)):
        secret = {"secretName": name, "defaultMode": 0o444, "optional": True}
        found.append({"name": f"{SECRET_VOLUME}{index}", "secret": secret})
    return found


def group_operations(pod: Mapping[str, Any]) -> list[Operation]:
    """Return the operations that add our group to the pod; none when it is there."""
    context = pods.spec(pod).get("securityContext")
    groups = (context or {}).get("supplementalGroups")
    if GROUP in (groups or ()):
        return []
    if context is None:
        return [jsonpatch.add("/spec/securityContext", {"supplementalGroups": [GROUP]})]
    return list(jsonpatch.append("/spec/securityContext/supplementalGroups", groups, [GROUP]))


def pull_secret_operations(
    body: Mapping[str, Any], namespace: str, secrets: Sequence[PullSecrets]
) -> list[Operation]:
    """Return the operations that add the pull Secrets of the pod's namespace for our image."""
    there = body.get("imagePullSecrets")
    known = {entry.get("name") for entry in there or ()}
    names = dict.fromkeys(
        name
        for each in secrets
        if any_matches(namespace, each.namespaces)
        for name in each.names
        if name not in known
    )
    new = [{"name": name} for name in names]
    return list(jsonpatch.append("/spec/imagePullSecrets", there, new)) if new else []


def eviction_operations(pod: Mapping[str, Any], plan: Plan) -> list[Operation]:
    """Return the operation that tells the cluster autoscaler that our volumes hold nothing to keep.

    Without it some versions keep a node for the sake of an emptyDir. A pod that says it must not be
    evicted still says so.
    """
    there = str(pods.annotations_of(pod).get(SAFE_TO_EVICT) or "")
    names = [name for name in (part.strip() for part in there.split(",")) if name]
    names += [name for name in _scratch_volumes(plan) if name not in names]
    text = ",".join(names)
    return [] if text == there else [jsonpatch.add(_SAFE_TO_EVICT_POINTER, text)]


def _scratch_volumes(plan: Plan) -> list[str]:
    has_native = any(part.env and part.env_mode == NATIVE for part in plan.containers)
    return [NAME, ENV_VOLUME] if has_native else [NAME]


def owner(
    pod: Mapping[str, Any],
    targets: tuple[Container, ...],
    injection: Injection,
    run_as: int | None = None,
) -> tuple[int | None, int | None]:
    """Return the UID of our container (None: the platform chooses), and the group for the files.

    The group is None where the files belong to the one user who reads them: `run_as` is who that
    is where the pod says so in its annotation.
    """
    if run_as is not None:
        return run_as, None
    sole = sole_user(pod, targets)
    user = injection.run_as_user
    if user == "auto":
        # OpenShift chose the users of a pod that it annotated, and chooses ours as well.
        is_chosen = OPENSHIFT_SCC in pods.annotations_of(pod)
        user = sole or (None if is_chosen else GROUP)
    return user, None if sole is not None and user == sole else GROUP


def sole_user(pod: Mapping[str, Any], containers: tuple[Container, ...]) -> int | None:
    """Return the one non-root UID that all the containers run as, None when there is none."""
    users = {container.user(pod) for container in containers}
    user = users.pop() if len(users) == 1 else None
    return user or None


def is_volume_name(name: str) -> bool:
    """Say whether a volume's name is one of ours."""
    return name in (NAME, ENV_VOLUME, SOURCES_VOLUME) or name.startswith(SECRET_VOLUME)


def _file_key(container: str, index: int, name: str, *, is_optional: bool) -> dict[str, Any]:
    path, key = plan_codec.native_file(index, name)
    ref: dict[str, Any] = {"volumeName": ENV_VOLUME, "path": f"{container}/{path}", "key": key}
    if is_optional:
        # A key without a value fails the container otherwise; the file itself is always there.
        ref["optional"] = True
    return {"name": name, "valueFrom": {"fileKeyRef": ref}}


def _size(plan: Plan) -> str:
    size = sum(
        _LAUNCHER_BYTES
        + len(part.files) * _FILE_BYTES
        + bool(part.env_from) * _MAX_VALUES  # nobody knows yet how many keys there are
        + len(part.env) * _ENV_BYTES
        for part in plan.containers
    )
    # Twice: while a set replaces another, both are there.
    return f"{math.ceil(min(max(2 * size, _MIB), _MAX_VOLUME) / _MIB)}Mi"
