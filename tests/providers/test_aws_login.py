"""Every way into AWS, and every way it is refused."""

import contextlib
import http.server
import json
import threading

import pytest

from injector.core import errors, stores
from injector.core.plan import Read
from injector.core.secret import Failure, LoginFailed
from injector.deadline import Deadline
from injector.providers import Access, open_session
from injector.providers.aws import failures, pod_identity
from tests.providers.aws_rigs import ROLE, SecretsManagerRig
from tests.providers.rigs import CREDENTIAL

KEYS = {
    "keys": {
        "accessKeyId": {"secretRef": {"name": "aws", "key": "id"}},
        "secretAccessKey": {"secretRef": {"name": "aws", "key": "secret"}},
    }
}


@pytest.fixture
def rig(tmp_path):
    """Secrets Manager with one secret and one access key."""
    made = SecretsManagerRig(tmp_path)
    made.put("db", {"user": "shop"})
    made.aws.keys["AKIASHOP"] = "CANARY-SECRET-KEY"
    made.source("secrets/aws/id", "AKIASHOP\n")
    made.source("secrets/aws/secret", "CANARY-SECRET-KEY\n")
    yield made
    made.close()


@contextlib.contextmanager
def agent(status, body):
    """A Pod Identity agent as AWS documents it; yields its URL and the headers it saw."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/credentials", seen
        finally:
            server.shutdown()
            thread.join()


def failed(answer):
    """The failure, after a look that it quotes nothing."""
    assert isinstance(answer, Failure), answer
    assert "CANARY" not in repr(answer)
    return answer


def test_an_access_key_signs_what_is_read(rig):
    """No STS is asked; line ends of the mounted files do no harm."""
    (answer,) = rig.read("db", document=rig.document(auth=KEYS))

    assert json.loads(answer.reveal()) == {"user": "shop"}
    assert rig.aws.actions == ["GetSecretValue"]


def test_a_wrong_secret_key_is_told_as_such(rig):
    """AWS compares signatures; the message says which half to look at."""
    rig.source("secrets/aws/secret", "CANARY-OTHER")

    failure = failed(rig.read("db", document=rig.document(auth=KEYS))[0])

    assert failure.code is errors.UNAUTHENTICATED
    assert "secret key does not belong" in failure.what
    assert failure.identity == "access key in eu-central-1"


def test_a_further_role_is_taken_on_with_the_first(rig):
    """Web identity first, then AssumeRole signed by it, with the external id; then the reading."""
    other = "arn:aws:iam::123456789012:role/reader"

    (answer,) = rig.read("db", document=rig.document(roleArn=other, externalId="shop-7"))

    assert json.loads(answer.reveal()) == {"user": "shop"}
    first, second = (asked for action, asked in rig.aws.asked if action.startswith("Assume"))
    assert (first["RoleArn"], first["WebIdentityToken"]) == (ROLE, CREDENTIAL)
    assert (second["RoleArn"], second["ExternalId"]) == (other, "shop-7")
    assert first["RoleSessionName"] == second["RoleSessionName"] == "shop.checkout"
    assert first["DurationSeconds"] == second["DurationSeconds"] == "900"


def test_a_role_of_another_account_reads_there(rig):
    """The same name in the role's account is another secret, and missing."""
    other = "arn:aws:iam::210987654321:role/reader"

    failure = failed(rig.read("db", document=rig.document(roleArn=other))[0])

    assert failure.code is errors.MISSING


def test_a_role_that_does_not_trust_us_says_which(rig):
    """The hint points to the trust policy, the identity names the way."""
    rig.aws.refusals["AssumeRole"] = (403, "AccessDenied", "User: CANARY is not authorized")
    other = "arn:aws:iam::210987654321:role/reader"

    failure = failed(rig.read("db", document=rig.document(roleArn=other))[0])

    assert failure.code is errors.UNAUTHENTICATED
    assert failure.what == f'STS does not let us become role "{other}"'
    assert "trust policy" in failure.hint
    assert failure.identity == f'role "{other}" by role "{ROLE}" by web identity in eu-central-1'


def test_nothing_in_the_environment_turns_us_elsewhere(rig, monkeypatch, tmp_path):
    """Endpoints, profiles, keys and CA bundles of the environment or of files are not looked at."""
    config = tmp_path / "config"
    config.write_text("[default]\nregion = us-east-1\nendpoint_url = http://127.0.0.1:9\n")
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "no-such-profile",
        "AWS_REGION": "us-east-1",
        "AWS_CA_BUNDLE": "/nonexistent",
        "AWS_ACCESS_KEY_ID": "AKIAOTHER",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_USE_FIPS_ENDPOINT": "true",
    }.items():
        monkeypatch.setenv(name, value)

    (answer,) = rig.read("db")

    assert json.loads(answer.reveal()) == {"user": "shop"}


@pytest.mark.parametrize("is_mounted_by_eks", [True, False])
def test_pod_identity_asks_the_agent(rig, monkeypatch, tmp_path, is_mounted_by_eks):
    """The token EKS mounts goes first, our own of the same audience else."""
    rig.aws.keys["ASIAPOD"] = "given"
    given = {"AccessKeyId": "ASIAPOD", "SecretAccessKey": "given", "Token": "session"}
    mounted = tmp_path / "eks-token"
    mounted.write_text("CANARY-EKS")
    monkeypatch.delenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", raising=False)
    if is_mounted_by_eks:
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(mounted))

    with agent(200, json.dumps(given).encode()) as (url, seen):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        (answer,) = rig.read("db", document=rig.document(auth={"podIdentity": {}}))

    assert json.loads(answer.reveal()) == {"user": "shop"}
    assert seen == [("/v1/credentials", "CANARY-EKS" if is_mounted_by_eks else CREDENTIAL)]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, b"CANARY no association", errors.UNAUTHENTICATED),
        (500, b"CANARY", errors.DOWN),
        (429, b"CANARY", errors.THROTTLED),
        (200, b"<html>CANARY", errors.CONTENT),
        (200, b'{"AccessKeyId":"a"}', errors.CONTENT),
    ],
)
def test_an_agent_that_gives_no_keys_is_told(rig, monkeypatch, status, body, code):
    """Each status has its own end, and AWS is asked nothing."""
    monkeypatch.delenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", raising=False)

    with agent(status, body) as (url, _):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        failure = failed(rig.read("db", document=rig.document(auth={"podIdentity": {}}))[0])

    assert failure.code is code
    assert "shop/checkout" in failure.identity
    assert rig.aws.actions == []


def test_a_laptop_uses_its_own_login(rig, monkeypatch, tmp_path):
    """Ambient is what the AWS CLI would use: here, keys of the environment."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASHOP")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARY-SECRET-KEY")
    store = stores.parse("aws", rig.document(auth={"ambient": {}}), in_cluster=False)
    deadline = Deadline.after(20)
    access = Access(namespace="x", service_account="x", sources_dir=None, deadline=deadline)
    read = Read(store=0, path="db")

    session = open_session(store, access)
    answer = session.read([read], deadline)[read]
    session.close()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(LoginFailed, match="this machine has no AWS credentials"):
        open_session(store, access)

    assert json.loads(answer.reveal()) == {"user": "shop"}


@pytest.mark.parametrize(
    ("url", "is_agent"),
    [
        (pod_identity.AGENT, True),
        ("http://[fd00:ec2::23]/v1/credentials", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://169.254.169.254/latest/meta-data", False),
        ("http://10.0.0.1/", False),
        ("http://evil.example/", False),
        ("http://169.254.170.23@evil.example/", False),
        ("http://user@169.254.170.23/", False),
        ("https://169.254.170.23/", False),
        ("file:///etc/passwd", False),
        ("http://[::1", False),
    ],
)
def test_only_documented_addresses_are_agents(url, is_agent):
    """A variable of the environment cannot send the token anywhere else."""
    assert pod_identity.is_agent(url) is is_agent


@pytest.mark.parametrize(
    ("name", "message", "is_temporary", "code"),
    [
        (
            "AccessDeniedException",
            "not authorized to perform: kms:Decrypt",
            False,
            errors.FORBIDDEN,
        ),
        ("ExpiredTokenException", "", True, errors.EXPIRED),
        ("UnrecognizedClientException", "", True, errors.EXPIRED),
        ("UnrecognizedClientException", "", False, errors.UNAUTHENTICATED),
        ("InvalidSignatureException", "Signature expired: now", False, errors.UNAUTHENTICATED),
        ("RequestTimeTooSkewed", "", False, errors.UNAUTHENTICATED),
        ("ThrottlingException", "Rate exceeded", False, errors.THROTTLED),
        ("TooManyRequestsException", "", False, errors.THROTTLED),
        ("ParameterVersionNotFound", "", False, errors.MISSING),
        ("IDPCommunicationError", "", False, errors.DOWN),
        ("ValidationException", "", False, errors.REFERENCE),
        ("SomethingNew", "CANARY", False, errors.CONTENT),
    ],
)
def test_codes_of_aws_have_codes_of_ours(name, message, is_temporary, code):
    """A name decides; a message only tells the clock and the KMS key apart."""
    failure = failures.of_code(name, message, is_temporary=is_temporary)

    assert failed(failure).code is code
    assert ("clock" in failure.what) == (name == "RequestTimeTooSkewed" or "expired:" in message)
    assert ("kms:Decrypt" in failure.hint) == ("kms:" in message)
