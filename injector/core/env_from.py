"""Keys of a secret as variables: which of them a container gets, once the secret has been read.

Who can write a secret chooses the names of its keys, and must gain neither code nor a name that
somebody else has set. So of the keys that an entry's patterns match

    a name of class code (`steering`)                 is never set
    a name of class endpoint                          only with a prefix, or where `rename` says it
    a name that the container, a key written by name  stays what it is
    or a stronger entry sets
    a name that a policy denies, or keeps as it is    is not set

What is not set for another reason than a stronger name is told, or fails where the entry is strict.
Names are all that is looked at here: values are taken out by whoever calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from injector.core import errors, reference, steering
from injector.core.errors import Code, printable
from injector.core.names import any_of
from injector.core.plan import ContainerPlan, EnvFrom, KeyRule
from injector.core.record import Record
from injector.core.steering import Steers

MAX_KEYS = 4096
"""Keys of one secret that are looked at."""

MAX_VARIABLES = 512
"""Variables of one container, those that are written by name among them."""

DENY = "Deny"

RESERVED = "__"
"""What begins so is no variable but a word of ours, today's or one to come."""


class Told(Record):
    """Something about a key that people hear of; `is_left_out` says whether it is not set."""

    code: Code
    value: int
    key: str
    name: str
    what: str
    hint: str = ""
    is_left_out: bool = True
    is_failure: bool = False


class Chosen(Record):
    """A variable, and the key of a secret that it takes its value from."""

    name: str
    value: int
    key: str
    is_strict: bool


class _Candidate(Record):
    """A key under the name that it would have; `rank` is its entry's place, weakest first."""

    rank: int
    entry: EnvFrom
    key: str
    name: str


def chosen(
    container: ContainerPlan, rules: Sequence[KeyRule], keys: Mapping[int, Sequence[str]]
) -> tuple[list[Chosen], list[Told]]:
    """Return what a container gets of the keys, in the order of its names, and what is told.

    `keys` has the keys of each secret that could be read, by the index of its value.
    """
    told: list[Told] = []
    named: dict[str, list[_Candidate]] = {}
    for rank, entry in enumerate(container.env_from):
        for candidate in _candidates(rank, entry, keys.get(entry.value, ()), told):
            named.setdefault(candidate.name, []).append(candidate)
    stronger = frozenset((*(item.name for item in container.env), *container.own))
    found = []
    for name, candidates in sorted(named.items()):
        allowed = [each for each in candidates if _is_allowed(each, rules, told)]
        if not allowed:
            continue
        guard = next((r for r in rules if r.action == DENY and any_of(name, r.final)), None)
        _told_of_finals(allowed, container, rules, told)
        if name in stronger:
            continue
        winner = allowed[-1] if guard is None else allowed[0]
        if guard is not None:
            told += [_not_over(each, guard) for each in allowed if each.rank != winner.rank]
        found.append(
            Chosen(
                name=name,
                value=winner.entry.value,
                key=winner.key,
                is_strict=winner.entry.is_strict,
            )
        )
    return found, told


def refusal(name: str, *, is_written: bool) -> tuple[Code, str, str] | None:
    """Return why no key of a secret may become a variable of this name: code, what, hint; or None.

    `is_written` says that somebody who may decide it wrote the name, or gave it a prefix.
    """
    if not reference.NAME.fullmatch(name) or name.startswith(RESERVED):
        return errors.NAME, "that is not the name of a variable", "give it one with rename"
    steers = steering.of(name)
    if steers is Steers.CODE:
        what = f"that decides {Steers.CODE.value}"
        return (
            errors.STEERING_NAME,
            what,
            "give it another name with rename, or write a line for it in the pod's annotation",
        )
    if steers is Steers.ENDPOINT and not is_written:
        what = f"that decides {Steers.ENDPOINT.value}"
        hint = "list the key under keys by its name if you mean it, or give the entry a prefix"
        return errors.STEERING_NAME, what, hint
    return None


def _candidates(
    rank: int, entry: EnvFrom, keys: Sequence[str], told: list[Told]
) -> Iterator[_Candidate]:
    """Yield the keys that the entry takes and may take, under their names."""
    renamed = dict(entry.rename)
    taken = [key for key in keys if any_of(key, entry.keys)]
    given = {entry.prefix + renamed[key]: key for key in taken if key in renamed}
    for key in sorted(taken):
        name = entry.prefix + renamed.get(key, key)
        if not all(any_of(name, patterns) for patterns in entry.only):
            continue  # an import does not take it
        owner = given.get(name, key)
        why = (
            (errors.DUPLICATE, f'the key "{printable(owner[:64])}" is renamed to that', "")
            if owner != key
            else refusal(name, is_written=bool(entry.prefix) or key in renamed)
        )
        if why is None:
            yield _Candidate(rank=rank, entry=entry, key=key, name=name)
            continue
        code, what, hint = why
        told.append(
            Told(
                code=code,
                value=entry.value,
                key=key,
                name=name,
                what=what,
                hint=hint,
                is_failure=entry.is_strict,
            )
        )


def _is_allowed(candidate: _Candidate, rules: Sequence[KeyRule], told: list[Told]) -> bool:
    """Say whether no policy keeps the key out, under its own name or the variable's."""
    is_allowed = True
    for rule in rules:
        if any_of(candidate.key, rule.deny) or any_of(candidate.name, rule.deny):
            is_denied = rule.action == DENY
            is_allowed = is_allowed and not is_denied
            what = f"the key is not allowed (policy {rule.policy}, rule keys)"
            told.append(_of_policy(candidate, what, is_left_out=is_denied))
    return is_allowed


def _told_of_finals(
    candidates: Sequence[_Candidate],
    container: ContainerPlan,
    rules: Sequence[KeyRule],
    told: list[Told],
) -> None:
    """Tell of a final name of a service that the pod sets itself; with Deny, that is a failure."""
    theirs = [each for each in candidates if not each.entry.is_pods]
    if not theirs or theirs[0].name not in container.own:
        return
    for rule in rules:
        if any_of(theirs[0].name, rule.final):
            what = (
                f"the key is final and may not be overridden by the pod"
                f" (policy {rule.policy}, rule final)"
            )
            is_denied = rule.action == DENY
            told.append(_of_policy(theirs[0], what, is_left_out=is_denied, is_failure=is_denied))


def _not_over(candidate: _Candidate, rule: KeyRule) -> Told:
    what = f"a weaker entry has it, and it is final (policy {rule.policy}, rule final)"
    return _of_policy(candidate, what, is_left_out=True)


def _of_policy(
    candidate: _Candidate, what: str, *, is_left_out: bool, is_failure: bool = False
) -> Told:
    return Told(
        code=errors.POLICY,
        value=candidate.entry.value,
        key=candidate.key,
        name=candidate.name,
        what=what,
        is_left_out=is_left_out,
        is_failure=is_failure or (is_left_out and candidate.entry.is_strict),
    )
