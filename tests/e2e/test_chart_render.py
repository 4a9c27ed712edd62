"""The chart through real Helm: what it renders."""

import json

import pytest
import yaml

from tests.chart.manifests import CHART

NAMESPACE = "injector-system"
DIGEST = "sha256:" + "a" * 64
DIGEST = "sha256:" + "a" * 64
CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

EVERYTHING = {
    "replicaCount": 3,
    "commonLabels": {"team": "platform"},
    "global": {"imageRegistry": "mirror.example.org", "imagePullSecrets": ["a", {"name": "b"}]},
    "image": {"digest": DIGEST},
    "webhook": {
        "hostNetwork": True,
        "objectSelector": {"matchLabels": {"x": "y"}},
        "namespaceSelector": {"matchLabels": {"tier": "apps"}},
        "matchConditions": [{"name": "not-batch", "expression": "true"}],
        "annotations": {"note": "x"},
        "apiServerCIDRs": ["10.0.0.0/28"],
        "clientCA": {"bundle": CA, "allowedNames": ["kube-apiserver"], "mode": "require"},
    },
    "guard": {
        "images": ["mirror.example.org/*", "other:1"],
        "previousImages": [f"mirror.example.org/secret-injector@sha256:{'b' * 64}"],
    },
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {}}],
        "egress": [{"ports": [{"port": 443}]}],
    },
    "metrics": {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
    "podDisruptionBudget": {"minAvailable": None, "maxUnavailable": "50%"},
    "crds": {"keep": False, "annotations": {"a": "b"}},
    "serviceAccount": {"annotations": {"a": "b"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "affinity": {"nodeAffinity": {}},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "topologySpreadConstraints": [{"topologyKey": "zone"}],
    "extraEnv": [{"name": "A", "value": "b"}],
    "extraArgs": ["--drain-grace-s=5"],
    "extraVolumes": [{"name": "extra", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-x"}},
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: text}\n",
    ],
}


@pytest.fixture
def render(helm):
    """Return a function from values to the rendered objects, by (kind, name)."""

    def rendered(values=None, *, namespace=NAMESPACE):
        text = helm(
            *("template", "injector", CHART, "--namespace", namespace, "--values", "-"),
            stdin=json.dumps(values or {}),
        )
        objects = [item for item in yaml.safe_load_all(text) if item]
        return {(item["kind"], item["metadata"]["name"]): item for item in objects}

    return rendered


def container(objects):
    """Return the webhook's container."""
    return objects["Deployment", "injector-secret-injector"]["spec"]["template"]["spec"][
        "containers"
    ][0]


def env(objects):
    """Return the plain variables of the webhook's process."""
    return {e["name"]: e["value"] for e in container(objects)["env"] if "value" in e}


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_lint_finds_nothing(helm, values):
    """`helm lint --strict` passes with defaults and with every feature on."""
    said = helm("lint", "--strict", CHART, "--values", "-", stdin=json.dumps(values))

    assert "1 chart(s) linted, 0 chart(s) failed" in said
    assert "WARNING" not in said
    assert "ERROR" not in said


def test_defaults_render_these_objects(render):
    """The whole list of what an installation creates."""
    name = "injector-secret-injector"
    kinds = ["clusterinjectionpolicies", "clustersecretstores"]
    kinds += ["environmentsecrets", "servicesecrets"]

    assert sorted(render()) == sorted(
        [("CustomResourceDefinition", f"{kind}.secret-injector.io") for kind in kinds]
        + [(f"ClusterRole{kind}", name) for kind in ("", "Binding")]
        + [("ClusterRole", f"{name}-{people}") for people in ("edit", "view")]
        + [
            (f"ValidatingAdmissionPolicy{kind}", f"{name}-{what}")
            for kind in ("", "Binding")
            for what in ("ephemeral-containers", "pod-updates", "pods", "typos")
        ]
        + [("Secret", f"{name}-tls")]
        + [(kind, f"{name}-images") for kind in ("Role", "RoleBinding")]
        + [("Pod", f"{name}-test"), ("Pod", f"{name}-test-native")]
        + [(f"ClusterRole{kind}", f"{name}-certificates") for kind in ("", "Binding")]
        + [
            (kind, f"{name}-certificates")
            for kind in ("Deployment", "Lease", "Role", "RoleBinding", "ServiceAccount")
        ]
        + [
            (kind, name)
            for kind in (
                "Deployment",
                "Lease",
                "MutatingWebhookConfiguration",
                "PodDisruptionBudget",
                "Role",
                "RoleBinding",
                "Service",
                "ServiceAccount",
                "ValidatingWebhookConfiguration",
            )
        ]
    )


def test_only_pods_that_ask_can_be_held_up(render):
    """The mutating webhook fails closed, for new pods outside the excluded namespaces alone."""
    objects = render({"webhook": {"excludedNamespaces": ["kube-system", "mesh"]}})
    [webhook] = objects["MutatingWebhookConfiguration", "injector-secret-injector"]["webhooks"]

    assert webhook["rules"] == [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "resources": ["pods"],
            "operations": ["CREATE"],
            "scope": "Namespaced",
        }
    ]
    assert webhook["namespaceSelector"] == {
        "matchExpressions": [
            {
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": ["kube-system", "mesh", NAMESPACE],
            }
        ]
    }
    assert {
        name: webhook[name]
        for name in webhook
        if name not in ("rules", "namespaceSelector", "matchConditions", "clientConfig")
    } == {
        "name": "pods.secret-injector.io",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "timeoutSeconds": 5,
    }
    assert "caBundle" not in webhook["clientConfig"]


def test_secret_is_made_empty(render):
    """No data is in the chart's Secret: what the certificates process writes is not the chart's."""
    secret = render()["Secret", "injector-secret-injector-tls"]

    assert sorted(secret) == ["apiVersion", "kind", "metadata", "type"]
    assert secret["type"] == "Opaque"


@pytest.mark.parametrize(
    ("image", "injected", "own_image", "pod_image"),
    [
        ({}, {}, "secret-injector:0.1.0", "secret-injector:0.1.0"),
        ({"tag": "2"}, {}, "secret-injector:2", "secret-injector:2"),
        (
            {"registry": "r.io"},
            {"tag": "3"},
            "r.io/secret-injector:0.1.0",
            "r.io/secret-injector:3",
        ),
        ({"digest": DIGEST}, {}, f"secret-injector@{DIGEST}", f"secret-injector@{DIGEST}"),
        ({"digest": DIGEST}, {"tag": "3"}, f"secret-injector@{DIGEST}", "secret-injector:3"),
        ({"tag": "2"}, {"repository": "fetch"}, "secret-injector:2", "fetch:2"),
    ],
)
def test_injected_image_follows_the_own_one(render, image, injected, own_image, pod_image):
    """What is injected is the webhook's image, part by part replaced; a digest wins over a tag."""
    objects = render({"image": image, "injected": {"image": injected}})

    assert container(objects)["image"] == own_image
    assert env(objects)["SECRET_INJECTOR_IMAGE"] == pod_image


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ({"certs": {"mode": "cert-manager"}}, "injector-secret-injector-tls"),
        ({"certs": {"mode": "existing", "existingSecret": "mine", "caBundle": CA}}, "mine"),
    ],
)
def test_foreign_certificates_need_no_rights(render, values, source):
    """With a mounted certificate, the account may read no Secret and change no configuration."""
    objects = render(values)
    spec = objects["Deployment", "injector-secret-injector"]["spec"]["template"]["spec"]
    granted = {
        (resource, verb)
        for kind in ("Role", "ClusterRole")
        for rule in objects[kind, "injector-secret-injector"]["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    assert [v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v] == [source]
    assert env(objects)["SECRET_INJECTOR_TLS_CERT"] == "/etc/secret-injector/tls/tls.crt"
    assert "SECRET_INJECTOR_TLS_SECRET" not in env(objects)
    assert "secrets" not in {resource for resource, _ in granted}
    assert {verb for resource, verb in granted if resource.endswith("configurations")} == {"get"}
    assert ("Secret", "injector-secret-injector-tls") not in objects
    assert [name for _, name in objects if name.endswith("-certificates")] == []


def test_nothing_selects_the_certificates_process(render):
    """Service, disruption budget and network policy of the webhook do not match its pods."""
    objects = render({"networkPolicy": {"enabled": True}})
    name = "injector-secret-injector"
    process = objects["Deployment", f"{name}-certificates"]["spec"]
    labels = process["template"]["metadata"]["labels"].items()
    selectors = [
        objects["Service", name]["spec"]["selector"],
        objects["Deployment", name]["spec"]["selector"]["matchLabels"],
        objects["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"],
        objects["NetworkPolicy", name]["spec"]["podSelector"]["matchLabels"],
    ]
    closed = objects["NetworkPolicy", f"{name}-certificates"]["spec"]

    assert [selector for selector in selectors if selector.items() <= labels] == []
    assert closed["podSelector"]["matchLabels"].items() <= labels
    assert closed["policyTypes"] == ["Ingress"]
    assert "ingress" not in closed


def test_numbers_reach_the_process_as_written(render):
    """Helm's own number format does not get into the process's variables."""
    objects = render({"certs": {"duration": "87600h"}, "metrics": {"port": 65535}})

    process = objects["Deployment", "injector-secret-injector-certificates"]
    variables = process["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "SECRET_INJECTOR_CERTIFICATE_LIFE_S", "value": "315360000"} in variables
    assert env(objects)["SECRET_INJECTOR_METRICS_PORT"] == "65535"
    assert env(objects)["SECRET_INJECTOR_REQUEST_TIMEOUT_S"] == "4.5"


def test_kept_definitions_are_marked(render):
    """`crds.keep` protects the definitions from an uninstallation; without it nothing does."""
    key = ("CustomResourceDefinition", "servicesecrets.secret-injector.io")

    assert render()[key]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in render({"crds": {"keep": False}})[key]["metadata"]
    assert key not in render({"crds": {"install": False}})


def test_test_pod_needs_a_namespace_that_is_served(render):
    """In a release of the test's own namespace there is no test pod that could only fail."""
    assert ("Pod", "injector-secret-injector-test") in render()
    assert ("Pod", "injector-secret-injector-test") not in render(namespace="default")


def test_native_variables_are_tested_where_they_may_be_used(helm, render):
    """Not where the chart forbids them, nor on a Kubernetes without their API."""
    name = ("Pod", "injector-secret-injector-test-native")
    sizes = [each["resources"] for each in render()[name]["spec"]["containers"]]
    older = helm("template", "injector", CHART, "--kube-version", "1.34.0")

    assert name in render(namespace="default")
    assert name not in render({"injected": {"nativeEnv": "never"}})
    assert name not in render({"tests": {"enabled": False}})
    assert name[1] not in older
    assert sizes == [{"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}]


def test_addresses_of_api_servers_render_a_network_policy(render):
    """Who is named in `webhook.apiServerCIDRs` reaches the port, and nobody else; `false` wins."""
    addresses = {"apiServerCIDRs": ["10.0.0.1", "10.1.0.0/24", "fd00::1"]}
    key = ("NetworkPolicy", "injector-secret-injector")
    objects = render({"webhook": addresses})

    assert objects[key]["spec"]["ingress"] == [
        {
            "ports": [{"port": "webhook"}],
            "from": [
                {"ipBlock": {"cidr": cidr}}
                for cidr in ("10.0.0.1/32", "10.1.0.0/24", "fd00::1/128")
            ],
        },
        {"ports": [{"port": "metrics"}]},
    ]
    assert env(objects)["SECRET_INJECTOR_API_SERVER_CIDRS"] == "10.0.0.1,10.1.0.0/24,fd00::1"
    assert key not in render()
    assert key not in render({"webhook": addresses, "networkPolicy": {"enabled": False}})
    assert key not in render({"webhook": addresses | {"hostNetwork": True}})


@pytest.mark.parametrize(
    ("given", "config_map", "path"),
    [
        ({"bundle": CA}, "injector-secret-injector-client-ca", "ca.crt"),
        ({"configMap": "kube-root-ca.crt"}, "kube-root-ca.crt", "ca.crt"),
        ({"configMap": "cas", "key": "admission.pem"}, "cas", "admission.pem"),
    ],
)
def test_a_client_ca_is_mounted_and_named(render, given, config_map, path):
    """The webhook reads the bundle from a ConfigMap, which is ours only when the text is given."""
    client_ca = given | {"allowedNames": ["kube-apiserver", "spiffe://x/y"], "mode": "require"}
    objects = render({"webhook": {"clientCA": client_ca}})
    spec = objects["Deployment", "injector-secret-injector"]["spec"]["template"]["spec"]

    assert {"name": "client-ca", "configMap": {"name": config_map}} in spec["volumes"]
    assert {
        "name": "client-ca",
        "mountPath": "/etc/secret-injector/client-ca",
        "readOnly": True,
    } in container(objects)["volumeMounts"]
    found = {name[16:]: value for name, value in env(objects).items() if "_CLIENT_" in name}
    assert found == {
        "CLIENT_CA": f"/etc/secret-injector/client-ca/{path}",
        "CLIENT_NAMES": "kube-apiserver,spiffe://x/y",
        "CLIENT_MODE": "require",
    }
    made = objects.get(("ConfigMap", "injector-secret-injector-client-ca"))
    assert (made or {}).get("data") == ({"ca.crt": CA} if "bundle" in given else None)


@pytest.mark.parametrize(
    ("webhook", "is_told"),
    [
        ({}, True),
        ({"apiServerCIDRs": ["10.0.0.0/28"]}, False),
        ({"apiServerCIDRs": ["10.0.0.0/28"], "hostNetwork": True}, True),
        ({"clientCA": {"bundle": CA, "allowedNames": ["a"], "mode": "require"}}, False),
        ({"clientCA": {"bundle": CA, "allowedNames": ["a"], "mode": "report"}}, True),
    ],
)
def test_the_notes_say_when_nothing_protects_the_port(helm, webhook, is_told):
    """Neither a network policy nor a required certificate: whoever reaches the port gets plans."""
    said = helm(
        *("install", "injector", CHART, "--namespace", NAMESPACE, "--dry-run=client"),
        *("--values", "-"),
        stdin=json.dumps({"webhook": webhook}),
    )

    assert ("ANYBODY WHO REACHES THE WEBHOOK'S PORT" in said) is is_told
