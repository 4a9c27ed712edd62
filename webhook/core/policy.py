"""Policies: what platform teams allow, judged on the final plan.

All matching policies apply; any `Deny` wins, `Warn` speaks to the person who creates the pod,
`Audit` goes to the log. A policy that does not compile denies whatever it matches.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from injector.core import budget
from injector.core.errors import Problem
from injector.core.plan import KeyRule, Plan
from webhook.core.annotations import ANNOTATIONS, PREFIX, Wish
from webhook.core.catalog import Catalog
from webhook.core.globs import any_matches
from webhook.core.policy_judge import Judge, Subject, problem_of
from webhook.core.policy_model import Policy
from webhook.core.resolution import Resolution

__all__ = ["Subject", "Verdict", "judge", "key_rules", "matching", "with_defaults"]

# What `env` and `files` add for one container is judged by its keys.
_SETTINGS_PER_CONTAINER = frozenset(each.name for each in ANNOTATIONS if each.is_per_container) - {
    "env",
    "files",
}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the policies say of a plan, by how strict they are."""

    denials: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    audits: tuple[Problem, ...] = ()


def matching(catalog: Catalog, subject: Subject) -> tuple[Policy, ...]:
    """Return the policies that match the subject, by name."""
    if not catalog.policies:
        return ()
    labels = catalog.labels_of(subject.namespace)
    return tuple(
        policy
        for _, policy in sorted(catalog.policies.items())
        if policy.namespaces.matches(labels)
        and policy.pods.matches(subject.labels)
        and (
            not policy.service_accounts
            or any_matches(subject.service_account, policy.service_accounts)
        )
    )


def with_defaults(
    policies: tuple[Policy, ...], given: Mapping[str, str]
) -> tuple[dict[str, str], Verdict]:
    """Return the annotations with the policies' defaults under them, and what is said of `final`.

    A final default stands before any other; where two policies' final defaults differ, whichever
    the pod gets, the other policy speaks.
    """
    chosen = dict(given)
    if not policies:
        return chosen, Verdict()
    settings = [
        (policy, name.removeprefix(PREFIX), text)
        for policy in policies
        if not policy.problems  # what a policy that is wrong would set is not blamed on the pod
        for name, text in policy.defaults.items()
    ]
    settings.sort(key=lambda setting: setting[1] not in setting[0].final)
    found = _Findings()
    for policy, name, text in settings:
        chosen.setdefault(name, text)
        if name not in policy.final:
            continue
        what = f'{name} is final: "{text}"'
        found.add(
            policy,
            [
                problem_of(policy, "final", what, source=f"annotation {PREFIX}{each}")
                for each in (name, *_instead_of(name, given))
                if chosen[each] != text
            ],
        )
    return chosen, found.verdict()


def _instead_of(name: str, given: Mapping[str, str]) -> list[str]:
    """Return the annotations that say otherwise than the setting `name` for one container."""
    if name not in _SETTINGS_PER_CONTAINER:
        return []
    budget.spend(1 + len(given) // 8)
    return sorted(each for each in given if each.startswith(f"{name}."))


def judge(
    policies: tuple[Policy, ...], subject: Subject, wish: Wish, plan: Plan, resolution: Resolution
) -> Verdict:
    """Return what the policies say of the final plan."""
    found = _Findings()
    for policy in policies:
        if policy.problems:
            found.deny(_broken(policy))
        else:
            found.add(policy, Judge(policy, subject, wish, plan, resolution).problems())
    return found.verdict()


def key_rules(policies: tuple[Policy, ...]) -> tuple[KeyRule, ...]:
    """Return what the policies say of keys by name, for the fetcher to hold to.

    It alone learns the names of keys that are taken by pattern.
    """
    return tuple(
        KeyRule(policy=each.name, action=each.action, deny=each.rules.keys_deny, final=each.final)
        for each in policies
        if not each.problems and (each.rules.keys_deny or each.final)
    )


def broken(policies: tuple[Policy, ...]) -> Verdict:
    """Return what policies say of a pod without a plan that can be judged."""
    return Verdict(denials=tuple(_broken(policy) for policy in policies if policy.problems))


def _broken(policy: Policy) -> Problem:
    what = "the policy does not compile, so it denies what it matches"
    return problem_of(policy, "match", what)


class _Findings:
    """Problems by the action of the policy that found them."""

    def __init__(self) -> None:
        self._found: dict[str, list[Problem]] = {"Deny": [], "Warn": [], "Audit": []}

    def add(self, policy: Policy, problems: list[Problem]) -> None:
        self._found[policy.action] += problems

    def deny(self, problem: Problem) -> None:
        self._found["Deny"].append(problem)

    def verdict(self) -> Verdict:
        return Verdict(
            denials=tuple(self._found["Deny"]),
            warnings=tuple(self._found["Warn"]),
            audits=tuple(self._found["Audit"]),
        )
