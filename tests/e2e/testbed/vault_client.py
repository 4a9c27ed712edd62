"""Requests to Vault: secrets, policies and the roles of its auth methods."""

import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.testbed.api import Object

PORT = 8200
AUDIENCE = "https://vault.example"


class VaultError(Exception):
    """Vault refused a request: `status` and the list `errors` of its answer."""

    def __init__(self, method: str, path: str, status: int, body: bytes) -> None:
        self.status = status
        try:
            self.errors: list[str] = json.loads(body).get("errors", [])
        except ValueError:
            self.errors = [body.decode(errors="replace")]
        super().__init__(f"{method} {path}: {status} {'; '.join(self.errors)}")


class VaultClient:
    """What a test asks of a Vault server at *host*, as root unless it gives another token."""

    def __init__(self, host: str, ca_file: Path) -> None:
        self.address = f"https://{host}:{PORT}"
        self.ca_file = ca_file
        self.ca_pem = ca_file.read_text()
        self.root_token = ""
        self._host = host
        self._tls = ssl.create_default_context(cafile=str(ca_file))

    # --- requests --------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        wrap: str = "",
    ) -> Object:
        """Send a request to /v1/*path* as root, or with *token*; return the answer's JSON.

        *wrap* is how long a wrapped answer lasts. Raises VaultError for a refusal. An empty answer
        is an empty dict.
        """
        connection = http.client.HTTPSConnection(self._host, PORT, context=self._tls, timeout=30)
        try:
            headers = {"X-Vault-Token": self.root_token if token is None else token}
            if wrap:
                headers["X-Vault-Wrap-TTL"] = wrap
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
