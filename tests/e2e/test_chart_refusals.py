"""Values that contradict each other, through real Helm: refused, with what to change."""

import json

import pytest

from tests.chart.manifests import CHART
from tests.e2e.testbed.process import CommandFailedError

CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"certs": {"mode": "existing"}}, "name the Secret in certs.existingSecret"),
        ({"certs": {"mode": "existing", "existingSecret": "x"}}, "give certs.caBundle, or"),
        ({"certs": {"caBundle": CA}}, "are for certs.mode existing"),
        ({"certs": {"issuerRef": {"name": "x"}}}, "certs.issuerRef is for certs.mode cert-manager"),
        ({"serviceAccount": {"create": False}}, "name an account in serviceAccount.name"),
        ({"rbac": {"create": False}}, "name the account that you gave the rights to"),
        (
            {"podDisruptionBudget": {"maxUnavailable": 1}},
            "minAvailable or maxUnavailable, not both",
        ),
        (
            {"metrics": {"enabled": False, "podMonitor": {"enabled": True}}},
            "nothing can be monitored",
        ),
        (
            {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
            "enable one",
        ),
        (
            {"webhook": {"failurePolicy": "Ignore"}, "guard": {"enabled": False}},
            "starts pods without their secrets",
        ),
        ({"metrics": {"port": 8443}}, "must differ"),
        ({"injected": {"deadlineSeconds": 9, "maxDeadlineSeconds": 8}}, "is below"),
        ({"webhook": {"clientCA": {"bundle": CA}}}, "name who may call in allowedNames"),
        ({"webhook": {"clientCA": {"allowedNames": ["a"]}}}, "give the CA in bundle or configMap"),
        (
            {"webhook": {"clientCA": {"bundle": CA, "configMap": "x", "allowedNames": ["a"]}}},
            "give bundle or configMap, not both",
        ),
        ({"replicas": 3}, "additional properties 'replicas' not allowed"),
    ],
)
def test_contradictions_fail(helm, values, said):
    """Values that cannot work together are refused before anything is sent, with what to change."""
    with pytest.raises(CommandFailedError) as failed:
        helm("template", "x", CHART, "--values", "-", stdin=json.dumps(values))

    assert said in failed.value.stderr.decode()
