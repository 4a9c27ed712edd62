"""What a real Vault makes when it is asked: certificates, keys of transit, users of AWS and SQL."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import pytest
from cryptography import x509

from injector.core import errors
from injector.core.secret import Lease
from tests.e2e.testbed import cache
from tests.e2e.testbed.postgres import Postgres
from tests.e2e.testbed.vault import POSTGRES_PLUGIN
from tests.e2e.vault_rig import RealVaultRig, Server
from tests.providers.aws_gate import Aws
from tests.providers.fault_proxy import Status
from tests.providers.rigs import revealed


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the module."""
    made = Server(tmp_path_factory.mktemp("vault"))
    yield made
    made.close()


@pytest.fixture
def rig(tmp_path, server):
    """A store on it."""
    made = RealVaultRig(tmp_path, server)
    yield made
    made.close()


@pytest.fixture(scope="module")
def pki(server):
    """An authority that Vault keeps; its own certificate."""
    server("POST", "sys/mounts/pki", {"type": "pki"})
    root = {"common_name": "authority of a test", "ttl": "24h", "key_type": "ec"}
    answer = server("POST", "pki/root/generate/internal", root)
    server("POST", "pki/roles/app", {"allow_any_name": True})
    return answer["data"]["certificate"]


@pytest.fixture
def aws(server):
    """An AWS account whose users and roles Vault makes."""
    account = Aws()
    server("POST", "sys/mounts/aws", {"type": "aws"})
    root = {
        "access_key": "AKIASETUP",
        "secret_key": "setup",
        "region": "eu-central-1",
        "iam_endpoint": account.url,
        "sts_endpoint": account.url,
        "sts_region": "eu-central-1",
    }
    server("POST", "aws/config/root", root)
    server("POST", "aws/config/lease", {"lease": "20m", "lease_max": "1h"})
    yield account
    server("DELETE", "sys/mounts/aws")
    account.close()


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL server at a loopback address of its own."""
    if not Path("/usr/lib/postgresql").is_dir():
        pytest.fail("please install PostgreSQL: apt-get install postgresql")
    number = os.getpid() % 60_000 + 256
    address = f"127.54.{number // 256}.{number % 256}"
    with tempfile.TemporaryDirectory(
        prefix="postgres-"
    ) as folder:  # its user cannot enter pytest's
        made = Postgres(Path(folder) / "server", address, logs=Path(folder))
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.fixture
def database(server, postgres):
    """The path of credentials that Vault makes in PostgreSQL."""
    plugin = cache.bin_dir() / "plugins" / POSTGRES_PLUGIN
    digest = hashlib.sha256(plugin.read_bytes()).hexdigest()
    entry = {"sha256": digest, "command": POSTGRES_PLUGIN}
    server("POST", f"sys/plugins/catalog/database/{POSTGRES_PLUGIN}", entry)
    yield postgres.offer(server, "app", ttl="20m")
    server("DELETE", "sys/mounts/database")


def test_a_certificate_of_pki_is_read_where_the_policy_says_so(rig, pki):
    """The authority's own, and nothing beside it; a mount that no policy names is not there."""
    rig.allow("pki/cert/ca")
    ca, role = rig.read("pki/cert/ca", "pki/roles/app")
    rig.allow("transit/*")
    (nowhere,) = rig.read("pki/cert/ca")

    assert ca.reveal()["certificate"].strip() == pki.strip()
    read = x509.load_pem_x509_certificate(ca.reveal()["certificate"].encode())
    assert read.subject.rfc4514_string() == "CN=authority of a test"
    assert (role.code, role.what) == (errors.FORBIDDEN, "no policy lets us read this path")
    assert (nowhere.code, nowhere.what) == (
        errors.FORBIDDEN,
        "no policy lets us into this mount, or there is no such mount",
    )


def test_a_key_of_transit_leaves_it_where_the_policy_says_so(rig, server):
    """What the engine exports to us, and nothing of the key beside it."""
    for name in ("mine", "theirs"):
        server("POST", f"transit/keys/{name}", {"type": "aes256-gcm96", "exportable": True})
    rig.allow("transit/export/encryption-key/mine/latest")

    mine, theirs = rig.read(
        *(f"transit/export/encryption-key/{name}/latest" for name in ("mine", "theirs"))
    )

    assert len(mine.reveal()["keys"]["1"]) == 44
    assert (theirs.code, theirs.what) == (errors.FORBIDDEN, "no policy lets us read this path")


READ_ONLY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
    }
)
ROLE = "arn:aws:iam::123456789012:role/app"


@pytest.mark.parametrize(
    ("role", "actions", "is_renewable"),
    [
        (
            {"credential_type": "iam_user", "policy_document": READ_ONLY},
            ["CreateUser", "PutUserPolicy", "CreateAccessKey"],
            True,
        ),
        (
            {"credential_type": "assumed_role", "role_arns": [ROLE]},
            ["GetCallerIdentity", "AssumeRole"],
            False,
        ),
    ],
)
def test_keys_of_aws_keep_their_lease(rig, server, aws, role, actions, is_renewable):
    """A user made for us can be renewed, a role taken on for us cannot; both are known to AWS."""
    server("POST", "aws/roles/app", role)
    rig.allow("aws/creds/app")

    (answer,) = rig.read("aws/creds/app")

    assert aws.actions == actions
    assert answer.reveal()["access_key"][:4] == ("AKIA" if is_renewable else "ASIA")
    assert answer.lease.duration_s == (1200.0 if is_renewable else 3600.0)
    assert answer.lease.is_renewable is is_renewable
    known = server("PUT", "sys/leases/lookup", {"lease_id": answer.lease.id})["data"]
    assert known["renewable"] is is_renewable


def test_a_user_of_a_database_and_its_password_are_one_read_with_its_lease(
    rig, server, database, postgres
):
    """Both references are the same secret; the lease outlives the login, and the user works."""
    rig.allow(database)

    user, password = rig.read(database, database)

    assert user is password
    assert rig.fetched.stores[0].reads == 1
    assert sent(rig).count(f"GET /v1/{database}") == 1
    known = server("PUT", "sys/leases/lookup", {"lease_id": user.lease.id})["data"]
    assert user.lease == Lease(id=known["id"], duration_s=1200.0, is_renewable=True)
    given = user.reveal()
    assert set(given) == {"username", "password"}
    name = given["username"]
    assert postgres.query("SELECT current_user", user=name, password=given["password"]) == name
    made = postgres.query("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'")
    assert made == "1"


def test_each_mount_is_asked_about_once(rig, server):
    """However many secrets of it are read, on however many connections, and of whatever kind."""
    names = [f"secret-{i}" for i in range(12)]
    for name in names:
        rig.put(name, {"name": name})
    server("POST", "old/app", {"x": "1"})

    answers = rig.read(*names, "old/app", "old/nothing", "transit/keys/app", "transit/keys/none")

    assert [revealed(answer)["name"] for answer in answers[: len(names)]] == names
    asked = [line for line in sent(rig) if "/sys/internal/ui/mounts/" in line]
    mounts = [line.partition("/ui/mounts/")[2].partition("/")[0] for line in asked]
    assert sorted(mounts) == ["kv", "old", "transit"]


def test_a_namespace_goes_with_every_request(rig):
    """With the login too. This server, which has none, leaves the header alone and answers."""
    rig.put("plain", {"user": "shop"})
    rig.allow("kv/data/*")

    found, missing, forbidden = rig.read(
        "plain", "none", "old/app", document=rig.document(namespace="team-a/shop")
    )

    assert revealed(found) == {"user": "shop"}
    assert missing.code is errors.MISSING
    assert forbidden.identity == "an AppRole (namespace team-a/shop)"
    paths = {request.path.split("/")[2] for request in rig.proxy.seen}
    assert paths == {"auth", "sys", "kv"}
    namespaces = [request.headers.get("x-vault-namespace") for request in rig.proxy.seen]
    assert namespaces == ["team-a/shop"] * len(rig.proxy.seen)


def test_a_revoked_token_is_one_more_login(rig, server):
    """Whoever revokes the very token that reads; one that was given to us cannot be renewed."""
    rig.put("plain", {"user": "shop"})

    def revoke(request):
        token = request.headers.get("x-vault-token")
        if token and not any(rig.is_login(each) for each in rig.proxy.seen[1:]):
            server("POST", "auth/token/revoke", {"token": token})
        return False

    rig.proxy.when = revoke
    rig.proxy.faults = [Status(500)]  # never used: `revoke` says no

    (answer,) = rig.read("plain")

    assert revealed(answer) == {"user": "shop"}
    assert rig.fetched.stores[0].logins == 2
    rig.proxy.when = lambda request: False
    given = server("POST", "auth/token/create", {"policies": ["shop"]})["auth"]["client_token"]
    server("POST", "auth/token/revoke", {"token": given})
    rig.source("secrets/v/token", given)
    auth = {"token": {"token": {"secretRef": {"name": "v", "key": "token"}}}}
    (dead,) = rig.read("plain", document=rig.document(auth=auth))
    assert (dead.code, dead.what) == (errors.EXPIRED, "the token has expired or was revoked")


def sent(rig):
    """What the server was asked: method and raw path."""
    return [f"{request.method} {request.path}" for request in rig.proxy.seen]
