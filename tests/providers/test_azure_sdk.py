"""The fake of Azure, held against Microsoft's own clients: what they take, we may test with."""

import hashlib

import pytest

from tests.providers import fake_azure
from tests.providers.cloud_rigs import AzureRig, jwt

azure_core = pytest.importorskip("azure.core.exceptions", reason="make test installs the SDKs")
identity = pytest.importorskip("azure.identity")
keyvault = pytest.importorskip("azure.keyvault.secrets")


@pytest.fixture
def rig(tmp_path):
    """The fake behind TLS, and a file with its authority's certificate."""
    made = AzureRig(tmp_path)
    made.ca = tmp_path / "ca.pem"
    made.ca.write_text(made.authority.pem)
    yield made
    made.close()


def entra(rig):
    """What every credential needs to find the fake."""
    return {
        "authority": rig.at,
        "disable_instance_discovery": True,
        "connection_verify": str(rig.ca),
        "retry_total": 0,
    }


def client(rig, credential):
    """Return Microsoft's client of the vault."""
    return keyvault.SecretClient(
        rig.at,
        credential,
        verify_challenge_resource=False,
        connection_verify=str(rig.ca),
        retry_total=0,
    )


def by_secret(rig, secret=fake_azure.CLIENT_SECRET):
    """Return a credential that logs in by client secret."""
    return identity.ClientSecretCredential(
        fake_azure.TENANT, fake_azure.CLIENT, secret, **entra(rig)
    )


def by_federation(rig, **claims):
    """Return a credential that logs in by a ServiceAccount token."""
    token = jwt(**{**rig.fake.federated, **claims})
    return identity.ClientAssertionCredential(
        fake_azure.TENANT, fake_azure.CLIENT, lambda: token, **entra(rig)
    )


@pytest.mark.parametrize("login", [by_secret, by_federation])
def test_the_sdk_logs_in_by_the_challenge_and_reads_what_it_wrote(rig, login):
    """Challenge, token endpoint, set, get, get by version: the round trip of the real client."""
    with client(rig, login(rig)) as vault:
        old = vault.set_secret("db", "one", content_type="text/plain")
        new = vault.set_secret("db", "two")
        got = vault.get_secret("DB")
        pinned = vault.get_secret("db", old.properties.version)

    assert (got.value, got.properties.version) == ("two", new.properties.version)
    assert (pinned.value, pinned.properties.content_type) == ("one", "text/plain")
    assert len(new.properties.version) == len(hashlib.md5(usedforsecurity=False).hexdigest())
    assert got.properties.enabled is True


def test_the_sdk_understands_the_vaults_refusals(rig):
    """Missing, disabled and forbidden are the SDK's own errors, with the codes where it looks."""
    rig.fake.put("off", "x", enabled=False)

    with client(rig, by_secret(rig)) as vault:
        with pytest.raises(azure_core.ResourceNotFoundError) as missing:
            vault.get_secret("nothing")
        with pytest.raises(azure_core.HttpResponseError) as disabled:
            vault.get_secret("off")
        rig.fake.forbidden = "ForbiddenByRbac"
        with pytest.raises(azure_core.HttpResponseError) as forbidden:
            vault.get_secret("off")

    assert (missing.value.status_code, missing.value.error.code) == (404, "SecretNotFound")
    assert (disabled.value.status_code, disabled.value.error.code) == (403, "Forbidden")
    assert disabled.value.error.innererror == {"code": "SecretDisabled"}
    assert forbidden.value.error.innererror == {"code": "ForbiddenByRbac"}


@pytest.mark.parametrize(
    ("login", "number"),
    [
        (lambda rig: by_secret(rig, "wrong"), "AADSTS7000215"),
        (lambda rig: by_federation(rig, sub="system:serviceaccount:other:x"), "AADSTS700213"),
        (lambda rig: by_federation(rig, iss="https://other.example/"), "AADSTS700211"),
        (lambda rig: by_federation(rig, aud="other"), "AADSTS700212"),
    ],
    ids=["secret", "subject", "issuer", "audience"],
)
def test_the_sdk_understands_refused_logins(rig, login, number):
    """The SDK reads the error document of the token endpoint as Entra's."""
    with client(rig, login(rig)) as vault, pytest.raises(azure_core.ClientAuthenticationError) as e:
        vault.get_secret("db")

    assert number in str(e.value)
