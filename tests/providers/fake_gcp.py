"""Secret Manager, the Security Token Service and IAM Credentials in one server, from Google's docs.

Pages followed, on cloud.google.com: "Method: projects.secrets.versions.access", ":addVersion" and
"projects.secrets.create" (secret-manager/docs/reference/rest/v1), "Method: token"
(iam/docs/reference/sts/rest/v1), "Method: projects.serviceAccounts.generateAccessToken"
(iam/docs/reference/credentials/rest/v1), "Errors" (apis/design), "Troubleshoot Workload Identity
Federation"; google.aip.dev/auth/4111 for tokens signed by a key. `test_gcp_sdk.py` holds all of it
against Google's own clients.
"""

import base64
import json
import re
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from injector.core import claims
from tests.providers import recorded

_RECORDED = recorded.recordings("gcp-published")

PROJECT = "shop-prod"
NUMBER = "123456789012"
PROVIDER = f"projects/{NUMBER}/locations/global/workloadIdentityPools/cluster/providers/kubernetes"
ACCOUNT = f"reader@{PROJECT}.iam.gserviceaccount.com"

_SCOPE = r"^https://www.googleapis.com/auth/(?:cloud-platform|iam)$"
_NAME = re.compile(
    r"/v1/projects/(?P<project>[^/]+)(?:/locations/(?P<location>[^/]+))?/secrets"
    r"(?:/(?P<secret>[^/:]+))?(?:/versions/(?P<version>[^/:]+))?(?::(?P<verb>[a-zA-Z]+))?"
)


def crc32c(data):
    """Castagnoli's checksum, bit by bit: slower and simpler than the one it checks."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    return crc ^ 0xFFFFFFFF


def _refused(state):
    """Return what the token service answers in a state, with words that nobody may repeat."""
    found = _RECORDED[state]
    error, what = found["body"]["error"], found["body"]["error_description"]
    return found["status"], error, f"{what} CANARY"


class FakeGcp(ThreadingHTTPServer):
    """Plain HTTP on 127.0.0.1; state is in public attributes, for tests to set."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.trusted = {
            "iss": "https://oidc.example/cluster/",
            "aud": f"https://iam.googleapis.com/{PROVIDER}",
        }
        self.exchange_refusal = None
        """(HTTP status, error, description) for every exchange."""
        self.public_keys = {}
        """Key id → public key of `ACCOUNT`."""
        self.may_impersonate = True
        self.refusal = None
        """(HTTP status, status, message, details) for every read."""
        self.secrets = {}
        """(project, location, name) → payloads, oldest first; None is a destroyed one."""
        self.disabled, self.aliases = set(), {}
        """(project, location, name, number) that are disabled; alias → number."""
        self.damage = False
        self.tokens, self.federated = set(), set()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def put(self, name, data, *, project=PROJECT, location=None):
        """Add a version of the secret; return its number."""
        with self.lock:
            versions = self.secrets.setdefault((project, location, name), [])
            versions.append(data)
            return len(versions)

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
        path, _, query = self.path.partition("?")
        if path == "/v1/token":
            return self._exchange({k: v for k, [v] in urllib.parse.parse_qs(body).items()})
        if path.endswith(":generateAccessToken"):
            return self._impersonate(path, json.loads(body))
        name = _NAME.fullmatch(path)
        if name is None or not self._authorized():
            return None if name else self._status(404, "NOT_FOUND", "CANARY")
        if name["verb"] == "addVersion":
            data = base64.b64decode(json.loads(body)["payload"]["data"])
            place = {"project": name["project"], "location": name["location"]}
            number = self.server.put(name["secret"], data, **place)
            return self._json(200, {"name": f"{self._resource(name)}/versions/{number}"})
        secret = urllib.parse.parse_qs(query)["secretId"][0]
        with self.server.lock:
            self.server.secrets[name["project"], name["location"], secret] = []
        return self._json(200, {"name": f"projects/{NUMBER}/secrets/{secret}"})

    def do_GET(self):
        name = _NAME.fullmatch(self.path.partition("?")[0])
        if name is None or name["verb"] != "access":
            return self._status(404, "NOT_FOUND", "CANARY")
        return self._authorized() and self._access(name)

    def _exchange(self, form):
        sts = self.server
        refusal = sts.exchange_refusal or self._exchange_refusal(form)
        if refusal is not None:
            status, error, description = refusal
            return self._json(status, {"error": error, "error_description": description})
        token = self._issue(sts.federated)
        return self._json(
            200,
            {
                "access_token": token,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "token_type": "Bearer",
                "expires_in": 3599,
            },
        )

    def _exchange_refusal(self, form):
        kinds = "urn:ietf:params:oauth:token-type:"
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange":
            return 400, "unsupported_grant_type", "CANARY"
        if form.get("requested_token_type") != f"{kinds}access_token":
            return 400, "invalid_request", "CANARY"
        if form.get("subject_token_type") != f"{kinds}jwt" or not re.search(_SCOPE, form["scope"]):
            return 400, "invalid_request", "CANARY"
        if form.get("audience") != f"//iam.googleapis.com/{PROVIDER}":
            return _refused("exchange: no such provider")
        token, wanted = claims.parse(form["subject_token"]), self.server.trusted
        if token.audience != wanted["aud"]:
            return _refused("exchange: audience")
        if token.issuer != wanted["iss"]:
            return _refused("exchange: issuer not reached")
        return None

    def _impersonate(self, path, body):
        iam = self.server
        if self._bearer() not in iam.federated:
            return self._status(401, "UNAUTHENTICATED", "CANARY")
        account = path.removeprefix("/v1/projects/-/serviceAccounts/").partition(":")[0]
        if account != ACCOUNT:
            return self._status(404, "NOT_FOUND", "Not found; Gaia id not found for email CANARY")
        if not iam.may_impersonate:
            what = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource. CANARY"
            reason = "IAM_PERMISSION_DENIED"
            return self._status(403, "PERMISSION_DENIED", what, _info(reason, "iam"))
        if not body["scope"] or not re.fullmatch(r"[0-9]+s", body["lifetime"]):
            return self._status(400, "INVALID_ARGUMENT", "CANARY")
        token = self._issue(iam.tokens)
        return self._json(200, {"accessToken": token, "expireTime": "2099-01-01T00:00:00Z"})

    def _access(self, name):
        manager = self.server
        if manager.refusal is not None:
            return self._status(*manager.refusal)
        key = (name["project"], name["location"], name["secret"])
        versions = manager.secrets.get(key, [])
        if not versions:
            what = f"Secret [{self._resource(name)}] not found or has no versions. CANARY"
            return self._status(404, "NOT_FOUND", what)
        number = manager.aliases.get(name["version"], name["version"])
        number = len(versions) if number == "latest" else int(number) if number.isdigit() else 0
        if not 0 < number <= len(versions):
            return self._status(404, "NOT_FOUND", "Secret Version CANARY not found.")
        full = f"{self._resource(name)}/versions/{number}"
        if versions[number - 1] is None or (*key, number) in manager.disabled:
            state = "DESTROYED" if versions[number - 1] is None else "DISABLED"
            what = f"Secret Version [{full}] is in {state} state. CANARY"
            return self._status(400, "FAILED_PRECONDITION", what)
        data = versions[number - 1]
        checksum = crc32c(data) ^ (1 if manager.damage else 0)
        payload = {"data": base64.b64encode(data).decode(), "dataCrc32c": str(checksum)}
        return self._json(200, {"name": full, "payload": payload})

    def _resource(self, name):
        where = f"/locations/{name['location']}" if name["location"] else ""
        return f"projects/{NUMBER}{where}/secrets/{name['secret']}"

    def _bearer(self):
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def _issue(self, kind):
        with self.server.lock:
            token = f"ya29.CANARY-TOKEN-{len(self.server.federated) + len(self.server.tokens)}"
            kind.add(token)
        return token

    def _authorized(self):
        token = self._bearer()
        known = self.server.tokens | self.server.federated
        if token in known or self._is_signed(token):
            return True
        what = "Request had invalid authentication credentials. CANARY"
        self._status(401, "UNAUTHENTICATED", what, _info("ACCESS_TOKEN_EXPIRED", "googleapis"))
        return False

    def _is_signed(self, token):
        """A token signed by one of the account's keys, for this API, and of this hour."""
        if token.count(".") != 2:
            return False
        signed, _, signature = token.rpartition(".")
        head, body = (json.loads(_decode(part)) for part in signed.split("."))
        key = self.server.public_keys.get(head.get("kid"))
        is_meant = (body.get("iss"), body.get("sub")) == (ACCOUNT, ACCOUNT)
        is_for_us = body.get("aud") == "https://secretmanager.googleapis.com/" or (
            "cloud-platform" in body.get("scope", "")
        )
        is_now = body["iat"] - 60 <= time.time() < body["exp"] <= body["iat"] + 3600
        if key is None or head["alg"] != "RS256" or not (is_meant and is_for_us and is_now):
            return False
        try:
            key.verify(_decode(signature), signed.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    def _status(self, code, status, message, details=()):
        error = {"code": code, "message": message, "status": status}
        return self._json(code, {"error": error | ({"details": [*details]} if details else {})})

    def _json(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _info(reason, domain):
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return ({"@type": kind, "reason": reason, "domain": f"{domain}.googleapis.com"},)


def _decode(segment):
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
