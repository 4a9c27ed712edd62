"""Definitions of keys and files: what a set of them says, whoever wrote it.

A pod's annotation and a resource's `spec.env` have one form, so one reader: a mapping of names to
texts or to `{value, required, default, matches, notAfter}`, with `__import_svc` and `__from` beside
them. A key that an entry of `__from` lists is a key like any other, but for one thing: what is
written by name wins over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from injector.core.errors import Code, Problem
from injector.core.plan import Rule
from injector.core.reference import Value

IMPORT = "__import_svc"
FROM = "__from"
MAX_KEYS = 512


class ServiceRef(msgspec.Struct, frozen=True, kw_only=True):
    """Another service, as one writes it: `namespace` None is the writer's own.

    `keys` are the ones that an import takes, with patterns as written; None is all of them.
    """

    service: str
    namespace: str | None
    keys: tuple[str, ...] | None = None


class KeyDef(msgspec.Struct, frozen=True, kw_only=True):
    """One key: `place` is where in its object it stands (`spec.env.API_KEY`).

    `taken` is the secret's own key where an entry of `__from` lists it, else empty.
    With `is_override` it takes the place of a container's own entry that has `valueFrom`.
    """

    name: str
    value: Value
    rule: Rule | None
    origin: str
    place: str
    taken: str = ""
    is_override: bool = False


class FileDef(msgspec.Struct, frozen=True, kw_only=True):
    """One file: `path` below the files folder, or absolute; `mode` None is the default."""

    name: str
    path: str
    mode: int | None
    value: Value
    rule: Rule | None
    origin: str
    place: str


class FromDef(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of a secret that nobody names: `value` is all of it, `keys` are patterns with `*`.

    `name` is what the variables are called together, such as `DB_*`; see `plan.EnvFrom`. Without
    `keys` it takes nothing.
    """

    name: str
    value: Value
    rule: Rule | None
    origin: str
    place: str
    keys: tuple[str, ...]
    prefix: str = ""
    rename: tuple[tuple[str, str], ...] = ()
    is_strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """What one writer set: keys and files as written; of imports and `env_from` later ones win."""

    env: tuple[KeyDef, ...] = ()
    env_from: tuple[FromDef, ...] = ()
    files: tuple[FileDef, ...] = ()
    imports: tuple[ServiceRef, ...] = ()
    broken: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    """Keys that are written and wrong, which are not in `env`, and what is wrong with each."""


def clashes(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each path that cannot be a file beside an earlier one, and that one.

    Two paths clash when they differ by nothing or by case alone, or one is a folder of the other.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        folded = path.casefold()
        above = [folded[:at] for at, char in enumerate(folded) if char == "/"]
        near = (files.get(folded), folders.get(folded), *(files.get(folder) for folder in above))
        other = next((found for found in near if found is not None), None)
        if other is not None:
            yield path, other
            continue
        files[folded] = path
        folders.update(dict.fromkeys(above, path))


def problem_of(by: KeyDef | FileDef | FromDef, code: Code, what: str, hint: str = "") -> Problem:
    """Return a problem of a definition, which says where it is written and by whom."""
    is_resource = by.origin.startswith(("ServiceSecrets", "EnvironmentSecrets"))
    return Problem(
        code=code,
        what=what,
        source=by.place if is_resource else by.origin,
        target=f"file {by.name}" if isinstance(by, FileDef) else by.name,
        origin=by.origin if is_resource else "",
        hint=hint,
    )
