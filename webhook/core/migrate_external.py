"""Translating an ExternalSecret of the External Secrets Operator into a ServiceSecrets.

    data      secretKey, remoteRef {key, property, version}    a key:  NAME: "#{store:key#property}"
    dataFrom  extract {key, version}, rewrite to a prefix      an entry of spec.from with keys ["*"]
    dataFrom  find, generators, other rewrites                 listed with the reason

Formats: `external-secrets.io/v1` and `v1beta1`. Which mount a path is below stands in their store,
so it is left to people to look at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from injector.core import reference
from injector.core.reference import Expression, StoreRead, format_reference, format_value

GROUP = "external-secrets.io/"
KIND = "ExternalSecret"
MAX_ENTRIES = 512
_PREFIX = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,63})\$(?:1|\{1\})")
_ALL = ("(.*)", "^(.*)$", "(.+)", "^(.+)$")

Left = list[tuple[str, str]]


def is_external_secret(raw: Mapping[str, Any]) -> bool:
    """Say whether the manifest is an ExternalSecret."""
    return raw.get("kind") == KIND and str(raw.get("apiVersion")).startswith(GROUP)


def target(raw: Mapping[str, Any]) -> str:
    """Return the name of the Secret that the operator writes."""
    spec = _mapping(raw.get("spec"))
    return str(_mapping(spec.get("target")).get("name") or _mapping(raw.get("metadata"))["name"])


def service_of(raw: Mapping[str, Any], *, store: str) -> tuple[dict[str, Any], Left]:
    """Return the ServiceSecrets of that name, and what could not be said with the reason."""
    spec, left = _mapping(raw.get("spec")), Left()
    env: dict[str, object] = {}
    for entry in _entries(spec.get("data")):
        name = str(entry.get("secretKey"))
        text = _data(_mapping(entry.get("remoteRef")), store)
        if text is None:
            left.append((f"data {name}", "is of no form that a reference has"))
        elif not reference.NAME.fullmatch(name) or name.startswith("__"):
            left.append(
                (f"data {name}", "is not the name of a variable: write it under spec.files")
            )
        else:
            env[name] = text
    sources = []
    for index, entry in enumerate(_entries(spec.get("dataFrom"))):
        made, why = _data_from(entry, store)
        if made is None:
            left.append((f"dataFrom[{index}]", why))
        else:
            sources.append(made)
    if _mapping(spec.get("target")).get("template"):
        left.append(("target.template", "write the texts with references, as env or files"))
    theirs = str(_mapping(spec.get("secretStoreRef")).get("name") or "their store")
    left.append(("paths", f"see that they begin with the mount that {theirs} sets"))
    metadata: dict[str, Any] = {"name": target(raw)}
    if namespace := _mapping(raw.get("metadata")).get("namespace"):
        metadata["namespace"] = namespace
    made_spec: dict[str, object] = {}
    if env:
        made_spec["env"] = env
    if sources:
        made_spec["from"] = sources
    return {
        "apiVersion": "secret-injector.io/v1alpha1",
        "kind": "ServiceSecrets",
        "metadata": metadata,
        "spec": made_spec,
    }, left


def _data(remote: Mapping[str, Any], store: str) -> str | None:
    read = read_of(remote, store)
    if read is None:
        return None
    if (field := remote.get("property")) is not None:
        # Theirs is a path of words with dots between them; a key with a dot would be ambiguous.
        pointer = "/" + str(field).replace(".", "/") if "." in str(field) else str(field)
        read = StoreRead(store=store, path=read.path, field=pointer, version=read.version)
    return format_value((Expression(reference=read),))


def _data_from(entry: Mapping[str, Any], store: str) -> tuple[dict[str, object] | None, str]:
    extract = _mapping(entry.get("extract"))
    if not extract:
        return None, "keys that a search or a generator finds: name the secret"
    read = read_of(extract, store)
    if read is None or extract.get("property") is not None:
        return None, "is of no form that an entry of from has"
    made: dict[str, object] = {"from": format_reference(read), "keys": ["*"]}
    for rewrite in _entries(entry.get("rewrite")):
        regexp = _mapping(rewrite.get("regexp"))
        prefix = _PREFIX.fullmatch(str(regexp.get("target")))
        if regexp.get("source") not in _ALL or prefix is None or "prefix" in made:
            return None, "a rewrite other than to a prefix: use prefix and rename"
        made["prefix"] = prefix[1]
    return made, ""


def read_of(remote: Mapping[str, Any], store: str) -> StoreRead | None:
    """Return the secret that `key` and `version` name, None when no reference can say it."""
    path, version = str(remote.get("key") or ""), remote.get("version")
    if reference.path_problem(path):
        return None
    return StoreRead(store=store, path=path, version=None if version is None else str(version))


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _entries(found: object) -> Sequence[Mapping[str, Any]]:
    if not isinstance(found, list):
        return ()
    return [each for each in found[:MAX_ENTRIES] if isinstance(each, Mapping)]
