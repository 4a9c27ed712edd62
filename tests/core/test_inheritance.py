"""Imports: who gets which key, from whom, and how much work that may be."""

import pytest

from tests import asking
from tests.asking import service
from webhook.core import decide, inheritance
from webhook.core.catalog import Catalog

VAULT = asking.vault()
NAMESPACES = {"a": {"team": "one"}, "b": {"team": "two"}, "c": {"team": "two"}, "d": {}, "e": {}}
EXPORT = {
    "no grant": [],
    "grant": [{"to": {"namespaces": ["b"], "services": ["app"]}, "keys": ["KEY"]}],
    "wildcard": [{"to": {"namespaces": ["*"]}, "keys": ["*"]}],
    "other key": [{"to": {"namespaces": ["*"]}, "keys": ["OTHER"]}],
    "other service": [{"to": {"namespaces": ["b"], "services": ["nobody"]}, "keys": ["*"]}],
}


def _owner(grant):
    return service("a", "own", {"KEY": "#{vault:own/key#x}"}, exports=EXPORT[grant])


def _namespaces():
    return [
        {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, labels in NAMESPACES.items()
    ]


def _is_granted(grant, namespace):
    return namespace == "a" or grant == "wildcard" or (grant == "grant" and namespace == "b")


TAKEN = {"from": "$own.a", "keys": ["KEY"]}
ASKS = {
    "env": ({"env": 'X: "#{$own.a/KEY}"'}, ()),
    "file": ({"files": 'x: "#{$own.a/KEY}"'}, ()),
    "import": ({"env": "__import_svc: {from: $own.a, keys: [KEY]}"}, ()),
    "service": ({}, {"__import_svc": TAKEN}),
    "import of import": ({}, {"__import_svc": "$middle"}),
}


def _decided(how, namespace, *objects):
    annotations, env = ASKS[how]
    app = service(namespace, "app", dict(env) if env else {"OWN": "x"})
    middle = service(namespace, "middle", {"__import_svc": TAKEN})
    found = asking.pod({"service": "app", **annotations})
    return asking.outcome(found, app, middle, VAULT, *objects, *_namespaces(), namespace=namespace)


@pytest.mark.parametrize("how", ASKS)
@pytest.mark.parametrize("grant", EXPORT)
@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_key_of_another_namespace_needs_its_owners_grant(namespace, grant, how):
    """Every way to name the key meets the same gate; a namespace's own services pass it."""
    is_granted = _is_granted(grant, namespace)
    if how == "import of import" and grant == "grant" and namespace == "b":
        is_granted = False  # the grant names the service app; it is middle that imports here

    decided = _decided(how, namespace, _owner(grant))

    assert decided.kind == ("inject" if is_granted else "deny")


@pytest.mark.parametrize("how", ASKS)
@pytest.mark.parametrize("grant", ["no grant", "other key", "other service"])
def test_what_is_missing_reads_exactly_like_what_is_not_granted(grant, how):
    """No answer tells whether a service or a key of another namespace exists."""
    missing = _decided(how, "b")
    other = _decided(how, "b", service("a", "own", {"ELSE": "x"}, exports=EXPORT["wildcard"]))
    forbidden = _decided(how, "b", _owner(grant))

    assert forbidden.kind == missing.kind == "deny"
    assert forbidden.problems == missing.problems
    assert other.problems == missing.problems


def test_a_grant_withdrawn_is_gone_with_the_next_snapshot():
    """Nothing of an earlier snapshot's answer is kept."""
    app = service("b", "app", {"X": "#{$own.a/KEY}"})
    pod = asking.pod({"service": "app"})
    granted = Catalog.of([app, VAULT, _owner("grant")])
    withdrawn = granted.with_object("ServiceSecrets", _owner("no grant"))

    assert asking.outcome(pod, catalog=granted, namespace="b").kind == "inject"
    assert asking.outcome(pod, catalog=withdrawn, namespace="b").kind == "deny"
    assert asking.outcome(pod, catalog=granted, namespace="b").kind == "inject"


def test_labels_of_a_namespace_grant_nothing():
    """A grant names namespaces; a tenant that labels its own gains nothing by it."""
    relabelled = {"kind": "Namespace", "metadata": {"name": "b", "labels": {"name": "a"}}}

    assert _decided("env", "b", _owner("no grant"), relabelled).kind == "deny"


def test_a_grant_is_not_handed_on_to_a_third_namespace():
    """`b` may use what `a` owns; that does not let `b` offer it to `c` by re-export."""
    middle = service("b", "app", {"__import_svc": TAKEN, "MINE": "x"}, exports=EXPORT["wildcard"])
    last = service("c", "last", {"__import_svc": {"from": "$app.b", "keys": ["MINE", "KEY"]}})
    catalog = Catalog.of([_owner("grant"), middle, last])

    found = inheritance.effective(catalog, "c", "last")

    assert sorted(found.keys) == ["MINE"]
    [problem] = found.problems
    assert problem.what == "nothing called $app.b/KEY is offered here"


def test_stronger_definitions_win_and_say_what_they_won_over():
    """The container, the annotation, the service, its last import, its first import."""
    objects = [
        service("shop", "app", {"__import_svc": ["$one", "$two"], "A": "app", "B": "app"}),
        service("shop", "one", {"A": "one", "B": "one", "C": "one", "D": "one", "E": "one"}),
        service("shop", "two", {"A": "two", "C": "two"}),
    ]
    pod = asking.pod(
        {"inject": "true", "service": "app", "env": "D: pod\nA: pod"},
        env=[{"name": "E", "value": "#{D}!"}],
    )
    made, _, problems, _ = decide.make("shop", pod, Catalog.of(objects), asking.INJECTION)

    assert problems == ()
    won = {
        trace.target: (trace.key.value, [key.value for key in trace.overrode])
        for trace in made.resolution.traces
    }
    assert {name: (value[0], [v[0] for v in over]) for name, (value, over) in won.items()} == {
        "A": ("pod", ["app", "two", "one"]),
        "B": ("app", ["one"]),
        "C": ("two", ["one"]),
        "D": ("pod", ["one"]),
        "E": (won["E"][0][0], ["one"]),
    }


def _circle(count):
    return [
        service("shop", f"s{at:03}", {"__import_svc": f"$s{(at + 1) % count:03}"})
        for at in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 8, 64])
@pytest.mark.parametrize("start", [0, 1])
def test_services_that_import_each_other_are_told_the_whole_circle(count, start):
    """The same circle reads the same wherever one comes into it."""
    names = [f"shop/s{at:03}" for at in range(count)]

    decided = asking.outcome(asking.pod({"service": f"s{start % count:03}"}), *_circle(count))

    [cycle] = [p for p in decided.problems if p.code.id == "SI-115"]
    assert cycle.what == "services import each other: " + " → ".join([*names, names[0]])


def test_a_circle_of_a_hundred_is_denied_by_its_size():
    """More than 64 objects are not walked."""
    decided = asking.outcome(asking.pod({"service": "s000"}), *_circle(100))

    assert asking.codes(decided) == ["SI-117"]


def test_a_service_beside_a_circle_is_not_harmed():
    """What does not import a circle knows nothing of it."""
    objects = [*_circle(3), service("shop", "fine", {"A": "x"})]

    assert asking.outcome(asking.pod({"service": "fine"}), *objects).kind == "inject"


@pytest.mark.parametrize(("depth", "kind"), [(8, "inject"), (9, "deny")])
def test_imports_are_eight_deep_and_no_deeper(depth, kind):
    """A chain of eight services passes, of nine not, whichever of them was asked first."""
    objects = [
        service("shop", f"s{at}", {"__import_svc": f"$s{at + 1}"} if at < depth - 1 else {"A": "x"})
        for at in range(depth)
    ]
    catalog = Catalog.of(objects)

    assert asking.outcome(asking.pod({"service": "s0"}), catalog=catalog).kind == kind
    assert asking.outcome(asking.pod({"service": "s1"}), catalog=catalog).kind == "inject"


@pytest.mark.parametrize(("count", "kind"), [(64, "inject"), (65, "deny")])
def test_imports_reach_sixty_four_objects_and_no_more(count, kind):
    """The importing service counts as one."""
    names = [f"s{at}" for at in range(count - 1)]
    objects = [
        service("shop", "app", {"__import_svc": [f"$g{at}" for at in range(3)]}),
        *(
            service("shop", f"g{at}", {"__import_svc": [f"${n}" for n in names[3:][at::3]]})
            for at in range(3)
        ),
        *(service("shop", name, {f"K{name}": "x"}) for name in names[3:]),
    ]

    decided = asking.outcome(asking.pod({"service": "app"}), *objects)

    assert (decided.kind, len(objects)) == (kind, count)
