"""A second place for each store behind a network, with secrets of its own, beside the rig's first.

Where a login has a server of its own, it stands apart from both, as in life: Entra and Google's
token service are not in the region that is away.
"""

import json

from tests.providers.fake_azure import FakeAzure
from tests.providers.fake_gcp import FakeGcp
from tests.providers.fake_vault import FakeVault
from tests.providers.fault_proxy import FaultProxy

LOCATION, ELSEWHERE = "europe-west3", "europe-west4"
WEST = "eu-west-1"


class Fallback:
    """What the suite needs: `home` and `site` are the names of both places.

    `proxy` stands before the second one, so that it can be away too and `asked` can be counted.
    """

    def __init__(self, rig, server):
        self.rig = rig
        self.proxy = FaultProxy(rig.authority.context(), server.server_address)
        self.at = f"https://127.0.0.1:{self.proxy.port}"
        self.home, self.site = (f"127.0.0.1:{proxy.port}" for proxy in (rig.proxy, self.proxy))

    def put(self, name, data):
        """Store a mapping in the second place alone."""
        raise NotImplementedError

    def document(self):
        """Return the store's definition with both places."""
        return self.rig.document(fallbacks=[{"address": self.at}])

    @property
    def asked(self):
        """How many requests came to the second place."""
        return len(self.proxy.seen)

    def close(self):
        """Stop what this started."""
        self.proxy.close()


class VaultFallback(Fallback):
    """Another Vault server with the same login."""

    def __init__(self, rig):
        self.vault = FakeVault()
        self.vault.logins = rig.vault.logins
        super().__init__(rig, self.vault)

    def put(self, name, data):
        self.vault.put(name, data)

    def close(self):
        super().close()
        self.vault.close()


class AwsFallback(Fallback):
    """Another region of the same account."""

    def __init__(self, rig):
        super().__init__(rig, rig.aws)
        self.home, self.site = "eu-central-1", WEST
        self.setup = rig.aws.client(rig.service, WEST)

    def put(self, name, data):
        text = json.dumps(data)
        if self.rig.service == "ssm":
            self.setup.put_parameter(Name=name, Value=text, Type="SecureString")
        else:
            self.setup.create_secret(Name=name, SecretString=text)

    def document(self):
        place = {"region": WEST, "endpoint": self.at, "stsEndpoint": self.at}
        return self.rig.document(fallbacks=[place])

    def close(self):
        self.setup.close()
        super().close()


class AzureFallback(Fallback):
    """Another key vault of the same tenant."""

    def __init__(self, rig):
        self.fake = FakeAzure()
        self.fake.tokens = rig.fake.tokens
        super().__init__(rig, self.fake)

    def put(self, name, data):
        self.fake.put(name, json.dumps(data))

    def document(self):
        entra = f"http://127.0.0.1:{self.rig.fake.server_address[1]}"
        return self.rig.document(authorityHost=entra, fallbacks=[{"address": self.at}])

    def close(self):
        super().close()
        self.fake.close()


class GcpFallback(Fallback):
    """Another location of the same project: regional secrets do not replicate by themselves."""

    def __init__(self, rig):
        self.fake = FakeGcp()
        self.fake.tokens, self.fake.federated = rig.fake.tokens, rig.fake.federated
        super().__init__(rig, self.fake)
        self.home, self.site = LOCATION, ELSEWHERE
        put = rig.fake.put
        rig.put = lambda name, data: put(name, json.dumps(data).encode(), location=LOCATION)

    def put(self, name, data):
        self.fake.put(name, json.dumps(data).encode(), location=ELSEWHERE)

    def document(self):
        sts = f"http://127.0.0.1:{self.rig.fake.server_address[1]}"
        return self.rig.document(
            location=LOCATION,
            endpoints={"secretManager": self.rig.at, "sts": sts, "iamCredentials": sts},
            fallbacks=[{"location": ELSEWHERE, "endpoint": self.at}],
        )

    def close(self):
        super().close()
        self.fake.close()


FALLBACKS = {
    "vault": VaultFallback,
    "awsSecretsManager": AwsFallback,
    "awsParameterStore": AwsFallback,
    "azureKeyVault": AzureFallback,
    "gcpSecretManager": GcpFallback,
}
