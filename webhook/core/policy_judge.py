"""One policy before one plan: every rule, each finding with the key and where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from injector.core import budget, errors
from injector.core.errors import Problem
from injector.core.plan import NATIVE, Pick, Plan, Read, Use
from webhook.core import sizing
from webhook.core.annotations import PREFIX, Wish
from webhook.core.definitions import FileDef, FromDef, KeyDef
from webhook.core.globs import any_matches, name_matches, path_matches
from webhook.core.policy_model import DEFINER, Policy
from webhook.core.resolution import Resolution

MAX_KEYS_NAMED = 8
"""Denied keys that are named for one value."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a policy is asked about."""

    namespace: str
    labels: Mapping[str, str]
    service_account: str


class Judge:
    """One policy before one plan."""

    def __init__(
        self, policy: Policy, subject: Subject, wish: Wish, plan: Plan, resolution: Resolution
    ) -> None:
        """Judge a plan that is complete: what stands in it is what will be fetched."""
        self.policy, self.rules = policy, policy.rules
        self.subject, self.wish, self.plan, self.resolution = subject, wish, plan, resolution

    def problems(self) -> list[Problem]:
        """Return what the policy has against the plan."""
        return [
            *self._reads(),
            *self._imports(),
            *self._keys(),
            *self._inline(),
            *self._modes(),
            *self._refresh(),
            *self._deadline(),
            *self._resources(),
            *self._finals(),
        ]

    def _reads(self) -> list[Problem]:
        variables = {
            "namespace": self.subject.namespace,
            "serviceAccount": self.subject.service_account,
            "service": self.wish.service or "",
        }
        found = []
        for value, author in zip(self.plan.values, self.resolution.authors, strict=False):
            for pick in (part for part in value.parts if isinstance(part, Pick)):
                read = self.plan.reads[pick.read]
                for rule, what in self._of_read(read, author.definers, variables):
                    problem = problem_of(
                        self.policy,
                        rule,
                        what,
                        source=self.plan.where(pick),
                        target=value.key,
                        origin=value.origin,
                    )
                    found.append(problem)
        return found

    def _of_read(
        self, read: Read, definers: tuple[str, ...], variables: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        rules, store = self.rules, self.plan.stores[read.store].name
        is_allowed = not rules.stores_allow or any_matches(store, rules.stores_allow)
        if not is_allowed or any_matches(store, rules.stores_deny):
            yield "stores", f'store "{store}" is not allowed'
        for rule in rules.paths:
            if not name_matches(store, rule.store):
                continue
            outside = [d for d in definers if not may_read(read.path, rule.allow, d, variables)]
            if outside:
                what = f"the path is outside of {', '.join(rule.allow) or 'none'}"
                others = [name for name in outside if name != variables["namespace"]]
                yield "paths", what + (f" for namespace {', '.join(others)}" if others else "")
        if rules.versions == "pinned" and read.version is None:
            yield "versions", "the version must be pinned: add @VERSION"

    def _imports(self) -> list[Problem]:
        allowed = self.rules.imports_from
        if allowed is None:
            return []
        own = (self.subject.namespace, self.wish.service or "")
        found = []
        for value, author in zip(self.plan.values, self.resolution.authors, strict=False):
            if author.service in (None, own):
                continue
            namespace, name = author.service
            owner = f"{namespace}/{name}"
            if not any(name_matches(owner if "/" in p else namespace, p) for p in allowed):
                what = f"keys of {owner} may not be imported"
                found.append(
                    problem_of(self.policy, "imports", what, target=value.key, origin=value.origin)
                )
        return found

    def _keys(self) -> list[Problem]:
        """Return a problem for each denied key that a target is called by, or is made from.

        A key reaches a target under whatever name: as another key, in a URL, in a file.
        """
        if not self.rules.keys_deny:
            return []
        made_from = self._denied_below()
        found = []
        for trace in self.resolution.traces:
            budget.spend()
            if isinstance(trace.key, FromDef):
                continue  # the fetcher learns the names, and holds to the rule
            own = [(name, trace.key.origin) for name in names_of(trace.key) if self._denies(name)]
            found += [
                problem_of(
                    self.policy,
                    "keys",
                    f'the key "{name}" is not allowed',
                    target=trace.target,
                    origin=origin,
                )
                for name, origin in dict.fromkeys((*own, *made_from[trace.value]))
            ]
        return found

    def _denied_below(self) -> list[tuple[tuple[str, str], ...]]:
        """Return for each value of the plan the denied keys that it is made from, and their owners.

        Values stand behind the ones they use, so one pass meets each once.
        """
        found: list[tuple[tuple[str, str], ...]] = []
        for value in self.plan.values:
            budget.spend(1 + len(value.parts))
            keys = [(value.key, value.origin)] if self._denies(value.key) else []
            for part in value.parts:
                if isinstance(part, Use):
                    keys += found[part.value]
            found.append(tuple(dict.fromkeys(keys))[:MAX_KEYS_NAMED])
        return found

    def _denies(self, key: str) -> bool:
        return any_matches(key, self.rules.keys_deny)

    def _inline(self) -> list[Problem]:
        if self.rules.inline != "forbidden":
            return []
        names: dict[str, list[str]] = {}
        for container, name, _ in self.plan.sources:
            names.setdefault(container, []).append(name)
        return [
            problem_of(
                self.policy,
                "inline",
                f"references in env are forbidden, use annotations: {', '.join(found[:8])}",
                source=f"container {container}",
            )
            for container, found in names.items()
        ]

    def _modes(self) -> list[Problem]:
        found = []
        for part in self.plan.containers:
            where = {"source": f"container {part.name}"}
            if part.has_variables and self.rules.env == "forbidden":
                names = ", ".join(item.name for item in part.env[:8]) or "keys of a secret"
                found.append(
                    problem_of(
                        self.policy, "env", f"variables are forbidden, use files: {names}", **where
                    )
                )
            mode = part.env_mode if part.has_variables else ""
            env_modes = [m for m in self.rules.modes if m in ("launcher", NATIVE)]
            if mode and env_modes and mode not in env_modes:
                found.append(
                    problem_of(self.policy, "modes", f"env-mode {mode} is not allowed", **where)
                )
        modes = [m for m in self.rules.modes if m in ("init", "sidecar", "parallel")]
        if modes and self.wish.mode not in modes:
            found.append(problem_of(self.policy, "modes", f"mode {self.wish.mode} is not allowed"))
        return found

    def _refresh(self) -> list[Problem]:
        most, wanted = self.rules.max_refresh_s, self.wish.refresh
        if most is None or wanted is None:
            return []
        seconds = int(wanted[:-1]) * {"s": 1, "m": 60, "h": 3600}[wanted[-1]]
        if seconds <= most:
            return []
        what = f"refresh {wanted} is longer than {most:g}s"
        source = f"annotation {PREFIX}refresh"
        return [problem_of(self.policy, "maxRefresh", what, source=source)]

    def _deadline(self) -> list[Problem]:
        most, wanted = self.rules.max_deadline_s, self.wish.deadline_s
        if most is None or wanted is None or wanted <= most:
            return []
        what = f"deadline {wanted:g}s is longer than {most:g}s"
        source = f"annotation {PREFIX}deadline"
        return [problem_of(self.policy, "maxDeadline", what, source=source)]

    def _resources(self) -> list[Problem]:
        source = f"annotation {PREFIX}resources"
        found = []
        for kind, wanted in (
            ("requests", self.wish.resources.requests),
            ("limits", self.wish.resources.limits),
        ):
            for resource, value in wanted.items():
                least = self.rules.min_allowed.get(resource, value)
                most = self.rules.max_allowed.get(resource, value)
                if least <= value <= most:
                    continue
                side, bound = ("below", least) if value < least else ("above", most)
                what = f"{kind}.{resource} is {side} {sizing.text_of(bound, resource)}"
                found.append(problem_of(self.policy, "resources", what, source=source))
        return found

    def _finals(self) -> list[Problem]:
        # The container's own env hides a key just as the annotation overrides it.
        overridden = [
            (trace.key.name, trace.overrode[-1], trace.key.origin)
            for trace in self.resolution.traces
            if trace.overrode
        ] + [
            (key.name, key, f"env of container {container}")
            for container, key in self.resolution.hidden
        ]
        return [
            problem_of(
                self.policy,
                "final",
                f'the key "{name}" of {below.origin} is final and may not be overridden',
                target=name,
                origin=origin,
            )
            for name, below, origin in overridden
            if any_matches(name, self.policy.final)
        ]


def names_of(definition: KeyDef | FileDef) -> tuple[str, ...]:
    """Return the names under which a container gets what is defined: a file's path and its end.

    A key that an entry of `__from` lists has the secret's name for it, too.
    """
    if isinstance(definition, KeyDef):
        return (definition.name, *filter(None, [definition.taken]))
    return (definition.name, definition.path, definition.path.rpartition("/")[2])


def may_read(
    path: str, patterns: tuple[str, ...], definer: str, variables: Mapping[str, str]
) -> bool:
    """Say whether an expression that `definer` wrote may read the path with the pod's identity.

    A pattern with {definer} is asked once, with it and {namespace} filled in. The others must let
    pass the pod's namespace and, in its place, the definer's: who wrote the path borrows nothing.
    """
    mark = "{" + DEFINER + "}"
    both = {**variables, DEFINER: definer}
    if any(path_matches(path, pattern, both) for pattern in patterns if mark in pattern):
        return True
    plain = [pattern for pattern in patterns if mark not in pattern]
    return all(
        any(path_matches(path, pattern, {**variables, "namespace": name}) for pattern in plain)
        for name in {variables["namespace"], definer}
    )


def problem_of(
    policy: Policy, rule: str, what: str, *, source: str = "", target: str = "", origin: str = ""
) -> Problem:
    """Return a problem that names the policy and the rule."""
    text = f"{what} (policy {policy.name}, rule {rule})"
    return Problem(code=errors.POLICY, what=text, source=source, target=target, origin=origin)
