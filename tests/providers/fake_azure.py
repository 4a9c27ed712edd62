"""A key vault and the Entra tenant before it, in one server, from Microsoft's documentation.

Pages followed, on learn.microsoft.com: "Get Secret" and "Set Secret" (rest/api/keyvault/secrets),
"Azure Key Vault REST API Error Codes", "Authentication, requests and responses" (the challenge),
"Microsoft identity platform and the OAuth 2.0 client credentials flow" (second and third case),
"Microsoft Entra authentication and authorization error codes". Error bodies of federated
credentials and of disabled secrets are as users quote them in public issues. `test_azure_sdk.py`
holds all of it against Microsoft's own clients.
"""

import hashlib
import json
import re
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from injector.core import claims

TENANT = "72f988bf-0000-4000-8000-2d7cd011db47"
CLIENT = "fad7d5b3-0000-4000-8000-8d12124e1cf1"
CLIENT_SECRET = "CANARY~client.secret"
SUFFIX = "vault.azure.net"

FORBIDDEN = {
    "ForbiddenByRbac": "Caller is not authorized to perform action on resource. CANARY",
    "ForbiddenByPolicy": "The application 'CANARY' does not have secrets get permission.",
    "AccessDenied": "The application 'CANARY' does not have secrets get permission.",
    "ForbiddenByFirewall": "Client address is not authorized and caller is not trusted. CANARY",
    "ForbiddenByConnection": "Public network access is disabled. CANARY",
}


class FakeAzure(ThreadingHTTPServer):
    """Plain HTTP on 127.0.0.1; state is in public attributes, for tests to set."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.federated = {
            "iss": "https://oidc.example/cluster/",
            "sub": "system:serviceaccount:shop:checkout",
            "aud": "api://AzureADTokenExchange",
        }
        """What the application's one federated credential compares; None without one."""
        self.client_secrets = {CLIENT_SECRET: None}
        """Secret → None, or the AADSTS number that it is refused with."""
        self.refusal = None
        """(HTTP status, AADSTS number, OAuth error) for every login."""
        self.challenge_tenant = TENANT
        self.forbidden = None
        """A key of `FORBIDDEN` for every read."""
        self.secrets = {}
        """Name in lower case → versions, oldest first."""
        self.tokens = set()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def put(self, name, value, content_type=None, **attributes):
        """Store a new version; return its id, 32 hexadecimal digits."""
        with self.lock:
            versions = self.secrets.setdefault(name.lower(), [])
            version = hashlib.md5(f"{name}{len(versions)}".encode(), usedforsecurity=False)
            now = int(time.time())
            versions.append(
                {
                    "value": value,
                    "id": f"https://shop.{SUFFIX}/secrets/{name}/{version.hexdigest()}",
                    "attributes": {
                        "enabled": True,
                        "created": now,
                        "updated": now,
                        "recoveryLevel": "Recoverable+Purgeable",
                        "recoverableDays": 90,
                        **attributes,
                    },
                    **({"contentType": content_type} if content_type else {}),
                }
            )
            return version.hexdigest()

    def close(self):
        """Stop the server."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; the second would wait 40 ms

    def log_message(self, format, *args):  # noqa: A002 (the base class's name for it)
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        form = {k: v for k, [v] in urllib.parse.parse_qs(body).items()}
        tenant, _, rest = self.path.removeprefix("/").partition("/")
        if rest != "oauth2/v2.0/token":
            return self._json(404, {})
        refusal = self._login_refusal(tenant, form)
        if refusal is not None:
            status, number, error = refusal
            return self._json(
                status,
                {
                    "error": error,
                    "error_description": f"AADSTS{number}: CANARY Trace ID: 0 Correlation ID: 0",
                    "error_codes": [number],
                    "timestamp": "2026-01-01 00:00:00Z",
                    "trace_id": "93eb6af6-0000-4000-8000-63cf2a050b00",
                    "correlation_id": "8f043819-0000-4000-8000-72e2e114665b",
                },
            )
        with self.server.lock:
            token = f"eyJ0.CANARY-TOKEN.{len(self.server.tokens)}"
            self.server.tokens.add(token)
        return self._json(
            200,
            {
                "token_type": "Bearer",
                "expires_in": 3599,
                "ext_expires_in": 3599,
                "access_token": token,
            },
        )

    def _login_refusal(self, tenant, form):
        entra = self.server
        if entra.refusal is not None:
            return entra.refusal
        if tenant != TENANT:
            return 400, 90002, "invalid_request"
        if form.get("client_id") != CLIENT:
            return 400, 700016, "unauthorized_client"
        if (
            form.get("grant_type") != "client_credentials"
            or form.get("scope") != f"https://{SUFFIX}/.default"
        ):
            return 400, 500011, "invalid_resource"
        if "client_secret" in form:
            number = entra.client_secrets.get(form["client_secret"], 7000215)
            return None if number is None else (401, number, "invalid_client")
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        if form.get("client_assertion_type") != kind:
            return 401, 7000218, "invalid_client"
        token, wanted = claims.parse(form["client_assertion"]), entra.federated
        if wanted is None:
            return 401, 70025, "invalid_client"
        found = {"iss": token.issuer, "aud": token.audience, "sub": token.subject}
        numbers = {"iss": 700211, "aud": 700212, "sub": 700213}
        wrong = [numbers[name] for name in numbers if found[name] != wanted[name]]
        return (401, wrong[0], "invalid_client") if wrong else None

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path.endswith("/.well-known/openid-configuration"):
            return self._json(200, self._openid(path))
        return self._authorized(query) and self._read(path)

    def do_PUT(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        path, _, query = self.path.partition("?")
        if not self._authorized(query):
            return None
        name = path.removeprefix("/secrets/")
        attributes = body.get("attributes") or {}
        self.server.put(name, body["value"], body.get("contentType"), **attributes)
        return self._json(200, self.server.secrets[name.lower()][-1])

    def _authorized(self, query):
        vault = self.server
        if not re.search(r"(^|&)api-version=(7\.[0-9]|20[0-9-]{8})(&|$)", query):
            self._error(400, "BadParameter", "api-version must be specified")
            return False
        if self.headers.get("authorization", "").removeprefix("Bearer ") not in vault.tokens:
            self._error(
                401,
                "Unauthorized",
                "AKV10000: Request is missing a Bearer or PoP token.",
                {
                    "WWW-Authenticate": 'Bearer authorization="https://login.microsoftonline.com/'
                    f'{vault.challenge_tenant}", resource="https://{SUFFIX}"'
                },
            )
            return False
        if vault.forbidden:
            self._error(403, "Forbidden", FORBIDDEN[vault.forbidden], inner=vault.forbidden)
            return False
        return True

    def _read(self, path):
        name, _, version = path.removeprefix("/secrets/").strip("/").partition("/")
        versions = self.server.secrets.get(name.lower(), [])
        wanted = [v for v in versions if not version or v["id"].endswith(f"/{version}")]
        if not wanted:
            return self._error(
                404, "SecretNotFound", f"A secret with (name/id) {name} CANARY was not found."
            )
        if not wanted[-1]["attributes"]["enabled"]:
            message = "Operation get is not allowed on a disabled secret. CANARY"
            return self._error(403, "Forbidden", message, inner="SecretDisabled")
        return self._json(200, wanted[-1])

    def _openid(self, path):
        host = f"https://{self.headers['host']}/{path.split('/')[1]}"
        return {
            "token_endpoint": f"{host}/oauth2/v2.0/token",
            "authorization_endpoint": f"{host}/oauth2/v2.0/authorize",
            "issuer": f"{host}/v2.0",
        }

    def _error(self, status, code, message, headers=(), *, inner=None):
        error = {"code": code, "message": message}
        self._json(
            status, {"error": error | ({"innererror": {"code": inner}} if inner else {})}, headers
        )

    def _json(self, status, document, headers=()):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
