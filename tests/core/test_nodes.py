"""Which nodes decide whether variables can be read by the kubelet: those the pod can land on."""

import pytest

from webhook.core import nodes
from webhook.core.nodes import CAPABLE, Node, Taint

OLD = {
    "metadata": {"name": "old", "labels": {"pool": "legacy", "cores": "8"}},
    "status": {"nodeInfo": {"kubeletVersion": "v1.34.2-eks-1234"}},
}


def _old(**more):
    return nodes.node({**OLD, **more})


def _term(key, operator, *values):
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def _affinity(*terms):
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [*terms]}}
    return {"affinity": {"nodeAffinity": required}}


TAINTED = {"spec": {"taints": [{"key": "old", "value": "yes", "effect": "NoSchedule"}]}}
VIRTUAL = {"metadata": {"name": "vk", "labels": {"type": "virtual-kubelet"}}}


def test_a_capable_node_is_kept_without_what_nobody_asks_of_it():
    """Labels and taints of 5,000 capable nodes would be memory for nothing."""
    raw = {**OLD, **TAINTED, "status": {"nodeInfo": {"kubeletVersion": "v1.35.0"}}}
    assert nodes.node(raw) is CAPABLE


def test_a_cordoned_node_takes_no_pods():
    """It is not there for this question."""
    assert _old(spec={"unschedulable": True}) is None


@pytest.mark.parametrize(
    ("spec", "more", "can_land"),
    [
        ({}, {}, True),
        ({"nodeSelector": {"pool": "legacy"}}, {}, True),
        ({"nodeSelector": {"pool": "new"}}, {}, False),
        ({"nodeName": "old"}, TAINTED, True),
        ({"nodeName": "other"}, {}, False),
        (_affinity(_term("pool", "In", "new"), _term("pool", "Exists")), {}, True),
        (_affinity(_term("pool", "NotIn", "legacy")), {}, False),
        (_affinity(_term("pool", "DoesNotExist")), {}, False),
        (_affinity(_term("cores", "Gt", "7")), {}, True),
        (_affinity(_term("cores", "Lt", "8")), {}, False),
        (_affinity(_term("cores", "Gt", "many")), {}, False),
        (_affinity({}), {}, False),
        (
            _affinity(
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}
            ),
            {},
            False,
        ),
        ({}, TAINTED, False),
        ({"tolerations": [{"key": "old", "operator": "Equal", "value": "yes"}]}, TAINTED, True),
        ({"tolerations": [{"key": "old", "value": "no"}]}, TAINTED, False),
        ({"tolerations": [{"operator": "Exists"}]}, TAINTED, True),
        ({"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}, TAINTED, False),
        ({"tolerations": [{"operator": "Exists"}]}, VIRTUAL, False),
        ({"nodeSelector": {"type": "virtual-kubelet"}}, VIRTUAL, True),
    ],
)
def test_a_node_counts_only_if_the_scheduler_may_choose_it(spec, more, can_land):
    """Name, selector, required affinity, taints, and virtual kubelets only when asked for."""
    assert nodes.can_land({"spec": spec}, _old(**more)) is can_land


def test_the_blocker_is_the_node_that_the_pod_could_meet():
    """A capable node beside it, or one that is out of reach, changes nothing."""
    reachable = _old()
    tainted = Node(
        is_capable=False,
        name="tainted",
        taints=(Taint(key="a", value="", effect="NoExecute"),),
    )
    assert nodes.blocker({"spec": {}}, [CAPABLE, tainted, reachable]) is reachable
    assert nodes.blocker({"spec": {}}, [CAPABLE, tainted]) is None
