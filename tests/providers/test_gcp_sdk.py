"""The fake of Google, held against Google's own clients: what they take, we may test with."""

import json

import pytest

from tests.providers import fake_gcp
from tests.providers.cloud_rigs import GcpRig, service_account_key

# protobuf's generated classes and grpc warn on import under newer Pythons.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

api = pytest.importorskip("google.api_core.exceptions", reason="make test installs the SDKs")
secretmanager = pytest.importorskip("google.cloud.secretmanager_v1")
identity_pool = pytest.importorskip("google.auth.identity_pool")
service_account = pytest.importorskip("google.oauth2.service_account")
auth_errors = pytest.importorskip("google.auth.exceptions")

PARENT = f"projects/{fake_gcp.PROJECT}"


@pytest.fixture
def rig(tmp_path, monkeypatch):
    """The fake behind TLS, which requests trusts by its environment variable."""
    made = GcpRig(tmp_path)
    ca = tmp_path / "ca.pem"
    ca.write_text(made.authority.pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    # The library would ask the real Google about regions, on a thread of its own.
    monkeypatch.setattr(
        "google.auth.credentials.CredentialsWithRegionalAccessBoundary"
        "._maybe_start_regional_access_boundary_refresh",
        lambda *_: None,
    )
    yield made
    made.close()


def client(rig, credentials):
    """Return Google's client over REST."""
    return secretmanager.SecretManagerServiceClient(
        transport="rest",
        credentials=credentials,
        client_options={"api_endpoint": f"127.0.0.1:{rig.proxy.port}"},
    )


def by_key(rig):
    """Return credentials of a service account's key; the client signs its tokens itself."""
    key, public = service_account_key()
    rig.fake.public_keys["key-1"] = public
    return service_account.Credentials.from_service_account_info(json.loads(key))


def by_federation(rig, *, impersonate=False):
    """Return credentials that exchange the pod's token."""
    account = f"{rig.at}/v1/projects/-/serviceAccounts/{fake_gcp.ACCOUNT}:generateAccessToken"
    return identity_pool.Credentials.from_info(
        {
            "type": "external_account",
            "audience": f"//iam.googleapis.com/{fake_gcp.PROVIDER}",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{rig.at}/v1/token",
            "credential_source": {"file": str(rig.sources / "tokens/store")},
            **({"service_account_impersonation_url": account} if impersonate else {}),
        },
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
    )


def by_impersonation(rig):
    """Return credentials that exchange the pod's token and act as a service account."""
    return by_federation(rig, impersonate=True)


@pytest.mark.parametrize("login", [by_key, by_federation, by_impersonation])
def test_the_sdk_logs_in_and_reads_what_it_wrote(rig, login):
    """Login, create, add, access: the round trip of the real client, checksums as Google's."""
    google = client(rig, login(rig))
    secret = {"replication": {"automatic": {}}}
    google.create_secret(parent=PARENT, secret_id="db", secret=secret)
    for data in (b"one", bytes(range(256))):
        google.add_secret_version(parent=f"{PARENT}/secrets/db", payload={"data": data})

    newest = google.access_secret_version(name=f"{PARENT}/secrets/db/versions/latest")
    first = google.access_secret_version(name=f"{PARENT}/secrets/db/versions/1")

    assert newest.name == f"projects/{fake_gcp.NUMBER}/secrets/db/versions/2"
    assert (newest.payload.data, first.payload.data) == (bytes(range(256)), b"one")
    assert first.payload.data_crc32c == fake_gcp.crc32c(b"one")


@pytest.mark.parametrize(
    ("version", "error"),
    [("9", "NotFound"), ("1", "BadRequest"), ("2", "BadRequest")],
)
def test_the_sdk_understands_refused_reads(rig, version, error):
    """Missing, destroyed and disabled versions are the SDK's own errors, by the HTTP status."""
    google = client(rig, by_key(rig))
    rig.fake.put("db", None)
    rig.fake.put("db", b"two")
    rig.fake.disabled.add((fake_gcp.PROJECT, None, "db", 2))

    with pytest.raises(getattr(api, error)):
        google.access_secret_version(name=f"{PARENT}/secrets/db/versions/{version}")


def test_the_sdk_finds_the_reason_of_a_refusal(rig):
    """ErrorInfo stands where Google's library looks for it."""
    google = client(rig, by_key(rig))
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
    }
    rig.fake.refusal = (403, "PERMISSION_DENIED", "it is disabled", [detail])

    with pytest.raises(api.Forbidden) as refused:
        google.access_secret_version(name=f"{PARENT}/secrets/db/versions/1")

    assert (refused.value.reason, refused.value.domain) == ("SERVICE_DISABLED", "googleapis.com")


def test_the_sdk_understands_refused_exchanges(rig):
    """The SDK reads the error document of the token service as Google's."""
    rig.refuse_logins()

    with pytest.raises(auth_errors.OAuthError, match="invalid_grant"):
        client(rig, by_federation(rig)).access_secret_version(
            name=f"{PARENT}/secrets/db/versions/1"
        )
