"""What rules that came with this version deny, of what a cluster or files hold already."""

from __future__ import annotations

from injector.core import errors
from injector.core.errors import Problem
from webhook.commands import offline
from webhook.commands.offline import World
from webhook.core import decide, validate

CODES = (errors.STEERING_NAME, errors.FOREIGN, errors.UNNAMED)
"""The rules: names that decide which code runs, foreign expressions, imports without names."""


def denied(world: World) -> dict[str, tuple[Problem, ...]]:
    """Return, by the name of each service and workload, what these rules have against it."""
    found: dict[str, tuple[Problem, ...]] = {}
    for document in world.documents:
        kind = str(document.raw.get("kind") or "")
        metadata = document.raw.get("metadata") or {}
        if kind == "ServiceSecrets" and isinstance(metadata, dict):
            namespace = metadata.get("namespace") or world.namespace
            raw = {**document.raw, "metadata": {**metadata, "namespace": namespace}}
            name = f"{kind} {namespace}/{metadata.get('name')}"
            found[name] = _chosen(validate.mistakes(kind, raw, world.catalog), name)
    for _, template in world.pods:
        first = offline.before_injection(template.pod)
        problems = decide.make(template.namespace, first, world.catalog, offline.INJECTION)[2]
        found[f"{template.kind} {template.namespace}/{template.name}"] = _chosen(problems, "")
    return {name: problems for name, problems in found.items() if problems}


def _chosen(problems: tuple[Problem, ...], own: str) -> tuple[Problem, ...]:
    """Return what the rules are about: a key not offered to another's expression is, too."""
    return tuple(
        problem
        for problem in problems
        if problem.code in CODES
        or (problem.code == errors.IMPORT and problem.origin not in ("", own))
    )
