"""`lint` says where a path pattern looks like a boundary between tenants and is none."""

import itertools
import json

import pytest
import yaml

from tests import asking
from webhook.commands import lint
from webhook.core import policy_advice, resources
from webhook.core.globs import path_matches

SERVICE, OPEN, DEEP = "what the pod itself says", "where the name ends", "in front of"


def _advice(pattern):
    policy = asking.policy(rules={"paths": [{"store": "vault", "allow": [pattern]}]})
    parsed = resources.policy(policy)
    assert not parsed.problems
    return policy_advice.advice(parsed)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("kv/{service}/*", [SERVICE]),
        ("kv/{namespace}/{service}/*", [SERVICE]),
        ("kv/{service}-*", [SERVICE, OPEN]),
        ("kv/{namespace}-*", [OPEN]),
        ("kv/{namespace}*", [OPEN]),
        ("kv/*-{namespace}", [OPEN]),
        ("kv/*{namespace}", [OPEN]),
        ("kv/{namespace}-db-*", [OPEN]),
        ("{namespace}-*/x", [OPEN]),
        ("kv/{namespace}-{serviceAccount}", [OPEN]),
        ("kv/{namespace}{serviceAccount}", [OPEN]),
        ("kv/{serviceAccount}.*", [OPEN]),
        ("kv/a-{namespace}-b-*-c", [OPEN]),
        ("kv/{namespace}_{serviceAccount}-*", [OPEN]),
        ("**/{namespace}/x", [DEEP]),
        ("kv/**/{namespace}/*", [DEEP]),
    ],
)
def test_a_pattern_that_is_no_boundary_gets_a_warning(pattern, said):
    """The pod's own word, an open end, a folder of the same name in another's place."""
    found = [problem.what for problem in _advice(pattern)]

    assert len(found) == len(said)
    assert all(word in what for word, what in zip(said, found, strict=True))


@pytest.mark.parametrize(
    "pattern",
    [
        "kv/{namespace}/*",
        "kv/{namespace}/**",
        "kv/{namespace}/{serviceAccount}/*",
        "kv/{namespace}-db",
        "kv/x-{namespace}-db/*",
        "kv/{namespace}_*",
        "kv/{namespace}.*",
        "kv/{namespace}.{serviceAccount}",
        "kv/{serviceAccount}_{namespace}",
        "kv/shared-*/**",
        "kv/*/{namespace}/x",
    ],
)
def test_a_pattern_that_is_one_gets_none(pattern):
    """A segment of its own, or a character beside it that no name can hold."""
    assert _advice(pattern) == ()


NAMES = ["a", "a-b", "a-b-c", "b", "b-c", "c", "a-db", "db"]


@pytest.mark.parametrize(
    "pattern",
    ["{namespace}-db", "{namespace}_*", "{namespace}.*", "x-{namespace}-db", "{namespace}"],
)
def test_patterns_without_advice_keep_any_two_namespaces_apart(pattern):
    """No path that is one namespace's by the pattern is another's: tried with like names."""
    assert _advice(f"kv/{pattern}") == ()
    fillings = [pattern.replace("*", rest) for rest in ("x", "a-b", "-", "b_c", "a.b")]
    for one, other in itertools.permutations(NAMES, 2):
        for filled in fillings:
            path = "kv/" + filled.replace("{namespace}", one)
            assert not path_matches(path, f"kv/{pattern}", {"namespace": other}), path


def test_the_open_end_is_what_the_issue_showed():
    """`{namespace}-*` for `team` matches what belongs to `team-b`."""
    assert path_matches("kv/team-b-db", "kv/{namespace}-*", {"namespace": "team"})


def test_lint_shows_it_at_the_line_and_finds_no_error(tmp_path, capsys):
    """A warning with a code, at the pattern; the exit status stays 0."""
    policy = {"apiVersion": "secret-injector.io/v1alpha1", **asking.policy("open")}
    policy["spec"] = {"rules": {"paths": [{"store": "vault", "allow": ["kv/{namespace}-*"]}]}}
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(policy))

    assert lint.main(["-f", str(file), "-o", "json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["level"], row["code"]) == ("warning", "SI-126")
    assert "team-b" in row["message"]
