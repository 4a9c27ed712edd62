"""Every bad state of a Vault that we have words for, made on a real server.

`python -m tests.e2e.vault_states` writes what the server answers in each to
`tests/providers/recordings/vault.json`: the tables of errors are checked against it, and the fake
server answers from it. `test_vault_recordings.py` makes the states again and compares.
"""

import base64
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.e2e.vault_rig import ROOT, Server, free_ports, program
from tests.providers.recorded import FOLDER

ISSUER = "https://kubernetes.default.svc"
_RANDOM = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z|127\.0\.0\.1:\d+|[0-9a-f]{8}-[0-9a-f-]{27}")


class Reviewer(ThreadingHTTPServer):
    """What Vault asks about a ServiceAccount token: an API server's TokenReview.

    `status` is what it answers with, `is_genuine` whether it takes the token for one of its own.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Review)
        self.status, self.is_genuine = 201, True
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Review(BaseHTTPRequestHandler):
    def log_message(self, format, *args):  # noqa: A002 (the base class's name for it)
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = {"authenticated": False, "error": "invalid bearer token"}
        if self.server.is_genuine:
            user = {"username": "system:serviceaccount:shop:default", "uid": "uid-of-default"}
            status = {
                "authenticated": True,
                "user": user,
                "audiences": asked["spec"].get("audiences", []),
            }
        answer = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
        if self.server.status != 201:
            answer = {
                "apiVersion": "v1",
                "kind": "Status",
                "status": "Failure",
                "reason": "Forbidden" if self.server.status == 403 else "Unauthorized",
                "code": self.server.status,
            }
        body = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Signer:
    """A key of a cluster, and ServiceAccount tokens signed with it."""

    def __init__(self):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem = (
            self._key.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )

    def token(self, *, starts_s=-60, ends_s=600, **claims):
        """Return a token of ServiceAccount default of namespace shop."""
        now = int(time.time())
        about = {
            "namespace": "shop",
            "serviceaccount": {"name": "default", "uid": "uid-of-default"},
        }
        claims = {
            "iss": ISSUER,
            "sub": "system:serviceaccount:shop:default",
            "aud": ["vault"],
            "iat": now + starts_s,
            "nbf": now + starts_s,
            "exp": now + ends_s,
            "kubernetes.io": about,
            **claims,
        }
        parts = ({"alg": "ES256", "typ": "JWT"}, claims)
        text = b".".join(_encoded(json.dumps(part).encode()) for part in parts)
        pair = decode_dss_signature(self._key.sign(text, ec.ECDSA(hashes.SHA256())))
        signature = b"".join(number.to_bytes(32, "big") for number in pair)
        return (text + b"." + _encoded(signature)).decode()


def _encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Lab:
    """A server with what the states need. Calling it asks; `ask` returns the recording."""

    def __init__(self, folder):
        self.vault, self.reviewer, self.signer = Server(folder), Reviewer(), Signer()
        self.folder = folder
        vault = self.vault
        for mount, kind in (
            ("kubernetes", "kubernetes"),
            ("bare", "kubernetes"),
            ("strict", "kubernetes"),
            ("jwt", "jwt"),
            ("bare-jwt", "jwt"),
        ):
            vault("POST", f"sys/auth/{mount}", {"type": kind})
        review = {
            "kubernetes_host": f"http://127.0.0.1:{self.reviewer.server_address[1]}",
            "token_reviewer_jwt": self.signer.token(),
            "disable_local_ca_jwt": True,
        }
        vault("POST", "auth/kubernetes/config", review)
        strict = {**review, "disable_iss_validation": False, "issuer": "https://other.example"}
        vault("POST", "auth/strict/config", strict)
        for mount in ("kubernetes", "bare", "strict"):
            self.role(mount, "shop")
        self.role("kubernetes", "elsewhere", bound_service_account_namespaces=["other"])
        self.role("kubernetes", "sabound", bound_service_account_names=["checkout"])
        self.role("kubernetes", "audience", audience="https://vault.example")
        keys = {"jwt_validation_pubkeys": [self.signer.pem], "bound_issuer": ISSUER}
        vault("POST", "auth/jwt/config", keys)
        self.jwt_role("shop")
        us = {"sub": "system:serviceaccount:shop:default"}
        self.jwt_role("unbound", bound_audiences=[], bound_claims=us)
        self.jwt_role("audience", bound_audiences=["https://vault.example"])
        self.jwt_role("claims", bound_claims={"sub": "system:serviceaccount:other:default"})
        self.jwt_role("missing", bound_claims={"project_path": "shop/web"})
        self.jwt_role("subject", bound_subject="system:serviceaccount:other:default")
        self.jwt_role("user", user_claim="email")
        vault("POST", "auth/approle/role/shop", {"token_policies": ["shop"]})
        vault("POST", "auth/approle/role/once", {"secret_id_num_uses": 1})
        self.allow("shop", "kv/data/shop/*", "old/shop/*", "database/creds/*", "transit/*")
        self.allow("users", "kv/shop/*")
        vault("POST", "kv/data/shop/db", {"data": {"password": "CANARY"}})
        for number in ("1", "2"):
            vault("POST", "kv/data/shop/gone", {"data": {"n": number}})
        vault("DELETE", "kv/data/shop/gone")
        vault("POST", "kv/destroy/shop/gone", {"versions": [1]})
        vault("POST", "old/shop/app", {"n": "1"})
        vault("POST", "sys/mounts/database", {"type": "database"})
        vault("POST", "sys/mounts/pki", {"type": "pki"})

    def role(self, mount, name, **more):
        """Write a role of a kubernetes auth method that lets default of shop in."""
        self.vault(
            "POST",
            f"auth/{mount}/role/{name}",
            {
                "bound_service_account_names": ["default"],
                "bound_service_account_namespaces": ["shop"],
                "audience": "vault",
                "token_policies": ["shop"],
                **more,
            },
        )

    def jwt_role(self, name, **more):
        """Write a role of the jwt method that lets default of shop in."""
        role = {
            "role_type": "jwt",
            "bound_audiences": ["vault"],
            "user_claim": "sub",
            "token_policies": ["shop"],
            **more,
        }
        self.vault("POST", f"auth/jwt/role/{name}", role)

    def allow(self, policy, *paths):
        """Write a policy that lets these paths of the API be read."""
        rules = {"path": {path: {"capabilities": ["read"]} for path in paths}}
        self.vault("PUT", f"sys/policies/acl/{policy}", {"policy": json.dumps(rules)})

    def token(self, *policies, **more):
        """Return a new token with these policies, and without Vault's `default`."""
        made = {"policies": policies, "no_default_policy": True, **more}
        return self.vault("POST", "auth/token/create", made)["auth"]["client_token"]

    def login(self, mount, role, **claims):
        """Log in with a ServiceAccount token."""
        document = {"role": role, "jwt": self.signer.token(**claims)}
        return self.ask("POST", f"auth/{mount}/login", document, token="")

    def ask(self, method, path, body=None, *, token=ROOT, port=None):
        """Return the recording of one question: method, path, status and body of the answer."""
        status, text = self.vault.raw(method, path, body, token=token, port=port)
        return {
            "request": f"{method} {path}",
            "status": status,
            "body": json.loads(_RANDOM.sub(_stable, text)) if text else None,
        }

    def close(self):
        """Stop what runs."""
        self.reviewer.shutdown()
        self.reviewer.server_close()
        self.vault.close()


def _stable(found):
    """Return what stands in a recording for an address, a moment or an id of one run."""
    if found.group().startswith("127."):
        return "127.0.0.1:6443"
    return "2026-01-01T00:00:00Z" if "T" in found.group() else "id"


def answers(lab):
    """Make each state, and yield its name and what the server answers; the last one seals it."""
    yield from _kubernetes(lab)
    yield from _jwt(lab)
    yield from _approle_and_tokens(lab)
    yield from _reads(lab)
    yield from _server(lab)


def _kubernetes(lab):
    yield "kubernetes: in", _without_token(lab.login("kubernetes", "shop"))
    yield "kubernetes: no such mount", lab.login("nowhere", "shop")
    yield "kubernetes: not configured", lab.login("bare", "shop")
    yield "kubernetes: no such role", lab.login("kubernetes", "nobody")
    yield "kubernetes: service account not bound", lab.login("kubernetes", "sabound")
    yield "kubernetes: namespace not bound", lab.login("kubernetes", "elsewhere")
    yield "kubernetes: audience", lab.login("kubernetes", "audience")
    yield "kubernetes: issuer", lab.login("strict", "shop")
    yield "kubernetes: expired", lab.login("kubernetes", "shop", starts_s=-900, ends_s=-600)
    yield "kubernetes: not yet valid", lab.login("kubernetes", "shop", starts_s=600, ends_s=900)
    no_token = {"role": "shop", "jwt": "no token"}
    yield "kubernetes: no jwt", lab.ask("POST", "auth/kubernetes/login", no_token, token="")
    lab.reviewer.is_genuine = False
    yield "kubernetes: review says no", lab.login("kubernetes", "shop")
    lab.reviewer.is_genuine, lab.reviewer.status = True, 403
    yield "kubernetes: reviewer may not review", lab.login("kubernetes", "shop")
    lab.reviewer.status = 401
    yield "kubernetes: reviewer not known", lab.login("kubernetes", "shop")
    lab.reviewer.shutdown()
    lab.reviewer.server_close()
    yield "kubernetes: reviewer not reached", lab.login("kubernetes", "shop")


def _jwt(lab):
    yield "jwt: in", _without_token(lab.login("jwt", "shop"))
    yield "jwt: not configured", lab.login("bare-jwt", "shop")
    yield "jwt: no such role", lab.login("jwt", "nobody")
    yield "jwt: role without audiences", lab.login("jwt", "unbound")
    yield "jwt: audience", lab.login("jwt", "audience")
    yield "jwt: claim does not match", lab.login("jwt", "claims")
    yield "jwt: claim missing", lab.login("jwt", "missing")
    yield "jwt: subject", lab.login("jwt", "subject")
    yield "jwt: user claim missing", lab.login("jwt", "user")
    yield "jwt: issuer", lab.login("jwt", "shop", iss="https://other.example")
    yield "jwt: expired", lab.login("jwt", "shop", starts_s=-1200, ends_s=-900)
    yield "jwt: not yet valid", lab.login("jwt", "shop", starts_s=900, ends_s=1200)
    forged = {"role": "shop", "jwt": Signer().token()}
    yield "jwt: signature", lab.ask("POST", "auth/jwt/login", forged, token="")
    no_token = {"role": "shop", "jwt": "no token"}
    yield "jwt: no jwt", lab.ask("POST", "auth/jwt/login", no_token, token="")


def _approle_and_tokens(lab):
    vault = lab.vault
    role_ids = {
        name: vault("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]
        for name in ("shop", "once")
    }
    good = vault("POST", "auth/approle/role/once/secret-id")["data"]["secret_id"]

    def login(role_id, secret_id):
        document = {"role_id": role_id, "secret_id": secret_id}
        return lab.ask("POST", "auth/approle/login", document, token="")

    yield "approle: in", _without_token(login(role_ids["once"], good))
    yield "approle: secret id used up", login(role_ids["once"], good)
    yield "approle: wrong secret id", login(role_ids["shop"], "wrong")
    yield "approle: wrong role id", login("wrong", "wrong")
    wrapped = vault.wrapped("auth/token/create", {"policies": ["shop"]})
    first = lab.ask("POST", "sys/wrapping/unwrap", token=wrapped)
    yield "token: unwrapped", _without_token(first)
    yield "token: unwrapped twice", lab.ask("POST", "sys/wrapping/unwrap", token=wrapped)
    dead = lab.token("shop")
    vault("POST", "auth/token/revoke", {"token": dead})
    yield "token: dead", lab.ask("GET", "kv/data/shop/db", token=dead)
    yield (
        "token: dead, at the mounts",
        lab.ask("GET", "sys/internal/ui/mounts/kv/shop/db", token=dead),
    )
    yield "token: dead, at all mounts", lab.ask("GET", "sys/internal/ui/mounts", token=dead)
    yield "token: dead, revoked again", lab.ask("POST", "auth/token/revoke-self", token=dead)
    yield "token: no token of Vault", lab.ask("GET", "kv/data/shop/db", token="nonsense")
    yield "token: none", lab.ask("GET", "kv/data/shop/db", token="")
    alive = lab.token("shop")
    all_mounts = lab.ask("GET", "sys/internal/ui/mounts", token=alive)
    yield "token: alive, at all mounts", _without_token(all_mounts)
    yield "token: alive, at itself", lab.ask("GET", "auth/token/lookup-self", token=alive)
    batch = lab.token("shop", type="batch", ttl="1h", no_default_policy=False)
    yield "token: batch, revoked", lab.ask("POST", "auth/token/revoke-self", token=batch)


def _reads(lab):
    shop, users, nobody = lab.token("shop"), lab.token("users"), lab.token("none")
    mounts = "sys/internal/ui/mounts"
    yield "mount: of kv 2", _mount(lab.ask("GET", f"{mounts}/kv/shop/db", token=shop))
    yield "mount: of kv 1", _mount(lab.ask("GET", f"{mounts}/old/shop/app", token=shop))
    yield "mount: none there", lab.ask("GET", f"{mounts}/no/such", token=shop)
    yield "mount: no policy", lab.ask("GET", f"{mounts}/kv/shop/db", token=nobody)
    seen = lab.ask("GET", f"{mounts}/kv/shop/db", token=users)
    yield "mount: policy without data/", _mount(seen)
    yield "kv 2: found", lab.ask("GET", "kv/data/shop/db", token=shop)
    yield "kv 2: no such secret", lab.ask("GET", "kv/data/shop/none", token=shop)
    yield "kv 2: no such version", lab.ask("GET", "kv/data/shop/db?version=9", token=shop)
    yield "kv 2: deleted", lab.ask("GET", "kv/data/shop/gone", token=shop)
    yield "kv 2: destroyed", lab.ask("GET", "kv/data/shop/gone?version=1", token=shop)
    yield "kv 2: policy lacks the path", lab.ask("GET", "kv/data/other/db", token=shop)
    yield "kv 2: data/ in the reference", lab.ask("GET", "kv/data/data/shop/db", token=shop)
    yield "kv 2: policy without data/", lab.ask("GET", "kv/data/shop/db", token=users)
    write = {"options": {"cas": 7}, "data": {}}
    yield "kv 2: changed meanwhile", lab.ask("POST", "kv/data/shop/db", write)
    yield "kv 1: no such secret", lab.ask("GET", "old/shop/none", token=shop)
    yield "kv 1: policy lacks the path", lab.ask("GET", "old/other/app", token=shop)
    yield "database: no such role", lab.ask("GET", "database/creds/none", token=shop)
    yield "transit: cannot be read", lab.ask("GET", "transit/encrypt/app", token=shop)
    yield "pki: no such path", lab.ask("GET", "pki/nothing/here")
    yield "root: no such mount", lab.ask("GET", "no/such")
    yield "root: mount none there", lab.ask("GET", f"{mounts}/no/such")


def _server(lab):
    lab.vault("POST", "sys/quotas/rate-limit/one", {"rate": 0.01, "path": "old/"})
    token = lab.token("shop")
    for _ in range(3):
        limited = lab.ask("GET", "old/shop/app", token=token)
    yield "server: rate limit", limited
    yield "server: not initialized", _uninitialized(lab)
    lab.vault("PUT", "sys/seal")
    yield "server: sealed", lab.ask("GET", "kv/data/shop/db", token=token)


def _uninitialized(lab):
    (port,) = free_ports(1)
    listener = {"address": f"127.0.0.1:{port}", "tls_disable": True}
    config = {"listener": {"tcp": listener}, "storage": {"inmem": {}}, "disable_mlock": True}
    path = lab.folder / "new.json"
    path.write_text(json.dumps(config))
    started = subprocess.Popen(
        [program(), "server", f"-config={path}"],
        stdout=lab.vault.log,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                return lab.ask("GET", "kv/data/shop/db", port=port)
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        started.terminate()
        started.wait(20)


def _mount(recording):
    """Return what an answer says about a mount, without what differs from run to run."""
    data = recording["body"]["data"]
    kept = {name: data[name] for name in ("path", "type", "options")}
    return {**recording, "body": {"data": kept}}


def _without_token(recording):
    """Return a recording of success without what it gave."""
    return {**recording, "body": None}


def record(folder):
    """Return every recording by the name of its state."""
    lab = Lab(folder)
    try:
        return dict(answers(lab))
    finally:
        lab.close()


def main():
    """Write the recordings."""
    with tempfile.TemporaryDirectory(prefix="vault-states-") as folder:
        found = record(Path(folder))
    (FOLDER / "vault.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{len(found)} answers recorded\n")


if __name__ == "__main__":
    main()
