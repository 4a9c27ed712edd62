"""Label selectors, as Kubernetes defines them (meta/v1 LabelSelector)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from injector.core.fields import Fields

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_OPERATOR = re.compile("|".join(OPERATORS))
_ANY_TEXT = re.compile(r".*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One matchExpressions entry."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the labels meet it; NotIn and DoesNotExist hold where the key is absent."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """All requirements must hold; without any, everything is selected."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the labels are selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)


NOTHING = Selector(requirements=(Requirement(key="", operator="In"),))
"""Selects nothing: no label is among no values."""


def take(fields: Fields, name: str) -> Selector:
    """Take a selector; absent selects everything."""
    if not fields.has(name):
        fields.take(name)
        return Selector()
    child = fields.child(name)
    requirements = []
    labels = child.take("matchLabels")
    if labels is not None:
        if isinstance(labels, Mapping) and all(isinstance(v, str) for v in labels.values()):
            requirements += [
                Requirement(key=str(k), operator="In", values=(v,)) for k, v in labels.items()
            ]
        else:
            child.problem("matchLabels", "must be a mapping of texts")
    for entry in child.children("matchExpressions"):
        key = entry.text("key")
        operator = entry.text("operator", pattern=_OPERATOR, form="one of " + ", ".join(OPERATORS))
        values = entry.texts("values", pattern=_ANY_TEXT)
        if (operator in ("In", "NotIn")) != bool(values):
            entry.problem(
                "values", f"must {'not ' if values else ''}be set with the operator {operator}"
            )
        entry.finish()
        requirements.append(Requirement(key=key, operator=operator, values=values))
    child.finish()
    return Selector(requirements=tuple(requirements))
