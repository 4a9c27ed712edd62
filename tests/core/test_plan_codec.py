"""A plan travels as text and comes back the same; no other text is taken for a plan."""

import base64
import json
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import plan, plan_codec
from injector.core.errors import Refused
from injector.core.plan import Plan, PlanStore, PlanValue
from tests import strategies

EMPTY = {"v": 1, "ns": "shop", "sa": "default", "deadlineMs": 1000}


def _packed(data):
    return base64.urlsafe_b64encode(zlib.compress(data)).decode().rstrip("=")


def _refusal(text):
    with pytest.raises(Refused) as caught:
        plan_codec.decode(text)
    [problem] = caught.value.problems
    assert problem.code.id == "SI-202"
    return problem.what


def _read(text):
    try:
        return plan_codec.decode(text), ()
    except Refused as refused:
        return None, refused.problems


@given(strategies.plans())
def test_a_plan_encoded_and_decoded_is_the_same_plan(found):
    """Equal by content, and its bytes are equal again."""
    text = plan_codec.encode(found)

    assert plan_codec.decode(text) == found
    assert plan_codec.encode(plan_codec.decode(text)) == text


@given(strategies.plans())
def test_the_kubelets_expansion_leaves_an_encoded_plan_alone(found):
    """The alphabet has no `$`, so `$(VAR)` cannot stand in it."""
    assert re.fullmatch(r"[A-Za-z0-9_-]+", plan_codec.encode(found))


@given(
    st.text() | st.binary().map(_packed) | strategies.any_texts.map(lambda t: _packed(t.encode()))
)
def test_any_other_text_is_refused_with_one_line(text):
    """Garbage outside, garbage inside: Refused, and nothing of it is quoted."""
    found, problems = _read(text)

    assert (found is None) == (len(problems) == 1)
    assert all(len(problem.line()) < 200 for problem in problems)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    st.sampled_from(
        ["stores", "reads", "values", "containers", "sources", "group", "deadlineMs", "ns", "v"]
    ),
    json_values,
)
def test_any_json_in_any_field_is_a_plan_or_refused(name, value):
    """Every field is checked for its type before it is used."""
    text = _packed(json.dumps({**EMPTY, name: value}).encode())
    found, problems = _read(text)

    assert (found is None) == bool(problems)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"v": 3}, "its version is 3, this injector reads 1 and 2"),
        ({"v": "x" * 10_000}, "plan.v is not a whole number"),
        ({"stores": [{"name": "../../etc", "spec": "{}"}]}, "a store's name is not one"),
        ({"reads": [{"store": 0, "path": "a"}]}, "points to nothing"),
        ({"values": [{"key": "A", "origin": "", "parts": [{"use": 0}]}]}, "points to nothing"),
        (
            {"values": [{"key": "A", "origin": "", "parts": []}], "containers": "app"},
            "plan.containers is not a list",
        ),
        ({"containers": [{"name": "../x", "mode": "launcher"}]}, "a container's name or mode"),
        ({"containers": [{"name": "a", "mode": "native"}] * 2}, "a container stands twice"),
    ],
)
def test_a_plan_that_would_mislead_the_injector_is_refused(changes, what):
    """Names become paths and indexes become look-ups: both are checked on the way in."""
    assert what in _refusal(_packed(json.dumps({**EMPTY, **changes}).encode()))


@pytest.mark.parametrize(
    "paths",
    [
        *(["../a"], ["//a"], ["/"], ["/a/"], ["/../a"], ["/" + "a/" * 16 + "a"], ["a/../b"]),
        *(["..data"], [""], ["a//b"], ["a", "a"], ["a", "a/b"], ["/a", "/a/b"]),
    ],
)
def test_a_file_outside_of_its_folder_or_in_anothers_place_is_refused(paths):
    """No path of a plan leaves the folder of its container."""
    files = [{"path": path, "value": 0} for path in paths]
    document = {
        **EMPTY,
        "values": [{"key": "A", "origin": "", "parts": ["x"]}],
        "containers": [{"name": "app", "mode": "launcher", "files": files}],
    }

    assert "file" in _refusal(_packed(json.dumps(document).encode()))


def test_a_small_text_that_unpacks_to_a_large_one_is_refused():
    """A thousandfold bomb ends at the limit."""
    assert "too large" in _refusal(_packed(b" " * (64 * 1024 * 1024)))


@pytest.mark.parametrize("size", [plan.MAX_DECODED, 10])
def test_a_plan_that_no_injector_would_read_is_not_encoded(size):
    """Too large unpacked is refused here, not in the pod; half a character anywhere as well."""
    text = "x" * size if size > 10 else "\ud800"
    found = Plan(
        namespace="shop",
        service_account="default",
        values=(PlanValue(parts=(text,), key="A", origin=""),),
    )

    with pytest.raises(Refused):
        plan_codec.encode(found)


def test_plans_of_equal_content_have_equal_text():
    """What pods of one template get does not differ by anything but its content."""
    one, other = (
        Plan(namespace="a", service_account="b", stores=(PlanStore(name="s", document="{}"),))
        for _ in range(2)
    )

    assert plan_codec.encode(one) == plan_codec.encode(other)
