"""The values of a service on this machine, for `run`, `env` and `export`.

The plan comes from the webhook's own code, by name and without a value; what follows is the pod's
`fetch` and `render`, with files and tokens of this machine in place of what a pod has mounted.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from injector import whole_file
from injector.commands.calling import refused, tell
from injector.core import errors, plan_part
from injector.core.plan import Plan
from injector.core.record import Record, hidden
from injector.core.render import Rendered, render
from injector.deadline import Deadline
from injector.fetch import fetch
from injector.leaving import Leaving

PLANNER = "webhook.commands.laptop:plan"
_Planned = tuple[str, Plan, tuple[str, ...]]


class Wanted(Record):
    """Whose values, from which files: the options that `run`, `env` and `export` share."""

    filenames: tuple[str, ...]
    name: str | None
    container: str | None
    namespace: str
    environment: str | None
    stores_file: str | None
    only: tuple[str, ...]


class Values(Record):
    """What a service gets here; `origins` says for each variable and file who wrote it."""

    name: str
    namespace: str
    env: tuple[tuple[str, bytes], ...] = hidden()
    files: tuple[tuple[str, bytes, int | None], ...] = hidden()
    origins: tuple[tuple[str, str], ...]


def values(wanted: Wanted) -> Values:
    """Return the values; raises Refused for what is written wrong, FetchFailed for the stores."""
    name, whole, warnings = _plan(wanted)
    for warning in warnings:
        tell(f"warning: {warning}")
    p = _part(whole, wanted.only)
    leaving, is_lost = Leaving(), True
    try:
        fetched = fetch(p, None, Deadline.after(p.deadline_s), leaving=leaving)
        rendered = render(p, fetched.answers, today=time.strftime("%Y-%m-%d", time.gmtime()))
        is_lost = False
    finally:
        leaving.leave(is_lost=is_lost)
    (of_container,) = rendered or (Rendered(name=name, env=(), files=()),)
    _tell_of_keys(p, of_container, wanted.only)
    origins = [
        (target, f"{value.origin} {value.key}")
        for container in p.containers
        for target, value in (
            *((item.name, p.values[item.value]) for item in container.env),
            *((file.path, p.values[file.value]) for file in container.files),
        )
    ]
    origins += [
        (target, f"{p.values[value].origin} {p.values[value].key}")
        for target, value in of_container.taken
    ]
    return Values(
        name=name,
        namespace=p.namespace,
        env=of_container.env,
        files=of_container.files,
        origins=tuple(origins),
    )


def write_files(folder: Path, files: Sequence[tuple[str, bytes, int | None]]) -> None:
    """Write files below a folder, each complete or not at all; the owner's alone by default.

    Raises Refused when a file cannot be written. Paths are the plan's: relative and canonical.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, data, mode in files:
            target = folder / path
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            whole_file.replace(target, data, mode=0o600 if mode is None else mode & 0o700)
    except OSError as error:
        what = f"cannot be written: {os.strerror(error.errno or 0).lower()}"
        raise refused(what, source=str(error.filename or folder)) from None


def _plan(wanted: Wanted) -> _Planned:
    module, _, function = PLANNER.partition(":")
    planner: Callable[..., _Planned] = getattr(importlib.import_module(module), function)
    return planner(
        wanted.filenames,
        name=wanted.name,
        container=wanted.container,
        namespace=wanted.namespace,
        environment=wanted.environment,
        stores_file=wanted.stores_file,
    )


def _tell_of_keys(p: Plan, container: Rendered, only: Sequence[str]) -> None:
    """Say which keys of a secret did not become variables; raises Refused for one that is named."""
    there = {name for name, _ in (*container.env, *container.taken)}
    known = [*there, *plan_part.names(p)]
    for name in only:
        if name not in known:
            hint = errors.did_you_mean(name, known) or "none of the secrets has such a key"
            raise refused(f'nothing is called "{name}"', source="--only", hint=hint)
    for line in container.told:
        kept = "left out" if line.is_left_out else "set against a policy"
        tell(f"warning: {line.code.id} key {errors.printable(line.key)} is {kept}: {line.what}")


def _part(p: Plan, only: Sequence[str]) -> Plan:
    known = plan_part.names(p)
    for name in only:
        if name not in known and not plan_part.has_env_from(p):
            hint = errors.did_you_mean(name, known) or "there are: " + ", ".join(known)
            raise refused(f'nothing is called "{name}"', source="--only", hint=hint)
    return plan_part.only(p, only) if only else p
