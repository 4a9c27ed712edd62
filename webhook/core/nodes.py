"""The nodes that a pod can land on, as far as they decide how variables reach a process.

`fileKeyRef` needs a kubelet that knows it. One that does not starts the container with an empty
variable and says nothing, so native variables are used only where no such node can take the pod.
Nodes that can carry them are all alike here; of the others we keep what the scheduler looks at.
See kubernetes.io/docs/concepts/scheduling-eviction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from injector.core import budget, native_env
from webhook.core import pod as pods

_VIRTUAL_TAINT = "virtual-kubelet.io/provider"
_VIRTUAL_LABEL = ("type", "virtual-kubelet")
_OS_LABEL = "kubernetes.io/os"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A taint that keeps pods away: of the effect NoSchedule or NoExecute."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A schedulable node. `is_capable`: its kubelet knows fileKeyRef; the rest is then empty."""

    is_capable: bool
    name: str = ""
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()

    @property
    def is_virtual(self) -> bool:
        """Whether it stands for another platform, which takes only pods that ask for it."""
        key, value = _VIRTUAL_LABEL
        return self.labels.get(key) == value or any(t.key == _VIRTUAL_TAINT for t in self.taints)


CAPABLE = Node(is_capable=True)


def node(raw: Mapping[str, Any]) -> Node | None:
    """Return the node of an object of the API; None for one that takes no pods."""
    spec, metadata = raw.get("spec") or {}, raw.get("metadata") or {}
    if spec.get("unschedulable"):
        return None
    info = (raw.get("status") or {}).get("nodeInfo") or {}
    version = str(info.get("kubeletVersion") or "")
    if native_env.is_capable(version):
        return CAPABLE
    return Node(
        is_capable=False,
        name=str(metadata.get("name") or ""),
        version=version,
        labels=dict(metadata.get("labels") or {}),
        taints=tuple(
            Taint(
                key=str(taint.get("key") or ""),
                value=str(taint.get("value") or ""),
                effect=str(taint.get("effect")),
            )
            for taint in spec.get("taints") or ()
            if taint.get("effect") in ("NoSchedule", "NoExecute")
        ),
    )


def blocker(pod: Mapping[str, Any], nodes: Iterable[Node]) -> Node | None:
    """Return a node that the pod can land on and whose kubelet does not know fileKeyRef."""
    for each in nodes:
        budget.spend()
        if not each.is_capable and can_land(pod, each):
            return each
    return None


def can_land(pod: Mapping[str, Any], node: Node) -> bool:
    """Say whether the scheduler may place the pod there: name, selector, affinity and taints.

    Resources and other pods come and go; they are not looked at.
    """
    body = pods.spec(pod)
    named = body.get("nodeName")
    if named:
        return bool(named == node.name)
    if node.labels.get(_OS_LABEL) == "windows":
        return False  # pods for Windows are not injected
    tolerations = body.get("tolerations") or ()
    if node.is_virtual and not _asks_for_virtual(body, tolerations):
        return False
    selector = body.get("nodeSelector") or {}
    if any(node.labels.get(key) != value for key, value in selector.items()):
        return False
    terms = pods.required_terms(pod)
    if terms is not None and not any(_term_matches(term, node) for term in terms):
        return False
    return all(any(_tolerates(t, taint) for t in tolerations) for taint in node.taints)


def _asks_for_virtual(body: Mapping[str, Any], tolerations: Iterable[Mapping[str, Any]]) -> bool:
    key, value = _VIRTUAL_LABEL
    return (body.get("nodeSelector") or {}).get(key) == value or any(
        t.get("key") == _VIRTUAL_TAINT for t in tolerations
    )


def _term_matches(term: Mapping[str, Any], node: Node) -> bool:
    """Say whether every requirement of a term holds; an empty term matches no node."""
    expressions = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    budget.spend(1 + len(expressions) + len(fields))
    if not expressions and not fields:
        return False
    return all(_holds(each, node.labels) for each in expressions) and all(
        _holds(each, {"metadata.name": node.name}) for each in fields
    )


def _holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = str(requirement.get("key")), requirement.get("values") or ()
    there = labels.get(key)
    match requirement.get("operator"):
        case "In":
            return there in values
        case "NotIn":
            return there not in values
        case "Exists":
            return there is not None
        case "DoesNotExist":
            return there is None
        case "Gt" | "Lt" as operator:
            one, other = _integer(there), _integer(values[0] if values else None)
            if one is None or other is None:
                return False
            return one > other if operator == "Gt" else one < other
        case _:
            return True  # unknown here: better to believe that the pod can land


def _integer(text: object) -> int | None:
    text = str(text)
    digits = text.removeprefix("-")
    return int(text) if len(text) <= 20 and digits.isascii() and digits.isdigit() else None


def _tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    if toleration.get("effect") not in (None, "", taint.effect):
        return False
    key = toleration.get("key") or ""
    if toleration.get("operator") == "Exists":
        return key in ("", taint.key)
    return bool(key == taint.key and (toleration.get("value") or "") == taint.value)
