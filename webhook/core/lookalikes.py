"""What was meant for us, or for another injector, and reaches nobody: told instead of kept silent.

    text of a value    `${vault:...}`, `vault:path#key`, `op://...`, `ref+...`: other tools' words
                       `$name`, `$name/KEY`, `$/KEY` alone: ours, without the braces
                       nothing: what it was may be lost in a comment of YAML
    a name             annotations and groups nearly called like ours

All functions are pure, quote only what a reference consists of, and take time in proportion to
the text. `lint` asks about everything, admission about pods and resources of ours.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from injector.core import budget, errors, grammar
from injector.core.errors import Problem
from injector.core.reference import LABEL, NAME, EnvironmentKey, Expression, ServiceKey, StoreRead
from injector.core.scanner import closing_brace
from webhook.core import migrate
from webhook.core import pod as pods
from webhook.core.annotation_table import PREFIX
from webhook.core.definitions import FileDef, KeyDef, problem_of
from webhook.core.pod import Container

GROUP = PREFIX.removesuffix("/")
MAX_TEXT = 2048
"""Characters of one value that are looked at."""
MAX_EMPTY = 4
"""Variables without a value that a warning names."""
MAX_TOLD = 16
"""Places of one pod that are told of."""
_MAX_QUOTED = 256
_PARSING = 64
"""Steps that the search for one reference may take."""
_INJECTORS = (*migrate.BANK_VAULTS, "operator.1password.io/")
"""Annotations of injectors that evaluate such text in `env` themselves."""
_HINT = "write a reference to have it evaluated; leave the text if that is what you mean"

# Names that a store commonly has, and the prefixes of other tools for the same.
_STORES = frozenset(
    (
        "akv",
        "asm",
        "aws",
        "awssm",
        "azure",
        "bao",
        "gcp",
        "gcpsm",
        "k8s",
        "keyvault",
        "kubernetes",
        "openbao",
        "secret",
        "ssm",
        "vault",
    )
)
_DOLLAR = re.compile(r"\$\{([a-z][-a-z0-9]{0,62}):(?![-=?+])([^{}]{1,512})\}")
_DOLLAR_KEY = re.compile(r"\$\{(\$[-a-z0-9.]{0,128}/[A-Za-z_][A-Za-z0-9_]{0,127})\}")
_WHOLE = re.compile(r"([a-z][-a-z0-9]{0,62}):([^\s#:/][^\s#]{0,511})#([^\s#]{1,253})")
_NO_BRACES = re.compile(
    rf"\$(?:{LABEL.pattern}(?:\.{LABEL.pattern})?)?/{NAME.pattern}"
    rf"|\${LABEL.pattern}(?:\.{LABEL.pattern})?"
)
_ARN = re.compile(r"arn:aws[-a-z]{0,16}:(?:secretsmanager|ssm):\S{1,512}")
_WRONG_BRACKETS = re.compile(r"#[(\[<]([a-z$][-a-z0-9]{0,62}:?[^()\[\]<>\s]{1,512})[)\]>]")
_OTHERS = (
    ("1Password", "op://…", re.compile(r"(?<![A-Za-z0-9])op://[^\s/]{1,253}/[^\s/]")),
    ("vals", "ref+…", re.compile(r"(?<![A-Za-z0-9])(?:secret)?ref\+[a-z0-9]{1,32}://")),
    ("Argo CD Vault Plugin", "<path:…>", re.compile(r"<path:[^<>#]{1,512}#[^<>]{1,253}>")),
    ("CloudFormation", "{{resolve:…}}", re.compile(r"\{\{resolve:(?:secretsmanager|ssm)")),
    ("Azure", "@Microsoft.KeyVault(…)", re.compile(r"@Microsoft\.KeyVault\(")),
    ("akv2k8s", "…@azurekeyvault", re.compile(r"\A[^\s@]{1,253}@azurekeyvault\Z")),
    ("Berglas", "berglas://…", re.compile(r"\A(?:berglas|sm)://[^\s]")),
    ("Bank-Vaults", ">>vault:…", re.compile(r"\A>>(?:vault|bao):")),
)
_SIGNS = ("${", "#(", "#[", "#<", "://", "<path:", "{{resolve:", "KeyVault(", "@azurek", ">>")

# One slip of the keyboard in our name, or the name that others would have given it. The chart's
# policy for typos is given the same text.
PREFIX_LIKE = (
    "^(?:"
    + "|".join(
        [
            *(f"{GROUP[:at]}.?.?{GROUP[at + 2 :]}".replace(".io", "[.]io") for at in range(17)),
            "[Ss]ecrets?[-_.]?[Ii]nject(?:or|er|ion|ors)?(?:[.](?:io|com|dev|org|net|sh))?",
        ]
    )
    + ")/"
)
_PREFIX_LIKE = re.compile(PREFIX_LIKE)
_UNSURE = re.compile(r'holds "\$(?:…|/…|…/…)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookalike:
    """Text that looks like a reference and is none: how it begins, and what to write instead."""

    shown: str
    instead: str
    is_sure: bool = True

    @property
    def what(self) -> str:
        """The sentence of it, as problems say it."""
        return f'holds "{self.shown}", which is plain text here; {self.instead}'


def of_text(text: str, stores: Collection[str] = ()) -> Lookalike | None:
    """Return the first thing in a value that another tool, or a slip, means as a reference.

    `stores` are the names of the stores there are, beside the usual ones.
    """
    if len(text) > MAX_TEXT or not (":" in text or "$" in text or "#" in text or "@" in text):
        return None
    if text.startswith("$") and _NO_BRACES.fullmatch(text):
        return _without_braces(text)
    whole = _WHOLE.fullmatch(text)
    if whole and (whole[1] in _STORES or whole[1] in stores):
        made, _ = migrate.value(f"vault:{whole[2]}#{whole[3]}", store=_store(whole[1]))
        return Lookalike(shown=f"{whole[1]}:…", instead=_instead(made, whole[1]))
    if _ARN.fullmatch(text):
        instead = "a reference is #{STORE:name#key}, with a store of provider aws"
        return Lookalike(shown="arn:aws:…", instead=instead)
    if not any(sign in text for sign in _SIGNS):
        return None
    return _within(text, stores)


def _without_braces(text: str) -> Lookalike:
    if "/" not in text:
        what = "a reference is #{$service/KEY}, and __import_svc: $service imports every key"
        return Lookalike(shown="$…", instead=what, is_sure=False)
    shown, form = ("$/…", "#{$/KEY}") if text.startswith("$/") else ("$…/…", "#{$service/KEY}")
    return Lookalike(shown=shown, instead=f"a reference is {form}", is_sure=False)


def is_sure(problem: Problem) -> bool:
    """Say whether the text can hardly mean anything else; `$name` alone may be just that."""
    return not _UNSURE.match(problem.what)


def _within(text: str, stores: Collection[str]) -> Lookalike | None:
    if len(text) > MAX_TEXT:
        return None
    budget.spend(1 + len(text) // 8)
    for found in _DOLLAR.finditer(text):
        name = found[1]
        if name in _STORES or name in stores:
            made, _ = migrate.value(f"vault:{found[2]}", store=_store(name))
            return Lookalike(shown=f"${{{name}:…}}", instead=_instead(made, name))
    if key := _DOLLAR_KEY.search(text):
        return Lookalike(shown="${$…}", instead=f"a reference is #{{{key[1]}}}")
    for found in _WRONG_BRACKETS.finditer(text):
        if _is_reference(f"#{{{found[1]}}}"):
            shown = f"{found[0][:2]}…{found[0][-1]}"
            return Lookalike(shown=shown, instead=f"a reference is #{{{found[1][:_MAX_QUOTED]}}}")
    for tool, shown, pattern in _OTHERS:
        if pattern.search(text):
            instead = f"it is a reference of {tool}; one of ours is #{{STORE:path#key}}"
            return Lookalike(shown=shown, instead=instead)
    return None


def _store(name: str) -> str:
    return {"kubernetes": "k8s", "secret": "k8s"}.get(name, name)


def _instead(made: str | None, name: str) -> str:
    if made is None or len(made) > _MAX_QUOTED:
        made = f"#{{{_store(name)}:path#key}}"
    return f"a reference is {made}"


def references_in(text: str) -> Iterator[str]:
    """Yield how each whole reference in a text begins (`#{vault:…}`), as far as it is surely one.

    `#{name}` alone may be another language's.
    """
    at = text.find("#{")
    looked = 0
    while at >= 0 and looked < MAX_TOLD:
        looked += 1
        budget.spend(_PARSING)
        window = text[at : at + 1024]
        end = closing_brace(window, 2)
        is_literal = at > 0 and text[at - 1] == "#"
        if end is not None and not is_literal and _is_reference(window[: end + 1]):
            name = window[2:end].strip().partition(":")[0]
            yield "#{$…}" if name.startswith("$") else f"#{{{name[:64]}:…}}"
        at = text.find("#{", at + 2)


def _is_reference(text: str) -> bool:
    try:
        value = grammar.parse(text)
    except grammar.GrammarError:
        return False
    return any(
        isinstance(part, Expression)
        and isinstance(part.reference, (StoreRead, ServiceKey, EnvironmentKey))
        for part in value
    )


def in_pod(
    pod: Mapping[str, Any], *, stores: Collection[str], skipped: Collection[str]
) -> tuple[Problem, ...]:
    """Return a problem for each value of the pod that is plain text and was meant otherwise.

    Looked at are `env` and, for references that stay text there, `command`, `args` and exec hooks;
    not the containers of other injectors (`skipped`), who may well evaluate what they wrote, nor
    `env` of a pod that asks another injector for it.
    """
    found: list[Problem] = []
    is_theirs = any(name.startswith(_INJECTORS) for name in pods.annotations_of(pod))
    for container in pods.containers(pod):
        if container.name not in skipped:
            found += _in_words(container) if is_theirs else _in_container(container, stores)
    return tuple(found[:MAX_TOLD])


def _in_container(container: Container, stores: Collection[str]) -> Iterator[Problem]:
    where = f"container {container.name}"
    for entry in container.env:
        text = str(entry.get("value") or "")
        budget.spend(1 + len(text) // 1024)
        if likeness := of_text(text, stores):
            name = str(entry.get("name"))
            yield _problem(likeness.what, source=f"env {name} of {where}")
    yield from _in_words(container)


def _in_words(container: Container) -> Iterator[Problem]:
    where = f"container {container.name}"
    places = [("command", container.command), ("args", list(container.raw.get("args") or ()))]
    places += [(pointer.split("/", 4)[-1], words) for pointer, words in container.exec_hooks()]
    for place, words in places:
        for word in words:
            budget.spend(1 + len(str(word)) // 1024)
            shown = next(references_in(str(word)), None)
            if shown is not None:
                what = (
                    f'holds "{shown}", which stays text there, since everybody on the node may'
                    " read arguments; put it into env or a file"
                )
                yield _problem(what, source=f"{place} of {where}")


def empty(containers: Iterable[Container]) -> tuple[Problem, ...]:
    """Return a warning that names the `env` entries without a value, if there are any.

    The API server shows `value: ""`, no value, and one that YAML took for a comment alike.
    """
    names: list[str] = []
    for container in containers:
        for entry in container.env:
            budget.spend()
            if not entry.get("value") and not entry.get("valueFrom"):
                names.append(f"{entry.get('name')} (container {container.name})")
    if not names:
        return ()
    more = f" and {len(names) - MAX_EMPTY} more" if len(names) > MAX_EMPTY else ""
    listed = ", ".join(names[:MAX_EMPTY]) + more
    what = f'empty; an unquoted # begins a comment in YAML, write value: "#{{...}}": {listed}'
    return (Problem(code=errors.COMMENT, what=what, source="env"),)


def in_keys(keys: Iterable[KeyDef | FileDef], *, stores: Collection[str]) -> Iterator[Problem]:
    """Yield a problem for each key or file that is plain text and was meant otherwise."""
    for key in keys:
        budget.spend()
        for part in key.value:
            if not isinstance(part, str):
                continue
            text = part.strip()
            likeness = of_text(text, stores) if len(key.value) == 1 else _within(text, stores)
            if likeness:
                yield problem_of(key, errors.LEFT_AS_TEXT, likeness.what, _HINT)
                break


def _problem(what: str, *, source: str) -> Problem:
    return Problem(code=errors.LEFT_AS_TEXT, what=what, source=source, hint=_HINT)


def prefix_meant(name: str) -> str:
    """Return the annotation of ours that a name was probably meant as, or nothing."""
    if name.startswith(PREFIX) or not _PREFIX_LIKE.match(name[:512]):
        return ""
    return PREFIX + name.partition("/")[2]


def is_group_like(api_version: str) -> bool:
    """Say whether an apiVersion names our group, or one that is nearly called like it."""
    return api_version.startswith(PREFIX) or bool(_PREFIX_LIKE.match(api_version[:512]))
