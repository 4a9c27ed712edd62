"""The clouds' stores as pods reach them: moto and the tests' fakes behind TLS on this machine.

They accept the ServiceAccount tokens that the cluster really issues, by issuer, subject and
audience, as identity providers compare them.
"""

from __future__ import annotations

import json
from pathlib import Path

from injector.core import claims
from tests.e2e.scenarios.system import Tenant, store
from tests.e2e.testbed.cluster import Object
from tests.providers import fake_azure, fake_gcp
from tests.providers.aws_gate import Aws
from tests.providers.certificates import Authority
from tests.providers.fake_azure import FakeAzure
from tests.providers.fake_gcp import FakeGcp
from tests.providers.fault_proxy import FaultProxy

AWS_AUDIENCE = "sts.amazonaws.com"
REGION = "eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/secrets-{namespace}"
VAULT_HOST = "shop.vault.azure.net"


class Tokens:
    """Contains what the cluster issued to one ServiceAccount for STS."""

    def __init__(self, issuer: str, subject: str) -> None:
        self._wanted = claims.Claims(issuer=issuer, subject=subject, audience=AWS_AUDIENCE)

    def __contains__(self, token: str) -> bool:
        return claims.parse(token) == self._wanted


class Clouds:
    """One server of each cloud, for the pods of one tenant; each store is named by its kind."""

    def __init__(self, folder: Path, tenant: Tenant, host: str) -> None:
        document = tenant.cluster.api.request("GET", "/.well-known/openid-configuration")
        issuer = document.json()["issuer"]
        subject = f"system:serviceaccount:{tenant.namespace}:default"
        self.aws, self.azure, self.gcp = Aws(), FakeAzure(), FakeGcp()
        self.aws.web_tokens = Tokens(issuer, subject)
        self.azure.federated |= {"iss": issuer, "sub": subject}
        self.gcp.trusted["iss"] = issuer
        self._host, self._authority = host, Authority(folder)
        self._prefix = tenant.namespace
        self._proxies = {
            name: FaultProxy(self._authority.context(name=known_as), server.server_address, host)
            for name, known_as, server in (
                ("aws", host, self.aws),
                ("entra", host, self.azure),
                ("azure", VAULT_HOST, self.azure),
                ("gcp", host, self.gcp),
            )
        }

    @property
    def aliases(self) -> list[Object]:
        """What a pod's hostAliases must say: a key vault is known by a name under Azure's own."""
        return [{"ip": self._host, "hostnames": [VAULT_HOST]}]

    def name(self, kind: str) -> str:
        """Return the name of the store of a kind."""
        return f"{self._prefix}-{kind.lower()}"

    def stores(self) -> list[Object]:
        """Return the stores."""
        aws, entra, gcp = (self._at(name) for name in ("aws", "entra", "gcp"))
        amazon = {
            "region": REGION,
            "endpoint": aws,
            "stsEndpoint": aws,
            "auth": {"webIdentity": {"roleArn": ROLE}},
        }
        specs = {
            "awsSecretsManager": amazon,
            "awsParameterStore": amazon,
            "azureKeyVault": {
                "address": f"https://{VAULT_HOST}:{self._proxies['azure'].port}",
                "authorityHost": entra,
                "tenantId": fake_azure.TENANT,
                "auth": {"workloadIdentity": {"clientId": fake_azure.CLIENT}},
            },
            "gcpSecretManager": {
                "project": fake_gcp.PROJECT,
                "endpoints": {"secretManager": gcp, "sts": gcp, "iamCredentials": gcp},
                "auth": {"workloadIdentity": {"provider": fake_gcp.PROVIDER}},
            },
        }
        return [
            store(self.name(kind), {kind: {**spec, "caBundle": self._authority.pem}})
            for kind, spec in specs.items()
        ]

    def put(self, name: str, data: Object) -> None:
        """Write the secret of this name, a JSON object, to every store."""
        text = json.dumps(data)
        self.aws.client("secretsmanager").create_secret(Name=name, SecretString=text)
        self.aws.client("ssm").put_parameter(Name=name, Value=text, Type="SecureString")
        self.azure.put(name, text)
        self.gcp.put(name, text.encode())

    def close(self) -> None:
        """Stop everything."""
        for each in (*self._proxies.values(), self.aws, self.azure, self.gcp):
            each.close()

    def _at(self, name: str) -> str:
        return f"https://{self._host}:{self._proxies[name].port}"
