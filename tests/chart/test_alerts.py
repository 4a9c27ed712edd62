"""The alerts watch what exists: metrics that the webhook has, Deployments that the chart makes."""

import re
from pathlib import Path

from tests.chart.manifests import TEMPLATES, documents

RULE = (TEMPLATES / "prometheus-rule.yaml").read_text()
WEBHOOK = Path(__file__).parents[2] / "webhook"


def test_every_metric_of_an_alert_exists():
    """A metric that moved or was renamed would leave an alert that never fires."""
    source = "".join(path.read_text() for path in WEBHOOK.glob("*.py"))
    used = set(re.findall(r"secret_injector_webhook_(\w+)", RULE))
    names = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in used}

    assert "certificate_expiry_timestamp_seconds" in names
    assert [name for name in sorted(names) if f'"{name}"' not in source] == []


def test_each_process_that_must_run_is_watched():
    """The webhook's Deployment and the one of the certificates process, each by its own name."""
    watched = re.findall(r'deployment="\{\{ (.+?) \}\}"', RULE)
    made = {
        document["metadata"]["name"]
        for path in ("deployment.yaml", "certificates.yaml")
        for document in documents(TEMPLATES / path)
        if document["kind"] == "Deployment"
    }

    assert watched == ["$name", 'include "secret-injector.certificatesName" $']
    assert made == {"name"}
