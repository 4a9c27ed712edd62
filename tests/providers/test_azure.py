"""What is Key Vault's own: logins by number, refusals by code, dates, certificates."""

import base64
import datetime as dt
import json
import re
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from injector.core import errors
from injector.core.secret import Failure, Secret
from tests.providers import fake_azure
from tests.providers.cloud_rigs import AzureRig, jwt

DAY_S = 86_400
YEAR_2100_S = 4_102_444_800


@pytest.fixture
def rig(tmp_path):
    """A fake key vault behind TLS."""
    made = AzureRig(tmp_path)
    yield made
    made.close()


def one(rig, path, version=None, **azure):
    """The answer to one read."""
    (answer,) = rig.read((path, version), document=rig.document(**azure) if azure else None)
    assert "CANARY" not in repr(answer)
    return answer


def test_a_value_is_the_text_as_it_was_set_with_its_version(rig):
    """No trailing line break is lost, none is added; the version is the identifier's end."""
    version = rig.fake.put("db", " päss\n")

    answer = one(rig, "db")

    assert (answer.reveal(), answer.version) == (" päss\n".encode(), version)


def test_the_token_is_asked_for_the_vaults_of_the_cloud_alone(rig):
    """One login for all reads, by the pod's token; then the token, and nothing else of ours."""
    for name in ("a", "b", "c"):
        rig.fake.put(name, name)

    rig.read("a", "b", "c")

    login, *reads = rig.proxy.seen
    assert login.path == f"/{fake_azure.TENANT}/oauth2/v2.0/token"
    assert b"scope=https%3A%2F%2Fvault.azure.net%2F.default" in login.body
    assert "authorization" not in login.headers
    assert sorted(read.path for read in reads) == [
        f"/secrets/{name}?api-version=7.4" for name in ("a", "b", "c")
    ]
    assert {read.headers["authorization"] for read in reads} == {"Bearer eyJ0.CANARY-TOKEN.0"}


def test_a_client_secret_logs_in_without_a_token(rig):
    """The secret comes from the namespace; a line break at its end is not part of it."""
    rig.fake.put("db", "x")
    rig.source("secrets/app/secret", f"{fake_azure.CLIENT_SECRET}\n")
    auth = {
        "clientSecret": {
            "clientId": fake_azure.CLIENT,
            "secret": {"secretRef": {"name": "app", "key": "secret"}},
        }
    }

    assert one(rig, "db", auth=auth).reveal() == b"x"

    rig.source("secrets/app/secret", "wrong")
    failure = one(rig, "db", auth=auth)
    assert failure == Failure(
        code=errors.UNAUTHENTICATED,
        what=f"the client secret of application {fake_azure.CLIENT} is wrong (AADSTS7000215)",
        hint="store the secret's value, not its id",
        identity=f"application {fake_azure.CLIENT} of tenant {fake_azure.TENANT}",
    )


@pytest.mark.parametrize("claim", ["iss", "sub", "aud"])
def test_a_federated_credential_that_does_not_match_is_told_what_to_enter(rig, claim):
    """The hint is what one pastes: issuer, subject and audience as the token has them."""
    token = {**rig.fake.federated, claim: "something-else"}
    rig.source("tokens/store", jwt(**token))

    failure = one(rig, "db")

    assert failure.code is errors.UNAUTHENTICATED
    assert re.fullmatch(
        rf"no federated credential of application {fake_azure.CLIENT} matches the pod's token"
        r" \(AADSTS70021[123]\)",
        failure.what,
    )
    wanted = f'issuer "{token["iss"]}", subject "{token["sub"]}", audience "{token["aud"]}"'
    assert wanted in failure.hint


@pytest.mark.parametrize(
    ("refusal", "code", "what"),
    [
        ((400, 90002, "invalid_request"), errors.UNAUTHENTICATED, "there is no tenant {tenant}"),
        ((400, 700016, "x"), errors.UNAUTHENTICATED, "tenant {tenant} has no application {client}"),
        ((400, 53003, "x"), errors.FORBIDDEN, "a Conditional Access policy blocks application"),
        ((401, 7000222, "x"), errors.UNAUTHENTICATED, "the client secret of application"),
        ((400, 50196, "x"), errors.THROTTLED, "Microsoft Entra is throttling (AADSTS50196)"),
        ((503, 90033, "x"), errors.DOWN, "Microsoft Entra is not available right now"),
        ((400, 123456, "odd"), errors.UNAUTHENTICATED, "Microsoft Entra refuses the login: AADSTS"),
    ],
)
def test_entra_is_understood_by_the_number_of_its_error(rig, refusal, code, what):
    """Known numbers have sentences, unknown ones are passed on as numbers; prose never is."""
    rig.fake.refusal = refusal

    failure = one(rig, "db")

    names = {"tenant": fake_azure.TENANT, "client": fake_azure.CLIENT}
    assert failure.code is code
    assert failure.what.startswith(what.format(**names))
    assert f"AADSTS{refusal[1]}" in failure.what


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("ForbiddenByRbac", 'the role "Key Vault Secrets User"'),
        ("ForbiddenByPolicy", f"az keyvault set-policy --spn {fake_azure.CLIENT}"),
        ("AccessDenied", f"az keyvault set-policy --spn {fake_azure.CLIENT}"),
        ("ForbiddenByFirewall", "the cluster's egress"),
        ("ForbiddenByConnection", "a private endpoint"),
    ],
)
def test_a_forbidden_read_says_whose_permission_is_missing(rig, reason, hint):
    """Role, access policy and firewall are three different mistakes of three different people."""
    rig.fake.forbidden = reason

    failure = one(rig, "db")

    assert failure.code is errors.FORBIDDEN
    assert hint in failure.hint


def test_a_vault_of_another_tenant_is_told_by_its_challenge(rig):
    """Logging in again would not help, and is not tried."""
    rig.fake.challenge_tenant = "11111111-0000-4000-8000-000000000000"
    rig.proxy.when = lambda request: not rig.is_login(request) and rig.expire_logins()
    rig.proxy.faults = [None]

    failure = one(rig, "db")

    assert failure.code is errors.UNAUTHENTICATED
    assert failure.what == (
        "the vault belongs to tenant 11111111-0000-4000-8000-000000000000,"
        f" the login is of {fake_azure.TENANT}"
    )
    assert len(rig.proxy.seen) == 2


def test_a_disabled_secret_is_not_a_missing_one(rig):
    """A default must not stand in for what somebody switched off."""
    rig.fake.put("off", "x", enabled=False)

    failure = one(rig, "off")

    assert failure.code is errors.FORBIDDEN
    assert failure.what == "the version of the secret is disabled"


@pytest.mark.parametrize(
    ("dates", "what"),
    [
        ({"exp": DAY_S}, "the secret expired on 1970-01-02 by its own attributes"),
        ({"nbf": YEAR_2100_S}, "the secret is not valid before 2100-01-01 by its own attributes"),
    ],
    ids=["expired", "early"],
)
def test_a_secrets_own_dates_are_kept_unless_the_store_says_otherwise(rig, dates, what):
    """Key Vault gives such secrets out; whoever sets a date means it."""
    rig.fake.put("db", "x", **dates)

    refused = one(rig, "db")
    allowed = one(rig, "db", allowExpired=True)

    assert (refused.code, refused.what) == (errors.EXPIRED_VALUE, what)
    assert isinstance(allowed, Secret)


def test_a_secret_within_its_dates_is_read(rig):
    """Dates that hold are no obstacle."""
    rig.fake.put("db", "x", nbf=DAY_S, exp=YEAR_2100_S)

    assert one(rig, "db").reveal() == b"x"


class Chain:
    """A leaf, its issuer and a root, with the leaf's key."""

    def __init__(self):
        self.keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
        names = [
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            for name in ("leaf", "issuer", "root")
        ]
        now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        self.certificates = [
            x509.CertificateBuilder()
            .subject_name(names[i])
            .issuer_name(names[min(i + 1, 2)])
            .public_key(self.keys[i].public_key())
            .serial_number(i + 1)
            .not_valid_before(now)
            .not_valid_after(now + dt.timedelta(days=1))
            .sign(self.keys[min(i + 1, 2)], SHA256())
            for i in range(3)
        ]

    def key(self):
        return self.keys[0].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def pem(self, *order):
        return b"".join(
            self.certificates[i].public_bytes(serialization.Encoding.PEM) for i in order
        )

    def pkcs12(self):
        leaf, issuer, root = self.certificates
        data = pkcs12.serialize_key_and_certificates(
            None, self.keys[0], leaf, [root, issuer], serialization.NoEncryption()
        )
        return base64.b64encode(data).decode()


@pytest.mark.parametrize("kind", ["pem", "pkcs12"])
def test_a_certificate_is_pem_with_the_key_first_and_the_chain_in_order(rig, kind):
    """Both content types give the same text, leaf first; the parts come from one answer."""
    chain = Chain()
    if kind == "pem":
        text = (chain.key() + chain.pem(2, 0, 1)).decode()
        rig.fake.put("web", text, "application/x-pem-file")
    else:
        rig.fake.put("web", chain.pkcs12(), "application/x-pkcs12")

    whole, key, leaf_to_root = rig.read(
        "certificates/web", "certificates/web/key", "certificates/web/chain"
    )

    assert key.reveal() == chain.key()
    assert leaf_to_root.reveal() == chain.pem(0, 1, 2)
    assert whole.reveal() == chain.key() + chain.pem(0, 1, 2)
    assert len(rig.proxy.seen) == 2


def test_a_certificate_without_its_key_says_so(rig):
    """A key that cannot be exported is missing; the chain is there."""
    chain = Chain()
    rig.fake.put("web", chain.pem(1, 0).decode(), "application/x-pem-file")

    key, leaf_to_root = rig.read("certificates/web/key", "certificates/web/chain")

    assert key.code is errors.MISSING
    assert key.what == "the certificate is kept without its private key"
    assert leaf_to_root.reveal() == chain.pem(0, 1)


@pytest.mark.parametrize(
    ("value", "content_type", "what"),
    [
        ("CANARY", None, "the secret is not a certificate's"),
        ("CANARY", "application/x-pkcs12", "it cannot be read as a certificate"),
        ("CANARY", "application/x-pem-file", "it cannot be read as a certificate"),
    ],
)
def test_a_secret_that_is_no_certificate_is_refused_without_its_content(
    rig, value, content_type, what
):
    """Nothing of the value is told."""
    rig.fake.put("web", value, content_type)

    failure = one(rig, "certificates/web")

    assert (failure.code, failure.what) == (errors.CONTENT, what)


def test_a_plain_read_of_a_certificates_secret_is_left_alone(rig):
    """Without certificates/ the value is what the vault has."""
    rig.fake.put("web", "AAAA", "application/x-pkcs12")

    assert one(rig, "web").reveal() == b"AAAA"


def test_only_certificates_load_the_cryptography_library(rig):
    """Every pod waits for our start-up, so plain secrets do not pay for certificates."""
    sys.modules.pop("injector.providers.azure.certificate", None)
    rig.fake.put("db", json.dumps({"a": 1}))

    one(rig, "db")

    assert "injector.providers.azure.certificate" not in sys.modules
