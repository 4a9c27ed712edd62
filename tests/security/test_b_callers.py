"""B: only the API server gets plans, once the operator says by which certificate it is known."""

import json
import os
import ssl

import pytest

from tests.bench import review
from tests.e2e.testbed.pki import Authority
from tests.server.process import offline, running, wait

CALLS = 'secret_injector_webhook_calls_total{certificate="%s"}'


class Rig:
    """A webhook that knows one CA, and clients with certificates of any."""

    def __init__(self, folder, mode):
        self.folder = folder
        self.ca = Authority(folder / "ca", "cluster-ca")
        self.bundle = folder / "client-ca.crt"
        self.bundle.write_bytes(self.ca.cert.read_bytes())
        self.flags = ["--client-ca", str(self.bundle), "--client-mode", mode]
        self.flags += ["--client-names", "kube-apiserver, api.example.org", "--tls-poll-s", "0.05"]

    def present(self, webhook, common_name=None, *, hosts=(), ca=None):
        """Let the next connections present a certificate, or none."""
        webhook.trust = ssl.create_default_context(cadata=self.server_ca)
        if common_name is not None:
            name = f"client-{common_name.replace(':', '-')}"
            pair = (ca or self.ca).issue(name, common_name=common_name, hosts=hosts)
            webhook.trust.load_cert_chain(*pair)

    def running(self):
        """Start the webhook."""
        flags, ca = offline(self.folder)
        self.server_ca = ca.decode()
        return running(self.folder, *flags, *self.flags, is_offline=False)


@pytest.fixture
def rig(tmp_path, request):
    """A rig in the mode that the test asks for."""
    return Rig(tmp_path, request.param)


@pytest.mark.parametrize("rig", ["require"], indirect=True)
def test_a_caller_needs_a_certificate_with_an_allowed_name(rig):
    """CN and DNS names count; a kubelet's certificate of the same CA gets a 403 with its code."""
    with rig.running() as webhook:
        answers = []
        cases = [(None, ()), ("system:node:a", ()), ("kube-apiserver", ())]
        cases.append(("whoever", ("api.example.org",)))
        for name, hosts in cases:
            rig.present(webhook, name, hosts=hosts)
            answers += [webhook.post(review.body(), path=path) for path in ("/mutate", "/validate")]
        counts = [webhook.metric(CALLS % found) for found in ("none", "other_name", "allowed")]
        health = webhook.page("health", "/healthz")[0], webhook.page("metrics", "/metrics")[0]
        warned = [line for line in webhook.lines() if line["level"] == "warning"]

    assert [status for status, _, _ in answers] == [403] * 4 + [200] * 4
    assert answers[0][2] == b"SI-127 no client certificate was presented\n"
    assert answers[2][2] == b"SI-127 the client certificate has none of the allowed names\n"
    assert counts == [2, 2, 4]
    assert health == (200, 200)
    assert [(line["certificate"], line["names"], line["is_answered"]) for line in warned] == [
        ("none", [], False),
        ("other_name", ["system:node:a"], False),
    ]


@pytest.mark.parametrize("rig", ["report"], indirect=True)
def test_report_answers_everybody_and_counts(rig):
    """Before it is required, one sees who would be refused."""
    with rig.running() as webhook:
        statuses = []
        for name in (None, "system:node:a", "kube-apiserver"):
            rig.present(webhook, name)
            statuses.append(webhook.post(review.body())[0])
        counts = [webhook.metric(CALLS % found) for found in ("none", "other_name", "allowed")]

    assert statuses == [200] * 3
    assert counts == [1] * 3


@pytest.mark.parametrize("rig", ["report"], indirect=True)
def test_report_costs_one_call_at_most_when_the_ca_is_the_wrong_one(rig):
    """A certificate of another CA ends the handshake; the same address is then not asked again."""
    other = Authority(rig.folder / "other", "other-ca")
    with rig.running() as webhook:
        rig.present(webhook, "kube-apiserver", ca=other)
        with pytest.raises(OSError):  # noqa: PT011  # how it shows is up to TLS
            webhook.post(review.body())
        wait(lambda: webhook.metric(CALLS % "untrusted") == 1)

        assert webhook.post(review.body())[0] == 200


@pytest.mark.parametrize("rig", ["require"], indirect=True)
def test_require_never_serves_a_certificate_of_another_ca(rig):
    """However often it is presented."""
    other = Authority(rig.folder / "other", "other-ca")
    with rig.running() as webhook:
        rig.present(webhook, "kube-apiserver", ca=other)
        for _ in range(3):
            with pytest.raises(OSError):  # noqa: PT011  # how it shows is up to TLS
                webhook.post(review.body())
        wait(lambda: webhook.metric(CALLS % "untrusted") == 3)


@pytest.mark.parametrize("rig", ["require"], indirect=True)
def test_a_changed_bundle_is_used_without_a_restart(rig):
    """After the file changed, the new CA's certificates pass and the old one's do not."""
    other = Authority(rig.folder / "other", "other-ca")
    with rig.running() as webhook:
        rig.present(webhook, "kube-apiserver")
        before = webhook.post(review.body())[0]
        new = rig.folder / "new"
        new.write_bytes(other.cert.read_bytes())
        os.replace(new, rig.bundle)  # noqa: PTH105  # as a mounted ConfigMap changes: at once
        wait(lambda: sum(line["event"] == "client CA in use" for line in webhook.lines()) == 2)
        with pytest.raises(OSError):  # noqa: PT011  # how it shows is up to TLS
            webhook.post(review.body())
        rig.present(webhook, "kube-apiserver", ca=other)
        after = webhook.post(review.body())[0]

    assert (before, after) == (200, 200)


@pytest.mark.parametrize("rig", ["require"], indirect=True)
def test_a_caller_without_a_certificate_sends_no_body(rig):
    """It is refused by its head: a plan's size costs nothing, and nothing of the body is read."""
    with rig.running() as webhook:
        rig.present(webhook)
        connection = webhook.connect()
        connection.putrequest("POST", "/mutate")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()

    assert status == 403


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--client-ca", "x"], "--client-ca and --client-names go together"),
        (["--client-names", "x"], "--client-ca and --client-names go together"),
        (["--client-mode", "demand"], "--client-mode must be report or require"),
        (["--client-ca", "/nonexistent", "--client-names", "x"], "/nonexistent: No such file"),
    ],
)
def test_mistakes_are_said_at_the_start(tmp_path, flags, words):
    """Names are compulsory: the cluster's CA signs for every kubelet."""
    with pytest.raises(AssertionError) as caught, running(tmp_path, *flags):
        pytest.fail("it started")

    assert words in str(caught.value)


def test_an_answer_to_a_stranger_is_short(tmp_path):
    """What is no review is a 400 with a counter of its own, and is not sent back at length."""
    odd = json.loads(review.body()) | {"apiVersion": "x" * 2_000_000}
    with running(tmp_path) as webhook:
        status, _, said = webhook.post(json.dumps(odd).encode())
        malformed = webhook.metric("secret_injector_webhook_malformed_reviews_total")
        faults = webhook.metric('secret_injector_webhook_faults_total{part="decide"}')

    assert (status, malformed, faults) == (400, 1, None)
    assert len(said) < 1100
