"""Policies: what platform teams allow, judged on the final plan.

All matching policies apply; any `Deny` wins, `Warn` speaks to the person who creates the pod, `Audit`
goes to the log. A policy that does not compile denies whatever it matches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from injector.core import errors
from injector.core.errors import Problem
from injector.core.plan import NATIVE, Pick, Plan
from webhook.core.annotations import PREFIX, Wish
from webhook.core.catalog import Catalog
from webhook.core.policy_model import Policy
from webhook.core.resolve import Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a policy is asked about."""

    namespace: str
    labels: Mapping[str, str]
    service_account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the policies say of a plan, by how strict they are."""

    denials: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    audits: tuple[Problem, ...] = ()


def matching(catalog: Catalog, subject: Subject) -> tuple[Policy, ...]:
    """Return the policies that match the subject, by name."""
    labels = catalog.labels_of(subject.namespace)
    return tuple(
        policy
        for _, policy in sorted(catalog.policies.items())
        if policy.namespaces.matches(labels)
        and policy.pods.matches(subject.labels)
        and (
            not policy.service_accounts
            or any(fnmatchcase(subject.service_account, p) for p in policy.service_accounts)
        )
    )


def with_defaults(
    policies: tuple[Policy, ...], given: Mapping[str, str]
) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Return the annotations with the policies' defaults under them, and what `final` settings forbid."""
    chosen = dict(given)
    problems = []
    for policy in policies:
        for name, text in policy.defaults.items():
            bare = name.removeprefix(PREFIX)
            if bare in policy.final and given.get(bare, text) != text:
                what = f'{bare} is final: "{text}"'
                problems.append(
                    _problem(policy, "final", what, source=f"annotation {PREFIX}{bare}")
                )
            chosen.setdefault(bare, text)
    return chosen, tuple(problems)


def judge(
    policies: tuple[Policy, ...], subject: Subject, wish: Wish, plan: Plan, resolution: Resolution
) -> Verdict:
    """Return what the policies say of the final plan."""
    found: dict[str, list[Problem]] = {"Deny": [], "Warn": [], "Audit": []}
    for policy in policies:
        if policy.problems:
            found["Deny"].append(
                _problem(
                    policy, "match", "the policy does not compile, so it denies what it matches"
                )
            )
            continue
        found[policy.action] += _Judge(policy, subject, wish, plan, resolution).problems()
    return Verdict(
        denials=tuple(found["Deny"]), warnings=tuple(found["Warn"]), audits=tuple(found["Audit"])
    )


class _Judge:
    """One policy before one plan."""

    def __init__(
        self, policy: Policy, subject: Subject, wish: Wish, plan: Plan, resolution: Resolution
    ) -> None:
        self.policy, self.rules = policy, policy.rules
        self.subject, self.wish, self.plan, self.resolution = subject, wish, plan, resolution

    def problems(self) -> list[Problem]:
        return [*self._reads(), *self._keys(), *self._modes(), *self._finals()]

    def _reads(self) -> list[Problem]:
        rules, found = self.rules, []
        variables = {
            "namespace": self.subject.namespace,
            "serviceAccount": self.subject.service_account,
            "service": self.wish.service or "",
        }
        for value in self.plan.values:
            for pick in (part for part in value.parts if isinstance(part, Pick)):
                read = self.plan.reads[pick.read]
                store = self.plan.stores[read.store].name
                where = {
                    "source": self.plan.where(pick),
                    "target": value.key,
                    "origin": value.origin,
                }
                is_allowed = not rules.stores_allow or _any(store, rules.stores_allow)
                if not is_allowed or _any(store, rules.stores_deny):
                    found.append(
                        _problem(self.policy, "stores", f'store "{store}" is not allowed', **where)
                    )
                for rule in rules.paths:
                    if fnmatchcase(store, rule.store) and not any(
                        path_matches(read.path, p, variables) for p in rule.allow
                    ):
                        allowed = ", ".join(rule.allow) or "none"
                        found.append(
                            _problem(
                                self.policy, "paths", f"the path is outside of {allowed}", **where
                            )
                        )
                if rules.versions == "pinned" and read.version is None:
                    found.append(
                        _problem(
                            self.policy,
                            "versions",
                            "the version must be pinned: add @VERSION",
                            **where,
                        )
                    )
        return found

    def _keys(self) -> list[Problem]:
        found = []
        for trace in self.resolution.traces:
            where = {"target": trace.target, "origin": trace.key.origin}
            if not trace.target.startswith("file ") and _any(trace.key.name, self.rules.keys_deny):
                found.append(
                    _problem(
                        self.policy, "keys", f'the key "{trace.key.name}" is not allowed', **where
                    )
                )
        return found

    def _modes(self) -> list[Problem]:
        found = []
        for part in self.plan.containers:
            where = {"source": f"container {part.name}"}
            if part.env and self.rules.env == "forbidden":
                names = ", ".join(item.name for item in part.env[:8])
                found.append(
                    _problem(
                        self.policy, "env", f"variables are forbidden, use files: {names}", **where
                    )
                )
            mode = part.env_mode if part.env else ""
            env_modes = [m for m in self.rules.modes if m in ("launcher", NATIVE)]
            if mode and env_modes and mode not in env_modes:
                found.append(
                    _problem(self.policy, "modes", f"env-mode {mode} is not allowed", **where)
                )
        modes = [m for m in self.rules.modes if m in ("init", "sidecar", "parallel")]
        if modes and self.wish.mode not in modes:
            found.append(_problem(self.policy, "modes", f"mode {self.wish.mode} is not allowed"))
        return found

    def _finals(self) -> list[Problem]:
        found = []
        for trace in self.resolution.traces:
            name = trace.key.name
            if not trace.overrode or not _any(name, self.policy.final):
                continue
            below = trace.overrode[-1]
            what = f'the key "{name}" of {below.origin} is final and may not be overridden'
            found.append(_problem(self.policy, "final", what, target=name, origin=trace.key.origin))
        return found


def path_matches(path: str, pattern: str, variables: Mapping[str, str]) -> bool:
    """Say whether the path matches: `*` stays in one segment, `**` crosses, variables stand for themselves."""
    return _path_pattern(pattern, tuple(sorted(variables.items()))).fullmatch(path) is not None


@lru_cache(maxsize=4096)
def _path_pattern(pattern: str, variables: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    values = dict(variables)
    out = []
    for token in re.findall(r"\{[A-Za-z]+\}|\*\*/|\*\*|\*|[^*{]+|\{", pattern):
        if token == "**/":
            out.append("(?:[^/]+/)*")
        elif token == "**":
            out.append(".+")
        elif token == "*":
            out.append("[^/]+")
        elif token[0] == "{" and token[1:-1] in values:
            out.append(re.escape(values[token[1:-1]]))
        else:
            out.append(re.escape(token))
    return re.compile("".join(out))


def _any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _problem(
    policy: Policy, rule: str, what: str, *, source: str = "", target: str = "", origin: str = ""
) -> Problem:
    text = f"{what} (policy {policy.name}, rule {rule})"
    return Problem(code=errors.POLICY, what=text, source=source, target=target, origin=origin)
