"""`explain --cost`: what a rollout asks of each store, as a table or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook.commands import offline
from webhook.commands.offline import World
from webhook.core import cost, decide
from webhook.core.cost import Cost

_TITLES = ("WORKLOAD", "PODS", "STORE", "PROVIDER", "READS", "LOGINS", "CALLS")


def shown(world: World, name: str | None, pods: int, output: str) -> str:
    """Return the cost of every workload, or of the one named, started with so many pods each.

    Raises Refused with what keeps a pod from being injected, and (SI-201) when there is none.
    """
    found: dict[str, tuple[Cost, ...]] = {}
    problems: list[Problem] = []
    for _, template in world.pods:
        if name in (None, template.name):
            made, _, wrong, _ = decide.make(
                template.namespace,
                offline.before_injection(template.pod),
                world.catalog,
                offline.INJECTION,
            )
            problems += wrong
            if made is not None:
                key = f"{template.kind} {template.namespace}/{template.name}"
                found[key] = tuple(each.times(pods) for each in cost.of_pod(made.plan))
    if not found and not problems:
        what = "no workload here asks for anything" if name is None else f'no workload "{name}"'
        known = errors.did_you_mean(name or "", [template.name for _, template in world.pods])
        problems.append(Problem(code=errors.ARGUMENT, what=what, hint=known))
    if problems:
        raise Refused(problems)
    total = cost.together(each for costs in found.values() for each in costs)
    if output == "json":
        workloads = [
            {"workload": workload, "pods": pods, "stores": [asdict(each) for each in costs]}
            for workload, costs in found.items()
        ]
        return json.dumps({"workloads": workloads, "total": [asdict(e) for e in total]}, indent=2)
    rows = [_row(workload, pods, each) for workload, costs in found.items() for each in costs]
    rows += [_row("all", pods * len(found), each) for each in total if len(found) > 1]
    return _table([_TITLES, *rows])


def _row(workload: str, pods: int, each: Cost) -> tuple[str, ...]:
    counts = (each.reads, each.logins, each.calls)
    return (workload, str(pods), each.store, each.provider, *map(str, counts))


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(_TITLES))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
