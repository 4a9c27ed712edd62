"""Policies bind: no other name, no file, no URL and no empty plan is a way around one."""

import json

import pytest

from tests import asking

VAULT = asking.vault()
DENY_ROOT = asking.policy(rules={"keys": {"deny": ["*ROOT*"]}})
ROOT = {"DB_ROOT_PASSWORD": "#{vault:secret/db#root}"}
ENVIRONMENT = {
    "kind": "EnvironmentSecrets",
    "metadata": {"name": "prod"},
    "spec": {"env": {"ROOT_TOKEN": "#{vault:secret/root#t}", "INNER": "x#{ROOT_TOKEN}"}},
}
PRESET = asking.service(
    "shop",
    "pg",
    presets=[{"type": "postgres", "source": "vault:db/app", "host": "db", "database": "app"}],
)


def _denials(decided):
    assert decided.kind == "deny", decided
    return {(p.target, p.what.partition('"')[2].partition('"')[0]) for p in decided.problems}


WAYS = {
    "itself": ({"service": "db"}, ("DB_ROOT_PASSWORD", "DB_ROOT_PASSWORD")),
    "renamed": (
        {"env": "A: 'x'\nMINE: '#{$db/DB_ROOT_PASSWORD}'"},
        ("MINE", "DB_ROOT_PASSWORD"),
    ),
    "a file": (
        {"files": "pw: '#{$db/DB_ROOT_PASSWORD}'"},
        ("file pw", "DB_ROOT_PASSWORD"),
    ),
    "a URL": (
        {"env": "URL: 'pg://root:#{$db/DB_ROOT_PASSWORD | urlencode}@db'"},
        ("URL", "DB_ROOT_PASSWORD"),
    ),
    "siblings of siblings": (
        {"env": "A: '#{$db/DB_ROOT_PASSWORD}'\nB: '#{A}'\nC: '#{B}'"},
        ("C", "DB_ROOT_PASSWORD"),
    ),
    "another service": ({"env": "X: '#{$shop/CACHE}'"}, ("X", "DB_ROOT_PASSWORD")),
    "an import": ({"service": "importer"}, ("ALIAS", "DB_ROOT_PASSWORD")),
    "the environment": ({"env": "X: '#{$/INNER}'"}, ("X", "ROOT_TOKEN")),
    "a target's name": ({"env": "MY_ROOT: '#{vault:secret/a#b}'"}, ("MY_ROOT", "MY_ROOT")),
    "a file's name": ({"files": "ROOT.key: '#{vault:secret/a#b}'"}, ("file ROOT.key", "ROOT.key")),
    "a file's path": (
        {"files": "a: {value: '#{vault:secret/a#b}', path: x/ROOT.key}"},
        ("file x/ROOT.key", "ROOT.key"),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_denied_key_is_denied_under_every_name(way):
    """The key that defines what reaches a container counts, as does the name it arrives under."""
    annotations, expected = WAYS[way]
    objects = [
        asking.service("shop", "db", ROOT),
        asking.service("shop", "shop", {"CACHE": "#{$db/DB_ROOT_PASSWORD}!"}),
        asking.service("shop", "importer", {"__import_svc": "$db", "ALIAS": "#{DB_ROOT_PASSWORD}"}),
    ]
    decided = asking.outcome(asking.pod(annotations), VAULT, ENVIRONMENT, DENY_ROOT, *objects)

    assert asking.codes(decided) == ["SI-121"]
    assert expected in _denials(decided)


def test_a_denied_key_is_denied_in_the_containers_own_env():
    """A reference in `env` is a way as any other."""
    pod = asking.pod({"inject": "true"}, env=[{"name": "X", "value": "#{$db/DB_ROOT_PASSWORD}"}])
    decided = asking.outcome(pod, VAULT, DENY_ROOT, asking.service("shop", "db", ROOT))

    assert _denials(decided) == {("X", "DB_ROOT_PASSWORD")}


def test_the_url_of_a_preset_is_made_from_its_keys():
    """Who denies the password denies the URL that holds it; who denies the URL, only that."""
    password = asking.policy(rules={"keys": {"deny": ["POSTGRES_PASSWORD"]}})
    decided = asking.outcome(
        asking.pod({"env": "DATABASE: '#{$pg/DATABASE_URL}'"}), VAULT, password, PRESET
    )
    assert _denials(decided) == {("DATABASE", "POSTGRES_PASSWORD")}

    url = asking.policy(rules={"keys": {"deny": ["DATABASE_URL"]}})
    decided = asking.outcome(
        asking.pod({"env": "DATABASE: '#{$pg/POSTGRES_PASSWORD}'"}), VAULT, url, PRESET
    )
    assert decided.kind == "inject"


def test_keys_beside_a_denied_one_are_free():
    """A service that has a denied key may still give its others."""
    pod = asking.pod({"env": "A: '#{$db/USER}'"})
    service = asking.service("shop", "db", {**ROOT, "USER": "#{vault:secret/db#user}"})

    assert asking.outcome(pod, VAULT, DENY_ROOT, service).kind == "inject"


def test_a_final_key_may_not_be_hidden_where_nothing_else_is_injected():
    """The container's own literal hides the only key: there is no plan, and still a rule."""
    service = asking.service("shop", "audit", {"AUDIT_TOKEN": "#{vault:secret/audit#t}"})
    pod = asking.pod({"service": "audit"}, env=[{"name": "AUDIT_TOKEN", "value": "none"}])

    free = asking.outcome(pod, VAULT, service)
    assert (free.kind, free.reason) == ("skip", "nothing_to_inject")
    decided = asking.outcome(pod, VAULT, service, asking.policy(final=["AUDIT_*"]))
    [problem] = decided.problems
    assert problem.line() == (
        "SI-121 for AUDIT_TOKEN (env of container app): the key"
        ' "AUDIT_TOKEN" of ServiceSecrets shop/audit is final and may not be overridden'
        " (policy guard, rule final)"
    )


def test_text_that_is_not_evaluated_hides_a_final_key_as_well():
    """What stays text sets the variable, so it overrides."""
    service = asking.service("shop", "audit", {"AUDIT_TOKEN": "#{vault:secret/audit#t}"})
    pod = asking.pod({"service": "audit"}, env=[{"name": "AUDIT_TOKEN", "value": "#{k8s:a#b}"}])

    decided = asking.outcome(pod, VAULT, service, asking.policy(final=["AUDIT_TOKEN"]))
    assert asking.codes(decided) == ["SI-121"]


BROKEN = asking.policy("broken", rules={"paths": [{"store": "vault", "allow": ["a/{no}/*"]}]})


@pytest.mark.parametrize(
    "annotations", [{"inject": "true"}, {"env-mode": "auto"}, {"service": "empty"}, {"inline": "A"}]
)
@pytest.mark.parametrize("action", ["Deny", "Warn", "Audit"])
def test_a_policy_that_does_not_compile_denies_where_nothing_is_injected(annotations, action):
    """Every pod that asks is refused, whatever it gets, and whatever the policy's action."""
    broken = {**BROKEN, "spec": {**BROKEN["spec"], "action": action}}
    pod = asking.pod(annotations)
    empty = asking.service("shop", "empty")

    assert asking.outcome(pod, empty).kind == "skip"
    decided = asking.outcome(pod, empty, broken)
    what = "the policy does not compile, so it denies what it matches (policy broken, rule match)"
    assert [p.line() for p in decided.problems] == [f"SI-121 {what}"]


def test_a_policy_that_does_not_compile_is_named_beside_other_problems():
    """All problems together: what the pod has wrong does not hide it."""
    decided = asking.outcome(asking.pod({"env": "A: '#{nowhere:a/b#c}'"}), BROKEN)

    assert asking.codes(decided) == ["SI-110", "SI-121"]


def test_a_pod_that_does_not_ask_meets_no_policy():
    """Policies are about what is injected; other pods are nobody's business here."""
    for annotations in ({}, {"inject": "false"}, {"inject": "false", "service": "x"}):
        assert asking.outcome(asking.pod(annotations), BROKEN).kind == "skip"


def test_modes_and_settings_are_judged_without_a_plan():
    """A mode that a policy does not allow is refused with nothing to inject, too."""
    policy = asking.policy(rules={"modes": ["sidecar"]})

    decided = asking.outcome(asking.pod({"inject": "true"}), policy)
    assert asking.codes(decided) == ["SI-121"]


def test_judging_denied_keys_is_linear():
    """A thousand targets made from each other cost a thousand steps, and name at most eight."""
    keys = {"K0_ROOT": "#{vault:secret/a#b}"}
    keys |= {f"K{n}_ROOT": "".join(f"#{{K{m}_ROOT}}" for m in range(n)) for n in range(1, 60)}
    pod = asking.pod({"env": json.dumps(keys)})

    decided = asking.outcome(pod, VAULT, DENY_ROOT)
    assert asking.codes(decided) == ["SI-121"]
