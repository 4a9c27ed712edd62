"""Inside the API server: an annotation that is nearly ours asks for nothing, and a warning says so.

It is installed for one namespace, so that no release is asked.
"""

import json

import pytest
import yaml

from tests.chart.manifests import CHART
from tests.e2e.testbed.process import until

NAMESPACE = "typos-watched"
LABELS = {"typos-test": "yes"}
POLICY = "typos-secret-injector-typos"
READ = "secret-injector.io/"


def said(name):
    """Return the warning about an annotation."""
    meant = READ + name.partition("/")[2]
    return (
        f"Validation failed for ValidatingAdmissionPolicy '{POLICY}' with binding '{POLICY}':"
        f" the annotation {name} is not read: did you mean {meant}?"
    )


def pod(**annotations):
    """Return a pod with annotations."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "trial", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    }


def workload(kind, version, wrap, **annotations):
    """Return a workload with a pod template, put into its spec by `wrap`."""
    template = pod(**annotations)
    template["metadata"]["labels"] = {"app": "trial"}
    template["spec"]["restartPolicy"] = "Always" if version == "apps/v1" else "Never"
    spec = wrap({key: template[key] for key in ("metadata", "spec")})
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "trial"}, "spec": spec}


def selecting(template):
    """Return the spec of a Deployment."""
    return {"selector": {"matchLabels": {"app": "trial"}}, "template": template}


def cron(template):
    """Return the spec of a CronJob."""
    return {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}}


@pytest.fixture(scope="module")
def warnings(cluster, helm):
    """Return a function from an object to the warnings at its creation."""
    values = {"webhook": {"namespaceSelector": {"matchLabels": LABELS}}}
    text = helm(
        *("template", "typos", CHART, "--namespace", "typos-system", "--values", "-"),
        *("--show-only", "templates/typos.yaml"),
        stdin=json.dumps(values),
    )
    metadata = {"name": NAMESPACE, "labels": LABELS}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    objects = [namespace, *yaml.safe_load_all(text)]
    cluster.apply(objects)

    def told(raw):
        answer = cluster.create(raw, NAMESPACE, dry_run=True)
        # The release of other tests may be installed, and says the same in its own name.
        return [line for line in answer.warnings if f"'{POLICY}'" in line]

    until(
        lambda: told(pod(**{"secrets-injector.io/inject": "true"})),
        what="the policy is in force",
        timeout_s=60,
    )
    yield told
    for item in reversed(objects):
        cluster.delete(item["kind"], item["metadata"]["name"])


@pytest.mark.parametrize(
    "name",
    [
        "secrets-injector.io/inject",
        "secret-injector.com/env",
        "secretinjector.io/service",
        "secret-injetor.io/env",
        "sercet-injector.io/files.app",
        "secret-inject.io/env",
        "secret-injector/inject",
    ],
)
def test_a_prefix_that_is_nearly_ours_is_told(warnings, name):
    """The pod is made; whoever makes it reads what was meant."""
    assert warnings(pod(**{name: "x"})) == [said(name)]


def test_other_prefixes_are_left_alone(warnings):
    """Ours, and those that only sound alike."""
    names = (
        "secret-injector.io/inject",
        "vault.hashicorp.com/agent-inject",
        "secret-injector.example.org/team",
        "injector.io/secret",
        "sealedsecrets.bitnami.com/managed",
        "reloader.stakater.com/auto",
    )

    assert warnings(pod(**dict.fromkeys(names, "false"))) == []


@pytest.mark.parametrize(
    ("kind", "version", "wrap"),
    [
        ("Deployment", "apps/v1", selecting),
        ("DaemonSet", "apps/v1", selecting),
        ("Job", "batch/v1", lambda template: {"template": template}),
        ("CronJob", "batch/v1", cron),
    ],
)
def test_workloads_are_looked_at_with_their_pod_templates(warnings, kind, version, wrap):
    """At `kubectl apply`, where somebody reads it, and not only at the pods of a controller."""
    name = "secrets-injector.io/inject"

    assert warnings(workload(kind, version, wrap, **{name: "x"})) == [said(name)]
    bad = workload(kind, version, wrap)
    bad["metadata"]["annotations"] = {name: "x"}
    assert warnings(bad) == [said(name)]
    assert warnings(workload(kind, version, wrap)) == []


def test_a_pod_of_a_controller_is_left_alone(warnings):
    """Nobody reads its warnings."""
    raw = pod(**{"secrets-injector.io/inject": "true"})
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "b"}
    raw["metadata"]["ownerReferences"] = [{**owner, "controller": True}]

    assert warnings(raw) == []


def test_the_policy_is_well_formed(cluster, warnings):
    """The API server has no objection to its expressions."""
    policy = cluster.get("ValidatingAdmissionPolicy", POLICY)

    assert policy.get("status", {}).get("typeChecking", {}).get("expressionWarnings", []) == []
