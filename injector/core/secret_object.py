"""A Secret as Kubernetes has it: what may be in one, what is, and who else keeps it.

Raw objects come in and go out, so that fields of newer versions survive. What is said about one
holds names of keys and of objects alone.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from injector.core import errors
from injector.core.errors import Problem
from injector.core.secret import MAX_BYTES, text_or_bytes
from injector.core.stores.source import DATA_KEY

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_KEEPERS = (
    ("reconcile.external-secrets.io/", "External Secrets keeps it"),
    ("cert-manager.io/", "cert-manager keeps it"),
    ("kubectl.kubernetes.io/last-applied-configuration", "kubectl applied it from a manifest"),
)
"""Begin of the name of an annotation or label → what it says."""

Data = Mapping[str, str | bytes]


class Unreadable(ValueError):
    """The object is no Secret as the API has them; the message quotes nothing of it."""


def problems(name: str, data: Data) -> list[Problem]:
    """Return what Kubernetes would not take: the Secret's name, names of keys, the size."""
    found = []
    if not _NAME.fullmatch(name):
        hint = "lower-case letters, digits, - and . only, a letter or digit at both ends"
        found.append(Problem(code=errors.NAME, what=f'"{name}" is no name of a Secret', hint=hint))
    for key in data:
        if not DATA_KEY.fullmatch(key):
            what = f'"{key}" is no key of a Secret'
            hint = "letters, digits, -, _ and . only, at most 253 of them"
            found.append(Problem(code=errors.NAME, what=what, source=name, hint=hint))
    size = sum(len(_bytes(value)) for value in data.values())
    if size > MAX_BYTES:
        what = f"the values have {size} bytes together, and a Secret takes {MAX_BYTES}"
        hint = "make two Secrets of it"
        found.append(Problem(code=errors.TOO_LARGE, what=what, source=name, hint=hint))
    return found


def namespace_problems(namespace: str) -> list[Problem]:
    """Return that no namespace can have this name, if that is so."""
    if len(namespace) <= 63 and _LABEL.fullmatch(namespace):
        return []
    what = f'"{namespace}" is no name of a namespace'
    hint = "lower-case letters, digits and - only, a letter or digit at both ends"
    return [Problem(code=errors.NAME, what=what, hint=hint)]


def data_of(raw: Mapping[str, Any]) -> dict[str, str | bytes]:
    """Return the values: texts where they are UTF-8, else bytes. Raises Unreadable."""
    data = raw.get("data") or {}
    if not isinstance(data, Mapping):
        raise Unreadable("its data is no mapping")
    found: dict[str, str | bytes] = {}
    for key, text in data.items():
        try:
            value = base64.b64decode(text, validate=True)
        except (TypeError, binascii.Error):
            raise Unreadable(f"its key {key} is not in base64") from None
        found[key] = text_or_bytes(value)
    return found


def changed(raw: Mapping[str, Any] | None, name: str, data: Data) -> dict[str, Any]:
    """Return the object with other values, or a new one of type Opaque; all else stays."""
    encoded = {key: base64.b64encode(_bytes(value)).decode() for key, value in data.items()}
    if raw is not None:
        return {**raw, "data": encoded}
    metadata = {"name": name}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": encoded,
    }


def is_same(one: Data, other: Data) -> bool:
    """Say whether the same bytes stand under the same keys."""
    return {k: _bytes(v) for k, v in one.items()} == {k: _bytes(v) for k, v in other.items()}


def is_immutable(raw: Mapping[str, Any]) -> bool:
    """Say whether nobody can change the values any more."""
    return raw.get("immutable") is True


def state(raw: Mapping[str, Any]) -> str:
    """Return in a few words what is unusual about the object."""
    found = ["immutable"] if is_immutable(raw) else []
    if _metadata(raw).get("deletionTimestamp"):
        found.append("being deleted")
    return ", ".join(found)


def keeper(raw: Mapping[str, Any]) -> str:
    """Return who else keeps the object and may undo a change, as a clause; empty for nobody."""
    metadata = _metadata(raw)
    owners = [each for each in metadata.get("ownerReferences") or () if isinstance(each, Mapping)]
    owners.sort(key=lambda each: each.get("controller") is not True)
    if owners:
        return f"{owners[0].get('kind', '?')} {owners[0].get('name', '?')} owns it"
    if raw.get("type") == "helm.sh/release.v1":
        return "Helm keeps a release in it"
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    for begin, clause in _KEEPERS:
        if any(each.startswith(begin) for each in (*labels, *annotations)):
            return clause
    manager = labels.get("app.kubernetes.io/managed-by")
    return f"{manager} manages it" if manager not in (None, "", "kubectl") else ""


def _metadata(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    found = raw.get("metadata")
    return found if isinstance(found, Mapping) else {}


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
