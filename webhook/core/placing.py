"""Files in their places: whether they can be mounted where a pod wants them, and read there.

From a pod and the parts of its plan to what is wrong with them; `planning` asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from injector.core import budget, errors
from injector.core.errors import Problem
from injector.core.plan import ContainerPlan
from webhook.core import mount_paths, patch
from webhook.core import pod as pods
from webhook.core.annotations import PREFIX, Wish
from webhook.core.our_container import Injection


def overlaps(
    pod: Mapping[str, Any], container: pods.Container, part: ContainerPlan, files_path: str
) -> list[Problem]:
    """Return a problem for each mount of ours that hides another of the container, or is hidden.

    In a volume that is written to there is room for ours: the runtime makes the folder or the file
    and mounts there. In one that is only read it cannot.
    """
    found = patch.mounts(part, files_path)
    mounted = {
        mount_paths.canonical(str(raw.get("mountPath"))): raw
        for raw in container.raw.get("volumeMounts") or ()
    }
    others = {place: str(raw.get("mountPath")) for place, raw in mounted.items()}
    others |= {mount_paths.canonical(path): path for path in pods.other_mounts(container)}
    in_order = sorted(others)
    budget.spend((len(found) + len(in_order)) // 8)
    source = f"container {container.name}"

    def has_room(at: str) -> bool:
        raw = mounted.get(at) or {"readOnly": True}
        return not raw.get("readOnly") and raw.get("name") in pods.writable_volumes(pod)

    places: dict[str, str] = {}
    held: dict[str, str] = {}
    problems = []
    for mount in found:
        path = str(mount["mountPath"])
        place = mount_paths.canonical(path)
        folders = ("", *mount_paths.above(place))
        budget.spend(len(folders) // 8)
        near = [place, *(at for at in folders if at in others and not has_room(at))]
        below = bisect_left(in_order, f"{place}/")
        if below < len(in_order) and in_order[below].startswith(f"{place}/"):
            near.append(in_order[below])
        hint = ""
        if path != patch.LAUNCH_PATH:
            hint = f"set {'files-path' if path == files_path else 'path'} to a free place"
        for other in (others[at].rstrip("/") for at in near if at in others):
            what = f"its volume mount {other or '/'} overlaps {path}, which is ours"
            problems.append(Problem(code=errors.POD, what=what, source=source, hint=hint))
        twin = next((places[at] for at in (place, *folders) if at in places), held.get(place))
        if twin is not None:
            what = f"{path} and {twin}, which are both ours, cannot both be there"
            hint = "write a path below files-path without its folder, and each path once"
            problems.append(Problem(code=errors.DUPLICATE, what=what, source=source, hint=hint))
        places[place] = path
        held |= dict.fromkeys(folders[1:], path)
    return problems


def refreshed(wish: Wish, parts: list[ContainerPlan]) -> list[Problem]:
    """Return a problem for each file that is mounted by itself where values are kept fresh."""
    if wish.mode == "init":
        return []
    what = f"an absolute path does not work in mode {wish.mode}: the mount of one file keeps the"
    what += " first value for as long as the container runs"
    hint = "set files-path, and write the path without a slash in front"
    return [
        Problem(
            code=errors.POD,
            what=what,
            source=f"container {part.name}",
            target=f"file {file.path}",
            hint=hint,
        )
        for part in parts
        for file in part.files
        if file.path.startswith("/")
    ]


def other_user(
    pod: Mapping[str, Any], targets: tuple[pods.Container, ...], wish: Wish, injection: Injection
) -> list[Problem]:
    """Return what speaks against the user that the annotation run-as names."""
    if wish.run_as is None:
        return []
    source = f"annotation {PREFIX}run-as"
    allowed, found = injection.run_as_user, []
    if allowed not in ("auto", wish.run_as):
        which = "leaves the user to the platform" if allowed is None else f"is {allowed}"
        found.append(f"{wish.run_as} is not allowed: the chart's injected.runAsUser {which}")
    for container in targets:
        user = container.user(pod)
        if user is not None and user != wish.run_as:
            found.append(f"container {container.name} runs as {user}, not as {wish.run_as}")
    hint = "it is for all containers served: name those of this user in containers"
    return [
        Problem(
            code=errors.ANNOTATION_VALUE,
            what=what,
            source=source,
            hint=hint if what.startswith("container") else "",
        )
        for what in found
    ]


def unreadable(
    pod: Mapping[str, Any],
    targets: tuple[pods.Container, ...],
    parts: list[ContainerPlan],
    user: int | None,
    group: int | None,
) -> list[Problem]:
    """Return a problem for each explicit mode that would keep its own container from reading.

    The fetcher owns the files. A container of the same user reads them as owner, root with its
    usual capabilities in any case, and any other as member of the group, for which the bits of
    others do not count.
    """
    hint = (
        "use 0440; for 0400 every container served runs as one known runAsUser, or say the user of"
        f" the image in {PREFIX}run-as"
    )
    by_name = {container.name: container for container in targets}
    found = []
    for part in parts:
        container = by_name[part.name]
        is_owner = group is None or (user is not None and container.user(pod) == user)
        needed = 0o400 if is_owner else 0o040
        if container.reads_any_file(pod):
            continue
        found += [
            Problem(
                code=errors.NAME,
                what=f'mode "{item.mode:04o}" would keep the container from reading the file',
                source=f"container {part.name}",
                target=f"file {item.path}",
                hint=hint,
            )
            for item in part.files
            if item.mode is not None and not item.mode & needed
        ]
    return found
