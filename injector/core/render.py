"""From what the stores gave to the bytes of every variable and file, or to all that is wrong.

    plan + {read: Secret | Failure}  ->  one `Rendered` per container, or FetchFailed(problems)

Pure: the date is a parameter. Values are evaluated once, in the plan's order, so an earlier value
is ready when a later one uses it. `default` (filter or rule) stands in for what is *missing*, and
for nothing else: a store that is down or forbids the read is a failure whatever the definition
says. A value that is missing and not required leaves its variable or file out, and so does one that
is empty for want of another where the kubelet reads the variable: it takes empty for missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from injector.core import absence, errors, filters, plan, reporting, rules, secret
from injector.core.errors import Code, FetchFailed, Problem
from injector.core.filters import FilterError, Text
from injector.core.pick import NotPicked, key_in_path, pick, pick_in
from injector.core.plan import ContainerPlan, Part, Pick, Plan, PlanValue, Read
from injector.core.record import Record, hidden, replace
from injector.core.reference import Filter
from injector.core.reporting import Cause
from injector.core.secret import Failure, Secret

TYPE_CHECKING = False  # few pods need what it is of, and all wait for imports
if TYPE_CHECKING:
    from injector.core.env_from import Told

MAX_TOTAL_BYTES = 4 * 1024 * 1024
_MAX_EVALUATED_BYTES = 4 * MAX_TOTAL_BYTES


class Rendered(Record):
    """What one container gets: variables (name, value) and files (path, content, mode if planned).

    Prints without any of it. `taken` says for each variable that is a key of a secret and not named
    in the plan where it comes from, `told` what people hear of other keys.
    """

    name: str
    env: tuple[tuple[str, bytes], ...] = hidden()
    files: tuple[tuple[str, bytes, int | None], ...] = hidden()
    taken: tuple[tuple[str, int], ...] = ()
    told: tuple[Told, ...] = ()


class Missing(Record):
    """There is no value; a default may stand in."""

    causes: tuple[Cause, ...]


class Failed(Record):
    """The value cannot be had, and no default may stand in."""

    causes: tuple[Cause, ...]


Outcome = Text | Missing | Failed


def render(
    p: Plan, answers: Mapping[Read, Secret | Failure], *, today: str
) -> tuple[Rendered, ...]:
    """Return the bytes for every container; raises FetchFailed with every problem of the plan.

    `answers` has an entry for every read of the plan; `today` is the date in UTC as YYYY-MM-DD.
    """
    evaluation = _Evaluation(p, answers, today)
    report = reporting.Report(p)
    total = 0
    rendered = []
    for container in p.containers:
        env, files = [], []
        for item in container.env:
            data = evaluation.wanted(item.value, item.name, container, report)
            if data is not None:
                if not data and evaluation.is_left_out(item.value, container):
                    continue
                env.append((item.name, data))
                total += len(data)
        taken: tuple[tuple[str, int], ...] = ()
        told: tuple[Told, ...] = ()
        if container.env_from:
            from injector.core import env_from_values  # few pods need it, and all wait for imports

            more = env_from_values.of_container(p, container, answers, report)
            env += more.env
            total += sum(len(data) for _, data in more.env)
            taken, told = more.taken, more.told
        for file in container.files:
            data = evaluation.wanted(file.value, f"file {file.path}", container, report)
            if data is not None:
                files.append((file.path, data, file.mode))
                total += len(data)
        rendered.append(
            Rendered(
                name=container.name, env=tuple(env), files=tuple(files), taken=taken, told=told
            )
        )
    problems = report.problems()
    if total > MAX_TOTAL_BYTES and not problems:
        what = f"all values together take {total} bytes, the limit is {MAX_TOTAL_BYTES}"
        problems = (Problem(code=errors.VOLUME, what=what),)
    if problems:
        raise FetchFailed(problems)
    return tuple(rendered)


class _Evaluation:
    """The outcome of every value of a plan, by its index."""

    def __init__(self, p: Plan, answers: Mapping[Read, Secret | Failure], today: str) -> None:
        self._plan, self._answers, self._today = p, answers, today
        # Of these the keys are wanted: all of it as one text need not exist.
        sources = {each.value for container in p.containers for each in container.env_from}
        self._outcomes: list[Outcome] = []
        self._may_be_absent = absence.of_values(p.values)
        evaluated = 0
        for index, value in enumerate(p.values):
            if index in sources:
                what = "it stands for the keys of a secret, and is no value"
                self._outcomes.append(_failed(value, errors.PLAN, what))
                continue
            outcome = self._ruled(value, self._joined(value))
            if isinstance(outcome, Text):
                evaluated += len(outcome.data)
                if evaluated > _MAX_EVALUATED_BYTES:
                    what = f"all values together take more than {_MAX_EVALUATED_BYTES} bytes"
                    raise FetchFailed([Problem(code=errors.VOLUME, what=what)])
            self._outcomes.append(outcome)

    def wanted(
        self, index: int, target: str, container: ContainerPlan, report: reporting.Report
    ) -> bytes | None:
        """Return the value's bytes; None if it is left out, or goes to the report."""
        outcome, value = self._outcomes[index], self._plan.values[index]
        if isinstance(outcome, Text):
            return outcome.data
        if isinstance(outcome, Missing) and value.rule and value.rule.required is False:
            return None
        report.add(outcome.causes, target=target, container=container.name)
        return None

    def is_left_out(self, index: int, container: ContainerPlan) -> bool:
        """Say whether a variable of this empty value is left out rather than refused."""
        return container.env_mode == plan.NATIVE and self._may_be_absent[index]

    def _joined(self, value: PlanValue) -> Outcome:
        """Return all parts as one; every cause is kept, and one failed part fails the value."""
        texts: list[Text] = []
        causes: dict[Cause, None] = {}  # an ordered set: values that double would double them
        is_failed = False
        for part in value.parts:
            outcome = self._part(value, part)
            if isinstance(outcome, Text):
                texts.append(outcome)
            else:
                causes.update(dict.fromkeys(outcome.causes))
                is_failed = is_failed or isinstance(outcome, Failed)
        if causes:
            return (Failed if is_failed else Missing)(causes=tuple(causes))
        if len(texts) == 1:
            return self._sized(value, texts[0])
        return self._sized(value, Text(data=b"".join(text.data for text in texts)))

    def _part(self, value: PlanValue, part: Part) -> Outcome:
        if isinstance(part, str):
            try:
                return Text(data=part.encode())
            except UnicodeEncodeError:
                return _failed(value, errors.PLAN, "the text has half a surrogate pair")
        if isinstance(part, Pick):
            return self._filtered(value, self._picked(value, part), part.filters, part)
        return self._filtered(value, self._outcomes[part.value], part.filters, None)

    def _picked(self, value: PlanValue, part: Pick) -> Outcome:
        answer = self._answers[self._plan.reads[part.read]]
        if isinstance(answer, Failure):
            hint = answer.hint
            if answer.code in (errors.MISSING, errors.FORBIDDEN) and part.field is None:
                # To whom a store says nothing of what is not there, it says "forbidden" of it.
                key = key_in_path(self._plan.reads[part.read].path)
                is_sure = answer.code is errors.MISSING or not hint
                hint = key if key and is_sure else f"{key}; else {hint}" if key else hint
            cause = Cause(
                code=answer.code,
                what=answer.what,
                hint=hint,
                identity=answer.identity,
                origin=value.origin,
                pick=part,
                is_of_read=True,
            )
            return (Missing if answer.code is errors.MISSING else Failed)(causes=(cause,))
        try:
            return pick(answer, part.field)
        except NotPicked as lack:
            cause = Cause(
                code=lack.code, what=lack.what, hint=lack.hint, origin=value.origin, pick=part
            )
            return (Missing if lack.code is errors.MISSING else Failed)(causes=(cause,))

    def _filtered(
        self, value: PlanValue, outcome: Outcome, steps: Sequence[Filter], at: Pick | None
    ) -> Outcome:
        for step in steps:
            if step.name == "default":
                if isinstance(outcome, Missing):
                    outcome = Text(data=step.args[0].encode("utf-8", "replace"))
            elif step.name == "required":
                outcome = _required(value, outcome, step.args[0] if step.args else "", at)
            elif step.name == "get":
                if isinstance(outcome, Text):
                    outcome = _got(value, outcome, step.args[0], at)
            elif isinstance(outcome, Text):
                try:
                    outcome = self._sized(value, filters.apply(step, outcome))
                except FilterError as error:
                    return _failed(value, errors.FILTER, f"{step.name}: {error}", pick=at)
        return outcome

    def _sized(self, value: PlanValue, text: Text) -> Outcome:
        if len(text.data) <= secret.MAX_BYTES:
            return text
        what = f"the value takes {len(text.data)} bytes, the limit is {secret.MAX_BYTES}"
        return _failed(value, errors.NOT_CARRIABLE, what, hint="keep large files elsewhere")

    def _ruled(self, value: PlanValue, outcome: Outcome) -> Outcome:
        """Hold the outcome against its owner's rule; of a default only that it is not empty."""
        rule = value.rule
        if rule is None or isinstance(outcome, Failed):
            return outcome
        at = next((part for part in value.parts if isinstance(part, Pick)), None)
        is_default = isinstance(outcome, Missing)
        if isinstance(outcome, Missing):
            if rule.default is None:
                return outcome
            outcome = Text(data=rule.default.encode("utf-8", "replace"))
        if rule.required and not outcome.data:
            return _failed(value, errors.REQUIRED, "the value is empty", pick=at)
        if is_default:
            return outcome
        causes = tuple(
            Cause(
                code=breach.code,
                what=breach.what,
                hint=breach.hint,
                origin=value.origin,
                key=value.key,
                pick=at,
            )
            for breach in rules.breaches(rule, outcome.data, today=self._today)
        )
        return Failed(causes=causes) if causes else outcome


def _failed(
    value: PlanValue, code: Code, what: str, *, pick: Pick | None = None, hint: str = ""
) -> Failed:
    cause = Cause(code=code, what=what, hint=hint, origin=value.origin, key=value.key, pick=pick)
    return Failed(causes=(cause,))


def _got(value: PlanValue, text: Text, pointer: str, at: Pick | None) -> Outcome:
    """Return what a JSON Pointer finds in a text; what is not there is missing, as in a store."""
    try:
        return pick_in(text, pointer)
    except NotPicked as lack:
        code, what = lack.code, f"get: {lack.what}"
        is_missing = code is errors.MISSING
        code = code if is_missing else errors.FILTER
        cause = Cause(
            code=code, what=what, hint=lack.hint, origin=value.origin, key=value.key, pick=at
        )
        return (Missing if is_missing else Failed)(causes=(cause,))


def _required(value: PlanValue, outcome: Outcome, why: str, at: Pick | None) -> Outcome:
    if isinstance(outcome, Missing):
        return Failed(causes=tuple(replace(c, hint=why or c.hint) for c in outcome.causes))
    if isinstance(outcome, Text) and not outcome.data:
        return _failed(value, errors.REQUIRED, "the value is empty", pick=at, hint=why)
    return outcome
