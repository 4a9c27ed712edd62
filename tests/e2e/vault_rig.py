"""A rig on a real Vault server, for the suites of `tests/providers` and for Vault's engines.

The binary is SECRET_INJECTOR_VAULT, or the one that the e2e cache holds. Vault runs in dev mode on
loopback, in memory, behind the same fault proxy, which speaks TLS for it.
"""

import http.client
import json
import os
import socket
import subprocess
import time
from contextlib import ExitStack
from urllib.parse import quote

from tests.e2e.testbed import cache
from tests.providers.certificates import Authority
from tests.providers.fault_proxy import FaultProxy
from tests.providers.rigs import Rig, VaultRig

ROOT = "root-of-a-test"
ENGINES = ("aws/", "database/", "pki/", "transit/")


def program():
    """Return the program to start."""
    return os.environ.get("SECRET_INJECTOR_VAULT") or cache.bin_dir() / "vault"


def free_ports(count):
    """Return so many ports of loopback that nobody listens at."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


class Server:
    """A dev server with what the suites need: KV 1 and 2, transit, AppRole, and plugins."""

    def __init__(self, folder):
        self.port, of_dev_mode = free_ports(2)
        # By itself it takes texts of at most 1 MiB as they are escaped.
        listener = {
            "address": f"127.0.0.1:{self.port}",
            "tls_disable": True,
            "max_json_string_value_length": 8 * 1024 * 1024,
        }
        plugins = str((cache.bin_dir() / "plugins").resolve())
        config = {"listener": {"tcp": listener}, "plugin_directory": plugins}
        (folder / "vault.json").write_text(json.dumps(config))
        self.log = (folder / "vault.log").open("wb")
        self.process = subprocess.Popen(
            [
                program(),
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
        status, text = self.raw(method, path, body or {}, token=token)
        if expect is None:
            return status
        assert status < expect, (path, status, text)
        return json.loads(text) if text else {}

    def raw(self, method, path, body=None, *, token=ROOT, port=None, wrap_ttl=""):
        """Return status and text of the answer; without a token no header says one."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        headers = {"X-Vault-Request": "true"}
        headers |= {"X-Vault-Token": token} if token else {}
        headers |= {"X-Vault-Wrap-TTL": wrap_ttl} if wrap_ttl else {}
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/v1/{path}", content, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def wrapped(self, path, body):
        """Return the token that stands for the wrapped answer to a POST."""
        _, text = self.raw("POST", path, body, wrap_ttl="60s")
        return json.loads(text)["wrap_info"]["token"]

    request = __call__
    """As the clients of the testbed call it."""

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
        self.allow("kv/data/*", "old/*", "transit/*")
        server(
            "POST",
            "auth/approle/role/shop",
            {"token_policies": ["shop"], "secret_id_ttl": "1h", "token_ttl": "10m"},
        )
        self.role_id = server("GET", "auth/approle/role/shop/role-id")["data"]["role_id"]
        secret_id = server("POST", "auth/approle/role/shop/secret-id")["data"]["secret_id"]
        self.source("secrets/v/id", secret_id)

    def path(self, name):
        return name if name.startswith(ENGINES) else super().path(name)

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
        self.allow("kv/data/other/*", "old/*", "transit/*")

    def allow(self, *paths):
        """Let who logs in read these paths of the API, and no others."""
        rules = {"path": {path: {"capabilities": ["read"]} for path in paths}}
        self.server("PUT", "sys/policies/acl/shop", {"policy": json.dumps(rules)})

    def refuse_logins(self):
        self.server("DELETE", "auth/approle/role/shop")

    def close(self):
        self.proxy.close()
        for name in self._written:
            self.server("DELETE", f"kv/metadata/{name}")
        self.expire_logins()
