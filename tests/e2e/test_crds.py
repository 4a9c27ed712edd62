"""The definitions of our kinds on a real API server: what it accepts, and what it says otherwise.

They are installed under names of their own, so that no webhook of a release has a say.
"""

import pytest
import yaml

from tests.chart import specs
from tests.chart.manifests import CHART
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import until

GROUP = "trial.secret-injector.io"
VAULT = {"address": "https://vault:8200", "auth": {"kubernetes": {"role": "app"}}}
GCP = {"auth": {"workloadIdentity": {"provider": "identitynamespace:p.svc.id.goog:https://c"}}}
AWS = {"region": "eu-west-1", "auth": {"podIdentity": {}}}
SECRET = {"secretRef": {"name": "a", "key": "b"}}
REST = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was"
    " invalid; correct the existing errors to complete validation"
)


@pytest.fixture(scope="module")
def judge(cluster, helm):
    """Return a function from (kind, spec, name) to what the API server has against the object."""
    text = helm("template", "x", CHART, "--namespace", "x")
    installed = []
    for item in yaml.safe_load_all(text):
        if item and item["kind"] == "CustomResourceDefinition":
            names = item["spec"]["names"]
            plural, kind = f"trial{names['plural']}", f"Trial{names['kind']}"
            item["metadata"] = {"name": f"{plural}.{GROUP}"}
            item["spec"]["group"] = GROUP
            item["spec"]["names"] = {"plural": plural, "kind": kind, "singular": kind.lower()}
            cluster.apply(item)
            installed.append(item["metadata"]["name"])
    for name in installed:
        cluster.wait_condition("CustomResourceDefinition", name, condition="Established")

    def judged(kind, spec, name="sample"):
        manifest = {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": f"Trial{kind}",
            "metadata": {"name": name},
            "spec": spec,
        }
        try:
            answer = cluster.create(manifest, dry_run=True)
        except ApiError as error:
            return [error.message.partition(" is invalid: ")[2] or error.message]
        return [*answer.warnings]

    until(
        lambda: judged("ClusterSecretStore", {}) != [],
        what="the new definitions are served",
        timeout_s=30,
        retry_on=(ApiError,),
    )
    yield judged
    for name in installed:
        cluster.delete("CustomResourceDefinition", name)


@pytest.mark.parametrize(
    ("kind", "spec"), [(kind, spec) for kind, all_of in specs.BY_KIND.items() for spec in all_of]
)
def test_right_specs_are_accepted(judge, kind, spec):
    """Each right spec is stored without an error, a warning or a field lost."""
    assert judge(kind, spec) == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {},
            ("spec: Invalid value: needs one of vault, awsSecretsManager, awsParameterStore,"
            " azureKeyVault, gcpSecretManager, local, sops, k8s"),
        ),
        (
            {"vault": VAULT, "k8s": {}},
            "spec: Invalid value: has vault k8s; exactly one is allowed",
        ),
        (
            {"vault": VAULT | {"address": "http://vault:8200"}},
            ('spec.vault.address: Invalid value: "http://vault:8200": must be https; plain http is'
            " for loopback only"),
        ),
        (
            {"vault": VAULT | {"address": "https://169.254.169.254/latest"}},
            ('spec.vault.address: Invalid value: "https://169.254.169.254/latest": is a link-local'
            " or unspecified address"),
        ),
        (
            {"vault": VAULT | {"address": "https://user@vault"}},
            ('spec.vault.address: Invalid value: "https://user@vault": must be https://HOST[:PORT]'
            "[/BASE] without user, query or fragment"),
        ),
        (
            {"vault": VAULT | {"auth": {}}},
            "spec.vault.auth: Invalid value: needs exactly one of kubernetes, jwt, appRole, token",
        ),
        (
            {"vault": VAULT | {"fallbacks": [{"address": VAULT["address"]}]}},
            "spec.vault.fallbacks: Invalid value: names an address twice",
        ),
        (
            {"vault": VAULT | {"fallbacks": [{"address": "http://other"}]}},
            ('spec.vault.fallbacks[0].address: Invalid value: "http://other": must be https; plain'
            " http is for loopback only"),
        ),
        (
            {"gcpSecretManager": GCP | {"fallbacks": [{"location": "europe-west4"}]}},
            ("spec.gcpSecretManager.fallbacks: Invalid value: goes with location: the global"
            " service answers from several places by itself"),
        ),
        (
            {"vault": VAULT, "timeout": "2m"},
            'spec.timeout: Invalid value: "2m": must be from 100ms to 60s',
        ),
        (
            {"local": {"file": {}, "identity": SECRET}},
            ("spec.local.file: Invalid value: needs exactly one of secretRef, configMapRef,"
            " imagePath"),
        ),
        (
            {"sops": {"file": {"imagePath": "/run/x.yaml"}, "identity": SECRET}},
            ("spec.sops.file.imagePath: Invalid value: must be a path such as"
            " /secrets/all.yaml, outside of what is mounted"),
        ),
        (
            {"sops": {"file": {"imagePath": "/a/../x.yaml"}, "identity": SECRET}},
            ("spec.sops.file.imagePath: Invalid value: must be a path such as"
            " /secrets/all.yaml, outside of what is mounted"),
        ),
        (
            {"awsSecretsManager": AWS | {"externalId": "x1"}},
            ("spec.awsSecretsManager.externalId: Invalid value: goes with roleArn, the role it is"
            " shown to"),
        ),
    ],
)  # fmt: skip
def test_wrong_stores_are_refused_with_the_reason(judge, spec, said):
    """A store that cannot work is refused at its place, in words that say what would."""
    assert judge("ClusterSecretStore", spec) == [said]


def test_name_of_the_built_in_store_is_taken(judge):
    """No store may be called k8s."""
    assert judge("ClusterSecretStore", {"vault": VAULT}, "k8s") == [
        "<nil>: Invalid value: the name k8s is taken: it is the store of the pod's own namespace"
    ]


@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        (
            "ServiceSecrets",
            {"presets": [{"type": "postgres", "source": "vault:a/b"}]},
            "spec.presets[0]: Invalid value: a postgres preset needs host and database",
        ),
        (
            "ServiceSecrets",
            {"presets": [{"type": "registry", "source": "k8s:a", "host": "h"}]},
            (
                "spec.presets[0]: Invalid value: host, database, userField and passwordField are"
                " for postgres, not for registry"
            ),
        ),
        (
            "EnvironmentSecrets",
            {
                "namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]},
                "env": {},
            },
            (
                "spec.namespaceSelector.matchExpressions[0].values: Invalid value: values must be"
                " set with the operator In"
            ),
        ),
        (
            "ClusterInjectionPolicy",
            {"action": "Deny"},
            "spec: Invalid value: a policy without rules, defaults and final does nothing",
        ),
        (
            "ClusterInjectionPolicy",
            {"rules": {"paths": [{"store": "v", "allow": ["kv/{pod}/*"]}]}},
            (
                'spec.rules.paths[0].allow[0]: Invalid value: "kv/{pod}/*": "kv/{pod}/*" has an'
                " unknown variable; known are {namespace}, {serviceAccount}, {service}, {definer}"
            ),
        ),
        (
            "ClusterInjectionPolicy",
            {"rules": {"paths": [{"store": "v", "allow": ["kv/a**"]}]}},
            (
                'spec.rules.paths[0].allow[0]: Invalid value: "kv/a**": "kv/a**" has ** inside a'
                " segment; ** stands for whole segments"
            ),
        ),
    ],
)
def test_wrong_objects_are_refused_with_the_reason(judge, kind, spec, said):
    """What only a rule over several fields can see is refused at its place."""
    assert judge(kind, spec) == [said]


def test_service_needs_a_name_that_references_can_hold(judge):
    """A dot would be read as the start of a namespace, so the name is refused."""
    assert judge("ServiceSecrets", {}, "a.b") == [
        (
            '<nil>: Invalid value: the name "a.b" cannot be referred to: use at most 63 of a-z, 0-9'
            " and -"
        )
    ]


def test_sizes_are_limited(judge):
    """More keys than one set may have are refused by the API server itself."""
    assert judge("ServiceSecrets", {"env": {f"K{n}": "v" for n in range(513)}}) == [
        f"[spec.env: Too many: 513: must have at most 512 items, {REST}]"
    ]
