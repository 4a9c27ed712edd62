"""Scenarios: names of variables as Kubernetes takes them, and values that are empty or lost."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.services import denial, service
from tests.e2e.testbed.process import until

NAMES = (
    "spring.datasource.password",
    "xpack.security-key",
    "1",
    ".",
    "..data",
    "a/b",
    "#x",
    " both ends ",
    "[0]:%$(A)'\"\\",
    "x" * 253,
)
"""Words with dots and dashes, and some that are no file, no key of an env file, or neither."""

COMMENT = 'an unquoted # begins a comment in YAML; write NAME: "#{store:path#field}"'


def named(names, value="#{k8s:odd#value}"):
    """Return a map from each name to one reference."""
    return dict.fromkeys(names, value)


@pytest.mark.parametrize("container", [pods.app(command=pods.SLEEP), pods.bare()])
def test_a_variable_has_any_name_that_the_platform_takes(tenant, inside, container):
    """By the launcher and natively, from an annotation, from the container's env and a service."""
    tenant.put_secret("odd", {"value": "a value"})
    tenant.apply(
        service("odd", tenant.namespace, {"of.a-service": '#{"a b"}', "a b": "#{k8s:odd#value}"})
    )
    own = {"name": "own.env-entry", "value": "#{k8s:odd#value}"}
    pod = pods.pod(
        "odd",
        {**container, "env": [own]},
        annotations=pods.asking(inject="true", service="odd", env=named(NAMES)),
    )
    until(
        lambda: tenant.cluster.create(pod, tenant.namespace, dry_run=True),
        what="the service is known",
        timeout_s=30,
        retry_on=(Exception,),
    )
    tenant.apply(pod)

    wanted = (*NAMES, "own.env-entry", "of.a-service", "a b")
    assert inside("odd").environ() == {name.encode(): b"a value" for name in wanted}


def test_a_variable_that_is_empty_by_its_default_is_left_out_natively(tenant, inside):
    """As with `required: false`; the launcher sets it."""
    tenant.put_secret("odd", {"value": "x", "empty": ""})
    env = {
        "FILTER": '#{k8s:odd#missing | default("")}',
        "RULE": {"value": "#{k8s:odd#missing}", "default": ""},
        "OPTIONAL": {"value": "#{k8s:odd#missing}", "required": False},
        "THERE": "#{k8s:odd#value}",
    }
    annotations = pods.asking(env=env)
    tenant.apply(
        pods.pod("native", pods.bare(), annotations=annotations),
        pods.pod("launched", pods.app(command=pods.SLEEP), annotations=annotations),
    )

    assert inside("native").environ() == {b"THERE": b"x"}
    assert inside("launched").environ() == {b"THERE": b"x", b"FILTER": b"", b"RULE": b""}


def test_required_true_keeps_an_empty_value_from_the_application(tenant):
    """In every mode, with the code of its own."""
    tenant.put_secret("odd", {"empty": ""})
    env = {"KEY": {"value": "#{k8s:odd#empty}", "required": True}}
    tenant.apply(
        pods.pod(
            "refused",
            pods.app(command=["true"]),
            annotations=pods.asking(env=env),
            restartPolicy="Never",
        )
    )

    ended = tenant.cluster.wait_finished("refused", tenant.namespace)

    (ours,) = ended["status"]["initContainerStatuses"]
    first = ours["state"]["terminated"]["message"].splitlines()[0]
    assert first.startswith("SI-301 k8s odd#empty for KEY")
    assert first.endswith(": the value is empty")


def test_a_forgotten_quote_is_told_of_where_only_its_hole_can_be_seen(tenant):
    """The API server shows a value that YAML took for a comment as an empty one."""
    cluster, namespace = tenant.cluster, tenant.namespace
    env = [{"name": "API_KEY", "value": None}, {"name": "SET", "value": "x"}]
    pod = pods.pod(
        "hole",
        pods.app(command=["true"], env=env),
        annotations=pods.asking(env={"OTHER": "x"}),
    )
    made = cluster.create(pod, namespace, dry_run=True)
    in_annotation = pods.pod(
        "hole",
        pods.app(command=["true"]),
        annotations=pods.asking(env="A: #{k8s:a#b}\nB: Bearer #{k8s:a#b}\n"),
    )

    assert [text for text in made.warnings if "API_KEY (container app)" in text]
    refused = denial(cluster, in_annotation, namespace)
    assert refused.count(COMMENT) == 2
    in_service = denial(cluster, service("hole", namespace, {"API_KEY": None}), namespace)
    assert "spec.env.API_KEY" in in_service
    assert COMMENT in in_service


def test_a_mistyped_import_is_refused_when_it_is_stored(tenant):
    """It would be a variable of that name, and import nothing."""
    env = {"__import_scv": "$base", "LOG_LEVEL": "debug"}

    refused = denial(tenant.cluster, service("typo", tenant.namespace, env), tenant.namespace)

    assert 'did you mean "__import_svc"?' in refused
