"""Store definitions as one pod has them: its roles filled in, and whether they are its namespace's.

`{namespace}` and `{serviceAccount}` stand for the pod's own, in roles alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from injector.core import stores
from injector.core.stores import Store
from injector.core.stores.source import ConfigMapSource, SecretSource

_ROLE_FIELDS = ("role", "roleArn")


def is_of_namespace(store: Store) -> bool:
    """Say whether what the store holds is what objects of the pod's own namespace hold."""
    if store.provider in ("local", "sops"):
        return any(isinstance(s, SecretSource | ConfigMapSource) for s in store.sources())
    return store.provider == stores.BUILT_IN


def document_for(document: Mapping[str, object], *, namespace: str, service_account: str) -> str:
    """Return the canonical definition for one pod; only roles may have variables."""
    filled = _filled(document, {"{namespace}": namespace, "{serviceAccount}": service_account})
    return stores.canonical(filled if isinstance(filled, Mapping) else {})


def _filled(node: object, variables: Mapping[str, str]) -> object:
    if isinstance(node, Mapping):
        return {
            key: _fill_text(value, variables) if key in _ROLE_FIELDS else _filled(value, variables)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_filled(entry, variables) for entry in node]
    return node


def _fill_text(text: object, variables: Mapping[str, str]) -> object:
    if not isinstance(text, str):
        return text
    for name, value in variables.items():
        text = text.replace(name, value)
    return text
