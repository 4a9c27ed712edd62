"""Values of the plan: one for each definition, with the rule of its owner and of nobody else."""

import json

import pytest

from injector.core.plan import LAUNCHER, Rule
from tests import asking
from webhook.core import decide
from webhook.core.catalog import Catalog


def _plan(env, *objects):
    pod = asking.pod({"env": json.dumps(env)})
    made, _, problems, _ = decide.make("shop", pod, Catalog.of(objects), asking.INJECTION)
    assert problems == ()
    return made.plan


def test_a_part_of_a_value_is_not_held_to_the_rule_of_the_whole():
    """The host that a filter works on is no https URL, though the value made of it must be."""
    env = {"URL": {"value": "https://#{@db | urlencode}/", "matches": "^https://.*"}}

    host, url = _plan(env).values

    assert (host.parts, host.rule) == (("db.shop.svc",), None)
    assert url.rule == Rule(matches="^https://.*")


def test_two_references_to_one_secret_are_one_read():
    """User and password of a dynamic secret come from one lease; another version is another."""
    env = {
        "USER": "#{vault:database/creds/app#username}",
        "PASSWORD": "#{vault:database/creds/app#password}",
        "OLD": "#{vault:database/creds/app#password@2}",
    }

    plan = _plan(env, asking.vault())

    assert [(read.path, read.version) for read in plan.reads] == [
        ("database/creds/app", "2"),
        ("database/creds/app", None),
    ]
    assert [part.env_mode for part in plan.containers] == [LAUNCHER]


def test_an_environment_names_the_namespace_of_a_host():
    """An environment belongs to several namespaces: @db alone would be anybody's."""
    environment = {
        "kind": "EnvironmentSecrets",
        "metadata": {"name": "prod"},
        "spec": {"env": {"HERE": "#{@db}", "THERE": "#{@db.data:5432}"}},
    }

    here = asking.outcome(asking.pod({"env": 'A: "#{$/HERE}"'}), environment)

    assert asking.codes(here) == ["SI-101"]
    assert _plan({"A": "#{$/THERE}"}, environment).values[0].parts == ("db.data.svc:5432",)


@pytest.mark.parametrize("host", ["#{$/DB_HOST}", "db/evil", "db:x", "a@b", "::1", "db:5432:1"])
def test_a_presets_host_is_a_host_and_no_expression(host):
    """It becomes part of a URL as it is: what could be read otherwise is refused."""
    preset = {"type": "postgres", "source": "k8s:db", "host": host, "database": "app"}
    app = asking.service("shop", "app", presets=[preset])

    assert asking.codes(asking.outcome(asking.pod({"service": "app"}), app)) == ["SI-119"]
