"""The contract and the faults of `tests/providers` against a real Vault server, not the fake.

The binary is SECRET_INJECTOR_VAULT, or the one that the e2e cache holds. Vault runs in dev mode on
loopback, in memory, behind the same fault proxy, which speaks TLS for it.
"""

import http.client
import json
import os
import socket
import subprocess
import time
from urllib.parse import quote

import pytest

pytest.register_assert_rewrite(
    *(f"tests.providers.test_{suite}" for suite in ("access", "contract", "faults", "tls"))
)

from injector.core import errors  # noqa: E402 (after the rewrite is registered)
from tests.e2e.testbed import cache  # noqa: E402
from tests.providers.certificates import Authority  # noqa: E402
from tests.providers.failing import FINE  # noqa: E402
from tests.providers.fault_proxy import FaultProxy  # noqa: E402
from tests.providers.rigs import Rig, VaultRig  # noqa: E402
from tests.providers.test_access import *  # noqa: E402, F403 (the suite is what we run)
from tests.providers.test_contract import *  # noqa: E402, F403
from tests.providers.test_faults import *  # noqa: E402, F403
from tests.providers.test_tls import *  # noqa: E402, F403

ROOT = "root-of-a-test"
POLICY = """
path "kv/data/%s*" { capabilities = ["read"] }
path "old/*" { capabilities = ["read"] }
path "transit/*" { capabilities = ["read"] }
"""


class Server:
    """A dev server with what the suite needs: KV 1 and 2, AppRole."""

    def __init__(self, folder):
        binary = os.environ.get("SECRET_INJECTOR_VAULT") or cache.bin_dir() / "vault"
        with (
            socket.create_server(("127.0.0.1", 0)) as free,
            socket.create_server(("127.0.0.1", 0)) as unused,
        ):
            self.port, of_dev_mode = (each.getsockname()[1] for each in (free, unused))
        # By itself it takes texts of at most 1 MiB as they are escaped.
        listener = {
            "address": f"127.0.0.1:{self.port}",
            "tls_disable": True,
            "max_json_string_value_length": 8 * 1024 * 1024,
        }
        (folder / "vault.json").write_text(json.dumps({"listener": {"tcp": listener}}))
        self.log = (folder / "vault.log").open("wb")
        self.process = subprocess.Popen(
            [
                binary,
                "server",
                "-dev",
                "-dev-no-store-token",
                f"-dev-root-token-id={ROOT}",
                f"-dev-listen-address=127.0.0.1:{of_dev_mode}",
                f"-config={folder / 'vault.json'}",
            ],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={"HOME": str(folder), "PATH": os.environ["PATH"]},
        )
        deadline = time.monotonic() + 60
        while not self._is_up():
            assert self.process.poll() is None
            assert time.monotonic() < deadline, "vault does not start"
            time.sleep(0.05)
        self("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
        self("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
        self("POST", "sys/mounts/transit", {"type": "transit"})
        self("POST", "transit/keys/app", {"type": "ed25519"})
        self("POST", "sys/auth/approle", {"type": "approle"})
        deadline = time.monotonic() + 30
        while self("POST", "kv/config", {"max_versions": 10}, expect=None) >= 300:
            assert time.monotonic() < deadline, "the kv engine is not upgraded"
            time.sleep(0.05)

    def __call__(self, method, path, body=None, *, token=ROOT, expect=300):
        """Ask the server; return the document, or with `expect` None the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        connection.request(method, f"/v1/{path}", json.dumps(body or {}), headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        if expect is None:
            return response.status
        assert response.status < expect, (path, response.status, data)
        return json.loads(data) if data else {}

    def _is_up(self):
        try:
            return self("GET", "sys/health", expect=None) == 200
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


class RealVaultRig(VaultRig):
    """A rig on a server that all tests share: it empties the mounts it uses."""

    def __init__(self, folder, server):
        Rig.__init__(self, folder)
        self.server = server
        self.authority = Authority(folder)
        self.proxy = FaultProxy(self.authority.context(), ("127.0.0.1", server.port))
        self._written = set()
        self._allow("")
        server(
            "POST",
            "auth/approle/role/shop",
            {"token_policies": ["shop"], "secret_id_ttl": "1h", "token_ttl": "10m"},
        )
        self.role_id = server("GET", "auth/approle/role/shop/role-id")["data"]["role_id"]
        secret_id = server("POST", "auth/approle/role/shop/secret-id")["data"]["secret_id"]
        self.source("secrets/v/id", secret_id)

    def path(self, name):
        return name if name.startswith("transit/") else super().path(name)

    def put(self, name, data):
        self._written.add(quote(name))
        self.server("POST", f"kv/data/{quote(name)}", {"data": data})

    def document(self, **vault):
        auth = {
            "appRole": {
                "roleId": self.role_id,
                "secretId": {"secretRef": {"name": "v", "key": "id"}},
            }
        }
        return super().document(**{"auth": auth, **vault})

    def expire_logins(self):
        self.server("PUT", "sys/leases/revoke-prefix/auth/approle")

    def forbid(self):
        self._allow("other/")

    def refuse_logins(self):
        self.server("DELETE", "auth/approle/role/shop")

    def close(self):
        self.proxy.close()
        for name in self._written:
            self.server("DELETE", f"kv/metadata/{name}")
        self.expire_logins()

    def _allow(self, prefix):
        self.server("PUT", "sys/policies/acl/shop", {"policy": POLICY % prefix})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the module."""
    made = Server(tmp_path_factory.mktemp("vault"))
    yield made
    made.close()


@pytest.fixture
def rig(tmp_path, server):
    """Takes the place of the suites' fixture."""
    made = RealVaultRig(tmp_path, server)
    yield made
    made.close()


@pytest.fixture
def remote(rig):
    """Takes the place of the suites' fixture; there is a secret to read."""
    rig.put("plain", FINE)
    return rig


def test_kv_version_1_and_other_engines_are_read(rig, server):
    """A plain read without versions; a number keeps its digits."""
    server("POST", "old/app", {"n": 1.5, "t": "x"})

    app, pinned, key = rig.read("old/app", ("old/app", "2"), "transit/keys/app")

    assert (app.reveal(), app.lease) == ({"n": "1.5", "t": "x"}, None)
    assert pinned.what == "this mount keeps no versions"
    assert key.reveal()["type"] == "ed25519"


def test_deleted_and_destroyed_versions_say_so(rig, server):
    """The server's own metadata tells one from the other."""
    for text in "123":
        rig.put("a", {"x": text})
    server("POST", "kv/delete/a", {"versions": [3]})
    server("POST", "kv/destroy/a", {"versions": [1]})

    newest, first, second, ninth = rig.read("a", ("a", "1"), ("a", "2"), ("a", "9"))

    assert (newest.code, newest.what) == (errors.MISSING, "version 3 was deleted")
    assert (first.code, first.what) == (errors.MISSING, "version 1 was destroyed")
    assert second.reveal() == {"x": "2"}
    assert (ninth.code, ninth.what) == (errors.MISSING, "no such secret, or no version 9 of it")


def test_a_wrapped_token_is_unwrapped_once(rig, server):
    """A response-wrapped token works, and a second time it does not."""
    rig.put("a", {"x": "1"})
    wrapped = _wrapped(server)
    rig.source("secrets/v/token", wrapped)
    auth = {"token": {"token": {"secretRef": {"name": "v", "key": "token"}}, "wrapped": True}}

    first, second = (rig.read("a", document=rig.document(auth=auth))[0] for _ in range(2))

    assert first.reveal() == {"x": "1"}
    assert (second.code, second.what) == (
        errors.UNAUTHENTICATED,
        "login refused: the wrapping token was used before, or has expired",
    )


def test_an_unknown_mount_and_a_forbidden_one_read_alike(rig):
    """What the server says about a mount that is not there."""
    (answer,) = rig.read("no/such")

    assert (answer.code, answer.what) == (
        errors.FORBIDDEN,
        "no policy lets us into this mount, or there is no such mount",
    )


def test_a_sealed_server_says_that_it_is_sealed(tmp_path):
    """A server of its own, sealed under our hands."""
    server = Server(tmp_path)
    rig = RealVaultRig(tmp_path / "rig", server)
    server("PUT", "sys/seal")
    try:
        (answer,) = rig.read("a")
    finally:
        rig.proxy.close()
        server.close()

    assert (answer.code, answer.what) == (errors.DOWN, "it is sealed (3 tries)")


def _wrapped(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"X-Vault-Token": ROOT, "X-Vault-Wrap-TTL": "60s"}
    body = json.dumps({"policies": ["shop"], "ttl": "5m"})
    connection.request("POST", "/v1/auth/token/create", body, headers)
    document = json.loads(connection.getresponse().read())
    connection.close()
    return document["wrap_info"]["token"]
