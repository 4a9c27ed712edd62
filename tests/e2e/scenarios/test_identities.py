"""Scenario: what each account of the release may do at the real API server, and no more."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.scenarios.system import NAMESPACE as OURS
from tests.e2e.scenarios.system import RELEASE
from tests.e2e.testbed.process import CommandFailedError, until

ADMISSION = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
WEBHOOK, CERTIFICATES = RELEASE, f"{RELEASE}-certificates"
PATCH = json.dumps([{"op": "add", "path": "/metadata/labels/tried", "value": "yes"}])


@pytest.fixture
def as_account(system):
    """Return a function that runs kubectl with the token of an account of the release."""

    def run(account, *arguments):
        token = system.cluster.token(account, OURS)
        # Client certificates of the kubeconfig would win over the token.
        server = ("--kubeconfig=/dev/null", f"--server={system.cluster.server}")
        trust = ("--insecure-skip-tls-verify", f"--token={token}")
        return system.cluster.kubectl(*server, *trust, *arguments)

    return run


def patched(as_account, account, kind):
    """Return whether an account may patch the release's configuration of a kind (a dry run)."""
    try:
        as_account(
            *(account, "patch", kind, RELEASE, "--type=json", "--patch", PATCH),
            "--dry-run=server",
        )
    except CommandFailedError as failed:
        if b"forbidden" not in failed.stderr.lower():
            raise
        return False
    return True


def test_the_webhooks_token_changes_no_webhook_configuration(as_account):
    """A PATCH with the webhook's own token is refused; the certificates process's passes."""
    found = {
        (account, kind): patched(as_account, account, kind)
        for account in (WEBHOOK, CERTIFICATES)
        for kind in ADMISSION
    }

    assert found == {
        **{(WEBHOOK, kind): False for kind in ADMISSION},
        **{(CERTIFICATES, kind): True for kind in ADMISSION},
    }


@pytest.mark.parametrize(
    ("account", "verb", "resource", "namespace", "is_allowed"),
    [
        (WEBHOOK, "get", f"secrets/{RELEASE}-tls", OURS, True),
        (WEBHOOK, "update", f"secrets/{RELEASE}-tls", OURS, False),
        (WEBHOOK, "get", "secrets/other", OURS, False),
        (WEBHOOK, "list", "secrets", OURS, False),
        (WEBHOOK, "get", "secrets", "default", False),
        (WEBHOOK, "create", "serviceaccounts/token", OURS, False),
        (WEBHOOK, "update", f"mutatingwebhookconfigurations/{RELEASE}", OURS, False),
        (WEBHOOK, "create", "validatingadmissionpolicies", OURS, False),
        (CERTIFICATES, "update", f"secrets/{RELEASE}-tls", OURS, True),
        (CERTIFICATES, "list", "secrets", OURS, False),
        (CERTIFICATES, "get", "secrets/other", OURS, False),
        (CERTIFICATES, "patch", "mutatingwebhookconfigurations/other", OURS, False),
        (CERTIFICATES, "create", "mutatingwebhookconfigurations", OURS, False),
        (CERTIFICATES, "get", "clustersecretstores", OURS, False),
        (CERTIFICATES, "list", "pods", OURS, False),
    ],
)
def test_rights_are_as_narrow_as_they_are_told(
    system, account, verb, resource, namespace, is_allowed
):
    """The API server's own authorizer agrees with the list of rights."""
    kind, _, name = resource.partition("/")
    subresource = name if kind == "serviceaccounts" else ""
    group = {"mutatingwebhookconfigurations": "admissionregistration.k8s.io"}.get(kind, "")
    if kind == "validatingadmissionpolicies":
        group = "admissionregistration.k8s.io"
    if kind == "clustersecretstores":
        group = "secret-injector.io"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{OURS}:{account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{OURS}"],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": kind,
                "subresource": subresource,
                "name": "" if subresource else name,
                "namespace": namespace,
            },
        },
    }

    answer = system.cluster.api.request(
        "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review
    ).json()

    assert answer["status"]["allowed"] is is_allowed


def bundles(cluster):
    """Return the caBundles of both configurations of the release."""
    kinds = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
    return [
        hook["clientConfig"].get("caBundle", "")
        for kind in kinds
        for hook in cluster.get(kind, RELEASE)["webhooks"]
    ]


def test_a_lost_certificate_and_bundle_are_put_right_by_the_process_alone(
    system, local_cluster, say
):
    """Emptied while the process is down, all stays as it is; when it is back, all is whole."""
    cluster = system.cluster
    place = ("deployments.apps", CERTIFICATES)
    cluster.patch(*place, {"spec": {"replicas": 0}}, OURS)
    selector = "app.kubernetes.io/component=certificates"
    until(
        lambda: not cluster.find("Pod", OURS, selector=selector),
        what="the certificates process is gone",
        timeout_s=60,
    )
    try:
        cluster.patch("Secret", f"{RELEASE}-tls", {"data": None}, OURS)
        system.wait_until_it_injects(timeout_s=10)
        without = cluster.get("Secret", f"{RELEASE}-tls", OURS).get("data")
    finally:
        cluster.patch(*place, {"spec": {"replicas": 1}}, OURS)
    began_s = time.monotonic()
    until(
        lambda: cluster.get("Secret", f"{RELEASE}-tls", OURS).get("data"),
        what="a new certificate",
        timeout_s=60,
    )
    say(f"issued {time.monotonic() - began_s:.0f} s after the process was asked for again")
    authority = cluster.get("Secret", f"{RELEASE}-tls", OURS)["data"]["ca.crt"]
    until(
        lambda: all(bundle.startswith(authority[:64]) for bundle in bundles(cluster)),
        what="every caBundle has the new authority first",
        timeout_s=30,
    )

    assert not without
    system.wait_until_it_injects(timeout_s=30)
