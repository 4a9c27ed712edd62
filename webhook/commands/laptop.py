"""What a service gets, as a plan for this machine: the value-free half of `run`, `env`, `export`.

Called by name from the injector's commands, which fetch what the plan says. Policies, grants and
rules are those of the cluster; only where stores are, and how one logs in there, may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from injector.core import errors, plan_part
from injector.core.errors import Problem, Refused
from injector.core.plan import Plan
from injector.core.record import replace as changed
from webhook.commands import comments, laptop_stores, offline, places
from webhook.commands.documents import Document
from webhook.core import decide
from webhook.core import pod as pods
from webhook.core.annotations import PREFIX
from webhook.core.catalog import Catalog
from webhook.core.selectors import Selector

KUBERNETES = "1.35"


def plan(
    filenames: Sequence[str],
    *,
    name: str | None,
    container: str | None,
    namespace: str,
    environment: str | None,
    stores_file: str | None,
) -> tuple[str, Plan, tuple[str, ...]]:
    """Return the name of what was chosen, the plan of its one container, and warnings.

    `name` is a service or a workload of the files, needed where they hold several. Raises Refused.
    """
    world = offline.world(filenames, namespace=namespace, kubernetes_version=KUBERNETES)
    lost = [p for document in world.documents for p in _lost_in_comments(document)]
    if lost:
        raise Refused(lost)
    catalog = world.catalog
    if environment is not None:
        catalog = _in_environment(catalog, environment)
    file = laptop_stores.chosen(stores_file)
    if file is not None:
        catalog = laptop_stores.mapped(catalog, laptop_stores.load(file))
    workloads = {template.name: template for _, template in world.pods}
    services = {service: place for place, service in catalog.services}
    subject = _subject(name, list(services), list(workloads))
    if subject in services:
        place, pod = services[subject], pod_of(subject)
    else:
        place, pod = workloads[subject].namespace, workloads[subject].pod
    made, _, problems, warnings = decide.make(place, pod, catalog, offline.INJECTION)
    if problems:
        raise Refused(problems)
    if made is None:
        return subject, Plan(namespace=place, service_account=pods.service_account(pod)), warnings
    _check_stores(made.plan, catalog)
    return subject, _of_container(made.plan, container), warnings


def _lost_in_comments(document: Document) -> list[Problem]:
    """Return the values of a resource whose references YAML took for comments, with their place."""
    return [
        changed(found, origin=f"{document.file}:{places.line(document, found.source)}")
        for found in comments.of_object(document)
    ]


def _subject(name: str | None, services: list[str], workloads: list[str]) -> str:
    """Return the one that is meant: the one named, or else the only one; services come first."""
    known = [*services, *(workload for workload in workloads if workload not in services)]
    if name is not None:
        if name in known:
            return name
        what = f'no service or workload of the files is called "{name}"'
        hint = errors.did_you_mean(name, known)
    else:
        of_one_kind = services or workloads
        if len(of_one_kind) == 1:
            return of_one_kind[0]
        what = f"the files hold {len(of_one_kind) or 'no'} services"
        hint = "name one: --service " + (of_one_kind[0] if of_one_kind else "NAME")
    hint = hint or ("there are: " + ", ".join(known) if known else "give its file with -f")
    raise Refused([Problem(code=errors.ARGUMENT, what=what, hint=hint)])


def pod_of(service: str) -> dict[str, Any]:
    """Return a pod that only names the service."""
    return {
        "metadata": {"name": service, "annotations": {f"{PREFIX}service": service}},
        "spec": {"containers": [{"name": "app", "command": ["app"]}]},
    }


def _in_environment(catalog: Catalog, name: str) -> Catalog:
    """Return the catalog where every namespace belongs to this environment alone."""
    found = catalog.environments.get(name)
    if found is None:
        what = f'the files hold no EnvironmentSecrets "{name}"'
        hint = errors.did_you_mean(name, catalog.environments) or "give its file with -f"
        raise Refused([Problem(code=errors.ARGUMENT, what=what, source="--env", hint=hint)])
    return replace(catalog, environments={name: replace(found, selector=Selector())})


def _of_container(made: Plan, name: str | None) -> Plan:
    names = [part.name for part in made.containers]
    if name is None and len(names) > 1:
        what = f"{len(names)} containers get something: {', '.join(names)}"
        raise Refused([Problem(code=errors.ARGUMENT, what=what, hint="name one: --container NAME")])
    if name is not None and name not in names:
        what = f'container "{name}" gets nothing'
        hint = errors.did_you_mean(name, names)
        raise Refused([Problem(code=errors.ARGUMENT, what=what, hint=hint)])
    kept = tuple(part for part in made.containers if name in (None, part.name))
    return plan_part.used(changed(made, containers=kept))


def _check_stores(made: Plan, catalog: Catalog) -> None:
    """Raise Refused for stores that are entered as a pod, which nothing on this machine is."""
    problems = []
    for planned in made.stores:
        entry = catalog.stores[planned.name]
        if not entry.in_cluster or entry.store is None:
            continue
        if entry.store.provider == "k8s" or entry.store.sources():
            what = "this store is entered by what a pod has mounted"
            hint = f"define {planned.name} for this machine in {laptop_stores.DEFAULT} or --stores"
            source = f"store {planned.name}"
            problems.append(Problem(code=errors.STORE_UNKNOWN, what=what, source=source, hint=hint))
    if problems:
        raise Refused(problems)
