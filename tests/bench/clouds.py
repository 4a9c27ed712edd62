"""The clouds' stores as the tests have them (moto, and fakes of Azure and Google), for `fetch`.

They run in a process of their own: what they load is no part of what is measured. Each listens in
the open, as Vault does here, so that what differs between rows is our side; AWS by TLS too.

    python -m tests.bench.clouds FOLDER

serves until its standard input ends; what logs in is in FOLDER/sources, the stores' definitions are
in FOLDER/stores.json.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SECRETS = 20
REGION = "eu-central-1"
STORES = "stores.json"
START_LIMIT_S = 60


@contextlib.contextmanager
def running(folder: Path) -> Iterator[dict[str, dict[str, object]]]:
    """Run the servers; give the definitions of their stores by title."""
    log = folder / "log"
    with log.open("wb") as stderr:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.clouds", folder],
            stdin=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        file = folder / STORES
        end = time.monotonic() + START_LIMIT_S
        while not file.exists():
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(log.read_text())
            time.sleep(0.05)
        yield json.loads(file.read_text())
    finally:
        server.stdin.close()
        server.wait(10)


def serve(folder: Path) -> None:
    """Start all servers, fill them, and serve until nobody needs them any more."""
    sources = folder / "sources"
    definitions = {**aws(sources), **azure(sources), **google(sources)}
    draft = folder / "draft.json"
    draft.write_text(json.dumps(definitions))
    draft.rename(folder / STORES)
    sys.stdin.read()


def aws(sources: Path) -> dict[str, dict[str, object]]:
    """Start moto behind its gate; every secret is in both of its stores."""
    from tests.providers.aws_gate import Aws
    from tests.providers.aws_rigs import ROLE
    from tests.providers.certificates import Authority
    from tests.providers.fault_proxy import FaultProxy

    server = Aws()
    server.web_tokens.add("token")
    secrets, parameters = server.client("secretsmanager"), server.client("ssm")
    for index in range(SECRETS):
        name = f"app{index}"
        secrets.create_secret(Name=name, SecretString='{"key":"value"}')
        parameters.put_parameter(Name=name, Value='{"key":"value"}', Type="SecureString")
    authority = Authority(sources.parent)
    proxy = FaultProxy(authority.context(), server.server_address)
    put(sources, "awsSecretsManager", "token")
    put(sources, "awsParameterStore", "token")

    def store(at, **more):
        auth = {"webIdentity": {"roleArn": ROLE}}
        return {"region": REGION, "endpoint": at, "stsEndpoint": at, "auth": auth, **more}

    tls = store(f"https://127.0.0.1:{proxy.port}", caBundle=authority.pem)
    return {
        "aws secrets": {"awsSecretsManager": store(server.url)},
        "aws secrets by TLS": {"awsSecretsManager": tls},
        "aws parameters": {"awsParameterStore": store(server.url)},
    }


def azure(sources: Path) -> dict[str, dict[str, object]]:
    """Start the fake of a key vault and its tenant."""
    from tests.providers import fake_azure
    from tests.providers.cloud_rigs import jwt

    server = fake_azure.FakeAzure()
    for index in range(SECRETS):
        server.put(f"app{index}", '{"key":"value"}')
    put(sources, "azureKeyVault", jwt(**server.federated))
    at = f"http://127.0.0.1:{server.server_address[1]}"
    auth = {"workloadIdentity": {"clientId": fake_azure.CLIENT}}
    spec = {"address": at, "authorityHost": at, "tenantId": fake_azure.TENANT, "auth": auth}
    return {"azure": {"azureKeyVault": spec}}


def google(sources: Path) -> dict[str, dict[str, object]]:
    """Start the fakes of Secret Manager and of the token service."""
    from tests.providers import fake_gcp
    from tests.providers.cloud_rigs import jwt

    server = fake_gcp.FakeGcp()
    for index in range(SECRETS):
        server.put(f"app{index}", b'{"key":"value"}')
    put(sources, "gcpSecretManager", jwt(sub="system:serviceaccount:a:b", **server.trusted))
    at = f"http://127.0.0.1:{server.server_address[1]}"
    spec = {
        "project": fake_gcp.PROJECT,
        "endpoints": {"secretManager": at, "sts": at, "iamCredentials": at},
        "auth": {"workloadIdentity": {"provider": fake_gcp.PROVIDER}},
    }
    return {"gcp": {"gcpSecretManager": spec}}


def put(sources: Path, store: str, token: str) -> None:
    """Write the projected token of a store."""
    place = sources / "tokens" / store.lower()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(token)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
