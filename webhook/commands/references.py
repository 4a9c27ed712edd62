"""Who refers to a secret of a store, in files: asked by name before `secret delete` deletes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from webhook.commands import offline
from webhook.commands.offline import World
from webhook.core import asking, decide, usage
from webhook.core import pod as pods
from webhook.core.manifests import PodTemplate
from webhook.core.plan_reads import places
from webhook.core.usage import Usage


def to_secret(
    filenames: Sequence[str], store: str | None, path: str, key: str | None
) -> tuple[str, ...]:
    """Return where the files refer to the secret, or to its key or the whole of it.

    Without a store, a reference to the path in any store counts. A pod that could not be injected
    counts by what it says. Raises Refused for files that cannot be read.
    """
    world = offline.world(filenames, namespace="default", kubernetes_version="1.35")
    found = [*usage.usages(world.catalog)]
    for _, template in world.pods:
        found += _of_pod(world, template, path)
    return tuple(
        dict.fromkeys(
            f"{each.by} {each.place}"
            for each in found
            if each.kind == usage.STORE
            and each.path == path
            and (store is None or each.target in ("", store))
            and (key is None or each.key in (None, key) or (each.key or "").startswith("/"))
        )
    )


def _of_pod(world: World, template: PodTemplate, path: str) -> Iterator[Usage]:
    by = f"{template.kind} {template.namespace}/{template.name}"
    made, wish, _, _ = decide.make(
        template.namespace, template.pod, world.catalog, offline.INJECTION
    )
    if made is not None:
        yield from places(made.plan, by)
        return
    for definitions in (wish.shared, *wish.per_container.values()):
        yield from usage.of(world.catalog, definitions, namespace=template.namespace, by=by)
    for container in pods.containers(template.pod):
        for _, name, text in asking.references(container):
            if path in text:
                place = f"env {name} of container {container.name}"
                yield Usage(by=by, place=place, kind=usage.STORE, target="", path=path)
