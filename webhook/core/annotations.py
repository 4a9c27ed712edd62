"""What a pod asks for: the annotations of our prefix, typed.

The table `ANNOTATIONS` is the whole list. An unknown name is a
problem with a "did you mean", never silence. `inject` decides before anything else is looked at:

    inject       other annotations of ours   result
    "false"      any                         not asked for (opted out)
    "true"       any                         asked for
    absent       some                        asked for
    absent       none                        not asked for
    else         any                         a problem
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from injector.core import budget, errors, reference
from injector.core.errors import Problem
from webhook.core import mount_paths, quantity, sizing, yaml_comments, yaml_slips, yamltext
from webhook.core.annotation_table import ANNOTATIONS, FILES_PATH, INJECT, PREFIX, Annotation
from webhook.core.definition_reader import Reader
from webhook.core.definitions import Definitions
from webhook.core.sizing import Sizes

__all__ = [
    "ANNOTATIONS",
    "FILES_PATH",
    "INJECT",
    "PREFIX",
    "Annotation",
    "Wish",
    "ours",
    "parse",
]

MAX_BYTES = 256 * 1024
"""Bytes of a pod's annotations of ours, names and texts: what the API server allows of all of them.

It checks after it has asked us: what comes in is bounded by the size of a request alone.
"""

MAX_LIST = 8192
"""Characters of a list of containers that are looked at: 128 names of the longest kind."""

MAX_REMEMBERED = 4096
"""Characters of annotations that are worth remembering; tenants may write 64 times as much."""

MODES = ("init", "sidecar", "parallel")
ENV_MODES = ("auto", "launcher", "native")

_DURATION = re.compile(r"[1-9][0-9]{0,5}(?:s|m|h)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600}
_INIT_AFTER = re.compile(rf"(?:{reference.LABEL.pattern})?")
# A name with a blank, a semicolon or braces in it is reached by a pattern: here they are slips.
_LISTED = re.compile(r"[!-+\--:<>-z|~]{1,253}")
_ON_CHANGE = re.compile(r"none|restart|signal:(?:HUP|INT|TERM|QUIT|USR1|USR2)")
_MOUNT_PATH = re.compile(r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._-]+)+/*")
_UID = re.compile(r"[1-9][0-9]{0,9}")
_MAX_UID = 2**31 - 1

_BY_NAME = {annotation.name: annotation for annotation in ANNOTATIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Everything a pod's annotations say. `per_container` overrides `shared` for that one.

    `is_explicit` is `inject: "true"` in so many words; `inline` None names every variable;
    `init_after` None leaves our container's place to us, and an empty text is the first.
    """

    service: str | None = None
    shared: Definitions = field(default_factory=Definitions)
    per_container: Mapping[str, Definitions] = field(default_factory=dict)
    containers: tuple[str, ...] | None = None
    env_mode: str = "auto"
    mode: str = "init"
    refresh: str | None = None
    on_change: str = "none"
    files_path: str = FILES_PATH
    files_paths: Mapping[str, str] = field(default_factory=dict)
    """The folder of single containers, where it is another one."""
    run_as: int | None = None
    resources: Sizes = field(default_factory=Sizes)
    init_after: str | None = None
    deadline_s: float | None = None
    is_explicit: bool = False
    inline: tuple[str, ...] | None = None

    def files_path_of(self, container: str) -> str:
        """Return the folder that the container's files appear in."""
        return self.files_paths.get(container, self.files_path)


def ours(annotations: Mapping[str, object]) -> dict[str, object]:
    """Return the annotations of our prefix, by name without it."""
    return {k[len(PREFIX) :]: v for k, v in annotations.items() if k.startswith(PREFIX)}


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as 90s, 10m or 1h."""
    return float(int(text[:-1]) * _UNIT_S[text[-1]])


def parse(found: Mapping[str, str], *, is_pods: bool = True) -> tuple[Wish, tuple[Problem, ...]]:
    """Return what the annotations (names without prefix) ask for, and every problem in them.

    Not everything may stand in annotations that a policy sets: then `is_pods` is False.
    """
    size = sum(_size(name) + _size(text) for name, text in found.items())
    budget.spend(1 + len(found) + size // 256)
    if size > MAX_BYTES:
        what = f"the annotations of {PREFIX} take {size} bytes together, the limit is {MAX_BYTES}"
        return Wish(), (Problem(code=errors.TOO_LARGE, what=what, source="annotations"),)
    entries = tuple(sorted(found.items()))
    if size > MAX_REMEMBERED or not is_pods:
        return _read(entries, is_pods=is_pods)
    return _remembered(entries)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=1024)
def _remembered(entries: tuple[tuple[str, str], ...]) -> tuple[Wish, tuple[Problem, ...]]:
    # A new snapshot asks about the same templates again, and YAML is most of the work.
    return _read(entries, is_pods=True)


def _read(
    entries: tuple[tuple[str, str], ...], *, is_pods: bool
) -> tuple[Wish, tuple[Problem, ...]]:
    reader = _AnnotationReader(dict(entries), is_pods=is_pods)
    return reader.wish(), tuple(reader.problems)


class _AnnotationReader:
    def __init__(self, found: Mapping[str, str], *, is_pods: bool) -> None:
        self.found, self._is_pods = found, is_pods
        self.problems: list[Problem] = []
        self._nodes_left = yamltext.MAX_NODES

    def wish(self) -> Wish:
        self._unknown()
        inject = self._choice("inject", ("true", "false"))
        containers = self._containers()
        return Wish(
            service=self._match("service", reference.LABEL),
            shared=self._definitions(""),
            per_container={name: self._definitions(name) for name in self._named_containers()},
            containers=containers,
            env_mode=self._choice("env-mode", ENV_MODES),
            mode=self._choice("mode", MODES),
            refresh=self._match("refresh", _DURATION),
            on_change=self._match("on-change", _ON_CHANGE) or "none",
            files_path=self._files_path("files-path") or FILES_PATH,
            files_paths=self._files_paths(),
            run_as=self._run_as(),
            resources=self._resources(),
            init_after=self._match("init-after", _INIT_AFTER),
            deadline_s=self._deadline_s(),
            is_explicit="inject" in self.found and inject == "true",
            inline=self._inline(),
        )

    def _unknown(self) -> None:
        for name in self.found:
            budget.spend()
            base, dot, container = name.partition(".")
            known = _BY_NAME.get(base)
            if known is None or (dot and not known.is_per_container):
                hint = errors.neighbour(self.problems, base, _BY_NAME)
                hint = hint or "docs/annotations.md lists every annotation"
                self._problem(errors.ANNOTATION_UNKNOWN, name, "no such annotation", hint)
            elif dot and not reference.LABEL.fullmatch(container):
                self._problem(
                    errors.ANNOTATION_UNKNOWN, name, "what follows the dot is no container's name"
                )

    def _named_containers(self) -> list[str]:
        names = {n.partition(".")[2] for n in self.found if n.startswith(("env.", "files."))}
        return sorted(name for name in names if reference.LABEL.fullmatch(name))

    def _definitions(self, container: str) -> Definitions:
        suffix = f".{container}" if container else ""
        reader = self._reader("env" + suffix)
        env, imports = reader.env(self._tree("env" + suffix), "")
        files = self._reader("files" + suffix).files(self._tree("files" + suffix), "")
        if container and imports:
            what = "imports are for all containers: move __import_svc to env"
            self._problem(errors.ANNOTATION_VALUE, "env" + suffix, what)
        return Definitions(
            env=reader.with_listed(env), env_from=reader.env_from, files=files, imports=imports
        )

    def _reader(self, name: str) -> Reader:
        return Reader(f"annotation {PREFIX}{name}", self.problems, is_pods=self._is_pods)

    def _tree(self, name: str) -> yamltext.Tree:
        """Return the YAML map of an annotation; empty when it is absent or wrong."""
        text = self.found.get(name)
        if text is None:
            return {}
        try:
            found = yamltext.read(text, most=self._nodes_left)
            tree = found.tree
            self._nodes_left -= found.nodes
        except yamltext.TooManyNodes:
            what = f"the YAML of all annotations has more than {yamltext.MAX_NODES} nodes"
            hint = "move keys to a ServiceSecrets, or split it"
            self._problem(errors.LIMIT, name, what, hint)
            return {}
        except yamltext.YamlSlip as slip:
            self._problem(errors.ANNOTATION_VALUE, name, f"not a YAML map: {slip}")
            return {}
        if not isinstance(tree, dict):
            what = f"must be a {_BY_NAME[name.partition('.')[0]].form}"
            is_glued = isinstance(tree, str) and yaml_slips.is_glued(tree)
            hint = yaml_slips.BLANK if is_glued else "" if text else yaml_comments.HINT
            if is_glued and yaml_slips.glued_line(text):
                what, hint = yaml_slips.glued(1), ""
            self._problem(errors.ANNOTATION_VALUE, name, what, hint)
            return {}
        for place in found.commented:
            origin = f"annotation {PREFIX}{name}"
            self.problems.append(
                Problem(code=errors.COMMENT, what=yaml_comments.WHAT, source=place, origin=origin)
            )
        return tree

    def _containers(self) -> tuple[str, ...] | None:
        text = self.found.get("containers")
        if text is None:
            return None
        names = tuple(name.strip() for name in text[:MAX_LIST].split(","))
        if (
            len(text) > MAX_LIST
            or not all(map(reference.LABEL.fullmatch, names))
            or len(set(names)) != len(names)
        ):
            self._form("containers")
            return None
        return names

    def _inline(self) -> tuple[str, ...] | None:
        text = self.found.get("inline")
        if text is None:
            return None
        if not text:
            return ()
        names = tuple(name.strip() for name in text[:MAX_LIST].split(","))
        if len(text) > MAX_LIST or not all(map(_LISTED.fullmatch, names)):
            self._form("inline")
            return ()
        return names

    def _choice(self, name: str, choices: tuple[str, ...]) -> str:
        text = self.found.get(name, choices[0])
        if text not in choices:
            self._form(name, errors.did_you_mean(text, choices))
            return choices[0]
        return text

    def _match(self, name: str, pattern: re.Pattern[str]) -> str | None:
        text = self.found.get(name)
        if text is not None and not pattern.fullmatch(text):
            self._form(name)
            return None
        return text

    def _deadline_s(self) -> float | None:
        text = self._match("deadline", _DURATION)
        return None if text is None else seconds_of(text)

    def _files_path(self, name: str) -> str | None:
        text = self.found.get(name)
        if text is None:
            return None
        if len(text) > 512 or not _MOUNT_PATH.fullmatch(text):
            self._form(name)
        elif why := mount_paths.refusal(text, is_folder=True):
            self._problem(errors.ANNOTATION_VALUE, name, why)
        else:
            return text.rstrip("/")
        return None

    def _files_paths(self) -> dict[str, str]:
        names = [n for n in self.found if n.startswith("files-path.")]
        found = {n.partition(".")[2]: self._files_path(n) for n in sorted(names)}
        return {container: path for container, path in found.items() if path is not None}

    def _run_as(self) -> int | None:
        text = self._match("run-as", _UID)
        if text is not None and int(text) > _MAX_UID:
            self._form("run-as")
            return None
        return None if text is None else int(text)

    def _resources(self) -> Sizes:
        found: dict[str, dict[str, int]] = {"requests": {}, "limits": {}}
        tree = self._tree("resources")
        for kind, entries in tree.items() if isinstance(tree, dict) else ():
            if kind not in found or not isinstance(entries, Mapping):
                self._form("resources", errors.did_you_mean(kind, found))
                continue
            for resource, text in entries.items():
                value = quantity.parse(text) if isinstance(text, str) else None
                if resource not in sizing.RESOURCES:
                    what = f'"{resource}" is not one of ' + ", ".join(sizing.RESOURCES)
                elif value is None or value <= 0:
                    what = f"{kind}.{resource} is not a quantity such as 100m or 64Mi"
                else:
                    found[kind][resource] = value
                    continue
                self._problem(errors.ANNOTATION_VALUE, "resources", what)
        for resource, limit in found["limits"].items():
            if found["requests"].get(resource, 0) > limit:
                what = f"requests.{resource} is above limits.{resource}"
                self._problem(errors.ANNOTATION_VALUE, "resources", what)
        return Sizes(requests=found["requests"], limits=found["limits"])

    def _form(self, name: str, hint: str = "") -> None:
        hint = hint or ("" if self.found.get(name) else yaml_comments.HINT)
        form = _BY_NAME[name.partition(".")[0]].form
        self._problem(errors.ANNOTATION_VALUE, name, f"must be {form}", hint)

    def _problem(self, code: errors.Code, name: str, what: str, hint: str = "") -> None:
        self.problems.append(
            Problem(code=code, what=what, source=f"annotation {PREFIX}{name}", hint=hint)
        )
