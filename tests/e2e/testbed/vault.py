"""A real Vault server beside the cluster, with TLS and what the tests need set up in it."""

import hashlib
import http.client
import json
import signal
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.testbed import cache
from tests.e2e.testbed.api import Object
from tests.e2e.testbed.pki import Authority
from tests.e2e.testbed.process import Daemon, until

PORT = 8200
OTHER_CA_PORT = 8210
AUDIENCE = "https://vault.example"
POSTGRES_PLUGIN = "postgresql-database-plugin"


class VaultError(Exception):
    """Vault refused a request: `status` and the list `errors` of its answer."""

    def __init__(self, method: str, path: str, status: int, body: bytes) -> None:
        self.status = status
        try:
            self.errors: list[str] = json.loads(body).get("errors", [])
        except ValueError:
            self.errors = [body.decode(errors="replace")]
        super().__init__(f"{method} {path}: {status} {'; '.join(self.errors)}")


class Vault:
    """One Vault server with storage on disk.

    Mounted: KV version 1 at `kv1/`, version 2 at `secret/`; auth methods `approle`, and
    `kubernetes` and `jwt` once `trust_cluster` was called. `address` is what pods and tests use
    with `ca_pem`; `other_ca_address` is the same server with a certificate of an authority that
    `ca_pem` does not hold. A server that was stopped comes back with its data.
    """

    def __init__(self, folder: Path, host: str, *, logs: Path, enter: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.address = f"https://{host}:{PORT}"
        self.other_ca_address = f"https://{host}:{OTHER_CA_PORT}"
        self.storage = folder / "data"
        self.log = logs / "vault.log"
        self.root_token = ""
        self._unseal_key = ""
        self._host = host
        self._authority = Authority(folder / "pki", "vault-ca")
        self._other_authority = Authority(folder / "other-pki", "unknown-ca")
        self.ca_file = self._authority.cert
        self.ca_pem = self.ca_file.read_text()
        self._tls = ssl.create_default_context(cafile=str(self.ca_file))
        listeners = (
            self._listener(PORT, self._issue(self._authority)),
            self._listener(OTHER_CA_PORT, self._issue(self._other_authority)),
        )
        config = folder / "config.json"
        config.write_text(
            json.dumps(
                {
                    "storage": {"file": {"path": str(self.storage)}},
                    "listener": listeners,
                    "api_addr": self.address,
                    "disable_mlock": True,
                    "plugin_directory": str(cache.bin_dir() / "plugins"),
                    "log_level": "warn",
                }
            )
        )
        binary = cache.bin_dir() / "vault"
        self._daemon = Daemon(
            "vault", [binary, "server", f"-config={config}"], log=self.log, enter=enter
        )

    # --- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server, initialise it the first time, and wait until it serves requests."""
        self._daemon.start()
        until(
            lambda: self.request("GET", "sys/init"),
            what="Vault answers",
            timeout_s=30,
            retry_on=(OSError,),
            explain=self._daemon.tail,
        )
        if not self.root_token:
            keys = self.request("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self._unseal_key, self.root_token = keys["keys"][0], keys["root_token"]
            self.unseal()
            self._set_up()
        else:
            self.unseal()

    def stop(self) -> None:
        """Stop the server: connections are refused until `start`."""
        self._daemon.stop()

    def hang(self) -> None:
        """Freeze the server: connections open but nothing answers until `resume`."""
        self._daemon.freeze()

    def resume(self) -> None:
        """Let a frozen server run again."""
        self._daemon.thaw()

    def seal(self) -> None:
        """Seal the server: it answers every request with status 503 until `unseal`."""
        self.request("PUT", "sys/seal")

    def unseal(self) -> None:
        """Unseal the server and wait until it serves requests."""
        self.request("PUT", "sys/unseal", {"key": self._unseal_key})
        until(
            lambda: self.request("GET", "sys/health"),
            what="Vault is unsealed",
            timeout_s=30,
            retry_on=(VaultError, OSError),
        )

    def certify(self, *, names: Sequence[str] = (), other_by_known_ca: bool = False) -> None:
        """Take new certificates into use: with more names, the other address's by a known CA."""
        self._issue(self._authority, *names)
        cert, key = self._issue(self._other_authority)
        if other_by_known_ca:
            for mine, theirs in zip((cert, key), self._issue(self._authority, *names), strict=True):
                mine.write_bytes(theirs.read_bytes())
        self._daemon.signal(signal.SIGHUP)

    # --- requests --------------------------------------------------------------------------

    def request(
        self, method: str, path: str, body: object = None, *, token: str | None = None
    ) -> Object:
        """Send a request to /v1/*path* as root, or with *token*; return the answer's JSON.

        Raises VaultError for a refusal. An empty answer is an empty dict.
        """
        connection = http.client.HTTPSConnection(self._host, PORT, context=self._tls, timeout=30)
        try:
            headers = {"X-Vault-Token": self.root_token if token is None else token}
            data = None if body is None else json.dumps(body)
            connection.request(method, f"/v1/{path}", data, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise VaultError(method, path, response.status, content)
        answer: Object = json.loads(content) if content else {}
        return answer

    # --- content ---------------------------------------------------------------------------

    def put(self, path: str, data: Mapping[str, object]) -> int:
        """Write a secret of `secret/` (KV version 2) and return its version."""
        version: int = self.request("POST", f"secret/data/{path}", {"data": data})["data"][
            "version"
        ]
        return version

    def put_v1(self, path: str, data: Mapping[str, object]) -> None:
        """Write a secret of `kv1/` (KV version 1)."""
        self.request("POST", f"kv1/{path}", data)

    def policy(self, name: str, *paths: str, capabilities: Sequence[str] = ("read",)) -> None:
        """Write a policy that grants *capabilities* on API paths such as `secret/data/app/*`."""
        rules = {"path": {path: {"capabilities": list(capabilities)} for path in paths}}
        self.request("PUT", f"sys/policies/acl/{name}", {"policy": json.dumps(rules)})

    def kubernetes_role(
        self,
        name: str,
        *policies: str,
        namespaces: Sequence[str],
        service_accounts: Sequence[str] = ("*",),
        audience: str = AUDIENCE,
        ttl: str = "1h",
    ) -> None:
        """Write a role of the kubernetes auth method."""
        role = {
            "bound_service_account_names": list(service_accounts),
            "bound_service_account_namespaces": list(namespaces),
            "audience": audience,
            "token_policies": list(policies),
            "token_ttl": ttl,
        }
        self.request("POST", f"auth/kubernetes/role/{name}", role)

    def jwt_role(self, name: str, *policies: str, namespace: str, audience: str = AUDIENCE) -> None:
        """Write a role of the jwt auth method for every ServiceAccount of *namespace*."""
        role = {
            "role_type": "jwt",
            "bound_audiences": [audience],
            "user_claim": "sub",
            "bound_claims_type": "glob",
            "bound_claims": {"sub": f"system:serviceaccount:{namespace}:*"},
            "token_policies": list(policies),
            "token_ttl": "1h",
        }
        self.request("POST", f"auth/jwt/role/{name}", role)

    def approle(self, name: str, *policies: str) -> tuple[str, str]:
        """Write a role of the approle method; return its role id and a new secret id."""
        path = f"auth/approle/role/{name}"
        self.request("POST", path, {"token_policies": list(policies), "token_ttl": "1h"})
        role_id: str = self.request("GET", f"{path}/role-id")["data"]["role_id"]
        secret_id: str = self.request("POST", f"{path}/secret-id")["data"]["secret_id"]
        return role_id, secret_id

    def trust_cluster(
        self, *, server: str, ca_pem: str, reviewer: str, keys: Sequence[str]
    ) -> None:
        """Let ServiceAccounts of a cluster log in: by TokenReview, and by the issuer's *keys*.

        *reviewer* is a token of a ServiceAccount that may review tokens. *keys* are PEM.
        """
        review = {
            "kubernetes_host": server,
            "kubernetes_ca_cert": ca_pem,
            "token_reviewer_jwt": reviewer,
            "disable_local_ca_jwt": True,
        }
        self.request("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
        self.request("POST", "auth/kubernetes/config", review)
        self.request("POST", "sys/auth/jwt", {"type": "jwt"})
        self.request("POST", "auth/jwt/config", {"jwt_validation_pubkeys": list(keys)})

    # --- inside ----------------------------------------------------------------------------

    def _set_up(self) -> None:
        self.request("POST", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
        self.request("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        self.request("POST", "sys/auth/approle", {"type": "approle"})
        plugin = cache.bin_dir() / "plugins" / POSTGRES_PLUGIN
        entry = {
            "sha256": hashlib.sha256(plugin.read_bytes()).hexdigest(),
            "command": POSTGRES_PLUGIN,
        }
        self.request("POST", f"sys/plugins/catalog/database/{POSTGRES_PLUGIN}", entry)
        # A new KV version 2 mount refuses requests while it upgrades itself.
        until(
            lambda: self.put("testbed", {"ready": "yes"}),
            what="secret/ takes secrets",
            timeout_s=30,
            retry_on=(VaultError,),
        )

    def _issue(self, authority: Authority, *names: str) -> tuple[Path, Path]:
        return authority.issue(
            "vault", common_name="vault", hosts=(self._host, "localhost", *names)
        )

    def _listener(self, port: int, certificate: tuple[Path, Path]) -> Object:
        cert, key = map(str, certificate)
        return {
            "tcp": {
                "address": f"{self._host}:{port}",
                "tls_cert_file": cert,
                "tls_key_file": key,
            }
        }
