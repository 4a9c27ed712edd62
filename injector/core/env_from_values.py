"""The variables that a container gets of whole secrets, with their values; see `env_from`.

Apart from `render`, because no pod but one with such an entry needs to load it.
"""

from __future__ import annotations

from collections.abc import Mapping

from injector.core import encode, env_from, errors
from injector.core.env_from import Told
from injector.core.pick import NotPicked, pick_keys, text_of
from injector.core.plan import ContainerPlan, EnvFrom, Pick, Plan, Read
from injector.core.record import Record, hidden
from injector.core.reporting import Cause, Report
from injector.core.secret import Failure, Fields, Secret

Answers = Mapping[Read, Secret | Failure]


class Taken(Record):
    """Variables with their values, the value of the plan that each is of, and what is told."""

    env: tuple[tuple[str, bytes], ...] = hidden()
    taken: tuple[tuple[str, int], ...]
    told: tuple[Told, ...]


def of_container(p: Plan, container: ContainerPlan, answers: Answers, report: Report) -> Taken:
    """Return what the container gets; what it cannot have although it must goes to the report."""
    secrets: dict[int, Fields] = {}
    for entry in container.env_from:
        found = _opened(p, entry, answers)
        if isinstance(found, Cause):
            is_optional = found.code is errors.MISSING and not _is_required(p, entry)
            if not is_optional:
                report.add([found], target=_target(p, entry), container=container.name)
        else:
            secrets[entry.value] = found
    keys = {value: list(fields) for value, fields in secrets.items()}
    chosen, told = env_from.chosen(container, p.rules, keys)
    env, taken = [], []
    for each in chosen:
        data = b""
        try:
            data = text_of(secrets[each.value][each.key]).data
            code, what = errors.NOT_CARRIABLE, encode.launcher_refusal(each.name, data)
        except NotPicked as lack:
            code, what = lack.code, lack.what
        if what:
            told.append(
                Told(
                    code=code,
                    value=each.value,
                    key=each.key,
                    name=each.name,
                    what=what,
                    is_failure=each.is_strict,
                )
            )
        else:
            env.append((each.name, data))
            taken.append((each.name, each.value))
    if len(container.env) + len(env) > env_from.MAX_VARIABLES:
        what = (
            f"it would get {len(container.env) + len(env)} variables,"
            f" the limit is {env_from.MAX_VARIABLES}"
        )
        hint = "narrow the patterns under keys"
        cause = Cause(code=errors.LIMIT, what=what, hint=hint, key=container.name)
        report.add([cause], target="all variables", container=container.name)
    for line in told:
        if line.is_failure:
            report.add([_cause(p, line)], target=line.name, container=container.name)
    return Taken(
        env=tuple(env),
        taken=tuple(taken),
        told=tuple(line for line in told if not line.is_failure),
    )


def _opened(p: Plan, entry: EnvFrom, answers: Answers) -> Fields | Cause:
    """Return the keys of a secret with what they hold, or why there are none to be had."""
    value = p.values[entry.value]
    part = value.parts[0] if len(value.parts) == 1 else None
    if not isinstance(part, Pick) or part.field is not None or part.filters:
        what = "what stands for the keys of a secret is not one"
        return Cause(code=errors.PLAN, what=what, origin=value.origin, key=value.key)
    answer = answers[p.reads[part.read]]
    if isinstance(answer, Failure):
        return Cause(
            code=answer.code,
            what=answer.what,
            hint=answer.hint,
            identity=answer.identity,
            origin=value.origin,
            pick=part,
            is_of_read=True,
        )
    try:
        found = pick_keys(answer)
    except NotPicked as lack:
        return Cause(code=lack.code, what=lack.what, hint=lack.hint, origin=value.origin, pick=part)
    if len(found) > env_from.MAX_KEYS:
        what = f"it has {len(found)} keys, the limit is {env_from.MAX_KEYS}"
        return Cause(code=errors.LIMIT, what=what, origin=value.origin, pick=part)
    return found


def _is_required(p: Plan, entry: EnvFrom) -> bool:
    rule = p.values[entry.value].rule
    return rule is None or rule.required is not False


def _target(p: Plan, entry: EnvFrom) -> str:
    return p.values[entry.value].key


def _cause(p: Plan, line: Told) -> Cause:
    value = p.values[line.value]
    part = value.parts[0]
    where = Pick(read=part.read, field=line.key) if isinstance(part, Pick) else None
    return Cause(code=line.code, what=line.what, hint=line.hint, origin=value.origin, pick=where)
