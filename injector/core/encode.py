"""Rendered values as files: the launcher's env file, the kubelet's env files, and where each lies.

`render` gives bytes per container; `lay_out` turns them into folders of files, or refuses them all
together; `deliver` writes the folders. A value is carried byte for byte or refused, never edited.

    volume/<container>/launch/launcher    the static binary        (launcher mode with variables)
    volume/<container>/launch/env         every variable, for it
    volume/<container>/files/<path>       one file per value
    volume/<container>/placed/<path>      one file per value that is mounted by itself at /<path>
    env/<container>/<NAME>                one file per variable    (native mode; +N where no file
                                                                    can be called so)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from injector.core import errors, plan
from injector.core.errors import Code, DeliveryFailed, Problem
from injector.core.plan import ContainerPlan, Plan
from injector.core.plan_codec import is_planned_path, native_file
from injector.core.record import Record, hidden
from injector.core.reference import NAME
from injector.core.render import Rendered

MAX_LAUNCHER_ENTRY = 131_072
"""Bytes of `NAME=value` and its NUL that execve takes as one string (MAX_ARG_STRLEN, execve(2))."""

MAX_NATIVE_VALUE = 32 * 1024
"""Bytes of a value in an env file (KEP-3721); later releases of Kubernetes may enforce it."""

LAUNCHER_MODE = 0o555
_CONTAINER = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")

_Report = Callable[[Code, str, str], None]
"""Takes the kind of problem, what is wrong, and the variable or file it is about."""


class File(Record):
    """One file to write; `path` is canonical and relative to its folder. Its data never prints."""

    path: str
    mode: int
    data: bytes = hidden()


class Folder(Record):
    """Files that become visible in one moment, in `place` below a volume's root."""

    place: tuple[str, ...]
    files: tuple[File, ...]


class Layout(Record):
    """Everything to write: `volume` is the pod's private tmpfs, `env` the one the kubelet reads."""

    volume: tuple[Folder, ...]
    env: tuple[Folder, ...]
    folder_mode: int
    group: int | None


def lay_out(p: Plan, rendered: Iterable[Rendered], *, launcher: bytes) -> Layout:
    """Return the files of every container; raises DeliveryFailed with everything not carriable.

    `launcher` is the static binary, empty when `needs_launcher` says no. Without a reading group
    the files are the owner's alone: 0400, in folders of 0700. An optional variable without a value
    has no entry for the launcher and a blank file for the kubelet, which fails on a missing one.
    """
    file_mode, folder_mode = (0o400, 0o700) if p.group is None else (0o440, 0o750)
    problems: list[Problem] = []
    volume: list[Folder] = []
    env: list[Folder] = []
    planned = {container.name: container for container in p.containers}
    for container in rendered:
        wanted = planned[container.name]
        problems += _problems(p, wanted, container)
        if problems:
            continue
        if wanted.has_variables and wanted.env_mode == plan.LAUNCHER:
            launch = (
                File(path="launcher", mode=LAUNCHER_MODE, data=launcher),
                File(path="env", mode=file_mode, data=launcher_env(container.env)),
            )
            volume.append(Folder(place=(container.name, "launch"), files=launch))
        elif wanted.env:
            values = dict(container.env)
            each = []
            for index, item in enumerate(wanted.env):
                path, key = native_file(index, item.name)
                value = values.get(item.name)
                data = b"" if value is None else native_env(key, value)
                each.append(File(path=path, mode=file_mode, data=data))
            env.append(Folder(place=(container.name,), files=tuple(each)))
        if wanted.files:
            for place, is_absolute in (("files", False), ("placed", True)):
                files = tuple(
                    File(
                        path=path.removeprefix("/"),
                        mode=file_mode if mode is None else mode,
                        data=data,
                    )
                    for path, data, mode in container.files
                    if path.startswith("/") is is_absolute
                )
                if files or any(f.path.startswith("/") is is_absolute for f in wanted.files):
                    volume.append(Folder(place=(container.name, place), files=files))
    if problems:
        raise DeliveryFailed(problems)
    return Layout(volume=tuple(volume), env=tuple(env), folder_mode=folder_mode, group=p.group)


def needs_launcher(p: Plan) -> bool:
    """Say whether a container of the plan starts through the launcher."""
    return any(
        container.has_variables and container.env_mode == plan.LAUNCHER
        for container in p.containers
    )


def launcher_env(env: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the launcher's env file (`launcher/envfile.c`) of variables that it can carry."""
    body = b"".join(name.encode() + b"=" + value + b"\0" for name, value in env)
    return b"SIENV1 %d %d\n" % (len(env), len(body)) + body


def native_env(key: str, value: bytes) -> bytes:
    """Return an env file of one variable, as the kubelet reads it (KEP-3721).

    One file for each: the kubelet scans the file once per variable, and one value cannot break or
    forge another.
    """
    return key.encode() + b"='" + value + b"'\n"


def launcher_refusal(name: str, value: bytes) -> str:
    """Return why the launcher cannot carry the value, or an empty text."""
    if b"\0" in value:
        return "the value holds a NUL byte, which no environment can carry"
    size = len(name.encode()) + len(value) + 2
    if size > MAX_LAUNCHER_ENTRY:
        return f"the variable takes {size} bytes, the kernel passes {MAX_LAUNCHER_ENTRY}"
    return ""


def native_refusal(value: bytes) -> str:
    """Return why the kubelet's env file cannot carry the value unchanged, or an empty text."""
    if not value:
        return "the value is empty, which the kubelet reads as missing"
    if len(value) > MAX_NATIVE_VALUE:
        return f"the value takes {len(value)} bytes, an env file's limit is {MAX_NATIVE_VALUE}"
    if b"\0" in value:
        return "the value holds a NUL byte, which no environment can carry"
    if b"'" in value:
        return "the value holds a single quote, for which an env file has no spelling"
    if b"\r\n" in value:
        return "the value holds CR LF, which the kubelet would turn into LF"
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return "the value is not UTF-8, which the container runtime's interface wants"
    return ""


def _problems(p: Plan, wanted: ContainerPlan, container: Rendered) -> list[Problem]:
    """Return everything that keeps the container's values from being written as they are."""
    found: list[Problem] = []
    origins = {item.name: p.values[item.value].origin for item in wanted.env}
    origins |= {f"file {item.path}": p.values[item.value].origin for item in wanted.files}
    where = f" in {container.name}" if len(p.containers) > 1 else ""

    def report(code: Code, what: str, target: str) -> None:
        origin = origins.get(target, "")
        # The advice of the code names the launcher, which has just said no.
        is_last_way = code is errors.NOT_CARRIABLE and wanted.env_mode == plan.LAUNCHER
        hint = "put the value into a file" if is_last_way else ""
        found.append(Problem(code=code, what=what, target=target + where, origin=origin, hint=hint))

    if not _CONTAINER.fullmatch(container.name):
        report(errors.NAME, "the container's name is not one", "all")
    _check_env(container.env, is_native=wanted.env_mode == plan.NATIVE, report=report)
    _check_paths([path for path, _, _ in container.files], report=report)
    return found


def _check_env(env: Sequence[tuple[str, bytes]], *, is_native: bool, report: _Report) -> None:
    for name, value in env:
        if not NAME.fullmatch(name):
            report(errors.NAME, "the name is not one of a variable", name)
        elif why := native_refusal(value) if is_native else launcher_refusal(name, value):
            report(errors.NOT_CARRIABLE, why, name)
    for name in _doubled([name for name, _ in env]):
        report(errors.DUPLICATE, "the variable is set twice", name)


def _check_paths(paths: Sequence[str], *, report: _Report) -> None:
    for path in paths:
        if not is_planned_path(path):
            report(errors.NAME, "the path is not one of plain names", f"file {path}")
    for path in _doubled(paths):
        report(errors.DUPLICATE, "the file is set twice", f"file {path}")
    folders = {path[:at] for path in paths for at in range(len(path)) if path[at] == "/"}
    for path in sorted(folders.intersection(paths)):
        report(errors.NAME, "the file would also be the folder of another file", f"file {path}")


def _doubled(names: Sequence[str]) -> list[str]:
    in_order = sorted(names)
    return sorted({name for name, following in pairwise(in_order) if name == following})
