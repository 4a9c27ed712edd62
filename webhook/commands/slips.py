"""What no cluster refuses, since it concerns nobody there: slips that `lint` alone can see.

A pod without an annotation of ours never reaches the webhook, nor does an object whose kind or
group is nearly one of ours. Each would run without its values, and nothing would say so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from injector.core import errors, reporting
from injector.core.errors import Problem
from webhook.commands import offline, places
from webhook.commands.documents import Document
from webhook.commands.offline import World
from webhook.core import again, lookalikes, sidecars
from webhook.core import pod as pods
from webhook.core.annotation_table import ANNOTATIONS, INJECT, PREFIX
from webhook.core.annotations import ours, parse
from webhook.core.manifests import PodTemplate

API_VERSION = f"{PREFIX}v1alpha1"
_NAMES = tuple(annotation.name for annotation in ANNOTATIONS)
_MAPS = ("annotations", "labels")
_MAX_DEPTH = 32


class Slip(NamedTuple):
    """The line of a document, what is wrong there, and how surely it is not meant so."""

    line: int
    problem: Problem
    level: str = "error"


def of_document(document: Document, templates: Sequence[PodTemplate]) -> Iterator[Slip]:
    """Yield slips in the names of a document: its kind, its group, annotations and labels."""
    yield from _of_kind(document)
    read = {place for template in templates for place in template.annotated}
    for path, field, names in _name_maps(document.raw, ""):
        for name in names:
            at = document.line_of(f"{path}.{name}")
            meant = lookalikes.prefix_meant(name)
            if field == "labels":
                if name.startswith(PREFIX) and name[len(PREFIX) :].partition(".")[0] in _NAMES:
                    what = "it is a label here; an annotation says what is injected"
                    hint = "write it below annotations"
                    yield Slip(at, _named(f"label {name}", what, hint))
            elif meant:
                what = f'it is not read: the prefix of our annotations is "{PREFIX}"'
                problem = _named(f"annotation {name}", what, f'did you mean "{meant}"?')
                yield Slip(at, problem)
        if field == "annotations" and path not in read:
            yield from _elsewhere(document, path, names, templates)


def of_pod(world: World, document: Document, template: PodTemplate) -> Iterator[Slip]:
    """Yield the references of a pod that reach nobody, and text that looks like one."""
    pod, found = template.pod, ours(pods.annotations_of(template.pod))
    if again.carries_parts(pod) or found.get("inject") == "false":
        return
    skipped = sidecars.skipped(pod)
    for problem in lookalikes.in_pod(pod, stores=world.catalog.stores, skipped=skipped):
        # A pod that asks for nothing may be another tool's, which fills it in before it is applied.
        level = "error" if found or not problem.source.startswith("env ") else "warning"
        yield Slip(line_of_source(document, template, problem.source), problem, level)
    wish, _ = parse({name: str(text) for name, text in found.items()})
    for definitions in (wish.shared, *wish.per_container.values()):
        for part in (definitions.env, definitions.files):
            for problem in lookalikes.in_keys(part, stores=world.catalog.stores):
                yield Slip(places.line(document, problem.source, template.annotated), problem)
    if not found:
        yield from _of_silent_pod(document, template, skipped)


def _of_silent_pod(
    document: Document, template: PodTemplate, skipped: Collection[str]
) -> Iterator[Slip]:
    """Yield the references of a pod without an annotation of ours; others are judged with it."""
    for container in pods.containers(template.pod):
        for entry in container.env:
            shown = next(lookalikes.references_in(str(entry.get("value") or "")), None)
            if shown is None or container.name in skipped:
                continue
            source = f"env {entry.get('name')} of container {container.name}"
            what = f'holds "{shown}", which stays text, since the pod has no annotation of ours'
            hint = f'annotate the pod template: {INJECT}: "true"'
            problem = Problem(code=errors.LEFT_AS_TEXT, what=what, source=source, hint=hint)
            yield Slip(line_of_source(document, template, source), problem)


def _of_kind(document: Document) -> Iterator[Slip]:
    kind, version = document.raw.get("kind"), document.raw.get("apiVersion")
    if not isinstance(kind, str) or (
        offline.is_foreign(document.raw) and kind == "ClusterSecretStore"
    ):
        return  # the External Secrets Operator has a kind of this name
    if not isinstance(version, str):
        return
    if lookalikes.is_group_like(version):
        if version != API_VERSION:
            what = f'there is no "{version[:128]}"'
            problem = _resource("apiVersion", what, f"write {API_VERSION}")
            yield Slip(document.line_of("apiVersion"), problem)
        if kind not in offline.KINDS and not kind.endswith("List"):
            hint = errors.did_you_mean(kind, offline.KINDS)
            hint = hint or "there are: " + reporting.some(offline.KINDS, shown=8)
            what = f'there is no kind "{kind[:128]}" of ours'
            yield Slip(document.line_of("kind"), _resource("kind", what, hint))
    elif kind in offline.KINDS:
        problem = _resource("apiVersion", f"{kind} is of {API_VERSION}", f"write {API_VERSION}")
        yield Slip(document.line_of("apiVersion"), problem)


def _elsewhere(
    document: Document, path: str, names: Mapping[str, Any], templates: Sequence[PodTemplate]
) -> Iterator[Slip]:
    """Yield what is wrong with annotations of ours that no pod was found to have."""
    found = ours(names)
    if not found:
        return
    if templates:
        # Of the object's own annotations the webhook says where they belong.
        if path != "metadata.annotations":
            listed = ", ".join(PREFIX + name for name in sorted(found)[:3])
            what = f"{listed} at {path} does nothing; move it to {templates[0].annotated[-1]}"
            problem = Problem(code=errors.ANNOTATION_VALUE, what=what)
            yield Slip(document.line_of(path), problem, "warning")
        return
    texts = {name: text for name, text in found.items() if isinstance(text, str)}
    for problem in parse(texts)[1]:
        name = problem.source.partition(" ")[2]
        yield Slip(document.line_of(f"{path}.{name}"), problem)


def _name_maps(node: object, path: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield path, field and content of every map of annotations or labels in an object."""
    stack: list[tuple[object, str, int]] = [(node, path, 0)]
    while stack:
        here, at, depth = stack.pop()
        if depth > _MAX_DEPTH:
            continue
        if isinstance(here, Mapping):
            for key, value in here.items():
                inner = f"{at}.{key}" if at else str(key)
                if key in _MAPS and isinstance(value, Mapping):
                    yield inner, str(key), {str(name): text for name, text in value.items()}
                elif isinstance(value, (Mapping, list)):
                    stack.append((value, inner, depth + 1))
        elif isinstance(here, list):
            stack += [(entry, f"{at}[{i}]", depth + 1) for i, entry in enumerate(here)]


def line_of_source(document: Document, template: PodTemplate, source: str) -> int:
    """Return the line of `env NAME of container C`, or of another field of that container."""
    field, _, name = source.partition(" of container ")
    base = f"{template.path}." if template.path else ""
    for container in pods.containers(template.pod):
        if container.name != name:
            continue
        part, index = container.pointer.split("/")[2:4]
        at = f"{base}spec.{part}[{index}]"
        if field.startswith("env "):
            for number, entry in enumerate(container.env):
                if str(entry.get("name")) == field[4:]:
                    return document.line_of(f"{at}.env[{number}].value")
        return document.line_of(f"{at}.{field.replace('/', '.')}")
    return document.line


def _named(source: str, what: str, hint: str) -> Problem:
    return Problem(code=errors.ANNOTATION_UNKNOWN, what=what, source=source, hint=hint)


def _resource(source: str, what: str, hint: str) -> Problem:
    return Problem(code=errors.RESOURCE, what=what, source=source, hint=hint)
