"""The rigs of Azure and Google: fakes behind TLS and the fault proxy, entered by federation."""

import base64
import functools
import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.providers import fake_azure, fake_gcp
from tests.providers.certificates import Authority
from tests.providers.fake_azure import FakeAzure
from tests.providers.fake_gcp import FakeGcp
from tests.providers.fault_proxy import FaultProxy
from tests.providers.rigs import CREDENTIAL, Rig


def jwt(**claims):
    """Return a token with these claims, and a canary where the signature would be."""
    parts = ({"alg": "RS256"}, claims)
    texts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts]
    return ".".join([*texts, CREDENTIAL])


@functools.cache
def service_account_key():
    """Return the JSON file of a service account's key, and its public key."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    document = {
        "type": "service_account",
        "project_id": fake_gcp.PROJECT,
        "private_key_id": "key-1",
        "private_key": pem.decode(),
        "client_email": fake_gcp.ACCOUNT,
        "token_uri": "https://evil.example/token",
    }
    return json.dumps(document), private.public_key()


class CloudRig(Rig):
    """What both have in common: a value is one text, a mapping is JSON in it."""

    has_versions = True
    has_server_name = False
    fake = None

    def _start(self, folder, fake):
        self.authority = Authority(folder)
        self.fake = fake
        self.proxy = FaultProxy(self.authority.context(), fake.server_address)
        self.at = f"https://127.0.0.1:{self.proxy.port}"

    def close(self):
        self.proxy.close()
        self.fake.close()


class AzureRig(CloudRig):
    """A fake key vault and Entra tenant."""

    name = "azureKeyVault"
    names = ("plain", "With-Dashes-1", "x" * 127)
    largest = 24_000

    def __init__(self, folder):
        super().__init__(folder)
        self._start(folder, FakeAzure())
        self.source("tokens/store", jwt(**self.fake.federated))
        self.versions = {}

    def put(self, name, data):
        version = self.fake.put(name, json.dumps(data))
        self.versions.setdefault(name, []).append(version)

    def version(self, name, number):
        """Return how the store calls the n-th version; a made-up one where there is none."""
        known = self.versions.get(name, [])
        return known[number - 1] if number <= len(known) else "f" * 32

    def document(self, **azure):
        host = azure.get("address", "").removeprefix("https://").partition(":")[0]
        elsewhere = {"vaultSuffix": host, "authorityHost": azure["address"]} if host else {}
        return {
            "timeout": "2s",
            "azureKeyVault": {
                "address": self.at,
                "authorityHost": self.at,
                "tenantId": fake_azure.TENANT,
                "caBundle": self.authority.pem,
                "auth": {"workloadIdentity": {"clientId": fake_azure.CLIENT}},
                **elsewhere,
                **azure,
            },
        }

    def is_login(self, request):
        return request.method == "POST"

    def expire_logins(self):
        self.fake.tokens.clear()

    def forbid(self):
        self.fake.forbidden = "ForbiddenByRbac"

    def refuse_logins(self):
        self.fake.federated = None


class GcpRig(CloudRig):
    """Fakes of Secret Manager and of the Security Token Service."""

    name = "gcpSecretManager"
    names = ("plain", "With-Dashes_and_underscores-1", "x" * 255)
    largest = 60_000

    def __init__(self, folder):
        super().__init__(folder)
        self._start(folder, FakeGcp())
        subject = "system:serviceaccount:shop:checkout"
        self.source("tokens/store", jwt(sub=subject, **self.fake.trusted))

    def put(self, name, data):
        self.fake.put(name, json.dumps(data).encode())

    def document(self, **gcp):
        at = gcp.pop("address", self.at)
        return {
            "timeout": "2s",
            "gcpSecretManager": {
                "project": fake_gcp.PROJECT,
                "endpoints": {"secretManager": at, "sts": at, "iamCredentials": at},
                "caBundle": self.authority.pem,
                "auth": {"workloadIdentity": {"provider": fake_gcp.PROVIDER}},
                **gcp,
            },
        }

    def is_login(self, request):
        return request.method == "POST"

    def expire_logins(self):
        self.fake.federated.clear()

    def forbid(self):
        self.fake.refusal = (403, "PERMISSION_DENIED", "CANARY")

    def refuse_logins(self):
        self.fake.trusted = {"iss": "https://other.example/", "aud": self.fake.trusted["aud"]}
