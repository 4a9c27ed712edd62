"""Reading definitions: YAML of an annotation or JSON of a resource becomes keys and files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from injector.core import budget, errors, grammar, pattern, reference, steering
from injector.core.env_from import RESERVED
from injector.core.errors import Problem
from injector.core.fields import Fields
from injector.core.plan import Rule
from injector.core.plan_codec import is_absolute_path, is_file_path
from injector.core.reference import Value
from injector.core.steering import Steers
from webhook.core import field_values, from_entries, mount_paths, yaml_comments, yaml_slips
from webhook.core.definitions import (
    FROM,
    IMPORT,
    MAX_KEYS,
    FileDef,
    FromDef,
    KeyDef,
    ServiceRef,
    clashes,
)

MAX_PROBLEMS = 4096
"""So many mistakes are counted; an answer names the first of them."""


def parsed(text: str) -> Value:
    """Return `grammar.parse(text)`; short texts are remembered: templates repeat them."""
    return _remembered(text) if len(text) <= 256 else grammar.parse(text)


@lru_cache(maxsize=8192)
def _remembered(text: str) -> Value:
    return grammar.parse(text)


class Reader:
    """Reads definitions of one object; every mistake goes to `problems` and is skipped over."""

    def __init__(self, origin: str, problems: list[Problem], *, is_pods: bool = False) -> None:
        """`origin` names the object in every problem.

        `is_pods` says that a pod's own annotation is read: it alone may place a file anywhere in
        the pod, and take the place of what the pod's containers set.
        """
        self.origin, self.problems, self._is_pods = origin, problems, is_pods
        self.broken: dict[str, tuple[Problem, ...]] = {}
        self.env_from: tuple[FromDef, ...] = ()
        self.listed: dict[str, KeyDef] = {}
        is_annotation = origin.startswith("annotation ")
        self._form = errors.ANNOTATION_VALUE if is_annotation else errors.RESOURCE
        self._none = self._nothing("")

    def env(self, data: object, place: str) -> tuple[tuple[KeyDef, ...], tuple[ServiceRef, ...]]:
        """Read a mapping of keys; return the keys and the imports.

        What `__from` says goes to `env_from` and `listed`: see `sources`.
        """
        keys: list[KeyDef] = []
        imports: tuple[ServiceRef, ...] = ()
        for name, entry in self._mapping(data, place).items():
            budget.spend()
            before = len(self.problems)
            if name == IMPORT:
                imports = self._imports(entry, _under(place, name))
            elif name == FROM:
                self.sources(entry, _under(place, name))
            elif name.startswith(RESERVED):
                self._problem(errors.NAME, _under(place, name), *_reserved(name))
            elif not reference.NAME.fullmatch(name):
                what = f'"{name}" is not the name of a variable'
                self._problem(errors.NAME, _under(place, name), what)
            elif (made := self._key(entry, _under(place, name))) is not None:
                value, rule, extra = made
                is_override = extra is not None and self._override(extra, name)
                if is_override is None:
                    self.broken[name] = tuple(self.problems[before:])
                    continue
                keys.append(
                    KeyDef(
                        name=name,
                        value=value,
                        rule=rule,
                        origin=self.origin,
                        place=_under(place, name),
                        is_override=is_override,
                    )
                )
            else:
                self.broken[name] = tuple(self.problems[before:])
        return tuple(keys), imports

    def sources(self, data: object, place: str) -> None:
        """Read entries of `from`: add to `env_from` what they take by pattern, to `listed` by name.

        A key that is listed stands for nothing where one of its name is written: whoever puts the
        set together leaves it out there.
        """
        found, listed = from_entries.read(
            data, place, origin=self.origin, code=self._form, problems=self.problems
        )
        self.env_from += found
        self.listed.update((key.name, key) for key in listed)

    def with_listed(self, keys: tuple[KeyDef, ...]) -> tuple[KeyDef, ...]:
        """Return the keys, and behind them those of `listed` that none of them replaces."""
        if not self.listed:
            return keys
        there = {*(key.name for key in keys), *self.broken}
        return (*keys, *(key for name, key in self.listed.items() if name not in there))

    def files(self, data: object, place: str) -> tuple[FileDef, ...]:
        """Read a mapping of files."""
        files: list[FileDef] = []
        for name, entry in self._mapping(data, place).items():
            budget.spend()
            here = _under(place, name)
            if name.startswith(_IMPORTING):
                self._problem(errors.NAME, here, f'"{name}" is no file', "imports stand in env")
                continue
            made = self._entry(entry, here, "path", "mode")
            if made is None:
                continue
            value, rule, extra = made
            path = extra.optional("path") or name
            if not self._is_path(path, rule, here):
                continue
            mode = self._mode(extra, here)
            files.append(
                FileDef(
                    name=name,
                    path=path,
                    mode=mode,
                    value=value,
                    rule=rule,
                    origin=self.origin,
                    place=here,
                )
            )
        for path, other in clashes(file.path for file in files):
            what = f'"{path}" and "{other}" cannot both be files'
            self._problem(errors.DUPLICATE, place or path, what)
        return tuple(files)

    def _is_path(self, path: str, rule: Rule | None, place: str) -> bool:
        """Say whether a file may lie at the path; if not, the problem is added."""
        what = hint = ""
        if not path.startswith("/"):
            if not is_file_path(path):
                what = f'"{path}" is not a relative path of plain names'
        elif not self._is_pods:
            what = f'"{path}" is absolute, which only the pod itself may say'
            hint = f"write it in the pod's own annotation {_FILES}"
        elif not is_absolute_path(path):
            what = f'"{path}" is not a path of plain names'
            hint = "write the whole path of the file, without . and .. and a slash at the end"
        elif why := mount_paths.refusal(path, is_folder=False):
            what = why
            hint = "docs/annotations.md lists where no file can be placed"
        elif rule is not None and rule.required is False and rule.default is None:
            what = f'"{path}" is a mount, which cannot be left out when there is no value'
            hint = 'add default: "", or leave out required: false'
        if what:
            self._problem(errors.NAME, place, what, hint)
        return not what

    def _key(self, entry: object, place: str) -> tuple[Value, Rule | None, Fields | None] | None:
        """Read one key; the fields are those that a key may have beside a value and its rule."""
        if not isinstance(entry, Mapping):
            made = self._entry(entry, place)
            return None if made is None else (*made[:2], None)
        return self._entry(entry, place, "override")

    def _override(self, extra: Fields, name: str) -> bool | None:
        """Read whether the key takes the place of an entry of a container; None is a mistake."""
        found = extra.take("override")
        if found in (None, False, "false"):
            return False
        code, what, hint = self._form, "", ""
        if found not in (True, "true"):
            what = "override must be true or false"
        elif not self._is_pods:
            what = "override: true is for the pod's own annotation alone"
            hint = f"write it in the annotation {_ENV} of the pod"
        elif steering.of(name) is Steers.CODE:
            code = errors.STEERING_NAME
            what = f'"{name}" decides {Steers.CODE.value}, and may not override'
            hint = "change the entry where the container is written"
        if what:
            self._problem(code, extra.place, what, hint)
            return None
        return True

    def value(self, text: str, place: str) -> Value | None:
        """Read one text; None after a mistake, and after so many that nobody counts on."""
        if len(self.problems) >= MAX_PROBLEMS:
            return None
        try:
            return parsed(text)
        except grammar.GrammarError as error:
            for slip in error.slips:
                self._problem(
                    errors.REFERENCE, f"{place} column {slip.column}", slip.what, slip.hint
                )
            return None

    def _nothing(self, place: str) -> Fields:
        return Fields({}, place=place, origin=self.origin, code=errors.NAME, problems=self.problems)

    def _mapping(self, data: object, place: str) -> Mapping[str, object]:
        if data is None:
            return {}
        if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
            what, hint = "must be a mapping of names to values", ""
            if isinstance(data, str) and yaml_slips.is_glued(data):
                hint = yaml_slips.BLANK
                if yaml_slips.glued_line(data):
                    what, hint = "a blank is missing behind the colon", f"write {yaml_slips.GLUED}"
            self._problem(self._form, place, what, hint)
            return {}
        if len(data) > MAX_KEYS:
            self._problem(errors.LIMIT, place, f"has {len(data)} entries, the limit is {MAX_KEYS}")
            return {}
        return data

    def _entry(
        self, entry: object, place: str, *extra: str
    ) -> tuple[Value, Rule | None, Fields] | None:
        # A bare text, which most entries are, is short for {value: text}.
        if isinstance(entry, str):
            found = self.value(entry, place)
            rest = self._nothing(place) if extra else self._none
            return None if found is None else (found, None, rest)
        data = entry if isinstance(entry, Mapping) else {"value": entry}
        fields = Fields(
            data, place=place, origin=self.origin, code=self._form, problems=self.problems
        )
        before = len(self.problems)
        text = fields.take("value")
        if text is None:
            fields.problem(
                "value" if isinstance(entry, Mapping) else "",
                'needs a value; write "" for an empty one',
                f"keys of a secret are taken under {FROM}"
                if fields.has("from")
                else yaml_comments.HINT,
            )
        elif not isinstance(text, str):
            fields.problem(
                "value" if isinstance(entry, Mapping) else "",
                "must be a text; quote numbers and booleans",
            )
        for name in fields.names():
            if name != "value" and not fields.has(name) and name in _PARTS:
                fields.problem(name, "is empty", yaml_comments.HINT)
        value = self.value(text, place) if isinstance(text, str) else None
        rule = _rule(fields)
        rest = Fields(
            {name: fields.take(name) for name in extra},
            place=place,
            origin=self.origin,
            code=errors.NAME,
            problems=self.problems,
        )
        fields.finish()
        if value is None or len(self.problems) > before:
            return None
        return value, rule, rest

    def _mode(self, extra: Fields, place: str) -> int | None:
        text = extra.optional("mode")
        if text is None:
            return None
        if not _MODE.fullmatch(text):
            self._problem(errors.NAME, place, f'"{text}" is not an octal mode', 'use e.g. "0440"')
            return None
        return int(text, 8)

    def _imports(self, entry: object, place: str) -> tuple[ServiceRef, ...]:
        entries = [entry] if isinstance(entry, str | Mapping) else entry
        if not isinstance(entries, list | tuple) or len(entries) > MAX_IMPORTS:
            hint = yaml_comments.HINT if entry is None else ""
            self._problem(errors.REFERENCE, place, _IMPORT_FORM, hint)
            return ()
        found = []
        for index, each in enumerate(entries):
            here = f"{place}[{index}]" if entries is entry else place
            if (ref := self._import(each, here)) is not None:
                found.append(ref)
        return tuple(found)

    def _import(self, entry: object, place: str) -> ServiceRef | None:
        """Read one import: `$service.namespace`, or `{from: $service.namespace, keys: [KEY]}`."""
        keys = None
        name = entry
        if isinstance(entry, Mapping):
            before = len(self.problems)
            fields = Fields(
                entry, place=place, origin=self.origin, code=self._form, problems=self.problems
            )
            name = fields.text("from", form="$service or $service.namespace")
            keys = fields.texts("keys", pattern=reference.NAME, form="a key", most=MAX_KEYS)
            if fields.has("keys") and not keys and len(self.problems) == before:
                fields.problem("keys", "names no key")
            elif not fields.has("keys"):
                fields.problem("keys", "is required")
            fields.finish()
            if len(self.problems) > before:
                return None
        match = _SERVICE.fullmatch(name.strip()) if isinstance(name, str) else None
        if match is None:
            self._problem(errors.REFERENCE, place, _IMPORT_FORM)
            return None
        return ServiceRef(service=match[1], namespace=match[2], keys=keys)

    def _problem(self, code: errors.Code, place: str, what: str, hint: str = "") -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            return
        self.problems.append(
            Problem(code=code, what=what, source=place, origin=self.origin, hint=hint)
        )


_ENV, _FILES = "secret-injector.io/env", "secret-injector.io/files"
_PARTS = frozenset({"required", "default", "matches", "notAfter", "mode", "path", "override"})
_MODE = re.compile(r"0?[0-7]{3}")
_SERVICE = re.compile(rf"\$({reference.LABEL.pattern})(?:\.({reference.LABEL.pattern}))?")
_IMPORT_FORM = "must be $service, {from: $service.namespace, keys: [KEY, ...]}, or a list of these"
_IMPORTING = IMPORT.rpartition("_")[0]
MAX_IMPORTS = 64
_DATE = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")


def _reserved(name: str) -> tuple[str, str]:
    """Return what is wrong with a key that begins like a word of ours, and what to write."""
    if name.startswith(f"{IMPORT}:"):
        what = f'"{name}" has no blank behind its colon, so YAML takes it for a name'
        return what, f'write "{IMPORT}: $service"'
    what = f'"{name}" is reserved: no variable begins with {RESERVED}'
    hint = f"{IMPORT} imports the keys of a service, {FROM} takes those of a secret"
    return what, errors.did_you_mean(name, [IMPORT, FROM]) or hint


def _rule(fields: Fields) -> Rule | None:
    rule = Rule(
        required=field_values.boolean(fields, "required"),
        default=_text(fields, "default"),
        matches=fields.optional("matches", longest=256),
        not_after=fields.optional("notAfter", pattern=_DATE, form="a date such as 2027-01-31"),
    )
    if rule.matches is not None:
        try:
            pattern.check(rule.matches)
        except pattern.PatternError as error:
            fields.problem("matches", f"is no pattern: {error}")
    return None if rule == Rule() else rule


def _text(fields: Fields, name: str) -> str | None:
    found = fields.take(name)
    if found is not None and not isinstance(found, str):
        fields.problem(name, "must be a text")
    return found if isinstance(found, str) else None


def _under(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
