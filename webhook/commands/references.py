"""Who refers to a secret of a store: asked by name before `secret delete` deletes it.

File names, options and names of secrets come in, places go out: no value is ever here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from injector.core import stores
from injector.core.errors import Refused
from injector.core.plan import Plan
from injector.core.stores.source import SecretSource
from webhook.commands import offline
from webhook.commands.documents import Document
from webhook.commands.laptop import KUBERNETES, pod_of
from webhook.commands.offline import World
from webhook.core import again, asking, decide, sidecars, usage
from webhook.core.catalog import Catalog
from webhook.core.manifests import PodTemplate
from webhook.core.plan_reads import places
from webhook.core.usage import Usage


def to_secret(
    filenames: Sequence[str],
    store: str | None,
    path: str,
    key: str | None,
    *,
    namespace: str | None = None,
    cluster: tuple[str | None, str | None] | None = None,
) -> tuple[str, ...]:
    """Return where the files and the cluster refer to the secret, or to its key or the whole of it.

    Without a store, a reference to the path in any store counts. With a namespace the secret is a
    Secret of it: only what makes pods there counts, by whatever store of that kind. `cluster` is a
    kubeconfig and a context. A pod that could not be injected counts by what it says. Raises
    Refused for what cannot be read.
    """
    there: list[Document] | None = None
    if cluster is not None:
        from webhook.commands import live  # loads the Kubernetes client

        there = live.referrers(*cluster, namespace=namespace)
    found: dict[str, None] = {}
    # With files, those alone are looked at in what the cluster holds: it is looked at as it is too.
    for names in ([filenames] if filenames else []) + ([()] if there is not None else []):
        world = offline.world(
            names, namespace=namespace or "default", kubernetes_version=KUBERNETES, there=there
        )
        meant = _stores(world.catalog, store, namespace)
        for each in _usages(world, path, namespace):
            if _is_meant(each, meant, path, key):
                found[f"{each.by} {each.place}"] = None
    return tuple(found)


def _stores(catalog: Catalog, store: str | None, namespace: str | None) -> frozenset[str] | None:
    """Return the names of the store; None when any will do."""
    if namespace is None:
        return None if store is None else frozenset({store})
    of_kind = {
        name
        for name, entry in catalog.stores.items()
        if entry.store is not None and entry.store.provider == "k8s"
    }
    return frozenset(of_kind | ({store} if store is not None else set()))


def _is_meant(found: Usage, meant: frozenset[str] | None, path: str, key: str | None) -> bool:
    return (
        found.kind == usage.STORE
        and found.path == path
        and (meant is None or found.target == "" or found.target in meant)
        and (key is None or found.key in (None, key) or (found.key or "").startswith("/"))
    )


def _usages(world: World, path: str, namespace: str | None) -> Iterator[Usage]:
    yield from usage.usages(world.catalog, within=namespace)
    if namespace is not None:
        yield from _imported(world.catalog, namespace)
    for document, template in world.pods:
        if namespace in (None, template.namespace) and not _is_over(document.raw):
            yield from _of_pod(world, template, path)


def _imported(catalog: Catalog, namespace: str) -> Iterator[Usage]:
    """Yield what services of the namespace read by what they import, from wherever it comes."""
    for (there, name), service in sorted(catalog.services.items()):
        if there == namespace:
            made, _, _, _ = decide.make(namespace, pod_of(name), catalog, offline.INJECTION)
            own = f" of {service.origin}"
            for each in _of_plan(made.plan, service.origin) if made is not None else ():
                if not each.place.endswith(own):
                    yield each


def _of_pod(world: World, template: PodTemplate, path: str) -> Iterator[Usage]:
    by = f"{template.kind} {template.namespace}/{template.name}"
    # What a pod that runs reads stands in it, whatever is asked for by now.
    running = again.before(template.pod) if again.carries_parts(template.pod) else None
    if running is not None and running.plan is not None:
        yield from _of_plan(running.plan, by)
        return
    made, wish, _, _ = decide.make(
        template.namespace, template.pod, world.catalog, offline.INJECTION
    )
    if made is not None:
        yield from _of_plan(made.plan, by)
        return
    for definitions in (wish.shared, *wish.per_container.values()):
        yield from usage.of(world.catalog, definitions, namespace=template.namespace, by=by)
    targets = asking.targets(template.pod, wish, [], skipped=sidecars.skipped(template.pod))
    for container in targets.all:
        for _, name, text in targets.inline.references(container):
            if path in text:
                place = f"env {name} of container {container.name}"
                yield Usage(by=by, place=place, kind=usage.STORE, target="", path=path)


def _of_plan(plan: Plan, by: str) -> Iterator[Usage]:
    """Yield what a plan reads, and the Secrets by which its stores are entered."""
    yield from places(plan, by)
    for planned in plan.stores:
        try:
            sources = stores.from_text(planned.name, planned.document).sources()
        except Refused:  # of a pod that a newer webhook injected
            continue
        for source in sources:
            if isinstance(source, SecretSource):
                yield Usage(
                    by=by,
                    place=f"login to the store {planned.name}",
                    kind=usage.STORE,
                    target=stores.BUILT_IN,
                    key=source.key,
                    path=source.name,
                )


def _is_over(raw: Mapping[str, Any]) -> bool:
    """Say whether a Pod or Job has run to its end: it reads nothing any more."""
    status = raw.get("status") or {}
    if raw.get("kind") == "Pod":
        return status.get("phase") in ("Succeeded", "Failed")
    return raw.get("kind") == "Job" and any(
        condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
