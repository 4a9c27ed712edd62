"""Who wins where keys of a secret are listed or taken by pattern: the plan says it in one order."""

from injector.core import plan_codec
from tests import asking
from tests.asking import service, vault
from tests.tampering import plan_entry

IMPORTS_BASE = {"__import_svc": "$base"}


def plan_of(pod, *objects):
    """Return the plan that a pod gets in a cluster with these objects."""
    outcome = asking.outcome(pod, vault(), *objects)
    assert outcome.kind == "inject", [problem.line() for problem in outcome.problems]
    return plan_codec.decode(plan_entry(asking.patched(pod, outcome))["value"])


def entries(plan, container="app"):
    """Return the entries of a container by where they read, weakest first."""
    (part,) = (each for each in plan.containers if each.name == container)
    places = [plan.where(plan.values[each.value].parts[0]) for each in part.env_from]
    return [place.removeprefix("vault ") for place in places]


def origins(plan, container="app"):
    """Return who sets each variable that is written by name."""
    (part,) = (each for each in plan.containers if each.name == container)
    return {item.name: plan.values[item.value].origin for item in part.env}


def of(path, *keys, **more):
    """Return an entry that takes these keys of a secret, all of them by default."""
    return {"from": f"vault:{path}", "keys": list(keys) or ["*"], **more}


def test_entries_stand_from_the_imports_of_the_service_to_the_annotation_of_the_container():
    """Weakest first: the service's imports, the pod's, the service, the pod, the container."""
    services = [
        service(
            "shop", "app", {"__import_svc": "$base"}, **{"from": [of("kv/app"), of("kv/app2")]}
        ),
        service("shop", "base", **{"from": [of("kv/base")]}),
        service("shop", "mine", **{"from": [of("kv/mine")]}),
    ]
    pod = asking.pod(
        {
            "service": "app",
            "env": '__import_svc: $mine\n__from: {from: "vault:kv/pod", keys: ["*"]}',
            "env.app": '__from: [{from: "vault:kv/one", keys: ["*"]}]',
        }
    )

    plan = plan_of(pod, *services)

    assert entries(plan) == ["kv/base", "kv/mine", "kv/app", "kv/app2", "kv/pod", "kv/one"]
    (part,) = plan.containers
    assert [each.is_pods for each in part.env_from] == [False, False, False, False, True, True]


def test_a_secret_that_comes_by_two_ways_is_read_once_and_stands_where_it_is_stronger():
    """A diamond of imports asks the store no more often than one import."""
    services = [
        service("shop", "app", {"__import_svc": ["$left", "$right"]}),
        service("shop", "left", {"__import_svc": "$base"}, **{"from": [of("kv/left")]}),
        service("shop", "right", {"__import_svc": "$base"}),
        service("shop", "base", **{"from": [of("kv/base")]}),
    ]

    plan = plan_of(asking.pod({"service": "app"}), *services)

    assert entries(plan) == ["kv/left", "kv/base"]
    assert [read.path for read in plan.reads] == ["kv/left", "kv/base"]


def test_listed_keys_are_as_strong_as_who_lists_them_and_weaker_than_a_line_beside_them():
    """The pod's listed key replaces the service's own; a line of the same annotation wins."""
    app = service("shop", "app", {"USER": "u", "TOKEN": "t"})
    env = 'TOKEN: mine\n__from: {from: "vault:kv/pod", keys: [USER, TOKEN, MORE]}'

    plan = plan_of(asking.pod({"service": "app", "env": env}), app)

    values = {value.key: value.parts for value in plan.values}
    assert set(origins(plan).values()) == {"annotation secret-injector.io/env"}
    assert values["TOKEN"] == ("mine",)
    assert [values[name][0].field for name in ("USER", "MORE")] == ["USER", "MORE"]


def test_a_listed_key_gives_way_to_the_containers_own_env_and_a_preset():
    """No error, as a line in the annotation would be: what is listed is meant as a supply."""
    app = service(
        "shop",
        "app",
        presets=[{"type": "registry", "source": "vault:kv/registry"}],
        **{"from": [of("kv/all", "REGISTRY_USER", "HOST", "PORT")]},
    )
    env = [{"name": "HOST", "value": "db"}]

    plan = plan_of(asking.pod({"service": "app"}, env=env), app)

    fields = {value.key: value.parts[0].field for value in plan.values}
    assert "HOST" not in origins(plan)
    assert (fields["REGISTRY_USER"], fields["PORT"]) == ("username", "PORT")


def test_a_listed_key_may_be_granted_to_another_namespace_and_imported_there():
    """Its name is known, so it is a key like any other; what a pattern takes stays behind."""
    export = [{"to": {"namespaces": ["shop"]}, "keys": ["*"]}]
    pay = service("pay", "api", exports=export, **{"from": [of("kv/pay", "*", "PAY_KEY")]})
    env = "__import_svc: {from: $api.pay, keys: [PAY_KEY]}"

    plan = plan_of(asking.pod({"env": env}), pay)

    assert origins(plan) == {"PAY_KEY": "ServiceSecrets pay/api"}
    assert entries(plan) == []
