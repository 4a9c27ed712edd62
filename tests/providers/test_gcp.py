"""What is Secret Manager's own: exchange and impersonation, signed tokens, checksums, versions."""

import json

import pytest

from injector.core import errors
from injector.core.secret import Failure
from injector.providers.gcp.crc32c import crc32c
from tests.providers import fake_gcp
from tests.providers.cloud_rigs import GcpRig, jwt, service_account_key

SUBJECT = "system:serviceaccount:shop:checkout"
PRINCIPAL = (
    f"principal://iam.googleapis.com/projects/{fake_gcp.NUMBER}/locations/global"
    f"/workloadIdentityPools/cluster/subject/{SUBJECT}"
)
BY_KEY = {"serviceAccountKey": {"key": {"secretRef": {"name": "reader", "key": "key.json"}}}}
BY_IMPERSONATION = {
    "workloadIdentity": {"provider": fake_gcp.PROVIDER, "serviceAccount": fake_gcp.ACCOUNT}
}


@pytest.fixture
def rig(tmp_path):
    """Fakes of Google's three services behind TLS."""
    made = GcpRig(tmp_path)
    made.fake.put("db", b"one")
    yield made
    made.close()


def one(rig, path, version=None, **gcp):
    """The answer to one read."""
    (answer,) = rig.read((path, version), document=rig.document(**gcp) if gcp else None)
    assert "CANARY" not in repr(answer)
    return answer


def test_a_payload_is_read_with_its_number(rig):
    """Any bytes; the version is the number that latest stands for."""
    rig.fake.put("db", bytes(range(256)))

    answer = one(rig, "db")

    assert (answer.reveal(), answer.version) == (bytes(range(256)), "2")
    assert [request.path for request in rig.proxy.seen] == [
        "/v1/token",
        "/v1/projects/shop-prod/secrets/db/versions/latest:access",
    ]


@pytest.mark.parametrize(("version", "data"), [("1", b"one"), ("latest", b"two"), ("old", b"one")])
def test_versions_are_numbers_latest_and_aliases(rig, version, data):
    """All three are written after the @."""
    rig.fake.put("db", b"two")
    rig.fake.aliases["old"] = "1"

    assert one(rig, "db", version).reveal() == data


def test_a_secret_of_another_project_is_named_in_full(rig):
    """The own project is the default of short paths."""
    rig.fake.put("shared", b"x", project="platform-prod")

    assert one(rig, "projects/platform-prod/secrets/shared").reveal() == b"x"
    assert one(rig, "shared").code is errors.MISSING


def test_a_regional_store_reads_regional_secrets(rig):
    """The location is part of the name."""
    rig.fake.put("db", b"regional", location="europe-west3")

    assert one(rig, "db", location="europe-west3").reveal() == b"regional"


def test_a_service_account_is_impersonated_with_the_federated_token(rig):
    """Two steps before the first read; only the second token reaches Secret Manager."""
    answer = one(rig, "db", auth=BY_IMPERSONATION)

    exchange, impersonation, read = rig.proxy.seen
    assert answer.reveal() == b"one"
    assert "authorization" not in exchange.headers
    assert impersonation.path == (
        f"/v1/projects/-/serviceAccounts/{fake_gcp.ACCOUNT}:generateAccessToken"
    )
    assert impersonation.headers["authorization"] == "Bearer ya29.CANARY-TOKEN-0"
    assert json.loads(impersonation.body) == {
        "scope": ["https://www.googleapis.com/auth/cloud-platform"],
        "lifetime": "900s",
    }
    assert read.headers["authorization"] == "Bearer ya29.CANARY-TOKEN-1"


def test_who_may_not_impersonate_is_told_the_binding_to_make(rig):
    """The principal stands there as IAM wants it."""
    rig.fake.may_impersonate = False

    assert one(rig, "db", auth=BY_IMPERSONATION) == Failure(
        code=errors.FORBIDDEN,
        what=f"we may not act as service account {fake_gcp.ACCOUNT}, or there is none",
        hint=f"grant roles/iam.workloadIdentityUser on it to {PRINCIPAL}",
        identity=PRINCIPAL,
    )


def test_an_account_that_is_not_there_is_told(rig):
    """Not a missing secret: a wrong login."""
    account = "nobody@shop-prod.iam.gserviceaccount.com"
    auth = {"workloadIdentity": {"provider": fake_gcp.PROVIDER, "serviceAccount": account}}

    failure = one(rig, "db", auth=auth)

    assert failure.code is errors.UNAUTHENTICATED
    assert failure.what == f"there is no service account {account}"


def test_a_key_signs_tokens_that_the_api_takes_as_they_are(rig):
    """No token service is asked, least of all the one that the key's file names."""
    key, public = service_account_key()
    rig.source("secrets/reader/key.json", key)
    rig.fake.public_keys["key-1"] = public

    answer = one(rig, "db", auth=BY_KEY)

    assert answer.reveal() == b"one"
    assert [request.method for request in rig.proxy.seen] == ["GET"]


def test_a_key_that_google_does_not_know_any_more_is_a_refused_login(rig):
    """It is tried once again, with a token signed anew, and no more."""
    key, _ = service_account_key()
    rig.source("secrets/reader/key.json", key)

    failure = one(rig, "db", auth=BY_KEY)

    assert (failure.code, failure.identity) == (errors.EXPIRED, fake_gcp.ACCOUNT)
    assert "the key is deleted" in failure.hint
    assert len(rig.proxy.seen) == 2


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("CANARY", "it is not JSON in UTF-8: line 1, column 1: a value is missing"),
        ("[]", 'it is not of type "service_account"'),
        ('{"type": "authorized_user"}', 'it is not of type "service_account"'),
        ('{"type": "service_account", "client_email": "a@b"}', "it has no private_key"),
        (
            '{"type": "service_account", "client_email": "a@b", "private_key": "CANARY"}',
            "its private_key is no RSA key in PEM",
        ),
    ],
)
def test_a_key_that_is_none_is_told_without_its_content(rig, key, why):
    """Nothing is sent anywhere."""
    rig.source("secrets/reader/key.json", key)

    failure = one(rig, "db", auth=BY_KEY)

    assert failure.code is errors.UNAUTHENTICATED
    assert failure.what == f"the service account's key cannot be used: {why}"
    assert rig.proxy.seen == []


@pytest.mark.parametrize(
    ("refusal", "what"),
    [
        (None, "the identity provider does not accept the token's audience"),
        (
            (401, "unauthorized_client", "CANARY attribute condition"),
            "the identity provider's attribute condition rejects the pod's token",
        ),
        (
            (400, "invalid_target", "CANARY"),
            "there is no such identity pool or provider, or it is disabled",
        ),
        ((400, "invalid_grant", "CANARY"), "the identity provider does not accept the pod's token"),
        ((400, "invalid_request", "CANARY"), "the token service refuses the pod's token: invalid"),
    ],
)
def test_a_refused_exchange_is_understood_by_its_error(rig, refusal, what):
    """The hints name what the provider compares; descriptions are not quoted."""
    rig.fake.exchange_refusal = refusal
    token = {"iss": rig.fake.trusted["iss"], "sub": SUBJECT, "aud": "wrong"}
    rig.source("tokens/store", jwt(**token))

    failure = one(rig, "db")

    assert failure.code is errors.UNAUTHENTICATED
    assert failure.what.startswith(what)
    if refusal is None:
        assert f'subject "{SUBJECT}", audience "wrong"' in failure.hint


@pytest.mark.parametrize(
    ("reason", "what"),
    [
        ("SERVICE_DISABLED", "the API is not enabled in the project"),
        ("SECURITY_POLICY_VIOLATED", "a VPC Service Controls perimeter keeps us out"),
        ("IAM_PERMISSION_DENIED", "no role lets the identity read this, or there is no"),
    ],
)
def test_a_forbidden_read_says_why(rig, reason, what):
    """The reason of ErrorInfo decides; without a special one, a role is missing."""
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    details = [{"@type": kind, "reason": reason, "domain": "googleapis.com"}]
    rig.fake.refusal = (403, "PERMISSION_DENIED", "CANARY", details)

    failure = one(rig, "db")

    assert failure.code is errors.FORBIDDEN
    assert failure.what.startswith(what)
    if reason == "IAM_PERMISSION_DENIED":
        assert failure.hint == f"grant roles/secretmanager.secretAccessor to {PRINCIPAL}"


def test_a_disabled_version_is_not_a_missing_one_and_a_destroyed_one_is(rig):
    """A default must not stand in for what somebody switched off."""
    rig.fake.put("db", None)
    rig.fake.disabled.add((fake_gcp.PROJECT, None, "db", 1))

    disabled, destroyed = rig.read(("db", "1"), ("db", "2"))

    assert (disabled.code, disabled.what) == (
        errors.FORBIDDEN,
        "the version is disabled, or the KMS key that it is sealed with",
    )
    assert (destroyed.code, destroyed.what) == (errors.MISSING, "the version was destroyed")


def test_a_damaged_payload_is_read_again_and_never_delivered(rig):
    """The checksum decides; damage on the way passes, lasting damage is told."""
    rig.fake.damage = True

    failure = one(rig, "db")

    assert failure.code is errors.DOWN
    assert failure.what == "the payload came damaged: its CRC32C differs (3 tries)"


def test_the_wait_of_a_retry_info_is_obeyed(rig):
    """Google says in the body how long to wait."""
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3600.5s"}]
    rig.fake.refusal = (429, "RESOURCE_EXHAUSTED", "CANARY", details)

    failure = one(rig, "db")

    assert (failure.code, failure.retry_after_s) == (errors.THROTTLED, 3600.5)
    assert rig.waits == []


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_the_checksum_is_castagnolis(data, checksum):
    """The vectors of RFC 3720, B.4, and the customary check value."""
    assert (crc32c(data), fake_gcp.crc32c(data)) == (checksum, checksum)
