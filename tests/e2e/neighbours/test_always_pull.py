"""AlwaysPullImages, the admission plugin of clusters that several tenants share.

It sets `imagePullPolicy: Always` on every container, ours too, before and after our webhook.
"""

from __future__ import annotations

import pytest

from tests.e2e.scenarios import other_webhook, pods
from tests.e2e.testbed import product, registry
from tests.e2e.testbed.images import base_images
from tests.e2e.testbed.process import until


@pytest.fixture(scope="module")
def always_pull(system, local_cluster, say):
    """Switch the plugin on, with a registry that the node can pull from; off again later."""
    with registry.running(local_cluster, [*base_images(), product.build_image(say)]):
        local_cluster.restart_api_server(plugins=("AlwaysPullImages",))
        yield
        local_cluster.restart_api_server()


def policies(pod):
    """Return the pull policy of every container."""
    everyone = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
    return {each["name"]: each["imagePullPolicy"] for each in everyone}


def wait_until_on(tenant):
    """Wait until the plugin works: it is there from the start, but the webhooks may not be."""
    plain = pods.pod("plain", pods.app(command=pods.SLEEP), initContainers=[pods.app("setup")])
    until(
        lambda: (
            policies(tenant.cluster.create(plain, tenant.namespace, dry_run=True).json())
            == {"setup": "Always", "app": "Always"}
        ),
        what="images are always pulled",
        timeout_s=20,
    )


def test_an_injected_pod_starts_where_images_are_always_pulled(always_pull, tenant, inside):
    """The plugin changes our container, and nobody minds."""
    wait_until_on(tenant)
    tenant.put_secret("s", {"password": "open sesame"})
    pod = pods.pod(
        "app",
        pods.app(command=pods.SLEEP),
        annotations=pods.asking(env={"PASSWORD": "#{k8s:s#password}"}),
    )

    tenant.apply(pod)

    assert inside("app").environ() == {b"PASSWORD": b"open sesame"}
    stored = tenant.cluster.get("Pod", "app", tenant.namespace)
    assert policies(stored) == {pods.OURS: "Always", "app": "Always"}


def test_it_starts_beside_a_webhook_that_makes_the_api_server_ask_again(
    always_pull, tenant, inside, tmp_path
):
    """In the second round our container is already as the plugin wants it."""
    wait_until_on(tenant)
    tenant.put_secret("s", {"password": "open sesame"})
    pod = pods.pod(
        "app",
        pods.app(command=pods.SLEEP),
        annotations=pods.asking(env={"PASSWORD": "#{k8s:s#password}"}),
    )

    with other_webhook.running(tenant.cluster, tmp_path, tenant.namespace):
        until(
            lambda: (
                "mesh"
                in policies(tenant.cluster.create(pod, tenant.namespace, dry_run=True).json())
            ),
            what="the other webhook is called",
            timeout_s=20,
        )
        tenant.apply(pod)

    assert inside("app").environ() == {b"PASSWORD": b"open sesame"}
    stored = tenant.cluster.get("Pod", "app", tenant.namespace)
    assert policies(stored) == {pods.OURS: "Always", "app": "Always", "mesh": "Always"}
