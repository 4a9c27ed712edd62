"""What our container mounts to log in and to read Secrets, from a plan's stores and reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from injector.core import stores
from injector.core.plan import Pick, Plan
from injector.core.stores import kubernetes
from injector.core.stores.source import ConfigMapSource, SecretSource, Source, TokenSource

TOKEN_SECONDS = 600


def sources(plan: Plan) -> list[Source]:
    """Return everything our container mounts to log in and to read Secrets, each once, by path."""
    found: dict[str, Source] = {}
    parsed = [stores.from_text(store.name, store.document) for store in plan.stores]
    for store in parsed:
        found.update({source.path: source for source in store.sources()})
    for value in plan.values:
        for part in value.parts:
            if isinstance(part, Pick):
                read = plan.reads[part.read]
                if parsed[read.store].provider == "k8s":
                    source = kubernetes.read_source(read.path, part.field)
                    found[source.path] = source
    return [found[path] for path in sorted(found)]


def projected(needed: Sequence[Source]) -> list[dict[str, Any]]:
    """Return the entries of the projected volume with tokens, keys and files."""
    entries: list[dict[str, Any]] = []
    for source in needed:
        match source:
            case TokenSource():
                token = {
                    "audience": source.audience,
                    "expirationSeconds": TOKEN_SECONDS,
                    "path": source.path,
                }
                entries.append({"serviceAccountToken": token})
            case SecretSource():
                if source.key is None:
                    continue  # a volume of its own: see `whole_secrets`
                items = [{"key": source.key, "path": source.path}]
                entries.append({"secret": {"name": source.name, "items": items, "optional": True}})
            case ConfigMapSource():
                items = [{"key": source.key, "path": source.path}]
                entries.append(
                    {"configMap": {"name": source.name, "items": items, "optional": True}}
                )
    return entries


def whole_secrets(needed: Sequence[Source]) -> list[str]:
    """Return the Secrets to mount with all keys: a projected volume has no folder for those."""
    return [s.name for s in needed if isinstance(s, SecretSource) and s.key is None]
