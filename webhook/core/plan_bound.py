"""What a pod of another release may carry: nothing that it could not have asked for itself.

Rules differ between releases, so the plan of another one is not compared with what we would decide.
Every store in it must be one of ours as it is, or as it was a moment ago, that serves the pod's
namespace, and the policies of today judge the plan as if the pod's own annotation had asked for
each of its values. That is never more than what whoever made the pod could have written there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from injector.core import budget, errors, stores
from injector.core.errors import Problem
from injector.core.plan import KeyRule, Pick, Plan
from injector.core.record import replace
from webhook.core import planning, policy
from webhook.core import pod as pods
from webhook.core.annotations import PREFIX, parse
from webhook.core.catalog import Catalog
from webhook.core.definitions import KeyDef
from webhook.core.our_container import Injection
from webhook.core.resolution import Author, Resolution, Trace
from webhook.core.store_text import document_for

_ORIGIN = f"annotation {PREFIX}env"


def beyond(
    namespace: str,
    pod: Mapping[str, Any],
    plan: Plan,
    found: Mapping[str, object],
    catalogs: Sequence[Catalog],
    injection: Injection,
) -> list[Problem]:
    """Return what the plan holds beyond what the pod could have asked for; empty if nothing."""
    account = pods.service_account(pod)
    if (plan.namespace, plan.service_account) != (namespace, account):
        return [_problem("the plan is another pod's")]
    unknown = [
        _problem(f'the plan has another store "{store.name}" than this namespace has')
        for store in plan.stores
        if not any(
            _is_known(store.name, store.document, namespace, account, catalog)
            for catalog in catalogs
        )
    ]
    if unknown:
        return unknown
    wrong = [
        _problem(f"{plan.where(pick)}: {what}")
        for value in plan.values
        for pick in value.parts
        if isinstance(pick, Pick) and (what := _path_problem(plan, pick))
    ]
    if wrong:
        return wrong
    own = replace(plan, values=tuple(replace(value, origin=_ORIGIN) for value in plan.values))
    first: list[Problem] | None = None
    for catalog in catalogs:
        judged = planning.judged(namespace, pod, found, catalog, injection)
        wish, _ = parse(judged.annotations)
        verdict = policy.judge(judged.policies, judged.subject, wish, own, _resolution(own))
        problems = [*verdict.denials, *_missing_rules(own, policy.key_rules(judged.policies))]
        if not problems:
            return []
        first = first or problems
    return first or []


def _missing_rules(plan: Plan, rules: Sequence[KeyRule]) -> list[Problem]:
    """Return a problem for each rule about keys that the fetcher is to hold to and is not told."""
    if not any(part.env_from for part in plan.containers):
        return []
    return [
        _problem(f"the plan does not carry what policy {rule.policy} says of keys")
        for rule in rules
        if rule not in plan.rules
    ]


def _is_known(
    name: str, document: str, namespace: str, service_account: str, catalog: Catalog
) -> bool:
    budget.spend()
    entry = catalog.stores.get(name)
    return (
        entry is not None
        and entry.store is not None
        and entry.serves(namespace)
        and document
        == document_for(entry.document, namespace=namespace, service_account=service_account)
    )


def _path_problem(plan: Plan, pick: Pick) -> str | None:
    budget.spend()
    read = plan.reads[pick.read]
    store = plan.stores[read.store]
    spec = stores.from_text(store.name, store.document).spec
    return spec.path_problem(read.path, pick.field, read.version)


def _resolution(plan: Plan) -> Resolution:
    """Return the plan as if one annotation of the pod had asked for all of it."""
    traces = []
    for part in plan.containers:
        targets = [(item.name, item.value) for item in part.env]
        targets += [(f"file {file.path}", file.value) for file in part.files]
        for target, value in targets:
            budget.spend()
            name = plan.values[value].key
            key = KeyDef(name=name, value=(), rule=None, origin=_ORIGIN, place="env")
            traces.append(Trace(container=part.name, target=target, key=key, value=value))
    return Resolution(
        stores=plan.stores,
        reads=plan.reads,
        values=plan.values,
        authors=(Author(service=None, definers=(plan.namespace,)),) * len(plan.values),
        env={part.name: part.env for part in plan.containers},
        files={part.name: part.files for part in plan.containers},
        traces=tuple(traces),
        versions=(),
    )


def _problem(what: str) -> Problem:
    source = "container secret-injector, env SECRET_INJECTOR_PLAN"
    return Problem(code=errors.FINAL_STATE, what=what, source=source)
