"""Today's parts in a pod that carries parts already: remove and add operations on what is there.

The pod without our parts was decided anew, so it is known how it should be. Where the pod is so
already, nothing is done to it: the second round of admission has no patch. What others may have
changed stays, and everything else becomes as we make it:

    our container    kept: a mirror of its image (`images.is_kept`), pull policy Always, resources
                     that are equal or larger, variables, mounts outside of its paths, its place
                     when what must come before it does and nobody who needs it does
    launcher         kept: behind another launcher, where it starts the same command
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from injector.core import budget
from webhook.core import again, images, jsonpatch, meshes, our_container, quantity, sidecars
from webhook.core import pod as pods
from webhook.core.likeness import is_as_made, says_nothing
from webhook.core.our_container import Injection
from webhook.core.review import Operation

_LISTS = ("initContainers", "containers")
_OWN_PLACES = ("/spec/initContainers", "/spec/containers", "/spec/volumes")
_VARIABLES = "SECRET_INJECTOR_"
"""Variables of our container that begin so are ours, of whichever release."""
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t")

Entry = Mapping[str, Any]


def operations(
    pod: Entry, wanted: Entry, first: Sequence[Operation], injection: Injection
) -> list[Operation]:
    """Return what makes the pod as it is wanted; nothing when it is so already.

    `wanted` is the pod without our parts after `first`, the operations that put today's in.
    """
    found: list[Operation] = []
    there, body = pods.spec(pod), pods.spec(wanted)
    for part in _LISTS:
        others = iter([raw for raw in body.get(part) or () if raw.get("name") != pods.NAME])
        for index, raw in enumerate(there.get(part) or ()):
            if raw.get("name") != pods.NAME:
                found += _container(f"/spec/{part}/{index}", raw, next(others))
    found += _entries(
        "/spec/volumes",
        there.get("volumes"),
        body.get("volumes"),
        lambda volume: volume.get("name"),
        is_in_front=lambda _: False,
    )
    found += [
        each for each in first if not str(each["path"]).startswith(_OWN_PLACES)
    ]  # Such as our group: they say what is to be added to the pod as it is.
    redirecting = meshes.redirecting(pod, sidecars.skipped(pod, injection.skipped))
    return found + _fetcher(there, body, injection, redirecting)


def merged(there: Entry, wanted: Entry, injection: Injection) -> dict[str, Any]:
    """Return our container as it should be: as wanted, with what others may have changed of it."""
    found = dict(wanted)
    image = str(there.get("image"))
    is_same_plan = again.is_same_plan(there, wanted)
    if images.is_kept(image, injection.image, injection.listed_images, is_same_plan=is_same_plan):
        found["image"] = image
    if there.get("imagePullPolicy") == "Always":
        found["imagePullPolicy"] = "Always"
    found["resources"] = resources(there.get("resources") or {}, wanted.get("resources") or {})
    found["securityContext"] = rights(there, wanted)
    found["env"] = _variables(there.get("env") or (), wanted["env"], is_same_plan=is_same_plan)
    found["volumeMounts"] = _mounts(there.get("volumeMounts") or (), wanted["volumeMounts"])
    return found | {
        field: value
        for field, value in there.items()
        if field not in wanted and _is_harmless_field(field, value)
    }


def resources(there: Entry, wanted: Entry) -> dict[str, Any]:
    """Return requests and limits: those that are there, raised to what is wanted where below."""
    found: dict[str, Any] = {}
    for kind in ("requests", "limits"):
        figures = dict(there.get(kind) or {})
        for name, text in (wanted.get(kind) or {}).items():
            if not _is_at_least(figures.get(name), text):
                figures[name] = text
        if figures:
            found[kind] = figures
    # A limit that somebody set below our request would make the pod invalid.
    limits = found.get("limits") or {}
    for name, text in (found.get("requests") or {}).items():
        if name in limits and not _is_at_least(limits[name], text):
            limits[name] = text
    return found


def _container(pointer: str, there: Entry, wanted: Entry) -> Iterator[Operation]:
    """Yield what makes a container that is not ours as it is wanted."""
    yield from _entries(
        f"{pointer}/env",
        there.get("env"),
        wanted.get("env"),
        lambda entry: entry.get("name"),
        is_in_front=again.is_file_key,
    )
    yield from _entries(
        f"{pointer}/volumeMounts",
        there.get("volumeMounts"),
        wanted.get("volumeMounts"),
        lambda mount: (mount.get("name"), our_container.place_of(str(mount.get("mountPath")))),
        is_in_front=lambda _: False,
    )
    is_started = again.launchers(wanted.get("command")) == 1
    if not is_started or _launchers(there) != 1:
        yield from _words(pointer, there, wanted, ("command", "args"))
    actions = dict(again.exec_actions(wanted))
    for place, action in again.exec_actions(there):
        other = actions[place]
        if again.launchers(other.get("command")) != 1 or _launchers(action) != 1:
            yield from _words("/".join((pointer, *place)), action, other, ("command",))


def _launchers(raw: Entry) -> int:
    return again.launchers(raw.get("command")) + again.launchers(raw.get("args"))


def _words(pointer: str, there: Entry, wanted: Entry, fields: Sequence[str]) -> Iterator[Operation]:
    for field in fields:
        words, other = list(there.get(field) or ()), list(wanted.get(field) or ())
        if words == other:
            continue
        at = f"{pointer}/{field}"
        size = len(other) - len(words)
        if words and size > 0 and other[size:] == words:
            yield from jsonpatch.prepend(at, words, other[:size])
        else:
            yield jsonpatch.add(at, other) if other else jsonpatch.remove(at)


def _entries(
    pointer: str,
    there: Sequence[Entry] | None,
    wanted: Sequence[Entry] | None,
    key: Callable[[Entry], object],
    *,
    is_in_front: Callable[[Entry], bool],
) -> Iterator[Operation]:
    """Yield what makes a list hold the wanted entries and no other; what is right stays in place.

    Missing entries are appended, or put in front.
    """
    found = list(there or ())
    budget.spend(len(found) + len(wanted or ()))
    missing: dict[object, list[Entry]] = {}
    for entry in wanted or ():
        missing.setdefault(key(entry), []).append(entry)
    replaced, removed = [], []
    for index, entry in enumerate(found):
        same = missing.get(key(entry))
        if not same:
            removed.append(jsonpatch.remove(f"{pointer}/{index}"))
            continue
        other = same.pop(0)
        if not is_as_made(entry, other):
            replaced.append(jsonpatch.replace(f"{pointer}/{index}", other))
    left = {id(entry) for entries in missing.values() for entry in entries}
    new = [entry for entry in wanted or () if id(entry) in left]
    front = [entry for entry in new if is_in_front(entry)]
    back = [entry for entry in new if not is_in_front(entry)]
    yield from replaced
    yield from reversed(removed)
    # A list stays a list when all of it was removed.
    yield from jsonpatch.prepend(pointer, there, front)
    yield from jsonpatch.append(pointer, there or front, back)


def _fetcher(
    there: Entry, wanted: Entry, injection: Injection, redirecting: frozenset[str]
) -> list[Operation]:
    """Return what makes our container as it is wanted, at its place; it is the last thing done."""
    places = [
        (part, index)
        for part in _LISTS
        for index, raw in enumerate(there.get(part) or ())
        if raw.get("name") == pods.NAME
    ]
    inits = wanted.get("initContainers") or ()
    at = next((i for i, raw in enumerate(inits) if raw.get("name") == pods.NAME), None)
    found: list[Operation] = []
    if at is not None and len(places) == 1 and places[0][0] == "initContainers":
        index = places[0][1]
        raw = there["initContainers"][index]
        made = merged(raw, inits[at], injection)
        if _is_in_place(index, there["initContainers"], at, inits, redirecting):
            is_same = is_as_made(raw, made)
            return [] if is_same else [jsonpatch.replace(f"/spec/initContainers/{index}", made)]
    else:
        made = dict(inits[at]) if at is not None else {}
    for part, index in reversed(places):
        found.append(jsonpatch.remove(f"/spec/{part}/{index}"))
    if at is None:
        return found
    if len(inits) == 1 and not there.get("initContainers"):
        return [*found, jsonpatch.add("/spec/initContainers", [made])]
    return [*found, jsonpatch.add(f"/spec/initContainers/{at}", made)]


def _is_in_place(
    index: int,
    there: Sequence[Entry],
    at: int,
    wanted: Sequence[Entry],
    redirecting: frozenset[str],
) -> bool:
    """Say whether our container may stay where it is among the init containers.

    The one that is to come right before it must have, and nobody who gets something from it or
    takes its network away.
    """
    before = {raw.get("name") for raw in there[:index]}
    if at > 0 and wanted[at - 1].get("name") not in before:
        return False
    if (before & redirecting) - {raw.get("name") for raw in wanted[:at]}:
        return False
    return not any(raw.get("name") in before and again.has_parts(raw) for raw in wanted[at + 1 :])


def _variables(
    there: Sequence[Entry], wanted: Sequence[Entry], *, is_same_plan: bool
) -> list[Entry]:
    """Return the env of our container: ours once each, and those of others, which it never sees."""
    missing = {str(entry["name"]): entry for entry in wanted}
    own = frozenset(missing)
    found = []
    for entry in there:
        budget.spend()
        name = str(entry.get("name"))
        if name in missing:
            made = missing.pop(name)
            is_kept = is_same_plan and name == our_container.PLAN_VARIABLE
            found.append(entry if is_kept or is_as_made(entry, made) else made)
        elif name not in own and not name.startswith(_VARIABLES):
            found.append(entry)
    return [*missing.values(), *found]


def _mounts(there: Sequence[Entry], wanted: Sequence[Entry]) -> list[Entry]:
    """Return the mounts of our container: ours, and those that do not reach its code or folders."""
    own = {mount["mountPath"]: mount for mount in wanted}
    found = []
    for mount in there:
        budget.spend()
        if again.is_our_mount(mount):
            made = own.get(str(mount.get("mountPath")))
            if made is not None and is_as_made(mount, made):
                found.append(mount)
                del own[made["mountPath"]]
        elif not our_container.is_over_ours(str(mount.get("mountPath"))):
            found.append(mount)
    return [*found, *own.values()]


def rights(raw: Entry, wanted: Entry) -> dict[str, Any]:
    """Return the security context for our container: ours, and what was added and gives no rights.

    `raw` is the container that is there; more capabilities may be dropped than we drop.
    """
    there, made = raw.get("securityContext") or {}, dict(wanted["securityContext"])
    capabilities = there.get("capabilities") or {}
    if "ALL" in (capabilities.get("drop") or ()) and not capabilities.get("add"):
        made["capabilities"] = capabilities
    for field, value in there.items():
        if field not in made and (says_nothing(value) or _gives_no_rights(field, value)):
            made[field] = value
    return made


def _gives_no_rights(field: str, value: Any) -> bool:
    match field:
        case "runAsUser":  # it is the platform's choice where we make none; ours was the group's
            return isinstance(value, int) and value > 0 and value != our_container.GROUP
        case "appArmorProfile":
            return bool(value.get("type") != "Unconfined")
        case "seLinuxOptions":
            is_named = value.get("user") or value.get("role")
            return not is_named and (value.get("type") or "") in _SELINUX_TYPES
        case "procMount":
            return bool(value == "Default")
        case _:
            return False


def _is_harmless_field(field: str, value: Any) -> bool:
    """Say whether a field that we do not set may stay in our container.

    Unknown ones may not: a later Kubernetes may have fields that change what is run.
    """
    if field == "terminationMessagePath":
        return bool(value == "/dev/termination-log")
    return says_nothing(value) or field in ("envFrom", "resizePolicy")


def _is_at_least(there: object, wanted: object) -> bool:
    if there is None:
        return False
    found, least = quantity.parse(there), quantity.parse(wanted)
    return found is not None and least is not None and found >= least
