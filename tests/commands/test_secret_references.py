"""`secret delete`: who refers to a secret is asked of files and of the cluster, and is named."""

import json

import pytest

from tests import asking
from tests.commands.shop import REFERENCE, TEMPLATE, add, refused
from tests.commands.test_live import (
    DEPLOYMENTS,
    ENVIRONMENTS,
    JOBS,
    PODS,
    POLICIES,
    READ,
    SERVICES,
)
from tests.server.apiserver import NAMESPACES, NODES, STORES

WORKLOADS = READ - {NAMESPACES, NODES, STORES, SERVICES, ENVIRONMENTS, POLICIES}


OF_CLUSTER = [
    (
        lambda shop: add(shop, DEPLOYMENTS, "checkout", spec={"template": TEMPLATE}),
        "Deployment shop/checkout API_KEY of annotation secret-injector.io/env",
    ),
    (
        lambda shop: add(shop, SERVICES, "checkout", spec={"env": REFERENCE}),
        "ServiceSecrets shop/checkout spec.env.API_KEY",
    ),
    (
        lambda shop: add(
            shop,
            ENVIRONMENTS,
            "dev",
            namespace=None,
            spec={
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
                "env": REFERENCE,
            },
        ),
        "EnvironmentSecrets dev spec.env.API_KEY",
    ),
]


def injected():
    """Return a pod as the webhook made it."""
    return asking.patched(TEMPLATE, asking.outcome(TEMPLATE))


@pytest.mark.parametrize(("prepare", "place"), OF_CLUSTER)
def test_a_secret_stays_while_its_namespace_refers_to_it(shop, prepare, place):
    """The whole of it and the key that is meant; another key goes, and force asks nobody."""
    prepare(shop)

    whole = shop.secret("delete", "payment")
    key = shop.secret("delete", "payment", "api-key")
    other = shop.secret("delete", "payment", "spare")
    elsewhere = shop.secret("delete", "payment", "-n", "billing")
    left = shop.values("payment")
    forced = shop.secret("delete", "payment", "--force")

    assert refused(whole, place)
    assert refused(key, place, secret="payment#api-key")
    assert (other.status, left) == (0, {"api-key": "1"})
    assert (elsewhere.status, shop.there("payment", "billing")) == (0, None)
    assert (forced.status, shop.there("payment")) == (0, None)


def test_a_running_pod_counts_by_what_it_reads_and_one_that_ended_does_not(shop):
    """A pod without an annotation, which was taken away since, reads what it was made with."""
    spec = injected()["spec"]
    add(shop, PODS, "runs", spec=spec, status={"phase": "Running"})
    add(shop, PODS, "ended", spec=spec, status={"phase": "Succeeded"})
    complete = {"conditions": [{"type": "Complete", "status": "True"}]}
    add(shop, JOBS, "done", spec={"template": TEMPLATE}, status=complete)

    first = shop.secret("delete", "payment")
    shop.cluster.do(shop.cluster.api.delete(PODS, "runs"))
    second = shop.secret("delete", "payment")

    assert refused(first, "Pod shop/runs API_KEY of annotation secret-injector.io/env")
    assert (second.status, second.err) == (0, "payment is deleted\n")


def test_an_expression_of_another_namespace_reads_no_secret_and_holds_none_back(shop):
    """A key of another namespace may not read this one's Secrets, so no pod can use it for that."""
    exports = [{"to": {"namespaces": ["shop"]}, "keys": ["API_KEY"]}]
    add(shop, SERVICES, "base", "billing", spec={"env": REFERENCE, "exports": exports})
    add(shop, SERVICES, "checkout", spec={"env": {"KEY": "#{$base.billing/API_KEY}"}})

    done = shop.secret("delete", "payment")

    assert (done.status, done.err) == (0, "payment is deleted\n")


def test_a_secret_by_which_a_store_is_entered_is_referred_to(shop):
    """Its pods could not log in any more."""
    key = {"secretRef": {"name": "payment", "key": "api-key"}}
    spec = asking.vault()["spec"]["vault"] | {"auth": {"token": {"token": key}}}
    add(shop, STORES, "vault", namespace=None, spec={"vault": spec})
    add(shop, SERVICES, "checkout", spec={"env": {"A": "#{vault:kv/a#b}"}})

    done = shop.secret("delete", "payment")

    assert refused(done, "ServiceSecrets shop/checkout login to the store vault")


def test_every_store_of_the_kind_reads_the_same_secrets(shop):
    """Under whatever name; a path of another kind of store is another thing."""
    add(shop, STORES, "own", namespace=None, spec={"k8s": {}})
    add(shop, STORES, "vault", namespace=None, spec=asking.vault()["spec"])
    add(shop, SERVICES, "a", spec={"env": {"A": "#{own:payment#api-key}"}})
    add(shop, SERVICES, "b", spec={"env": {"B": "#{vault:payment#api-key}"}})

    done = shop.secret("delete", "payment")

    assert refused(done, "ServiceSecrets shop/a spec.env.A")


def test_the_cluster_is_asked_for_no_more_than_can_refer(shop):
    """Our definitions from everywhere, of the rest what makes pods in this namespace."""
    shop.cluster.api.seen.clear()

    shop.secret("delete", "payment")

    secret = "/api/v1/namespaces/shop/secrets/payment"
    namespaced = {f"{g}/namespaces/shop/{p}" for g, _, p in (w.rpartition("/") for w in WORKLOADS)}
    assert set(shop.cluster.api.seen) == {
        *(("list", path) for path in {STORES, SERVICES, ENVIRONMENTS, POLICIES} | namespaced),
        ("get", f"{NAMESPACES}/shop"),
        ("get", secret),
        ("delete", secret),
    }


def test_what_may_not_be_listed_could_refer_and_is_named(shop):
    """All of it, each with how to ask for the right; nothing was deleted."""
    shop.cluster.api.forbidden |= {f"{NAMESPACES}/shop", STORES}

    done = shop.secret("delete", "payment")

    assert done.status == 5
    assert done.err.splitlines() == [
        f"SI-403 the API server {NAMESPACES}/shop: 403 Forbidden",
        "       hint: kubectl auth can-i get namespaces -n shop",
        f"SI-403 the API server {STORES}: 403 Forbidden",
        "       hint: kubectl auth can-i list clustersecretstores --all-namespaces",
    ]
    assert shop.there("payment") is not None


def test_files_and_the_cluster_are_looked_at_together(shop):
    """What a file says already does not hide what the cluster still says, and the other way."""
    add(shop, SERVICES, "old", spec={"env": REFERENCE})
    files = [
        {**asking.service("shop", "old", {}), "apiVersion": "secret-injector.io/v1alpha1"},
        {"apiVersion": "v1", "kind": "Pod", **TEMPLATE},
    ]
    (shop.folder / "new.json").write_text(json.dumps({"kind": "List", "items": files}))

    done = shop.secret("delete", "payment", "-f", "new.json", "--cluster")

    assert refused(
        done,
        "Pod shop/app-0 API_KEY of annotation secret-injector.io/env",
        "ServiceSecrets shop/old spec.env.API_KEY",
    )


def test_of_files_only_what_is_of_the_secrets_namespace_counts(shop):
    """What names no namespace is of the Secret's, as kubectl -n would have it."""
    here = {"apiVersion": "v1", "kind": "Pod", **TEMPLATE}
    there = {**here, "metadata": {**here["metadata"], "namespace": "shop"}}
    (shop.folder / "here.json").write_text(json.dumps(here))
    (shop.folder / "there.json").write_text(json.dumps(there))

    argv = ("delete", "payment", "-n", "billing", "-f")
    used = shop.secret(*argv, "here.json", "-f", "there.json")
    free = shop.secret(*argv, "there.json")

    assert refused(used, "Pod billing/app-0 API_KEY of annotation secret-injector.io/env")
    assert (free.status, shop.there("payment", "billing")) == (0, None)
