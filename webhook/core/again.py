"""A pod that already carries our parts: how it was before them.

The API server asks again after other webhooks changed a pod; replicas of two releases look at one
pod while an upgrade goes on; people and backups create pods from ones that were injected. Whoever
wrote the parts, they are taken out by their shape and today's are put in (`renewal`):

    our container     called `secret-injector`, with our command or a variable of ours
    our volumes       by name, and by kind where our container is missing
    other containers  mounts of these volumes, variables from them, the launcher in front of a
                      command, in its arguments, or in an exec probe or hook

Of what is found only the sources are used, the references that we took out of `env`: they are put
back, and are then text of that pod like any other. Nothing of a plan is believed; the containers
that it names count as having been there when another webhook adds more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from injector.core import budget, errors, plan_codec
from injector.core.errors import Problem, Refused
from injector.core.plan import Plan
from webhook.core import our_container, patch, sources_text
from webhook.core import pod as pods

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HOOKS = ("postStart", "preStop")
WORDS_A_STEP = 64

_LISTS = ("initContainers", "containers")
_EMPTY_DIRS = (pods.NAME, our_container.ENV_VOLUME)
_RENAME = "rename it: this name is the injector's own"
_OURS = f"container {pods.NAME}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A pod as it was before our parts.

    `plan` is the one that it carried, None when there is none that we can read; `served` are the
    containers that had parts of ours; `is_cut` says that our container was missing already.
    """

    pod: Mapping[str, Any]
    plan: Plan | None
    sources: sources_text.Sources
    served: frozenset[str]
    is_cut: bool


def carries_parts(pod: Mapping[str, Any]) -> bool:
    """Say whether the pod has a container or a volume with a name of ours."""
    body = pods.spec(pod)
    named = [*(body.get("initContainers") or ()), *(body.get("containers") or ())]
    return any(raw.get("name") == pods.NAME for raw in named) or any(
        patch.is_volume_name(str(volume.get("name"))) for volume in body.get("volumes") or ()
    )


def clashes(pod: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each thing that has a name of ours and is not of our making."""
    found = []
    ours = fetchers(pod)
    for raw in ours:
        if not is_of_our_making(raw):
            what = "a container of the pod has the name of the injector's, and is another one"
            source = f"{_OURS}, name"
            found.append(Problem(code=errors.POD, what=what, source=source, hint=_RENAME))
        elif _sources_of(raw) is None:
            what = "it cannot be read, so the references that stood in env are lost"
            hint = "create the pod anew from its template"
            source = f"{_OURS}, env {sources_text.VARIABLE}"
            found.append(Problem(code=errors.POD, what=what, source=source, hint=hint))
    strange = frozenset(_strange_mounts(pod))
    for volume in pods.spec(pod).get("volumes") or ():
        name = str(volume.get("name"))
        if not patch.is_volume_name(name):
            continue
        is_made = _is_of_kind(volume)
        if (ours and (is_made or name not in strange)) or (is_made and name not in strange):
            continue
        what = "a volume of the pod has the name of the injector's, and is another one"
        source = f"volume {name}, name"
        found.append(Problem(code=errors.POD, what=what, source=source, hint=_RENAME))
    return list(dict.fromkeys(found))


def lost_annotations(pod: Mapping[str, Any]) -> dict[str, str]:
    """Return what a pod asked for that carries our container and none of our annotations.

    `kubectl debug --copy-to` leaves annotations out. They are text of that pod, like the sources:
    whoever can write them there can write them on the pod.
    """
    ours = fetchers(pod)
    if len(ours) != 1 or not is_of_our_making(ours[0]):
        return {}
    text = _plan_text(ours[0])
    budget.spend(1 + len(text) // WORDS_A_STEP)
    return plan_codec.asked_in(text) if text else {}


def before(pod: Mapping[str, Any]) -> Undone | None:
    """Return the pod as it was before our parts, or None when parts are not of our making."""
    return None if clashes(pod) else taken_out(pod)


def taken_out(pod: Mapping[str, Any]) -> Undone:
    """Return a copy of the pod without our parts, which `clashes` has nothing against."""
    ours = fetchers(pod)
    plan = plan_of(pod)
    sources = next((_sources_of(raw) for raw in ours), ()) or ()
    texts = {(container, name): text for container, name, text in sources}
    body = dict(pods.spec(pod))
    served = {part.name for part in plan.containers} if plan is not None else set()
    for part in _LISTS:
        there = body.get(part)
        if not there:
            continue
        others = [raw for raw in there if raw.get("name") != pods.NAME]
        served |= {str(raw.get("name")) for raw in others if has_parts(raw)}
        _set(body, part, [_stripped(raw, texts) for raw in others])
    kept = [v for v in body.get("volumes") or () if not patch.is_volume_name(str(v.get("name")))]
    _set(body, "volumes", kept)
    return Undone(
        pod={**pod, "spec": body},
        plan=plan,
        sources=sources,
        served=frozenset(served),
        is_cut=not ours,
    )


def fetchers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return every container that has our container's name."""
    return [container.raw for container in pods.containers(pod) if container.name == pods.NAME]


def is_of_our_making(raw: Mapping[str, Any]) -> bool:
    """Say whether a container with our name was made by us, whatever has become of it."""
    return raw.get("command") == our_container.COMMAND or any(
        entry.get("name") in (our_container.PLAN_VARIABLE, sources_text.VARIABLE)
        for entry in raw.get("env") or ()
    )


def plan_of(pod: Mapping[str, Any]) -> Plan | None:
    """Return the plan that the pod carries; None when it is not one, or not in one place."""
    ours = [c for c in pods.containers(pod) if c.name == pods.NAME]
    return _plan_of(ours[0].raw) if len(ours) == 1 and ours[0].is_init else None


def is_same_plan(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether two containers of ours carry one plan, however it is written."""
    one, other = _plan_text(there), _plan_text(wanted)
    if one == other:
        return True
    budget.spend(1 + (len(one) + len(other)) // WORDS_A_STEP)
    plan = _plan_of(there)
    return plan is not None and plan == _plan_of(wanted)


def has_parts(raw: Mapping[str, Any]) -> bool:
    """Say whether a container that is not ours has a part of ours."""
    return (
        any(is_our_mount(mount) for mount in raw.get("volumeMounts") or ())
        or any(is_file_key(entry) for entry in raw.get("env") or ())
        or launchers(raw.get("command")) + launchers(raw.get("args")) > 0
    )


def is_our_mount(mount: Mapping[str, Any]) -> bool:
    """Say whether a mount is of one of our volumes."""
    return patch.is_volume_name(str(mount.get("name")))


def is_file_key(entry: Mapping[str, Any]) -> bool:
    """Say whether an env entry comes from our volume of variables."""
    ref = (entry.get("valueFrom") or {}).get("fileKeyRef") or {}
    return ref.get("volumeName") == our_container.ENV_VOLUME


def launchers(words: Sequence[str] | None) -> int:
    """Return how often our launcher starts what comes next in a command or in arguments."""
    return sum(1 for _ in _starts(words or ()))


def exec_actions(raw: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield the path and the content of every exec probe and lifecycle hook of a container."""
    places = [(name,) for name in PROBES]
    for place in (*places, *(("lifecycle", name) for name in HOOKS)):
        action: Any = raw
        for name in place:
            action = action.get(name) or {}
        if action.get("exec"):
            yield (*place, "exec"), action["exec"]


def _starts(words: Sequence[str]) -> Iterator[int]:
    budget.spend(len(words) // WORDS_A_STEP)
    size, at = len(patch.LAUNCHER), 0
    while at + size <= len(words):
        if list(words[at : at + size]) == patch.LAUNCHER:
            yield at
            at += size
        else:
            at += 1


def _without_launcher(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    last = 0
    for at in _starts(words):
        kept += words[last:at]
        last = at + len(patch.LAUNCHER)
    return kept + list(words[last:])


def _stripped(raw: Mapping[str, Any], texts: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Return a copy of a container without our parts; references stand in its env again."""
    found = dict(raw)
    mounts = raw.get("volumeMounts") or ()
    _set(found, "volumeMounts", [mount for mount in mounts if not is_our_mount(mount)])
    _set(found, "env", _env(raw, texts))
    for field in ("command", "args"):
        if launchers(raw.get(field)):
            _set(found, field, _without_launcher(raw[field]))
    for place, action in exec_actions(raw):
        if launchers(action.get("command")):
            _replace(found, place, {**action, "command": _without_launcher(action["command"])})
    return found


def _env(raw: Mapping[str, Any], texts: Mapping[tuple[str, str], str]) -> list[Mapping[str, Any]]:
    """Return the env of a container as it was: a reference stands where its variable stood.

    One that has an entry of its own by now is not put back: whoever wrote that has replaced it.
    """
    container, entries = str(raw.get("name")), raw.get("env") or ()
    budget.spend(len(entries))
    literal = {entry.get("name") for entry in entries if not is_file_key(entry)}
    missing = {
        name: text
        for (owner, name), text in texts.items()
        if owner == container and name not in literal
    }
    found: list[Mapping[str, Any]] = []
    for entry in entries:
        if not is_file_key(entry):
            found.append(entry)
        elif entry.get("name") in missing:
            name = str(entry.get("name"))
            found.append({"name": name, "value": missing.pop(name)})
    return [*found, *({"name": name, "value": text} for name, text in missing.items())]


def _replace(raw: dict[str, Any], place: Sequence[str], value: object) -> None:
    """Put a value at a place of a copy, and copies of all that is on the way to it."""
    owner = raw
    for name in place[:-1]:
        owner[name] = dict(owner[name])
        owner = owner[name]
    owner[place[-1]] = value


def _set(raw: dict[str, Any], name: str, entries: Sequence[Any]) -> None:
    """Set a list in a copy; an empty one is no list, as the API server has it."""
    raw.pop(name, None)
    if entries:
        raw[name] = entries


def _is_of_kind(volume: Mapping[str, Any]) -> bool:
    """Say whether a volume with a name of ours is of the kind that we make of that name."""
    name = volume.get("name")
    if name in _EMPTY_DIRS:
        return (volume.get("emptyDir") or {}).get("medium") == "Memory"
    return ("projected" if name == our_container.SOURCES_VOLUME else "secret") in volume


def _strange_mounts(pod: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of our volumes that another container mounts as we never do."""
    for container in pods.containers(pod):
        if container.name == pods.NAME:
            continue
        for mount in container.raw.get("volumeMounts") or ():
            budget.spend()
            if is_our_mount(mount) and not (
                mount.get("name") == pods.NAME
                and str(mount.get("subPath") or "").startswith(f"{container.name}/")
            ):
                yield str(mount.get("name"))


def _sources_of(raw: Mapping[str, Any]) -> sources_text.Sources | None:
    """Return the sources that our container carries; None when they cannot be read.

    Earlier releases had them in the plan alone.
    """
    for entry in raw.get("env") or ():
        if entry.get("name") == sources_text.VARIABLE:
            return sources_text.decode(str(entry.get("value") or ""))
    plan = _plan_of(raw)
    return () if plan is None else plan.sources


def _plan_of(raw: Mapping[str, Any]) -> Plan | None:
    text = _plan_text(raw)
    try:
        return plan_codec.decode(text) if text else None
    except Refused:
        return None


def _plan_text(raw: Mapping[str, Any]) -> str:
    return next(
        (
            str(entry.get("value") or "")
            for entry in raw.get("env") or ()
            if entry.get("name") == our_container.PLAN_VARIABLE
        ),
        "",
    )
