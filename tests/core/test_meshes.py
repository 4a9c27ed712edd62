"""Beside a mesh: whose proxy counts, where our container goes, also when the mesh comes later."""

import copy

import pytest

from injector.core import plan_codec
from tests import asking
from webhook.core import meshes, sidecars
from webhook.core.catalog import Catalog
from webhook.core.our_container import PLAN_VARIABLE

ENV = {"env": 'A: "#{vault:secret/shop#key}"'}
PROXIES = {
    "Istio": ("istio-proxy", "docker.io/istio/proxyv2:1.27.1"),
    "Linkerd": ("linkerd-proxy", "cr.l5d.io/linkerd/proxy:edge-25.4.1"),
    "Consul": ("consul-dataplane", "hashicorp/consul-dataplane:1.8.0"),
    "Kuma": ("kuma-sidecar", "docker.io/kumahq/kuma-dp:2.11.0"),
}


def container(name, image, **fields):
    """Return a container."""
    return {"name": name, "image": image, **fields}


def native(owner):
    """Return a mesh's proxy as an init container that stays."""
    return container(*PROXIES[owner], restartPolicy="Always")


def pod(*inits, apps=(), **annotations):
    """Return a pod that asks for a value, with these init and further app containers."""
    found = asking.pod(ENV)
    found["metadata"]["annotations"] |= annotations
    found["spec"]["initContainers"] = list(inits)
    found["spec"]["containers"] += apps
    return found


def order(found):
    """Return the names of the init containers."""
    return [each["name"] for each in found["spec"]["initContainers"]]


def plan_of(found):
    """Return the plan that a pod carries."""
    [ours] = [c for c in found["spec"]["initContainers"] if c["name"] == "secret-injector"]
    return plan_codec.decode({e["name"]: e.get("value") for e in ours["env"]}[PLAN_VARIABLE])


def beside(found):
    """Return the mesh of a pod, as the decision sees it."""
    return meshes.of(found, sidecars.skipped(found))


@pytest.mark.parametrize("owner", PROXIES)
def test_a_native_proxy_is_gone_behind(owner):
    """Whoever's it is; the init containers behind it stay behind ours."""
    found = pod(native(owner), container("migrate", "app"))

    outcome = asking.outcome(found, asking.vault())

    name = PROXIES[owner][0]
    assert order(asking.patched(found, outcome)) == [name, "secret-injector", "migrate"]
    assert beside(found) == meshes.Beside(mesh=meshes.MESHES[owner], native=name)


@pytest.mark.parametrize("at", [0, 1])
def test_a_mesh_that_comes_after_us_is_gone_behind_in_the_second_round(at):
    """The API server asks again (reinvocationPolicy IfNeeded); a third round changes nothing."""
    first = pod(container("migrate", "app"))
    found = asking.patched(first, asking.outcome(first, asking.vault()))
    assert order(found) == ["secret-injector", "migrate"]
    found["spec"]["initContainers"].insert(at, native("Istio"))

    second = asking.patched(found, asking.outcome(found, asking.vault()))

    assert order(second) == ["istio-proxy", "secret-injector", "migrate"]
    third = asking.outcome(second, asking.vault())
    assert (third.reason, third.operations) == ("already_injected", ())


@pytest.mark.parametrize(
    ("owner", "redirecting"),
    [
        ("Istio", container("istio-init", "istio/proxyv2")),
        ("Linkerd", container("linkerd-init", "cr.l5d.io/linkerd/proxy-init:1")),
        ("Consul", container("consul-connect-inject-init", "hashicorp/consul-k8s-control-plane")),
        ("Kuma", container("kuma-init", "kumahq/kuma-init:2")),
    ],
)
def test_the_network_is_used_before_a_classic_mesh_redirects_it(owner, redirecting):
    """Also where the mesh comes after us and puts its init container first."""
    first = pod(container("migrate", "app"), apps=[container("worker", "app", command=["w"])])
    found = asking.patched(first, asking.outcome(first, asking.vault()))
    found["spec"]["initContainers"].insert(0, redirecting)
    found["spec"]["containers"].append(container(*PROXIES[owner]))

    second = asking.patched(found, asking.outcome(found, asking.vault()))

    assert order(second) == ["secret-injector", redirecting["name"], "migrate"]
    third = asking.outcome(second, asking.vault())
    assert (third.reason, third.operations) == ("already_injected", ())


def test_a_proxy_is_known_by_name_and_image_together():
    """A container that only has the name of one is the owner's."""
    found = pod(container("istio-proxy", "shop/own:1", restartPolicy="Always"))

    outcome = asking.outcome(found, asking.vault())

    assert order(asking.patched(found, outcome)) == ["secret-injector", "istio-proxy"]
    assert beside(found) is None


def test_an_init_container_with_a_proxys_name_that_ends_is_no_proxy():
    """Only one that stays leads the network of those behind it."""
    found = pod(container(*PROXIES["Istio"]))

    assert order(asking.patched(found, asking.outcome(found, asking.vault())))[0] == (
        "secret-injector"
    )


@pytest.mark.parametrize(
    ("owner", "validator"),
    [
        ("Istio", container("istio-validation", "istio/proxyv2")),
        ("Linkerd", container("linkerd-network-validator", "cr.l5d.io/linkerd/proxy:1")),
        ("Kuma", container("kuma-validation", "kumahq/kuma-init:2")),
    ],
)
def test_init_containers_without_a_network_are_warned_of_once(owner, validator):
    """A CNI plugin and a classic proxy; the port left out is the way, or a native proxy."""
    classic = container(*PROXIES[owner])
    found = pod(validator, apps=[classic])
    mesh = meshes.MESHES[owner]

    warnings = asking.outcome(found, asking.vault()).warnings

    [told] = [text for text in warnings if text.startswith("SI-146")]
    assert f"{owner} takes the network of init containers" in told
    assert f'{mesh.excluding[0]}: "8200"' in told
    assert len(told) <= 256
    for name in mesh.excluding:
        excluded = copy.deepcopy(found)
        excluded["metadata"]["annotations"][name] = "8200"
        left = asking.outcome(excluded, asking.vault()).warnings
        assert not any("SI-146" in text for text in left)


def test_what_needs_no_network_is_not_warned_of():
    """Secrets of the namespace are mounted by the kubelet."""
    found = pod(
        container("istio-validation", "istio/proxyv2"),
        apps=[container(*PROXIES["Istio"])],
        **{"secret-injector.io/env": 'A: "#{k8s:shop#key}"'},
    )

    assert not any("SI-146" in text for text in asking.outcome(found).warnings)


def test_an_order_that_the_pod_sets_counts_before_the_mesh():
    """By name, or "" for first; a name that the pod has not is refused, where it is the pod's."""

    def with_order(after):
        return pod(
            native("Istio"), container("b", "app"), **{"secret-injector.io/init-after": after}
        )

    found = with_order("b")
    assert order(asking.patched(found, asking.outcome(found, asking.vault()))) == [
        "istio-proxy",
        "b",
        "secret-injector",
    ]
    found = with_order("")
    assert order(asking.patched(found, asking.outcome(found, asking.vault())))[0] == (
        "secret-injector"
    )
    assert asking.codes(asking.outcome(with_order("c"), asking.vault())) == ["SI-113"]


def test_a_policys_order_counts_where_the_pod_has_such_a_container():
    """Elsewhere the mesh decides, and nothing is refused."""
    default = asking.policy(defaults={"init-after": "b"})

    found = pod(container("a", "app"), container("b", "app"))
    decided = asking.outcome(found, asking.vault(), default)
    assert order(asking.patched(found, decided)) == ["a", "b", "secret-injector"]
    found = pod(native("Istio"), container("a", "app"))
    decided = asking.outcome(found, asking.vault(), default)
    assert order(asking.patched(found, decided)) == ["istio-proxy", "secret-injector", "a"]


def test_pods_that_differ_in_whose_order_or_restart_it_is_share_no_decision():
    """Decisions of a snapshot are kept: what they depend on is part of what they are kept by."""
    catalog = Catalog.of([asking.vault(), asking.policy(defaults={"init-after": "gone"})])
    own = pod(container("a", "app"), **{"secret-injector.io/init-after": "gone"})
    defaulted = pod(container("a", "app"))
    once = pod(container("a", "app"))
    once["spec"]["restartPolicy"] = "Never"

    kinds = [asking.outcome(found, catalog=catalog).kind for found in (own, defaulted, own)]
    plans = [
        plan_of(asking.patched(found, asking.outcome(found, catalog=catalog)))
        for found in (defaulted, once)
    ]

    assert kinds == ["deny", "inject", "deny"]
    assert [plan.is_restarted for plan in plans] == [True, False]
    assert [plan.is_patient for plan in plans] == [False, True]
