"""Reading `from` entries: keys of a secret as variables, in an annotation or a ServiceSecrets.

    {from: "vault:secret/shop", keys: ["*"], prefix: DB_, rename: {user: LOGIN}, strict: true}

`keys` names what is taken, nothing by default. A name without `*` becomes a key like one written by
hand, `LOGIN: "#{vault:secret/shop#user}"`, so its mistakes are found here. What a pattern takes is
known to the fetcher alone, which holds to the same rules (`injector.core.env_from`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from injector.core import budget, env_from, errors, grammar
from injector.core.errors import Code, Problem
from injector.core.fields import Fields
from injector.core.names import any_of
from injector.core.plan import Rule
from injector.core.record import replace
from injector.core.reference import Expression, StoreRead, format_value
from webhook.core import field_values
from webhook.core.definitions import FromDef, KeyDef, problem_of

MAX_ENTRIES = 64
MAX_NAMES = 512
_KEY = re.compile(r"(?!/)[^\x00-\x1f\x7f]{1,253}")
_KEY_FORM = "a key of the secret, or a pattern with *"
_PREFIX = re.compile(r"[ -<>-~]{0,64}")
_FORM = 'must be {from: "store:path", keys: [KEY]}, or a list of these'


def read(
    data: object, place: str, *, origin: str, code: Code, problems: list[Problem]
) -> tuple[tuple[FromDef, ...], list[KeyDef]]:
    """Return what the entries take by pattern, and the keys that they list; later ones win."""
    entries = [data] if isinstance(data, Mapping) else data
    is_list = isinstance(entries, Sequence) and not isinstance(entries, str)
    if not is_list or len(entries) > MAX_ENTRIES:  # type: ignore[arg-type]  # a list, see above
        problems.append(Problem(code=code, what=_FORM, source=place, origin=origin))
        return (), []
    found: list[FromDef] = []
    listed: list[KeyDef] = []
    for index, entry in enumerate(entries):  # type: ignore[arg-type, var-annotated]
        budget.spend(grammar.EXPRESSION_STEPS)
        here = f"{place}[{index}]" if entries is data else place
        before = len(problems)
        fields = Fields(entry, place=here, origin=origin, code=code, problems=problems)
        reader = _Entry(fields)
        if len(problems) == before:
            found += reader.patterns()
            listed += reader.keys()
    return tuple(found), listed


class _Entry:
    """One entry; its fields are taken in the beginning, and what is wrong is in their problems."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.source = _source(fields)
        self.names = fields.texts("keys", pattern=_KEY, form=_KEY_FORM, most=MAX_NAMES)
        self.prefix = fields.text(
            "prefix", default="", pattern=_PREFIX, form="the start of a variable's name"
        )
        self.rename = _rename(fields)
        self.is_strict = bool(field_values.boolean(fields, "strict"))
        required = field_values.boolean(fields, "required")
        self.rule = None if required in (None, True) else Rule(required=False)
        fields.finish()
        budget.spend(1 + len(self.names) + len(self.rename) * (1 + len(self.names) // 4))
        if self.prefix and any("*" in key for key in self.names):
            self._check(self.prefix + "x", "prefix")
        for key, name in self.rename.items():
            if "*" in key:
                fields.problem(f"rename.{key}", "is a pattern; prefix names many keys at once")
            elif not any_of(key, self.names):
                hint = "name the key under keys as well, or a pattern that it matches"
                fields.problem(f"rename.{key}", "is taken by no entry of keys", hint)
            self._check(self.prefix + name, f"rename.{key}")
        for index, key in enumerate(self.names):
            if "*" not in key and key not in self.rename and _KEY.fullmatch(key):
                self._check(self.prefix + key, f"keys[{index}]")

    def keys(self) -> list[KeyDef]:
        """Return the keys that are listed by name."""
        if self.source is None:
            return []
        return [
            KeyDef(
                name=self.prefix + self.rename.get(key, key),
                value=(Expression(reference=replace(self.source, field=key)),),
                rule=self.rule,
                origin=self.fields.origin,
                place=self.fields.place,
                taken=key,
            )
            for key in self.names
            if "*" not in key
        ]

    def patterns(self) -> list[FromDef]:
        """Return what the patterns take: one definition, or none.

        There is one as well where nothing at all is taken, for that is worth a warning.
        """
        patterns = tuple(key for key in self.names if "*" in key)
        if self.source is None or (self.names and not patterns):
            return []
        return [
            FromDef(
                name=self.prefix + patterns[0] if len(patterns) == 1 else f"{self.prefix}*",
                value=(Expression(reference=self.source),),
                rule=self.rule,
                origin=self.fields.origin,
                place=self.fields.place,
                keys=patterns,
                prefix=self.prefix,
                rename=tuple(sorted(self.rename.items())),
                is_strict=self.is_strict,
            )
        ]

    def _check(self, name: str, field: str) -> None:
        why = env_from.refusal(name, is_written=True)
        if why is not None:
            code, what, hint = why
            self.fields.problems.append(
                Problem(
                    code=code,
                    what=f'"{name}": {what}',
                    source=f"{self.fields.place}.{field}",
                    origin=self.fields.origin,
                    hint=hint,
                )
            )


def _source(fields: Fields) -> StoreRead | None:
    text = fields.text("from", form='a secret, such as "vault:secret/shop"').strip()
    if not text:
        return None
    if text.startswith(("#{", "$")):
        hint = 'write from: "store:path"; services are imported with __import_svc'
        fields.problem("from", "names a secret by itself, without #{ }", hint)
        return None
    found = field_values.reference(fields, "from", text)
    if found is None:
        return None
    if not isinstance(found, StoreRead):
        fields.problem("from", "must be store:path, or store:path@version")
        return None
    if found.field is not None:
        fields.problem("from", "names one key", f"write keys: [{found.field}] beside it")
        return None
    return found


def _rename(fields: Fields) -> dict[str, str]:
    """Take `rename`: keys of the secret to what they are called; no two to one name."""
    data = fields.take("rename")
    if data is None:
        return {}
    if (
        not isinstance(data, Mapping)
        or len(data) > MAX_NAMES
        or not all(isinstance(text, str) for pair in data.items() for text in pair)
    ):
        fields.problem("rename", "must be a mapping of keys of the secret to names")
        return {}
    found = {str(key): str(name) for key, name in data.items()}
    first: dict[str, str] = {}
    for key, name in found.items():
        budget.spend()
        other = first.setdefault(name, key)
        if other != key:
            fields.problem(f"rename.{key}", f'"{name}" is what "{other}" is called')
    return found


def idle(found: Iterable[FromDef]) -> list[Problem]:
    """Return a warning for each entry that takes nothing, because it names no key."""
    hint = 'name the keys: keys: [USER, PASSWORD], or keys: ["*"] for all of them'
    return [
        problem_of(
            each,
            errors.ANNOTATION_VALUE if each.origin.startswith("annotation ") else errors.RESOURCE,
            f"{format_value(each.value)}: no key of it is taken",
            hint,
        )
        for each in found
        if not each.keys
    ]
