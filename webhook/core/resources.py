"""Our resources as typed values: ServiceSecrets, EnvironmentSecrets and ClusterInjectionPolicy.

A resource with mistakes is still a value; its `problems` deny whatever uses it. Schemas in the
chart refuse most of these before they are stored; this is the meaning schemas cannot say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from injector.core import errors
from injector.core.errors import Problem
from injector.core.fields import Fields
from webhook.core import presets, selectors
from webhook.core.definition_reader import Reader
from webhook.core.definitions import Definitions, FileDef, KeyDef
from webhook.core.globs import any_matches
from webhook.core.policy_model import Policy, parse_policy
from webhook.core.selectors import Selector

GLOB = re.compile(r"[-A-Za-z0-9_.*]{1,128}")

MAX_KEPT = 512
"""Mistakes of one object that are kept with it."""

__all__ = ["Environment", "Export", "Policy", "Service", "environment", "policy", "service"]


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


def service(raw: Mapping[str, Any]) -> Service:
    """Return the service that the object defines, with its problems; raises nothing."""
    namespace, name, version = _identity(raw)
    problems: list[Problem] = []
    origin = f"ServiceSecrets {namespace}/{name}"
    fields = _spec(raw, origin, problems)
    reader = Reader(origin, problems)
    env, imports = reader.env(fields.take("env"), "spec.env")
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
    exports = tuple(_export(child) for child in fields.children("exports"))
    fields.finish()
    return Service(
        namespace=namespace,
        name=name,
        definitions=Definitions(env=env + made, files=files, imports=imports, broken=reader.broken),
        exports=exports,
        problems=tuple(problems[:MAX_KEPT]),
        resource_version=version,
    )


def environment(raw: Mapping[str, Any]) -> Environment:
    """Return the environment that the object defines, with its problems; raises nothing."""
    _, name, version = _identity(raw)
    problems: list[Problem] = []
    origin = f"EnvironmentSecrets {name}"
    fields = _spec(raw, origin, problems)
    env, imports = Reader(origin, problems).env(fields.take("env"), "spec.env")
    if imports:
        what = "an environment imports from no service"
        problems.append(
            Problem(code=errors.RESOURCE, what=what, source="spec.env.__import_svc", origin=origin)
        )
    selector = selectors.take(fields, "namespaceSelector")
    fields.finish()
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
    problems: list[Problem] = []
    fields = _spec(raw, f"ClusterInjectionPolicy {name}", problems)
    return parse_policy(name, fields, problems, version)


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
    keys = fields.texts("keys", pattern=GLOB, form="a key or a pattern with *")
    if not keys:
        fields.problem("keys", 'is required; ["*"] offers every key')
    fields.finish()
    return Export(namespaces=namespaces, services=services or ("*",), keys=keys)
