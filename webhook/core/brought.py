"""References that `valueFrom` and `envFrom` bring into a container's environment as text.

A reference is evaluated where it stands in an annotation or in `env[].value`. From a ConfigMap, a
Secret or another annotation of the pod it arrives as text, and the application is given `#{...}`.
The webhook reads neither Secrets nor ConfigMaps, so at admission only annotations can be seen;
`lint` and `mutate` look into the objects of the files that they are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from injector.core import budget, errors
from injector.core.errors import Problem
from webhook.core import lookalikes
from webhook.core import pod as pods
from webhook.core.annotation_table import PREFIX

Texts = Mapping[tuple[str, str, str], Mapping[str, str]]
"""Kind, namespace and name of a ConfigMap or a Secret → its keys with their texts."""

_REFERRED = (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret"))
_SETS = (("configMapRef", "ConfigMap"), ("secretRef", "Secret"))
_ANNOTATION = re.compile(r"metadata\.annotations\['([^']{1,512})'\]")
_OVERRIDE = f"write {{value: ..., override: true}} in the annotation {PREFIX}env"
_ADD = f"write the variable in the annotation {PREFIX}env, which wins over envFrom"


def from_annotations(pod: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a warning for each variable that is a copy of an annotation with references."""
    texts = copied(pod)
    if not texts:
        return
    shown = {name: _reference(text) for name, text in texts.items()}
    for container in pods.containers(pod):
        for entry in container.env:
            name = _copied(entry)
            if found := shown.get(name):
                source = f"env {entry.get('name')} of container {container.name}"
                yield _problem(source, f"annotation {name}", found, _OVERRIDE)


def copied(pod: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations of others that variables are copies of and that may hold references.

    They decide what the pod is warned of, and are cut to what is looked at.
    """
    annotations = pods.annotations_of(pod)
    if not any(
        "#{" in str(text) and not name.startswith(PREFIX) for name, text in annotations.items()
    ):
        return {}
    names = {
        _copied(entry)
        for raw in pods.raw_containers(pod)
        for entry in raw.get("env") or ()
        if "valueFrom" in entry
    }
    return {
        name: text[: lookalikes.MAX_TEXT]
        for name in sorted(names)
        if isinstance(text := annotations.get(name), str) and "#{" in text
    }


def _copied(entry: Mapping[str, Any]) -> str:
    """Return the annotation that a variable is a copy of, or an empty text."""
    source = entry.get("valueFrom")
    if not source:
        return ""
    path = (source.get("fieldRef") or {}).get("fieldPath")
    match = _ANNOTATION.fullmatch(str(path)) if path else None
    return "" if match is None or match[1].startswith(PREFIX) else match[1]


def from_objects(pod: Mapping[str, Any], namespace: str, texts: Texts) -> Iterator[Problem]:
    """Yield a warning for each variable that a ConfigMap or a Secret fills with a reference."""
    for container in pods.containers(pod):
        named = {str(entry.get("name")) for entry in container.env}
        for entry in container.env:
            for field, kind in _REFERRED:
                ref = (entry.get("valueFrom") or {}).get(field) or {}
                data = texts.get((kind, namespace, str(ref.get("name"))), {})
                if shown := _reference(data.get(str(ref.get("key")))):
                    source = f"env {entry.get('name')} of container {container.name}"
                    where = f"{kind} {ref.get('name')}, key {ref.get('key')}"
                    yield _problem(source, where, shown, _OVERRIDE)
        for entry in container.raw.get("envFrom") or ():
            for field, kind in _SETS:
                ref = entry.get(field) or {}
                data = texts.get((kind, namespace, str(ref.get("name"))), {})
                for key, text in sorted(data.items()):
                    name = f"{entry.get('prefix') or ''}{key}"
                    if name not in named and (shown := _reference(text)):
                        source = f"envFrom of container {container.name}"
                        where = f"{kind} {ref.get('name')}, key {key}"
                        yield _problem(source, where, shown, _ADD, target=name)


def _reference(text: object) -> str | None:
    """Return how the first reference of a text begins, None without one."""
    if not isinstance(text, str):
        return None
    budget.spend(1 + min(len(text), lookalikes.MAX_TEXT) // 256)
    return next(lookalikes.references_in(text[: lookalikes.MAX_TEXT]), None)


def _problem(source: str, where: str, shown: str, hint: str, *, target: str = "") -> Problem:
    what = f'"{shown}" comes from {where}, as text, and is not evaluated'
    return Problem(code=errors.LEFT_AS_TEXT, what=what, source=source, target=target, hint=hint)
