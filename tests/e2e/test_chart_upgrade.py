"""Helm's upgrades leave what the webhook wrote: its certificate and the caBundles."""

import json

from tests.chart.manifests import CHART

NAME = "trial-secret-injector"
CA = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="


def test_upgrade_keeps_certificate_and_bundle(cluster, helm):
    """After an upgrade that changes the objects around them, both stand as they were written."""
    # Of the chart's objects only those that cannot meet a release which is in use.
    values = {
        "crds": {"install": False},
        "guard": {"enabled": False},
        "webhook": {"workloadWarnings": False, "namespaceSelector": {"matchLabels": {"none": "x"}}},
    }
    place = ("--namespace", "trial-system")
    bundle = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": CA}]
    try:
        helm(
            *("install", "trial", CHART, *place, "--create-namespace", "--values", "-"),
            stdin=json.dumps(values),
        )
        made = cluster.get("Secret", f"{NAME}-tls", "trial-system")
        cluster.patch("Secret", f"{NAME}-tls", {"data": {"tls.crt": "YQ=="}}, "trial-system")
        cluster.kubectl(
            *("patch", "mutatingwebhookconfiguration", NAME, "--type=json"),
            *("--patch", json.dumps(bundle)),
        )
        values["webhook"]["timeoutSeconds"] = 7
        values["commonLabels"] = {"upgraded": "yes"}
        helm("upgrade", "trial", CHART, *place, "--values", "-", stdin=json.dumps(values))
        kept = cluster.get("Secret", f"{NAME}-tls", "trial-system")
        configuration = cluster.get("MutatingWebhookConfiguration", NAME)
    finally:
        helm.uninstall("trial", "trial-system")

    assert "data" not in made
    assert kept["data"] == {"tls.crt": "YQ=="}
    assert kept["metadata"]["labels"]["upgraded"] == "yes"
    assert configuration["webhooks"][0]["timeoutSeconds"] == 7
    assert configuration["webhooks"][0]["clientConfig"]["caBundle"] == CA
