"""Patterns of policies, and the rules that golden cases do not reach."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import asking
from webhook.core import globs

VARIABLES = {"namespace": "shop", "serviceAccount": "default", "service": ""}

segments = st.sampled_from(["a", "b", "ab", "*", "a*", "*b", "**", "{namespace}"])


def _as_regex(pattern):
    """Return the pattern as a regular expression: slow on hostile ones, and plain to read."""
    out = []
    parts = pattern.replace("{namespace}", "shop").split("/")
    for at, part in enumerate(parts):
        is_last = at == len(parts) - 1
        if part == "**":
            out.append(".+" if is_last else "(?:[^/]+/)*")
        else:
            out.append(re.escape(part).replace(r"\*", "[^/]*") + ("" if is_last else "/"))
    return re.compile("".join(out))


@given(
    st.lists(segments, min_size=1, max_size=5).map("/".join),
    st.lists(st.sampled_from(["a", "b", "ab", "shop"]), min_size=1, max_size=6).map("/".join),
)
def test_a_path_pattern_means_what_its_regular_expression_says(pattern, path):
    """`*` stays in a segment, `**` crosses, at the end `**` is at least one segment."""
    expected = _as_regex(pattern).fullmatch(path) is not None

    assert globs.path_matches(path, pattern, VARIABLES) is expected


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_a_name_pattern_means_what_its_regular_expression_says(pattern, name):
    """`*` is any run of characters."""
    expected = re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) is not None

    assert globs.name_matches(name, pattern) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "is_inside"),
    [
        ("kv/{namespace}/*", "kv/shop/db", True),
        ("kv/{namespace}/*", "kv/shop/db/more", False),
        ("kv/{namespace}/*", "kv/shopping/db", False),
        ("kv/{namespace}/**", "kv/shop/db/more", True),
        ("kv/{namespace}/**", "kv/shop", False),
        ("kv/{service}/*", "kv/x/db", False),
        ("**", "any/thing", True),
        ("kv/[a-z]/x", "kv/a/x", False),
        ("kv/a.c", "kv/abc", False),
    ],
)
def test_a_path_is_inside_of_a_pattern_or_not(pattern, path, is_inside):
    """Only stars and variables mean something; an empty variable matches nothing."""
    assert globs.path_matches(path, pattern, VARIABLES) is is_inside


def test_a_hostile_pattern_and_a_hostile_path_cost_no_more_than_their_product():
    """Sixty stars against a path that almost matches: a backtracking matcher would not end."""
    pattern = "/".join(["**", "a"] * 60) + "/b"
    path = "/".join(["a"] * 500)

    assert globs.path_matches(path, pattern, {}) is False
    assert globs.name_matches("a" * 1000, "*a" * 60 + "b") is False


@pytest.mark.parametrize(("action", "kind"), [("Deny", "deny"), ("Warn", "inject")])
def test_a_final_default_speaks_with_the_action_of_its_policy(action, kind):
    """`Warn` does not deny, and a warning names the policy and the rule."""
    guard = asking.policy(action=action, defaults={"files-path": "/hard"}, final=["files-path"])
    pod = asking.pod({"files": "a: x", "files_path": "/mine"})

    decided = asking.outcome(pod, guard)

    assert decided.kind == kind
    said = decided.warnings or tuple(problem.line() for problem in decided.problems)
    what = 'files-path is final: "/hard" (policy guard, rule final)'
    assert said == (f"SI-121 annotation secret-injector.io/files-path: {what}",)


def test_audits_reach_the_facts_of_the_decision_and_nobody_else():
    """What `Audit` finds is for the log: no warning, no denial."""
    guard = asking.policy(action="Audit", rules={"env": "forbidden"})

    decided = asking.outcome(asking.pod({"env": "A: x"}), guard)

    assert (decided.kind, decided.warnings) == ("inject", ())
    assert decided.facts["audits"] == [
        "SI-121 container app: variables are forbidden, use files: A (policy guard, rule env)"
    ]


@pytest.mark.parametrize(
    ("match", "kind"),
    [
        ({}, "deny"),
        ({"serviceAccounts": ["def*"]}, "deny"),
        ({"serviceAccounts": ["other"]}, "inject"),
        ({"podSelector": {"matchLabels": {"app": "x"}}}, "inject"),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}, "deny"),
        (
            {"namespaceSelector": {"matchExpressions": [{"key": "stage", "operator": "Exists"}]}},
            "inject",
        ),
    ],
)
def test_a_policy_judges_whom_it_matches(match, kind):
    """Namespace, pod labels and ServiceAccount must all match."""
    guard = asking.policy(match=match, rules={"env": "forbidden"})

    assert asking.outcome(asking.pod({"env": "A: x"}), guard).kind == kind


def test_the_defaults_of_a_policy_that_is_wrong_are_not_blamed_on_the_pod():
    """The denial speaks of the policy, and not of an annotation that nobody wrote."""
    guard = asking.policy(defaults={"nonsense": "x"})

    decided = asking.outcome(asking.pod({"env": "A: x"}), guard)

    (said,) = (problem.line() for problem in decided.problems)
    what = "the policy does not compile, so it denies what it matches"
    assert said == f"SI-121 {what} (policy guard, rule match)"
