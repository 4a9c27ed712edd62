"""Which servers a session speaks to: what `doctor` reaches, and firewalls must let through."""

import pytest

from injector import providers
from injector.core import stores
from tests.core.test_sites import REQUIRED

IRSA = {"webIdentity": {"roleArn": "arn:aws:iam::123456789012:role/r"}}
KEY = {"secretRef": {"name": "a", "key": "b"}}
POOL = "identitynamespace:p-1234.svc.id.goog:https://c"


def urls(kind, **changes):
    """The URLs of a store's servers."""
    store = stores.parse("store", {kind: {**REQUIRED[kind], **changes}})
    return [server.address.url() for server in providers.servers(store)]


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        ("vault", {}, ["https://v.example.org:8200"]),
        ("awsSecretsManager", {}, ["https://secretsmanager.eu-central-1.amazonaws.com:443"]),
        (
            "awsParameterStore",
            {"auth": IRSA, "region": "cn-north-1"},
            [
                "https://sts.cn-north-1.amazonaws.com.cn:443",
                "https://ssm.cn-north-1.amazonaws.com.cn:443",
            ],
        ),
        (
            "awsSecretsManager",
            {"roleArn": "arn:aws:iam::123456789012:role/r", "fips": True},
            [
                "https://sts-fips.eu-central-1.amazonaws.com:443",
                "https://secretsmanager-fips.eu-central-1.amazonaws.com:443",
            ],
        ),
        (
            "awsParameterStore",
            {"region": "us-gov-west-1", "fips": True},
            ["https://ssm.us-gov-west-1.amazonaws.com:443"],
        ),
        (
            "awsSecretsManager",
            {"auth": IRSA, "endpoint": "https://vpce.example.org"},
            ["https://sts.eu-central-1.amazonaws.com:443", "https://vpce.example.org:443"],
        ),
        (
            "awsSecretsManager",
            {"auth": IRSA, "endpoint": "https://x.example", "stsEndpoint": "https://x.example"},
            ["https://x.example:443"],
        ),
        (
            "azureKeyVault",
            {},
            ["https://login.microsoftonline.com:443", "https://a.vault.azure.net:443"],
        ),
        (
            "gcpSecretManager",
            {},
            [
                "https://sts.googleapis.com:443",
                "https://secretmanager.europe-west3.rep.googleapis.com:443",
            ],
        ),
        (
            "gcpSecretManager",
            {"auth": {"workloadIdentity": {"provider": POOL, "serviceAccount": "a@b"}}},
            [
                "https://sts.googleapis.com:443",
                "https://iamcredentials.googleapis.com:443",
                "https://secretmanager.europe-west3.rep.googleapis.com:443",
            ],
        ),
        (
            "gcpSecretManager",
            {"auth": {"serviceAccountKey": {"key": KEY}}, "location": None},
            ["https://secretmanager.googleapis.com:443"],
        ),
    ],
)
def test_a_store_speaks_to_these_servers_alone(kind, changes, expected):
    """In the order of a session; a server that both steps share stands once."""
    assert urls(kind, **changes) == expected


def test_a_file_of_sops_speaks_to_the_key_service_that_opens_it():
    """Where its key is age's, to nobody."""
    file = {"configMapRef": {"name": "file", "key": "all.yaml"}}
    kms = {"region": "eu-central-1", "auth": {"podIdentity": {}}}
    by_age, by_kms = (
        stores.parse("store", {"sops": {"file": file, **opener}})
        for opener in ({"identity": KEY}, {"kms": kms})
    )

    assert providers.servers(by_age) == ()
    (server,) = providers.servers(by_kms)
    assert server.address.url() == "https://kms.eu-central-1.amazonaws.com:443"


@pytest.mark.parametrize("document", [{"k8s": {}}, {"dotenv": {"file": "x"}}, {"env": {}}])
def test_files_speak_to_nobody(document):
    """There is no server."""
    assert providers.servers(stores.parse("store", document, in_cluster="k8s" in document)) == ()
