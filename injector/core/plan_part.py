"""A part of a plan: some of its variables and files, and only the reads that these need."""

from __future__ import annotations

from collections.abc import Collection

from injector.core.plan import Pick, Plan, PlanValue, Use
from injector.core.record import replace


def names(p: Plan) -> list[str]:
    """Return the names of all variables and the paths of all files."""
    return [
        name
        for container in p.containers
        for name in (*(e.name for e in container.env), *(f.path for f in container.files))
    ]


def has_env_from(p: Plan) -> bool:
    """Say whether there are variables whose names the plan does not know."""
    return any(container.env_from for container in p.containers)


def only(p: Plan, wanted: Collection[str]) -> Plan:
    """Return the plan for the variables and files of these names; nothing else is asked for.

    What is taken by pattern is asked for where a name is none of the plan's own, and then brings
    that name alone.
    """
    unknown = tuple(sorted(set(wanted) - set(names(p))))
    containers = [
        replace(
            container,
            env=tuple(item for item in container.env if item.name in wanted),
            files=tuple(file for file in container.files if file.path in wanted),
            env_from=tuple(replace(each, only=(*each.only, unknown)) for each in container.env_from)
            if unknown
            else (),
        )
        for container in p.containers
    ]
    return used(replace(p, containers=tuple(containers)))


def used(p: Plan) -> Plan:
    """Return the plan without reads and values that no variable or file needs."""
    containers = p.containers
    needed = {item.value for c in containers for item in c.env}
    needed |= {entry.value for c in containers for entry in c.env_from}
    needed |= {file.value for c in containers for file in c.files}
    for index in range(len(p.values) - 1, -1, -1):  # a value uses earlier ones only
        if index in needed:
            needed |= {part.value for part in p.values[index].parts if isinstance(part, Use)}
    values = {old: new for new, old in enumerate(sorted(needed))}
    kept = [p.values[index] for index in sorted(needed)]
    read = {part.read for value in kept for part in value.parts if isinstance(part, Pick)}
    reads = {old: new for new, old in enumerate(sorted(read))}
    return replace(
        p,
        reads=tuple(p.reads[index] for index in sorted(read)),
        values=tuple(_moved(value, reads, values) for value in kept),
        containers=tuple(
            replace(
                container,
                env=tuple(replace(e, value=values[e.value]) for e in container.env),
                files=tuple(replace(f, value=values[f.value]) for f in container.files),
                env_from=tuple(replace(e, value=values[e.value]) for e in container.env_from),
            )
            for container in containers
        ),
    )


def _moved(value: PlanValue, reads: dict[int, int], values: dict[int, int]) -> PlanValue:
    parts = tuple(
        replace(part, read=reads[part.read])
        if isinstance(part, Pick)
        else replace(part, value=values[part.value])
        if isinstance(part, Use)
        else part
        for part in value.parts
    )
    return replace(value, parts=parts)
