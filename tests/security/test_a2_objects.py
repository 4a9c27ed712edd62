"""An object of the cluster that costs too much to read harms nobody but those who need it."""

import pytest

from tests import asking
from tests.asking import service
from webhook.core import conditions, resources
from webhook.core.catalog import Catalog
from webhook.core.decide import decide
from webhook.core.our_container import Injection
from webhook.core.review import Kind, Request
from webhook.core.validate import validate

STORE = {
    "kind": "ClusterSecretStore",
    "metadata": {"name": "vault"},
    "spec": {"vault": {"address": "https://vault:8200", "auth": {"kubernetes": {"role": "a"}}}},
}
POISON = {f"K{number}": "#{A}" * 700 for number in range(512)}
"""Legal to the schema and 1.4 MB: 358,000 references."""
WHAT = "reading this object takes more work than one may, so nothing of it is used"


def outcome(catalog, annotations, namespace="shop"):
    """Return what is decided about a pod with these annotations of ours."""
    pod = asking.pod(annotations)
    pod["metadata"]["namespace"] = namespace
    request = Request(
        uid="1", kind=Kind(kind="Pod"), operation="CREATE", namespace=namespace, object=pod
    )
    return decide(request, catalog, Injection(image="i"))


def raw(kind, name, **spec):
    """Return an object of ours."""
    return {"kind": kind, "metadata": {"name": name, "generation": 1}, "spec": spec}


EXPORTS = [{"to": {"namespaces": ["billing"]}, "keys": ["*"]}]
SERVICES = [
    service("shop", "poison", POISON, exports=EXPORTS),
    service("shop", "sound", {"A": "#{k8s:a#x}"}),
    service("shop", "importer", {"__import_svc": "$poison", "B": "#{k8s:b#x}"}),
]
NEEDS = {
    "as its own service": ("shop", {"service": "poison"}),
    "by a service that imports it": ("shop", {"service": "importer"}),
    "by an import of its own": ("shop", {"env": "__import_svc: $poison"}),
    "by a key": ("shop", {"env": 'A: "#{$poison/K1}"'}),
    "by an import from elsewhere": ("billing", {"env": "__import_svc: $poison.shop"}),
    "by a named import from elsewhere": (
        "billing",
        {"env": "__import_svc: {from: $poison.shop, keys: [K1]}"},
    ),
    "by a key from elsewhere": ("billing", {"env": 'A: "#{$poison.shop/K1}"'}),
}


@pytest.mark.parametrize("need", NEEDS)
def test_what_needs_a_service_that_cannot_be_used_is_denied_with_that_reason(need):
    """SI-128 names the object; nobody is told that it does not exist."""
    namespace, annotations = NEEDS[need]

    found = outcome(Catalog.of(SERVICES), annotations, namespace)

    assert (found.kind, found.facts["codes"]) == ("deny", ["SI-128"])
    assert {(p.what, p.origin) for p in found.problems} == {(WHAT, "ServiceSecrets shop/poison")}


def test_everything_else_is_served():
    """A service beside the poison is injected, and so is a pod that names no service."""
    catalog = Catalog.of(SERVICES)

    kinds = [
        outcome(catalog, wish).kind for wish in ({"service": "sound"}, {"env": 'A: "#{k8s:a#x}"'})
    ]

    assert kinds == ["inject", "inject"]


def test_to_whom_nothing_is_offered_is_not_told_that_it_cannot_be_used():
    """A namespace without a grant reads what it reads of a service that does not exist."""
    found = outcome(Catalog.of(SERVICES), {"env": 'A: "#{$poison.shop/K1}"'}, "stranger")

    assert [p.what for p in found.problems] == ["nothing called $poison.shop/K1 is offered here"]


def test_an_environment_that_cannot_be_used_denies_those_who_use_it():
    """A pod with `$/KEY` is denied with SI-128; one without it is injected."""
    catalog = Catalog.of([raw("EnvironmentSecrets", "prod", env=POISON)])

    denied = outcome(catalog, {"env": 'A: "#{$/K1}"'})
    served = outcome(catalog, {"env": 'A: "#{k8s:a#x}"'})

    assert [(p.what, p.origin) for p in denied.problems] == [(WHAT, "EnvironmentSecrets prod")]
    assert served.kind == "inject"


def test_a_policy_that_cannot_be_used_denies_what_it_matches_and_nothing_else():
    """Whom it matches is read first; what it allows is not known, so nothing is allowed."""
    paths = [{"store": "v", "allow": [f"{'a*' * 250}{n}" for n in range(256)]} for _ in range(64)]
    policy = raw(
        "ClusterInjectionPolicy",
        "heavy",
        match={"serviceAccounts": ["checkout"]},
        rules={"paths": paths},
    )
    catalog = Catalog.of([policy])
    heavy = catalog.policies["heavy"]

    assert heavy.service_accounts == ("checkout",)
    assert [problem.what for problem in heavy.problems] == [WHAT]
    assert outcome(catalog, {"env": 'A: "#{k8s:a#x}"'}).kind == "inject"  # ServiceAccount default


def test_its_status_says_so():
    """`Ready` is False with the reason SI128, and the message says why."""
    poison = service("shop", "poison", POISON)

    status = conditions.status("ServiceSecrets", poison, Catalog(), now="2026-01-01T00:00:00Z")

    (condition,) = status["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "SI128")
    assert condition["message"] == f"SI-128 (ServiceSecrets shop/poison): {WHAT}"


def test_it_is_not_stored_while_the_webhook_is_there():
    """To store it is refused with the same reason."""
    poison = service("shop", "poison", POISON)
    request = Request(
        uid="1",
        kind=Kind(kind="ServiceSecrets"),
        operation="CREATE",
        namespace="shop",
        name="poison",
        object=poison,
    )

    found = validate(request, Catalog())

    assert (found.kind, [p.what for p in found.problems]) == ("deny", [WHAT])


def test_the_largest_ordinary_service_is_read():
    """As many keys as there may be, each with two references and a pattern, are within a budget."""
    env = {
        f"K{n}": {
            "value": f"postgres://#{{vault:kv/shop/db{n}#k | urlencode}}@#{{$/HOST}}/x",
            "matches": "^postgres://",
        }
        for n in range(512)
    }

    assert resources.service(service("shop", "large", env)).problems == ()
