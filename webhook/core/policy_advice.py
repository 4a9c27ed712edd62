"""What a policy does not do although it looks as if it did: advice for whoever writes one.

A path pattern is a boundary between tenants as far as each part of it can be filled by one tenant
alone. Two ways in which it is none:

    {service}                 is the pod's own word: every pod of a namespace may say any
    {namespace}-*, a{x}{y}    where one name ends and the next text begins is not fixed, so the
                              pattern of `team` matches what belongs to `team-b`
"""

from __future__ import annotations

import re
from itertools import pairwise

from injector.core import budget, errors
from injector.core.errors import Problem
from webhook.core.policy_model import Policy

_TOKENS = re.compile(r"\{(\w+)\}|\*+")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_ALPHABETS = {"serviceAccount": _LETTERS | {"."}}
"""Characters of what a placeholder stands for; the other ones are labels of DNS (RFC 1123)."""


def advice(policy: Policy) -> tuple[Problem, ...]:
    """Return what to think over about the policy's path patterns; none of it is a mistake."""
    found = []
    for at, rule in enumerate(policy.rules.paths):
        for index, pattern in enumerate(rule.allow):
            budget.spend(1 + len(pattern) // 64)
            place = f"spec.rules.paths[{at}].allow[{index}]"
            found += [
                Problem(
                    code=errors.NO_BOUNDARY,
                    what=what,
                    source=place,
                    origin=policy.origin,
                    hint=hint,
                )
                for what, hint in _of_pattern(pattern)
            ]
    return tuple(dict.fromkeys(found))


def _of_pattern(pattern: str) -> list[tuple[str, str]]:
    found = []
    if "{service}" in pattern:
        what = f'"{pattern}": {{service}} is what the pod itself says, no boundary'
        hint = "only {namespace} and {serviceAccount} are given by the cluster"
        found.append((what, hint))
    is_deep = False
    for segment in pattern.split("/"):
        tokens = _tokens(segment)
        names = [text for kind, text in tokens if kind == "name"]
        if names and is_deep:
            what = (
                f'"{pattern}": ** in front of {{{names[0]}}} also matches a folder of that name'
                " in another tenant's place"
            )
            found.append((what, "begin the pattern with fixed segments and the placeholder"))
        is_deep = is_deep or segment == "**"
        if (pair := _open_end(tokens)) is not None:
            name, neighbour = pair
            what = (
                f'"{pattern}": {{{name}}} beside {neighbour} in one segment does not say where the'
                " name ends: what is made for team also matches team-b"
            )
            found.append((what, f"give {{{name}}} a segment of its own: {{{name}}}/*"))
    return found


def _tokens(segment: str) -> list[tuple[str, str]]:
    """Return a segment as literals, names of placeholders and stars, in order."""
    found = []
    at = 0
    for token in _TOKENS.finditer(segment):
        if token.start() > at:
            found.append(("text", segment[at : token.start()]))
        found.append(("name", token[1]) if token[1] else ("star", "*"))
        at = token.end()
    if at < len(segment):
        found.append(("text", segment[at:]))
    return found


def _open_end(tokens: list[tuple[str, str]]) -> tuple[str, str] | None:
    """Return a placeholder and what stands beside it, when text between does not part them."""
    opens = [(at, token) for at, token in enumerate(tokens) if token[0] != "text"]
    for (at, (kind, text)), (to, (other_kind, other)) in pairwise(opens):
        between = {char for _, literal in tokens[at + 1 : to] for char in literal}
        alphabets = [
            _ALPHABETS.get(name, _LETTERS)
            for each, name in ((kind, text), (other_kind, other))
            if each == "name"
        ]
        if alphabets and all(between <= alphabet for alphabet in alphabets):
            name, neighbour = (text, other) if kind == "name" else (other, text)
            return name, neighbour if "star" in (kind, other_kind) else f"{{{neighbour}}}"
    return None
