"""Which kubelets deliver native variables, and what a proof by pods means for the chart's setting.

`fileKeyRef` (KEP-3721) is on by default since Kubernetes 1.35, by the feature gate EnvFiles. A
kubelet that does not know it, or has the gate switched off, starts the container with an empty
variable and says nothing. Versions can be read from nodes, gates cannot: only a pod shows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from injector.core.record import Record

NATIVE_FROM = (1, 35)
"""The first kubelet whose `fileKeyRef` works without asking for it (KEP-3721, beta and on)."""

DELIVERED, EMPTY, UNKNOWN, SKIPPED = "delivered", "empty", "unknown", "not looked at"
AUTO, ALWAYS, NEVER = "auto", "always", "never"

_VERSION = re.compile(r"v?([0-9]{1,5})\.([0-9]{1,5})(?:\.[0-9]{1,5})?")


class Proof(Record):
    """What a pod showed on one node: its kubelet's version, the result, and why it is that one."""

    node: str
    kubelet: str
    result: str
    note: str = ""


def is_capable(version: str) -> bool:
    """Say whether a kubelet of this version delivers native variables unless its gate is off."""
    found = _VERSION.match(version)
    return found is not None and (int(found[1]), int(found[2])) >= NATIVE_FROM


def advice(proofs: Iterable[Proof]) -> str:
    """Return the value for `injected.nativeEnv` that the proofs ask for; "" when they show nothing.

    `never` where a kubelet that is new enough left the variable empty: no version shows that.
    `always` where older ones deliver as well and none left it empty. Otherwise `auto`, which goes
    by versions.
    """
    known = [proof for proof in proofs if proof.result in (DELIVERED, EMPTY)]
    empty = [proof for proof in known if proof.result == EMPTY]
    if not known:
        return ""
    if any(is_capable(proof.kubelet) for proof in empty):
        return NEVER
    if not empty and not all(is_capable(proof.kubelet) for proof in known):
        return ALWAYS
    return AUTO


def is_safe(setting: str, proofs: Iterable[Proof]) -> bool:
    """Say whether no pod gets an empty variable with this setting, as far as the proofs show."""
    if setting == NEVER:
        return True
    empty = [proof for proof in proofs if proof.result == EMPTY]
    if setting == ALWAYS:
        return not empty
    return not any(is_capable(proof.kubelet) for proof in empty)
