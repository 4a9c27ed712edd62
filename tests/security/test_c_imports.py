"""Imports from another namespace name what they take; nothing else arrives by itself."""

import json

import pytest

from injector.core import plan_codec
from tests import asking
from tests.asking import service
from webhook.core import resources, validate
from webhook.core.catalog import Catalog
from webhook.core.our_container import PLAN_VARIABLE
from webhook.core.review import Kind, Request

EXPORT = [{"to": {"namespaces": ["shop"]}, "keys": ["*"]}]
API = {"from": "$telemetry.evil", "keys": ["API_*"]}
TAKEN = {"from": "$telemetry.evil", "keys": ["API_KEY"]}


def exporter(env, **spec):
    """Return a service of another namespace that offers the shop everything."""
    return service("evil", "telemetry", env, **{"exports": EXPORT, **spec})


def decided(imports, *objects, env=None, annotation=False):
    """Return the decision about a pod whose service or annotation imports this."""
    entry = {"__import_svc": imports, **(env or {})}
    if annotation:
        return asking.outcome(asking.pod({"env": json.dumps(entry)}), *objects)
    return asking.outcome(asking.pod({"service": "app"}), service("shop", "app", entry), *objects)


def variables(found):
    """Return the names of the variables that the pod gets."""
    [encoded] = [
        entry["value"]
        for operation in found.operations
        for container in _containers(operation)
        for entry in container.get("env", [])
        if entry["name"] == PLAN_VARIABLE
    ]
    return sorted(item.name for item in plan_codec.decode(encoded).containers[0].env)


def _containers(operation):
    value = operation.get("value")
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, dict) and "image" in v]


@pytest.mark.parametrize("annotation", [False, True])
def test_the_named_form_takes_what_it_names(annotation):
    """A key that the exporter adds later does not arrive by itself."""
    today = exporter({"API_KEY": "x"})
    later = exporter({"API_KEY": "x", "LATER": "https://evil.example", "HTTP_PROXY": "evil:1"})

    for found in (decided(TAKEN, o, annotation=annotation) for o in (today, later)):
        assert found.kind == "inject", found.problems
        assert variables(found) == ["API_KEY"]


@pytest.mark.parametrize("annotation", [False, True])
@pytest.mark.parametrize(
    "imports",
    [
        "$telemetry.evil",
        ["$telemetry.evil"],
        {"from": "$telemetry.evil", "keys": ["*"]},
        API,
        {"from": "$telemetry.evil", "keys": ["API_KEY", "*"]},
    ],
)
def test_every_other_form_is_denied_with_the_exact_line_to_write(imports, annotation):
    """All keys that it takes today stand in it: those that are exported to the importer."""
    there = exporter(
        {"B": "x", "API_KEY": "x", "HIDDEN": "x"},
        exports=[{"to": {"namespaces": ["shop"]}, "keys": ["B", "API_KEY"]}],
    )

    found = decided(imports, there, annotation=annotation)

    assert asking.codes(found) == ["SI-131"]
    [problem] = found.problems
    names = "API_KEY" if imports == API else "API_KEY, B"
    assert problem.hint == f"write {{from: $telemetry.evil, keys: [{names}]}}"
    assert f"hint: write {{from: $telemetry.evil, keys: [{names}]}}" in problem.render()


def test_the_exact_line_is_accepted():
    """What the denial says to write is what it accepts."""
    there = exporter({"B": "x", "API_KEY": "y", "LD_PRELOAD": "z"})
    [problem] = decided("$telemetry.evil", there).problems
    line = problem.hint.removeprefix("write ")

    pod = asking.pod({"env": f"__import_svc: {line}"})

    assert variables(asking.outcome(pod, there)) == ["API_KEY", "B"]


@pytest.mark.parametrize("imports", ["$telemetry", "$telemetry.shop", ["$telemetry"]])
def test_the_plain_form_stays_for_the_own_namespace(imports):
    """Within the namespace everything is taken, as before."""
    own = service("shop", "telemetry", {"A": "x", "B": "y"})

    assert variables(decided(imports, own)) == ["A", "B"]


def test_a_list_mixes_both_forms():
    """Later ones win, whatever their form."""
    own = service("shop", "base", {"API_KEY": "own", "A": "own"})
    there = exporter({"API_KEY": "theirs", "B": "theirs"})

    found = decided(["$base", TAKEN], own, there)
    other = decided([TAKEN, {"from": "$base", "keys": ["A"]}], own, there)

    assert variables(found) == ["A", "API_KEY"]
    assert variables(other) == ["A", "API_KEY"]


def test_within_the_namespace_patterns_are_allowed():
    """They are the own team's keys."""
    own = service("shop", "base", {"API_KEY": "x", "API_URL": "y", "OTHER": "z"})

    assert variables(decided({"from": "$base", "keys": ["API_*"]}, own)) == ["API_KEY", "API_URL"]


@pytest.mark.parametrize(
    "imports",
    [
        {"from": "$telemetry.evil"},
        {"keys": ["A"]},
        {"from": "$telemetry.evil", "keys": []},
        {"from": "$telemetry.evil", "keys": "A"},
        {"from": "telemetry", "keys": ["A"]},
        {"from": "$telemetry.evil", "keys": ["A=B"]},
        {"from": "$telemetry.evil", "keys": ["A"], "as": "x"},
        {"from": "$telemetry.evil", "keys": [1]},
        [[TAKEN]],
        7,
    ],
)
def test_what_is_no_import_is_a_mistake_at_its_place(imports):
    """Nothing is guessed."""
    spec = service("shop", "app", {"__import_svc": imports})

    found = resources.service(spec)

    assert found.problems
    assert all(p.source.startswith("spec.env.__import_svc") for p in found.problems)
    assert found.definitions.imports == ()


def test_a_named_key_that_is_missing_reads_like_one_that_is_not_granted():
    """Each has its own line, and they are the same."""
    grant = [{"to": {"namespaces": ["shop"]}, "keys": ["OTHER"]}]
    worlds = [
        [],
        [exporter({"API_KEY": "x"}, exports=grant)],
        [exporter({"OTHER": "x"}, exports=grant)],
        [exporter({"OTHER": "x"})],
        [exporter({"API_KEY": "#{"}, exports=grant)],
    ]

    said = {decided(TAKEN, *objects).problems for objects in worlds}

    [[problem]] = said
    assert problem.what == "nothing called $telemetry.evil/API_KEY is offered here"


class TestBroken:
    """What an exporter has wrong is for those who use it."""

    BROKEN = exporter({"API_KEY": "x", "BAD": "#{oops", "WORSE": "#{k8s:../x}"})

    @pytest.mark.parametrize("annotation", [False, True])
    def test_a_broken_key_that_nobody_uses_denies_nobody(self, annotation):
        """By import and by reference; and nothing of it is said."""
        for found in (
            decided(TAKEN, self.BROKEN, annotation=annotation),
            asking.outcome(asking.pod({"env": 'A: "#{$telemetry.evil/API_KEY}"'}), self.BROKEN),
        ):
            assert found.kind == "inject", found.problems
            assert not any("BAD" in text or "WORSE" in text for text in found.warnings)

    def test_within_the_namespace_too(self):
        """A reference to one key is not a use of the others."""
        own = service("shop", "base", {"A": "x", "BAD": "#{oops"})

        assert asking.outcome(asking.pod({"env": 'X: "#{$base/A}"'}), own).kind == "inject"
        assert asking.codes(decided("$base", own)) == ["SI-101"]

    def test_a_broken_key_that_is_used_is_named(self):
        """And none beside it."""
        found = decided({"from": "$telemetry.evil", "keys": ["BAD"]}, self.BROKEN)

        assert asking.codes(found) == ["SI-101"]
        assert not any("WORSE" in problem.line() for problem in found.problems)

    @pytest.mark.parametrize(
        "imports",
        [
            "$telemetry",
            "$nobody",
            {"from": "$app.shop", "keys": ["X"]},
            [f"$s{at}" for at in range(64)],
            "$deep",
        ],
    )
    def test_where_an_exporter_imports_from_harms_nobody_who_takes_its_own_key(self, imports):
        """A circle, a service that is not there, and too many of them."""
        there = exporter({"API_KEY": "x", "__import_svc": imports})
        many = [service("evil", f"s{at}", {f"K{at}": "x"}) for at in range(64)]
        deep = [
            service("evil", "deep" if at == 0 else f"d{at}", {"__import_svc": f"$d{at + 1}"})
            for at in range(12)
        ]

        found = decided(TAKEN, there, *many, *deep, env={"X": "y"})

        assert found.kind == "inject", found.problems


def test_an_importer_is_stored_with_a_warning_where_the_mistake_is_the_exporters():
    """An exporter that changes its key does not keep its importers from being changed."""
    there = exporter({"API_KEY": "#{k8s:db#x}"})
    app = service("shop", "app", {"__import_svc": TAKEN})
    request = Request(
        uid="1",
        kind=Kind(kind="ServiceSecrets"),
        operation="CREATE",
        namespace="shop",
        object=app,
    )

    found = validate.validate(request, Catalog.of([there]))

    assert found.kind == "allow"
    assert [text[:6] for text in found.warnings] == ["SI-130"]


def test_a_slip_in_a_foreign_expression_names_none_of_its_neighbours():
    """The exporter reads the hint in its own denial; the importer is told no other key's name."""
    there = exporter(
        {"API_KEY": "#{HIDEN}", "HIDDEN": "x"},
        exports=[{"to": {"namespaces": ["shop"]}, "keys": ["API_KEY"]}],
    )

    found = decided(TAKEN, there)

    assert asking.codes(found) == ["SI-116"]
    assert not any("HIDDEN" in problem.render() for problem in found.problems)
