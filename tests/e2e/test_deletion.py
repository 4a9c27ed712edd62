"""Our own objects while every replica is dead: they can be deleted, and no spec of them changes.

The chart's validating webhooks are installed without a webhook behind them, and told to ask about
one namespace alone, so that no other test meets them.
"""

import pytest
import yaml

from tests.chart.manifests import CHART
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import until

SPEC = {"env": {"A": "x"}}


def service(name, **spec):
    """Return a service of one literal."""
    return {
        "apiVersion": "secret-injector.io/v1alpha1",
        "kind": "ServiceSecrets",
        "metadata": {"name": name},
        "spec": {**SPEC, **spec},
    }


def refusal(act):
    """Return what the API server says against it; None when it is done."""
    try:
        act()
    except ApiError as error:
        return error.message
    return None


@pytest.fixture
def dead(cluster, helm, namespace):
    """Return a namespace with two services, about whose objects a dead webhook is asked."""
    text = helm(
        "template", "dead", CHART, "--namespace", "dead-system", "--values", "-", stdin="{}"
    )
    objects = [item for item in yaml.safe_load_all(text) if item]
    definitions = [i for i in objects if i["kind"] == "CustomResourceDefinition"]
    cluster.apply(definitions)
    for item in definitions:
        cluster.wait_condition(item["kind"], item["metadata"]["name"], condition="Established")
    until(
        lambda: cluster.create(service("first"), namespace),
        what="the definitions are served",
        timeout_s=30,
        retry_on=(ApiError,),
    )
    cluster.create(service("second"), namespace)
    [hooks] = [i for i in objects if i["kind"] == "ValidatingWebhookConfiguration"]
    own = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    for hook in hooks["webhooks"]:
        assert hook["clientConfig"]["service"]["namespace"] == "dead-system"  # where nobody is
        hook["namespaceSelector"] = own
    cluster.apply(hooks)
    until(
        lambda: refusal(lambda: cluster.create(service("third"), namespace, dry_run=True)),
        what="the webhooks are in force",
        timeout_s=60,
    )
    yield namespace
    cluster.delete(hooks["kind"], hooks["metadata"]["name"])


def test_our_objects_can_be_deleted_while_every_replica_is_dead(cluster, dead):
    """A service goes, though nobody answers; one that is new or changed waits for an answer."""
    refused = 'failed calling webhook "resources.secret-injector.io"'
    assert refused in refusal(lambda: cluster.create(service("third"), dead))
    changed = {"spec": {"env": {"A": "y"}}}
    assert refused in refusal(lambda: cluster.patch("ServiceSecrets", "second", changed, dead))

    cluster.delete("ServiceSecrets", "first", dead)

    names = [item["metadata"]["name"] for item in cluster.find("ServiceSecrets", dead)]
    assert names == ["second"]


def test_a_finalizer_can_be_taken_off_while_every_replica_is_dead(cluster, dead):
    """What holds an object back is metadata, about which nobody is asked."""
    held = {"metadata": {"finalizers": ["example.com/held"]}}
    cluster.patch("ServiceSecrets", "second", held, dead)
    cluster.kubectl("delete", "svcsec", "second", "-n", dead, "--wait=false")
    cluster.patch("ServiceSecrets", "second", {"metadata": {"finalizers": None}}, dead)

    until(
        lambda: len(cluster.find("ServiceSecrets", dead)) == 1,
        what="the object is gone",
        timeout_s=30,
    )
