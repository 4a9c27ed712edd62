"""ClusterInjectionPolicy as typed values: whom it matches, what it allows, how strict it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from injector.core import errors
from injector.core.errors import Problem
from injector.core.fields import Fields
from injector.core.reference import NAME
from webhook.core import quantity, selectors, sizing
from webhook.core.annotations import ANNOTATIONS, PREFIX, parse
from webhook.core.selectors import Selector
from webhook.core.sizing import Quantities

ACTIONS = ("Deny", "Warn", "Audit")
GLOB = re.compile(r"[-A-Za-z0-9_.*]{1,128}")
PATH_PATTERN = re.compile(r"[^\s#@|]{1,512}")
_ACTION = re.compile("|".join(ACTIONS))
_IMPORT_FROM = re.compile(rf"{GLOB.pattern}(?:/{GLOB.pattern})?")
_ALLOWANCE = re.compile(r"allowed|forbidden")
_MODE = re.compile(r"launcher|native|init|sidecar|parallel")
_VERSIONS = re.compile(r"any|pinned")
MAX_KEPT = 512
"""Mistakes of one policy that are kept with it."""

DEFINER = "definer"
VARIABLES = ("namespace", "serviceAccount", "service", DEFINER)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRule:
    """Which paths of a store may be read: patterns with variables, `*` and `**`."""

    store: str
    allow: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the policy asks of a plan; an empty tuple or None asks nothing."""

    stores_allow: tuple[str, ...] = ()
    stores_deny: tuple[str, ...] = ()
    paths: tuple[PathRule, ...] = ()
    keys_deny: tuple[str, ...] = ()
    env: str = "allowed"
    inline: str = "allowed"
    modes: tuple[str, ...] = ()
    imports_from: tuple[str, ...] | None = None
    versions: str = "any"
    max_refresh_s: float | None = None
    max_deadline_s: float | None = None
    min_allowed: Quantities = field(default_factory=dict)
    max_allowed: Quantities = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A ClusterInjectionPolicy; one with problems denies whatever it matches."""

    name: str
    namespaces: Selector
    pods: Selector
    service_accounts: tuple[str, ...]
    action: str
    rules: Rules
    defaults: Mapping[str, str]
    final: tuple[str, ...]
    problems: tuple[Problem, ...]
    resource_version: str = field(default="", compare=False)

    @property
    def origin(self) -> str:
        """The object as messages name it."""
        return f"ClusterInjectionPolicy {self.name}"


def parse_policy(name: str, fields: Fields, problems: list[Problem], version: str) -> Policy:
    """Return the policy of a spec; mistakes go to `problems` and into the policy itself."""
    match = fields.child("match")
    namespaces = selectors.take(match, "namespaceSelector")
    pods = selectors.take(match, "podSelector")
    accounts = match.texts(
        "serviceAccounts", pattern=GLOB, form="a ServiceAccount or a pattern with *"
    )
    match.finish()
    action = fields.text(
        "action", default="Deny", pattern=_ACTION, form="one of " + ", ".join(ACTIONS)
    )
    rules = _rules(fields.child("rules"))
    defaults = fields.take("defaults") or {}
    if not isinstance(defaults, Mapping) or not all(isinstance(v, str) for v in defaults.values()):
        fields.problem("defaults", "must be a mapping of annotation names to texts")
        defaults = {}
    known = {annotation.name for annotation in ANNOTATIONS} - {"inject"}
    for setting in defaults:
        if str(setting).removeprefix(PREFIX) not in known:
            what = f'"{setting}" is no annotation that can have a default'
            fields.problem("defaults", what, errors.did_you_mean(str(setting), known))
    bare = {str(name).removeprefix(PREFIX): str(text) for name, text in defaults.items()}
    set_by_us = {name: text for name, text in bare.items() if name in known}
    for problem in parse(set_by_us, is_pods=False)[1]:
        fields.problem("defaults", f"{problem.source}: {problem.what}", problem.hint)
    final = fields.texts("final", pattern=NAME, form="a key or a setting")
    fields.finish()
    return Policy(
        name=name,
        namespaces=namespaces,
        pods=pods,
        service_accounts=accounts,
        action=action,
        rules=rules,
        defaults=dict(defaults),
        final=final,
        problems=tuple(problems[:MAX_KEPT]),
        resource_version=version,
    )


def _rules(fields: Fields) -> Rules:
    stores = fields.child("stores")
    allow, deny = stores.texts("allow", pattern=GLOB), stores.texts("deny", pattern=GLOB)
    stores.finish()
    paths = []
    for child in fields.children("paths"):
        patterns = child.texts(
            "allow", pattern=PATH_PATTERN, form="a path pattern such as kv/{namespace}/*"
        )
        for index, pattern in enumerate(patterns):
            if problem := pattern_problem(pattern):
                child.problem(f"allow[{index}]", problem)
        paths.append(PathRule(store=child.text("store", pattern=GLOB), allow=patterns))
        child.finish()
    keys = fields.child("keys")
    keys_deny = keys.texts("deny", pattern=NAME, form="a key or a pattern with *")
    keys.finish()
    imports_from = None
    if fields.has("imports"):
        imports = fields.child("imports")
        imports_from = imports.texts(
            "from", pattern=_IMPORT_FROM, form="NAMESPACE or NAMESPACE/SERVICE"
        )
        imports.finish()
    resources = fields.child("resources")
    min_allowed, max_allowed = _sizes(resources, "minAllowed"), _sizes(resources, "maxAllowed")
    resources.finish()
    rules = Rules(
        stores_allow=allow,
        stores_deny=deny,
        paths=tuple(paths),
        keys_deny=keys_deny,
        env=fields.text("env", default="allowed", pattern=_ALLOWANCE, form="allowed or forbidden"),
        inline=fields.text(
            "inline", default="allowed", pattern=_ALLOWANCE, form="allowed or forbidden"
        ),
        modes=fields.texts("modes", pattern=_MODE),
        imports_from=imports_from,
        versions=fields.text("versions", default="any", pattern=_VERSIONS, form="any or pinned"),
        max_refresh_s=fields.duration_s("maxRefresh", default=0.0, least=0.0, most=31_536_000.0)
        or None,
        max_deadline_s=fields.duration_s("maxDeadline", default=0.0, least=0.0, most=31_536_000.0)
        or None,
        min_allowed=min_allowed,
        max_allowed=max_allowed,
    )
    fields.finish()
    return rules


def _sizes(fields: Fields, name: str) -> Quantities:
    found = {}
    child = fields.child(name)
    for resource in sizing.RESOURCES:
        text = child.optional(resource)
        value = None if text is None else quantity.parse(text)
        if value is not None and value > 0:
            found[resource] = value
        elif text is not None:
            child.problem(resource, "is not a quantity such as 100m or 64Mi")
    child.finish()
    return found


def pattern_problem(pattern: str) -> str | None:
    """Return why a path pattern cannot be used, or None; `**` is for whole segments."""
    rest = pattern
    for variable in VARIABLES:
        rest = rest.replace("{" + variable + "}", "x")
    if "{" in rest or "}" in rest:
        return "has an unknown variable; known are " + ", ".join("{" + v + "}" for v in VARIABLES)
    if any("**" in segment and segment != "**" for segment in pattern.split("/")):
        return "has ** inside a segment; ** stands for whole segments"
    return None
