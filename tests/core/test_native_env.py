"""What a proof by pods means for `injected.nativeEnv`: versions show the age, pods the gate."""

import pytest

from injector.core import native_env
from injector.core.native_env import DELIVERED, EMPTY, SKIPPED, UNKNOWN, Proof


def proofs(*pairs):
    """Return a proof for each (version, result)."""
    return [Proof(node="n", kubelet=version, result=result) for version, result in pairs]


NEW, OLD = "v1.36.1-eks-7", "v1.34.2"
ADVICE = [
    ([(NEW, DELIVERED)], "auto", {"auto", "always", "never"}),
    ([(NEW, DELIVERED), (NEW, UNKNOWN), (OLD, SKIPPED)], "auto", {"auto", "always", "never"}),
    # An old kubelet is known by its version; a switched-off gate by nothing.
    ([(NEW, DELIVERED), (OLD, EMPTY)], "auto", {"auto", "never"}),
    ([(NEW, EMPTY), (NEW, DELIVERED)], "never", {"never"}),
    ([("not a version", EMPTY)], "auto", {"auto", "never"}),
    # A gate that somebody switched on before its time.
    ([(NEW, DELIVERED), (OLD, DELIVERED)], "always", {"auto", "always", "never"}),
    ([(NEW, UNKNOWN), (OLD, SKIPPED)], "", {"auto", "always", "never"}),
]


@pytest.mark.parametrize(("shown", "advice", "safe"), ADVICE)
def test_the_setting_follows_from_what_pods_showed(shown, advice, safe):
    """One value is advised, and a release may have any that leaves no variable empty."""
    found = proofs(*shown)

    assert native_env.advice(found) == advice
    assert {each for each in ("auto", "always", "never") if native_env.is_safe(each, found)} == safe


@pytest.mark.parametrize(
    ("version", "is_capable"),
    [("v1.35.0", True), ("1.35", True), ("v2.0.1-gke.1", True), ("v1.34.9", False), ("", False)],
)
def test_a_kubelet_is_capable_from_1_35_on(version, is_capable):
    """That is where KEP-3721 is on by default."""
    assert native_env.is_capable(version) is is_capable
