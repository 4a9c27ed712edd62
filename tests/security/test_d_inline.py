"""Data is not code: a reference in a container's own `env` counts only where the pod says so.

Commit messages, templates of workflow engines and copies of pod metadata reach `env` with whatever
somebody else wrote in them.
"""

import json

import pytest
import yaml
from hypothesis import given

from injector.core import plan_codec
from tests import asking, strategies
from webhook.commands import laptop
from webhook.core import annotations, resources
from webhook.core.inline import MAX_OPENINGS
from webhook.core.our_container import PLAN_VARIABLE

VAULT = asking.vault()
NODE = asking.node("v1.36.0")
MESSAGE = "docs: explain #{k8s:prod-db#password} syntax"
ASKS = {"inject": "true", "env": 'OWN: "#{k8s:own#x}"'}
NOT_SAID = 'since the pod does not say secret-injector.io/inject: "true"'
NOT_SERVED = "since the container is not served"
NOT_NAMED = "since secret-injector.io/inline does not name it"
QUOTES = "since it quotes annotations of ours"


def _app(name="app", **env):
    entries = [{"name": key, "value": text} for key, text in env.items()]
    return {"name": name, "image": "app", "command": ["/bin/app"], "env": entries}


def _pod(annotations_, *containers, init=()):
    pod = asking.pod(annotations_)
    pod["spec"]["containers"] = list(containers) or [_app(MESSAGE=MESSAGE)]
    if init:
        pod["spec"]["initContainers"] = list(init)
    return pod


def _decided(pod, *objects, **kwargs):
    decided = asking.outcome(pod, VAULT, *objects, **kwargs)
    assert decided.kind != "deny", decided.problems
    return decided


def _plan(pod):
    [ours] = [c for c in pod["spec"]["initContainers"] if c["name"] == "secret-injector"]
    return plan_codec.decode(next(e["value"] for e in ours["env"] if e["name"] == PLAN_VARIABLE))


def _env(pod, name="app"):
    every = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
    [found] = [c for c in every if c["name"] == name]
    return {entry["name"]: entry.get("value") for entry in found.get("env", ())}


def _warned(why, *names):
    return f"SI-125 env: left as text, {why}: {', '.join(names)}"


@pytest.mark.parametrize("annotation", ["env", "service", "files", "env.app", "env-mode"])
def test_a_commit_message_stays_text_whatever_else_the_pod_asks_for(annotation):
    """Only the pod's own `inject: "true"` makes text in `env` a reference."""
    texts = {"service": "shop", "env-mode": "auto"}
    pod = _pod({annotation: texts.get(annotation, 'OWN: "#{k8s:own#x}"')})
    decided = _decided(pod, asking.service("shop", "shop", {"OWN": "#{k8s:own#x}"}))

    after = asking.patched(pod, decided)
    assert _env(after)["MESSAGE"] == MESSAGE
    assert "prod-db" not in json.dumps([dict(op) for op in decided.operations])
    assert _warned(NOT_SAID, "MESSAGE (app)") in decided.warnings


def test_a_reference_is_evaluated_where_the_pod_says_so():
    """The shortest way to use it still works, and says nothing."""
    pod = _pod({"inject": "true"}, _app(API_KEY="#{vault:secret/shop#key}"))
    decided = _decided(pod)

    plan = _plan(asking.patched(pod, decided))
    assert [(read.path, plan.containers[0].env[0].name) for read in plan.reads] == [
        ("secret/shop", "API_KEY")
    ]
    assert decided.warnings == ()


def test_a_default_of_a_policy_is_not_the_pods_word():
    """`inject` can have no default, so nobody makes another's text code."""
    policy = asking.policy(defaults={"inject": "true"})

    assert resources.policy(policy).problems


def test_containers_that_are_not_served_keep_their_text():
    """Nor an init container, nor one that has an annotation of its own beside the list."""
    pod = _pod(
        {**ASKS, "containers": "app", "env.aux": 'AUX: "#{k8s:aux#x}"'},
        _app(TOKEN="#{k8s:app#token}"),
        _app("helper", MESSAGE=MESSAGE),
        _app("aux", MESSAGE=MESSAGE),
        init=[_app("clone", MESSAGE=MESSAGE)],
    )
    decided = _decided(pod)

    after = asking.patched(pod, decided)
    plan = _plan(after)
    assert [_env(after, name)["MESSAGE"] for name in ("helper", "aux", "clone")] == [MESSAGE] * 3
    assert [(c.name, [e.name for e in c.env]) for c in plan.containers] == [
        ("app", ["OWN", "TOKEN"]),
        ("aux", ["AUX"]),
    ]
    assert decided.warnings == (_warned(NOT_SERVED, "MESSAGE (clone, helper, aux)"),)


def test_inline_names_the_variables_that_may_hold_references():
    """Names and patterns; what they do not name is data, whatever stands in it."""
    pod = _pod(
        {"inject": "true", "inline": "API_KEY, DB_*"},
        _app(API_KEY="#{k8s:a#x}", DB_URL="pg://#{k8s:b#x}", MESSAGE=MESSAGE, RUBY="#{user.name}"),
    )
    decided = _decided(pod)

    after = asking.patched(pod, decided)
    assert _env(after) == {"MESSAGE": MESSAGE, "RUBY": "#{user.name}"}
    assert [read.path for read in _plan(after).reads] == ["a", "b"]
    assert decided.warnings == (_warned(NOT_NAMED, "MESSAGE (app)"),)


def test_an_empty_inline_names_nobody():
    """A pod that says inject: "true" for its service can keep its own `env` out of it."""
    pod = _pod({**ASKS, "inline": ""}, _app(RUBY="#{user.name}", MESSAGE=MESSAGE))

    after = asking.patched(pod, _decided(pod))
    assert _env(after) == {"RUBY": "#{user.name}", "MESSAGE": MESSAGE}


@pytest.mark.parametrize("text", [",", "A,,B", "A B", "A;B", "{A}", "x" * 8193, "a\nb"])
def test_an_inline_that_is_no_list_of_names_is_refused(text):
    """A slip in the list must not widen it."""
    decided = asking.outcome(_pod({**ASKS, "inline": text}), VAULT)

    assert asking.codes(decided) == ["SI-103"]


ARGO = json.dumps(
    {
        "metadata": {"annotations": {"secret-injector.io/env": 'K: "#{vault:secret/prod#key}"'}},
        "container": {"env": [{"name": "X", "value": "#{k8s:prod-db#password}"}]},
    }
)


@pytest.mark.parametrize(
    "text",
    [
        ARGO,
        json.dumps(ARGO),
        json.dumps(json.dumps(ARGO)),
        ARGO.replace("/", "\\/"),
        ARGO.replace("r.io/", "r.io\\u002f"),
        ARGO.replace("r.io/", "r.io\\u002F"),
        "https://x/?a=secret-injector.io%2Fenv&b=#{k8s:prod-db#password}",
        "SECRET-INJECTOR.IO/env #{k8s:prod-db#password}",
    ],
)
def test_a_copy_of_our_annotations_is_never_evaluated(text):
    """Argo copies a pod's template into its containers' `env`, and logs it."""
    pod = _pod({"inject": "true", "inline": "*"}, _app(ARGO_TEMPLATE=text, A="#{k8s:a#x}"))
    decided = _decided(pod)

    after = asking.patched(pod, decided)
    assert _env(after) == {"ARGO_TEMPLATE": text}
    assert [read.path for read in _plan(after).reads] == ["a"]
    # A backslash in front of each quote ends a reference's quotes: that copy looks like nothing.
    assert decided.warnings in ((), (_warned(QUOTES, "ARGO_TEMPLATE (app)"),))


@pytest.mark.parametrize(
    "text",
    [
        "hello #{user.name}",
        "#{name}",
        "#{@name}",
        "#{$stdout}",
        "#{$total/count}",
        "#{$/KEY}",
        "#{",
        "#{}",
        "##{k8s:a#b}",
        "#{nowhere:a/b#c}",
        "#{$other.billing/KEY}",
        "# {k8s:a#b}",
        "#{others:a#b}",
    ],
)
@pytest.mark.parametrize("name", ["env", "inject-elsewhere"])
def test_text_that_is_no_reference_of_this_cluster_is_left_in_silence(text, name):
    """Ruby, shell and prose are full of such braces; nobody needs to hear of them."""
    asks = {"env": ASKS["env"]} if name == "env" else {**ASKS, "containers": "app"}
    others = asking.vault("others", allowedNamespaces=["billing"])
    pod = _pod(asks, _app(PLAIN="x"), _app("aux", TEXT=text))
    decided = _decided(pod, others, asking.service("billing", "other", {"KEY": "x"}))

    assert _env(asking.patched(pod, decided), "aux")["TEXT"] == text
    assert decided.warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        MESSAGE,
        "#{vault:secret/a#b@3 | base64}",
        '#{vault:"secret/a"#"b"}',
        "###{k8s:a#b}",
        "#{user.name} and #{k8s:a#b}",
        "#{ bug; see #{k8s:a#b}",
        '#{" #{k8s:a#b}',
        "#{$shop/KEY}",
        "#{$shop.shop/KEY}",
        "#{$pay.billing/KEY}",
        "#{$/REGION}",
    ],
)
def test_text_that_would_be_a_reference_is_named_with_container_and_variable(text):
    """Who forgot a word learns of it, and who sends data sees that it stayed data."""
    pod = _pod({"env": ASKS["env"]}, _app(TEXT=text))
    to = [{"to": {"namespaces": ["shop"]}, "keys": ["*"]}]
    environment = {
        "kind": "EnvironmentSecrets",
        "metadata": {"name": "prod"},
        "spec": {"env": {"REGION": "eu"}},
    }
    objects = [
        asking.service("shop", "shop", {"KEY": "x"}),
        asking.service("billing", "pay", {"KEY": "x"}, exports=to),
        environment,
    ]
    decided = _decided(pod, *objects)

    assert _env(asking.patched(pod, decided))["TEXT"] == text
    assert decided.warnings == (_warned(NOT_SAID, "TEXT (app)"),)


def test_one_warning_names_all_and_fits():
    """A CI job has the message in many variables of many containers."""
    texts = {f"CI_{at}": MESSAGE for at in range(20)}
    decided = _decided(_pod({"env": ASKS["env"]}, _app("a", **texts), _app("b", **texts)))

    [warning] = decided.warnings
    assert warning.startswith(_warned(NOT_SAID, "CI_0 (a, b)", "CI_1 (a, b)"))
    assert warning.endswith("and 12 more")
    assert len(warning) <= 256


def test_a_reference_that_does_not_parse_is_refused_where_it_would_be_evaluated():
    """A slip must not start the pod without its value; the hint says how text is kept text."""
    decided = asking.outcome(_pod({"inject": "true"}, _app(RUBY="#{user.name}")), VAULT)

    [problem] = decided.problems
    assert (problem.code.id, problem.source) == ("SI-101", "RUBY column 3")
    decided = asking.outcome(_pod({"inject": "true"}, _app(RUBY="#{user}-#{}")), VAULT)
    assert [p.code.id for p in decided.problems] == ["SI-101"]


@pytest.mark.parametrize("action", ["Deny", "Warn", "Audit"])
def test_a_policy_can_forbid_references_in_env(action):
    """The denial names the container and the variables; annotations are not concerned."""
    policy = asking.policy(action=action, rules={"inline": "forbidden"})
    what = "references in env are forbidden, use annotations: A, B (policy guard, rule inline)"

    found = asking.outcome(
        _pod({"inject": "true"}, _app(A="#{k8s:a#x}", B="#{k8s:a#x}")), VAULT, policy
    )
    said = {"Deny": [p.line() for p in found.problems], "Warn": list(found.warnings)}
    said["Audit"] = found.facts.get("audits", [])
    line = f"SI-121 container app: {what}"
    assert said[action] == [line]
    assert _decided(_pod(ASKS, _app()), policy).warnings == ()
    assert _decided(_pod({"env": ASKS["env"]}), policy).kind == "inject"


def test_a_policy_may_name_the_variables_for_everybody():
    """`inline` is a setting like others: it has defaults, and `final` holds them."""
    policy = asking.policy(defaults={"inline": "DB_*"}, final=["inline"])
    containers = _app(DB="#{k8s:a#x}", DB_URL="#{k8s:b#x}")

    pod = _pod({"inject": "true"}, containers)
    assert [r.path for r in _plan(asking.patched(pod, _decided(pod, policy))).reads] == ["b"]
    decided = asking.outcome(_pod({"inject": "true", "inline": "*"}, containers), VAULT, policy)
    assert asking.codes(decided) == ["SI-121"]


@given(strategies.pods())
def test_a_second_look_evaluates_what_the_first_did_and_nothing_else(pod):
    """The webhook is asked again after other webhooks; what stayed text stays text."""
    pod["metadata"]["annotations"]["secret-injector.io/inline"] = "Q"
    first = _decided(pod, NODE)
    after = asking.patched(pod, first)

    again = _decided(after, NODE)
    assert (again.kind, again.reason, again.operations) == ("inject", "already_injected", ())
    assert again.warnings == first.warnings


def test_a_container_that_another_webhook_adds_keeps_its_text():
    """What is added between two rounds is not served, and its `env` is data."""
    pod = _pod({"inject": "true"}, _app(A="#{k8s:a#x}"))
    after = asking.patched(pod, _decided(pod))
    after["spec"]["containers"].append(_app("mesh", MESSAGE=MESSAGE))

    decided = _decided(after)
    assert (decided.reason, decided.operations) == ("already_injected", ())
    assert decided.warnings == (_warned(NOT_SERVED, "MESSAGE (mesh)"),)


def test_a_forged_plan_makes_no_text_a_reference():
    """A tenant may write that an entry was one; it is judged anew, by what the pod says."""
    pod = _pod({"inject": "true"}, _app(A="#{k8s:a#x}"))
    after = asking.patched(pod, _decided(pod))
    after["metadata"]["annotations"]["secret-injector.io/inject"] = "true"
    after["metadata"]["annotations"]["secret-injector.io/inline"] = ""

    assert asking.outcome(after, VAULT).kind != "inject"


def test_looking_for_references_in_text_is_bounded():
    """A pod full of openings costs as much as a pod with a few."""
    texts = {f"T{at}": "#{" * 2000 for at in range(200)}
    decided = _decided(_pod({"env": ASKS["env"]}, _app(**texts)))

    assert decided.warnings == ()
    assert MAX_OPENINGS <= 256


def test_the_table_of_annotations_knows_inline():
    """`docs/annotations.md`, defaults and "did you mean" are made from the table."""
    assert "inline" in {annotation.name for annotation in annotations.ANNOTATIONS}
    decided = asking.outcome(_pod({**ASKS, "inlin": "A"}), VAULT)
    assert [p.hint for p in decided.problems] == ['did you mean "inline"?']


def test_lint_and_mutate_follow_the_same_rule(tmp_path, capsys):
    """What a developer sees before is what the cluster does."""
    from webhook.commands import lint, mutate

    pod = _pod({"env": ASKS["env"]}, _app(MESSAGE=MESSAGE))
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **pod}))

    assert lint.main(["-f", str(file)]) == 0
    assert "MESSAGE (app)" in capsys.readouterr().out
    assert mutate.main(["-f", str(file), "-o", "yaml"]) == 0
    out = capsys.readouterr()
    assert _env(yaml.safe_load(out.out))["MESSAGE"] == MESSAGE
    assert "MESSAGE (app)" in out.err


def test_explain_and_run_follow_the_same_rule(tmp_path, capfd):
    """What stays text is no key of the pod, for whoever explains it or runs it."""
    from webhook.commands import explain

    pod = _pod({"env": "OWN: 'x'"}, _app(MESSAGE=MESSAGE))
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **pod}))

    assert explain.main(["-f", str(file), "-o", "json"]) == 0
    out = capfd.readouterr()
    assert "OWN" in out.out
    assert "prod-db" not in out.out
    name, plan, warnings = laptop.plan(
        (str(file),),
        name=None,
        container=None,
        namespace="shop",
        environment=None,
        stores_file=None,
    )
    assert (name, [e.name for c in plan.containers for e in c.env]) == ("app-0", ["OWN"])
    assert warnings == (_warned(NOT_SAID, "MESSAGE (app)"),)
