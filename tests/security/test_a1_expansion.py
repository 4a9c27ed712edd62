"""A1: to look for `$(NAME)` in the fields of a pod costs no more than to read them."""

import pytest

from tests import asking
from tests.effort import cpu_s
from webhook.core.asking import expanded

KIB = 1024
RUNS = {
    "beginnings": "$(",
    "beginnings that end": "$()",
    "dollars": "$",
    "escaped": "$$(",
    "brackets": "(",
    "ends": ")",
    "nested": "$(a",
    "with names": "$(A)",
}


def injected(**container):
    """Return what is decided about a pod that gets a secret and has these fields."""
    return asking.outcome(asking.pod({"env": 'A: "#{k8s:a#x}"'}, **container))


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("end", ["", ")", "$(A)"])
def test_a_run_of_240_kb_in_args_costs_a_fraction_of_a_second(name, end):
    """The reported pod took minutes: each beginning was read to the end of the text."""
    text = RUNS[name] * (240 * KIB // len(RUNS[name])) + end

    assert cpu_s(lambda: injected(args=[text]), runs=2) < 0.25


@pytest.mark.parametrize("field", ["args", "command", "env", "subPathExpr"])
def test_every_field_that_the_kubelet_expands_is_read_in_passing(field):
    """The same run in each of the fields that are looked at."""
    text = "$(" * 120 * KIB
    container = {
        "args": {"args": [text]},
        "command": {"command": ["/bin/app", text]},
        "env": {"env": [{"name": "B", "value": text}]},
        "subPathExpr": {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPathExpr": text}]},
    }[field]

    assert cpu_s(lambda: injected(**container), runs=2) < 0.25


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("$(A)", ["A"]),
        ("x$(A)y$(B)z", ["A", "B"]),
        ("$$(A)", []),
        ("$$$(A)", ["A"]),
        ("$$$$(A)", []),
        ("$(A", []),
        ("$(A$(B)", ["A$(B"]),
        ("$A $(B)", ["B"]),
        ("$(A)) $$", ["A"]),
        ("$", []),
    ],
)
def test_what_the_kubelet_expands_is_found(text, names):
    """As in Kubernetes' own expansion, whose tests have these cases."""
    assert list(expanded(text)) == names


def test_a_secret_behind_a_long_run_is_still_found():
    """No limit hides the name that would put a value into argv."""
    decided = injected(args=["$$(" * 50_000 + "$(A)"])

    assert [(p.code.id, p.what) for p in decided.problems] == [
        ("SI-107", "$(A) would put a secret there")
    ]
