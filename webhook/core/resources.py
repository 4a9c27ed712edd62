"""Our resources as typed values: ServiceSecrets, EnvironmentSecrets and ClusterInjectionPolicy.

A resource with mistakes is still a value; its `problems` deny whatever uses it. Schemas in the
chart refuse most of these before they are stored; this is the meaning schemas cannot say.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from injector.core import budget, errors, grammar, reference
from injector.core.budget import OverBudget
from injector.core.errors import Problem
from injector.core.fields import Fields
from webhook.core import presets, selectors
from webhook.core.definition_reader import Reader
from webhook.core.definitions import FROM, Definitions, FileDef, KeyDef
from webhook.core.globs import any_matches
from webhook.core.policy_model import Policy, parse_policy
from webhook.core.selectors import Selector

GLOB = re.compile(r"[-A-Za-z0-9_.*]{1,128}")
"""A namespace or a service, or a pattern of them; keys may have any name that a variable has."""

MAX_KEPT = 512
"""Mistakes of one object that are kept with it."""

__all__ = [
    "Environment",
    "Export",
    "Policy",
    "Service",
    "environment",
    "is_usable",
    "policy",
    "service",
    "unusable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One grant: services of these namespaces may import keys that match."""

    namespaces: tuple[str, ...]
    services: tuple[str, ...]
    keys: tuple[str, ...]

    def names(self, namespace: str, service: str) -> bool:
        """Say whether the grant names the importer; a pod without a service has the name ""."""
        return any_matches(namespace, self.namespaces) and any_matches(service, self.services)

    def grants(self, namespace: str, service: str, key: str) -> bool:
        """Say whether the grant covers the importer and the key."""
        return self.names(namespace, service) and any_matches(key, self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A ServiceSecrets: what one service needs and offers; `env` and `files` by name."""

    namespace: str
    name: str
    definitions: Definitions
    exports: tuple[Export, ...]
    problems: tuple[Problem, ...]
    resource_version: str = field(default="", compare=False)

    @property
    def origin(self) -> str:
        """The object as messages name it."""
        return f"ServiceSecrets {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An EnvironmentSecrets: the global keys of the namespaces it selects."""

    name: str
    selector: Selector
    env: tuple[KeyDef, ...]
    problems: tuple[Problem, ...]
    resource_version: str = field(default="", compare=False)

    @property
    def origin(self) -> str:
        """The object as messages name it."""
        return f"EnvironmentSecrets {self.name}"


OBJECT_STEPS = 16_384
"""Steps that reading one object may take, whatever stands in it; ADR 13 has what they cost."""


def service(raw: Mapping[str, Any]) -> Service:
    """Return the service that the object defines, with its problems; raises nothing."""
    namespace, name, version = _identity(raw)
    origin = f"ServiceSecrets {namespace}/{name}"
    problems: list[Problem] = []
    offers: list[Problem] = []
    definitions, exports = Definitions(), tuple[Export, ...]()
    with budget.limited(OBJECT_STEPS) as meter, contextlib.suppress(OverBudget):
        fields = _spec(raw, origin, problems)
        # To whom it is offered comes first: they are told why they get nothing of it.
        children = _spec(raw, origin, offers).children("exports")
        fields.take("exports")
        exports = tuple(_export(child) for child in children)
        budget.foresee(_least_steps(raw))
        definitions = _definitions(fields, origin, problems)
        problems += offers
        fields.finish()
    if meter.is_exceeded:
        definitions, problems = Definitions(), [unusable(origin)]
    return Service(
        namespace=namespace,
        name=name,
        definitions=definitions,
        exports=exports,
        problems=tuple(problems[:MAX_KEPT]),
        resource_version=version,
    )


def environment(raw: Mapping[str, Any]) -> Environment:
    """Return the environment that the object defines, with its problems; raises nothing."""
    _, name, version = _identity(raw)
    origin = f"EnvironmentSecrets {name}"
    problems: list[Problem] = []
    selector, env = selectors.NOTHING, tuple[KeyDef, ...]()
    with budget.limited(OBJECT_STEPS) as meter, contextlib.suppress(OverBudget):
        fields = _spec(raw, origin, problems)
        # Whose environment it is comes first: they are told why they get nothing of it.
        selector = selectors.take(fields, "namespaceSelector")
        budget.foresee(_least_steps(raw))
        reader = Reader(origin, problems)
        env, imports = reader.env(fields.take("env"), "spec.env")
        if imports:
            what = "an environment imports from no service"
            place = "spec.env.__import_svc"
            problems.append(Problem(code=errors.RESOURCE, what=what, source=place, origin=origin))
        if reader.env_from or reader.listed:
            what = "an environment names each of its keys: write NAME: '#{store:path#key}'"
            place = f"spec.env.{FROM}"
            problems.append(Problem(code=errors.RESOURCE, what=what, source=place, origin=origin))
        fields.finish()
    if meter.is_exceeded:
        env, problems = (), [unusable(origin)]
    return Environment(
        name=name,
        selector=selector,
        env=env,
        problems=tuple(problems[:MAX_KEPT]),
        resource_version=version,
    )


def policy(raw: Mapping[str, Any]) -> Policy:
    """Return the policy that the object defines, with its problems; raises nothing."""
    _, name, version = _identity(raw)
    origin = f"ClusterInjectionPolicy {name}"
    problems: list[Problem] = []
    with budget.limited(OBJECT_STEPS) as meter, contextlib.suppress(OverBudget):
        found = parse_policy(name, _spec(raw, origin, problems), problems, version)
        if not meter.is_exceeded:
            return found
    # Of one that cannot be read whole only what it matches is: there it denies.
    with budget.limited(OBJECT_STEPS), contextlib.suppress(OverBudget):
        match = _spec(raw, origin, []).take("match")
        matching = _spec({"spec": {"match": match}}, origin, [])
        found = parse_policy(name, matching, [], version)
        return replace(found, problems=(unusable(origin),))
    everything = parse_policy(name, _spec({}, origin, []), [], version)
    return replace(everything, problems=(unusable(origin),))


def unusable(origin: str) -> Problem:
    """Return the problem of an object that takes more work to read than one may."""
    what = "reading this object takes more work than one may, so nothing of it is used"
    return Problem(code=errors.UNUSABLE, what=what, origin=origin)


def is_usable(problems: tuple[Problem, ...]) -> bool:
    """Say whether an object with these problems was read at all; mistakes do not count."""
    return not any(problem.code in (errors.UNUSABLE, errors.INTERNAL_ERROR) for problem in problems)


def _least_steps(raw: Mapping[str, Any]) -> int:
    """Return how many steps the definitions of an object take at least, seen at a glance."""
    spec = raw.get("spec")
    steps = 0
    for part in ("env", "files"):
        entries = spec.get(part) if isinstance(spec, Mapping) else None
        for entry in entries.values() if isinstance(entries, Mapping) else ():
            text, pattern = entry, None
            if isinstance(entry, Mapping):
                text, pattern = entry.get("value"), entry.get("matches")
            if isinstance(text, str):
                braces = text.count("#{") - text.count("##{")
                steps += max(0, braces) * grammar.EXPRESSION_STEPS
            if isinstance(pattern, str):
                steps += len(pattern)
    return steps


def _definitions(fields: Fields, origin: str, problems: list[Problem]) -> Definitions:
    reader = Reader(origin, problems)
    env, imports = reader.env(fields.take("env"), "spec.env")
    if fields.has("from"):
        reader.sources(fields.take("from"), "spec.from")
    files: tuple[FileDef, ...] = reader.files(fields.take("files"), "spec.files")
    made = presets.take(fields, reader)
    own = {key.name for key in env}
    for key in made:
        if key.name in own:
            hint = "rename one of them; a preset's keys count as the service's own"
            what = f'"{key.name}" is set by {key.place} and by spec.env'
            problems.append(
                Problem(
                    code=errors.DUPLICATE, what=what, source=key.place, origin=origin, hint=hint
                )
            )
        own.add(key.name)
    return Definitions(
        env=reader.with_listed(env + made),
        env_from=reader.env_from,
        files=files,
        imports=imports,
        broken=reader.broken,
    )


def _identity(raw: Mapping[str, Any]) -> tuple[str, str, str]:
    metadata = raw.get("metadata") or {}
    return (
        str(metadata.get("namespace") or "default"),
        str(metadata.get("name") or ""),
        str(metadata.get("resourceVersion") or ""),
    )


def _spec(raw: Mapping[str, Any], origin: str, problems: list[Problem]) -> Fields:
    return Fields(
        raw.get("spec") or {}, place="spec", origin=origin, code=errors.RESOURCE, problems=problems
    )


def _export(fields: Fields) -> Export:
    to = fields.child("to")
    namespaces = to.texts("namespaces", pattern=GLOB, form="a namespace or a pattern with *")
    services = to.texts("services", pattern=GLOB, form="a service or a pattern with *")
    if not namespaces:
        to.problem("namespaces", "is required")
    to.finish()
    keys = fields.texts("keys", pattern=reference.NAME, form="a key or a pattern with *")
    if not keys:
        fields.problem("keys", 'is required; ["*"] offers every key')
    fields.finish()
    return Export(namespaces=namespaces, services=services or ("*",), keys=keys)
