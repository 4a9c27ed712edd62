"""Stores: where values live and how to log in there, without any credential.

A store is defined by a cluster-scoped `ClusterSecretStore` or, on a laptop, by a file. The webhook
parses the definition to judge it and to know what our containers must mount (`sources`); the plan
carries the definition's canonical JSON; the injector parses that same text with this same code.
Each provider has one module with one `parse`; `PROVIDERS` is the table of them.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from injector.core import errors
from injector.core.errors import Problem, Refused
from injector.core.fields import Fields
from injector.core.record import Record
from injector.core.stores.source import Source

BUILT_IN = "k8s"
"""The store every namespace has: the Secrets of the pod's own namespace."""

_NAMESPACES = re.compile(r"[-a-z0-9*]{1,63}")


class Spec(Record):
    """What every provider's definition can say of itself."""

    def sources(self, store: str, audience: str | None) -> tuple[Source, ...]:
        """Return what a container must mount to log in to the store of this name."""
        del store, audience
        return ()

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """Return why the provider can never read this reference, or None."""
        raise NotImplementedError

    def sites(self) -> tuple[Site, ...]:
        """Return where the store is, in the order in which to try: itself, then its fallbacks."""
        return (Site(name="", spec=self),)


class Site(Record):
    """One region or server that holds a store's secrets; `spec` defines it as if it were alone.

    `name` is what people call it: a region, a location, or the server's address. Files have none.
    """

    name: str
    spec: Spec


class Retry(Record):
    """How a passing failure is met: full-jitter exponential backoff from `base_s` up to `cap_s`.

    `attempts` bounds the tries; without it they go on until the deadline of the fetch.
    """

    attempts: int | None = None
    base_s: float = 0.2
    cap_s: float = 15.0


class Store(Record):
    """One parsed store: `provider` is the member of the union that `spec` came from.

    `audience` is what the projected token is issued for; `timeout_s` bounds one try.
    """

    name: str
    provider: str
    spec: Spec
    audience: str | None
    timeout_s: float
    retry: Retry
    allowed_namespaces: tuple[str, ...]

    def sources(self) -> tuple[Source, ...]:
        """Return what a container must mount to use this store."""
        return self.spec.sources(self.name, self.audience)

    def sites(self) -> tuple[Site, ...]:
        """Return where it is, in the order in which to try."""
        return self.spec.sites()


PROVIDERS = {
    "vault": "vault:parse",
    "awsSecretsManager": "aws:parse_secrets_manager",
    "awsParameterStore": "aws:parse_parameter_store",
    "azureKeyVault": "azure:parse",
    "gcpSecretManager": "gcp:parse",
    "local": "local:parse",
    "sops": "sops:parse",
    "k8s": "kubernetes:parse",
    "dotenv": "dotenv:parse",
    "env": "dotenv:parse_environment",
}
"""Member of the union → module and function that parse its definition, imported when one is met:
a pod waits for the classes of the stores it uses, and not for the others'."""


def parse(name: str, document: object, *, in_cluster: bool = True) -> Store:
    """Return the store that a `spec` mapping defines.

    `in_cluster` refuses what only a laptop may use (files of the machine, its environment). Raises
    Refused with every problem of the definition.
    """
    problems: list[Problem] = []
    origin = f"ClusterSecretStore {name}" if in_cluster else f"store {name}"
    fields = Fields(
        document, place="spec", origin=origin, code=errors.STORE_SPEC, problems=problems
    )
    audience = fields.optional("audience", form="a text of at most 253 characters", longest=253)
    timeout_s = fields.duration_s("timeout", default=10.0, least=0.1, most=60.0)
    allowed = fields.texts(
        "allowedNamespaces", pattern=_NAMESPACES, form="a namespace or a pattern with *"
    )
    if not fields.has("allowedNamespaces"):
        allowed = ("*",)
    retry = _retry(fields)
    provider = fields.one_of(tuple(PROVIDERS))
    spec: Spec | None = None
    if provider is not None:
        spec = _parser(provider)(fields.child(provider), in_cluster=in_cluster)
    fields.finish()
    if problems or provider is None or spec is None:
        raise Refused(problems)
    return Store(
        name=name,
        provider=provider,
        spec=spec,
        audience=audience,
        timeout_s=timeout_s,
        retry=retry,
        allowed_namespaces=allowed,
    )


@lru_cache(maxsize=1024)
def from_text(name: str, document: str, *, in_cluster: bool = True) -> Store:
    """Return the store of a canonical definition, remembered: parsed once for all its pods."""
    return parse(name, json.loads(document), in_cluster=in_cluster)


def canonical(document: Mapping[str, object]) -> str:
    """Return the definition as the plan carries it: canonical JSON without who may use it."""
    kept = {
        key: value
        for key, value in document.items()
        if key != "allowedNamespaces" and value is not None
    }
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _parser(provider: str) -> Callable[..., Spec]:
    module, _, function = PROVIDERS[provider].partition(":")
    found: Callable[..., Spec] = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    return found


def _retry(fields: Fields) -> Retry:
    if not fields.has("retry"):
        fields.take("retry")
        return Retry()
    child = fields.child("retry")
    retry = Retry(
        attempts=child.whole("attempts", default=0, least=1, most=20) or None,
        base_s=child.duration_s("base", default=0.2, least=0.01, most=10.0),
        cap_s=child.duration_s("cap", default=15.0, least=0.01, most=60.0),
    )
    child.finish()
    return retry
