"""One policy before one plan: every rule, each finding with the key and where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from injector.core import errors
from injector.core.errors import Problem
from injector.core.plan import NATIVE, Pick, Plan, Read
from webhook.core.annotations import PREFIX, Wish
from webhook.core.globs import any_matches, name_matches, path_matches
from webhook.core.policy_model import Policy
from webhook.core.resolution import Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
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
            *self._modes(),
            *self._refresh(),
            *self._finals(),
        ]

    def _reads(self) -> list[Problem]:
        variables = {
            "namespace": self.subject.namespace,
            "serviceAccount": self.subject.service_account,
            "service": self.wish.service or "",
        }
        found = []
        for value in self.plan.values:
            for pick in (part for part in value.parts if isinstance(part, Pick)):
                read = self.plan.reads[pick.read]
                for rule, what in self._of_read(read, variables):
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

    def _of_read(self, read: Read, variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        rules, store = self.rules, self.plan.stores[read.store].name
        is_allowed = not rules.stores_allow or any_matches(store, rules.stores_allow)
        if not is_allowed or any_matches(store, rules.stores_deny):
            yield "stores", f'store "{store}" is not allowed'
        for rule in rules.paths:
            if name_matches(store, rule.store) and not any(
                path_matches(read.path, pattern, variables) for pattern in rule.allow
            ):
                yield "paths", f"the path is outside of {', '.join(rule.allow) or 'none'}"
        if rules.versions == "pinned" and read.version is None:
            yield "versions", "the version must be pinned: add @VERSION"

    def _imports(self) -> list[Problem]:
        allowed = self.rules.imports_from
        if allowed is None:
            return []
        own = f"{self.subject.namespace}/{self.wish.service}"
        found = []
        for value in self.plan.values:
            kind, _, owner = value.origin.partition(" ")
            if kind != "ServiceSecrets" or owner == own:
                continue
            namespace = owner.partition("/")[0]
            if not any(name_matches(owner if "/" in p else namespace, p) for p in allowed):
                what = f"keys of {owner} may not be imported"
                found.append(
                    problem_of(self.policy, "imports", what, target=value.key, origin=value.origin)
                )
        return found

    def _keys(self) -> list[Problem]:
        found = []
        for trace in self.resolution.traces:
            where = {"target": trace.target, "origin": trace.key.origin}
            if not trace.target.startswith("file ") and any_matches(
                trace.key.name, self.rules.keys_deny
            ):
                found.append(
                    problem_of(
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
                    problem_of(
                        self.policy, "env", f"variables are forbidden, use files: {names}", **where
                    )
                )
            mode = part.env_mode if part.env else ""
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


def problem_of(
    policy: Policy, rule: str, what: str, *, source: str = "", target: str = "", origin: str = ""
) -> Problem:
    """Return a problem that names the policy and the rule."""
    text = f"{what} (policy {policy.name}, rule {rule})"
    return Problem(code=errors.POLICY, what=text, source=source, target=target, origin=origin)
