"""A small Vault, written from HashiCorp's HTTP API documentation, for tests without a Go toolchain.

Pages followed: "KV secrets engine version 1/2 (API)", "Kubernetes/JWT/AppRole auth method (API)",
"/auth/token" (lookup-self, revoke-self), "/sys/wrapping/unwrap", "/sys/internal/ui/mounts", and
"HTTP API: status codes". Whatever it refuses, it refuses in a real server's words: those of
`recordings/vault.json`. The suite runs against the real server in the e2e tests and holds this to
account.
"""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.providers import recorded

_RECORDED = recorded.recordings("vault")


class FakeVault(ThreadingHTTPServer):
    """Plain HTTP on 127.0.0.1; state is in public attributes, for tests to set."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mounts = {"kv/": ("kv", "2"), "old/": ("kv", "1"), "database/": ("database", None)}
        self.v2, self.v1, self.dynamic = {}, {}, {}
        self.logins = {}
        """(mount, role or role id, credential) → the policies of the token."""
        self.tokens, self.wrapped = {}, {}
        """Token → prefixes it may read; wrapping token → token."""
        self.before_writes = []
        """What happens just before a write is looked at: somebody else's, for example."""
        self.namespace = None
        self.default_policy = True
        """Whether tokens have Vault's policy `default`, which lets them look at themselves."""
        self.login_state = None
        """The recorded state that every login meets, by its name; None is a server in order."""
        self.token_type = "service"
        self.is_old = False
        """Whether it says the same of a dead token and of a closed path, as older servers do."""
        self.revoked, self.posts = [], []
        self.leases = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def put(self, path, data):
        """Write a new version of kv/PATH, as `vault kv put` does; a number stays a number."""
        with self.lock:
            self.v2.setdefault(path, []).append({"data": data, "deleted": "", "destroyed": False})

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
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        path = urllib.parse.unquote(self.path)
        vault = self.server
        vault.posts.append(path)
        if self._is_elsewhere():
            return self._recorded("kubernetes: no such mount")
        if path == "/v1/sys/wrapping/unwrap":
            with vault.lock:
                inner = vault.wrapped.pop(self.headers.get("x-vault-token"), None)
            if inner is None or body.get("token"):
                return self._recorded("token: unwrapped twice")
            return self._json({"auth": {"client_token": inner}})
        if path == "/v1/auth/token/revoke-self":
            return self._revoke(self.headers.get("x-vault-token"))
        if path.startswith("/v1/kv/data/"):
            return self._write(path.removeprefix("/v1/kv/data/"), body)
        mount = path.removeprefix("/v1/auth/").removesuffix("/login")
        who = (mount, body.get("role", body.get("role_id")), body.get("jwt", body.get("secret_id")))
        if vault.login_state is not None:
            return self._recorded(vault.login_state)
        if who not in vault.logins:
            known = any(key[:2] == who[:2] for key in vault.logins)
            states = ("kubernetes: service account not bound", "kubernetes: no such role")
            return self._recorded(states[not known])
        token = f"hvs.{len(vault.tokens) + len(vault.revoked)}"
        vault.tokens[token] = vault.logins[who]
        about = {"client_token": token, "lease_duration": 3600, "token_type": vault.token_type}
        return self._json({"auth": about})

    def _revoke(self, token):
        vault = self.server
        if token not in vault.tokens:
            return self._recorded("token: dead, revoked again")
        if vault.token_type == "batch":
            return self._recorded("token: batch, revoked")
        del vault.tokens[token]
        vault.revoked.append(token)
        self.send_response(204)
        self.end_headers()
        return None

    def do_DELETE(self):
        name = urllib.parse.unquote(self.path).removeprefix("/v1/kv/metadata/")
        if self.server.tokens.get(self.headers.get("x-vault-token")) is None:
            return self._recorded("token: dead")
        self.server.v2.pop(name, None)
        self.send_response(204)
        self.end_headers()
        return None

    def _write(self, name, body):
        allowed = self.server.tokens.get(self.headers.get("x-vault-token")) or ()
        if not any(f"kv/{name}".startswith(prefix) for prefix in allowed):
            return self._recorded("kv 2: policy lacks the path")
        for happen in self.server.before_writes:
            happen(name)
        number = len(self.server.v2.get(name, ()))
        if body["options"].get("cas", number) != number:
            return self._recorded("kv 2: changed meanwhile")
        self.server.put(name, body["data"])
        return self._json({"data": {"version": number + 1}})

    def _about(self, path, query, allowed):
        if path.startswith("auth/"):
            if not self.server.default_policy:
                return self._recorded("token: alive, at itself")
            return self._json({"data": {"ttl": 1}})
        if path == "sys/internal/ui/mounts":
            mounts = {
                m: {"type": kind, "options": {"version": version} if version else None}
                for m, (kind, version) in self.server.mounts.items()
            }
            return self._json({"data": {"secret": mounts, "auth": {}}})
        name = path.removeprefix("kv/metadata").removeprefix("/")
        if "list" in query:  # the server adds the slash that a folder has
            name += "/" if name and not name.endswith("/") else ""
            if not any(f"kv/{name}".startswith(prefix) for prefix in allowed):
                return self._recorded("kv 2: policy lacks the path")
            found = [n.removeprefix(name) for n in self.server.v2 if n.startswith(name)]
            keys = sorted({n.partition("/")[0] + ("/" if "/" in n else "") for n in found})
            return (
                self._json({"data": {"keys": keys}})
                if keys
                else self._recorded("kv 2: no such secret")
            )
        if name not in self.server.v2:
            return self._recorded("kv 2: no such secret")
        versions = {
            str(i): {
                "created_time": "2026-01-01T00:00:00Z",
                "deletion_time": v["deleted"],
                "destroyed": v["destroyed"],
            }
            for i, v in enumerate(self.server.v2[name], 1)
        }
        return self._json({"data": {"versions": versions}})

    def do_GET(self):
        vault = self.server
        raw, _, query = self.path.partition("?")
        path = urllib.parse.unquote(raw).removeprefix("/v1/")
        allowed = vault.tokens.get(self.headers.get("x-vault-token"))
        if allowed is None or self._is_elsewhere():
            older = {"status": 403, "body": {"errors": ["permission denied"]}}
            return self._answer(older if vault.is_old else _RECORDED["token: dead"])
        if path == "sys/internal/ui/mounts" or path.startswith(("kv/metadata", "auth/")):
            return self._about(path, query, allowed)
        if path.startswith("sys/internal/ui/mounts/"):
            return self._mount(path.removeprefix("sys/internal/ui/mounts/"), allowed)
        return self._read(path, query, allowed)

    def _read(self, path, query, allowed):
        vault = self.server
        mount = next((m for m in vault.mounts if path.startswith(m)), "")
        kind, version = vault.mounts.get(mount, ("", None))
        name = path.removeprefix(mount)
        if kind == "kv" and version == "2":
            name = name.removeprefix("data/")
        if not any(f"{mount}{name}".startswith(prefix) for prefix in allowed):
            return self._recorded("kv 2: policy lacks the path")
        if kind == "kv" and version == "2":
            return self._versioned(name, dict(urllib.parse.parse_qsl(query)).get("version"))
        found = vault.v1.get(name) if kind == "kv" else vault.dynamic.get(name)
        if found is None:
            engine = "kv 1: no such secret" if kind == "kv" else "database: no such role"
            return self._recorded(engine)
        lease = {}
        if kind != "kv":
            with vault.lock:
                vault.leases += 1
                lease = {
                    "lease_id": f"{path}/{vault.leases}",
                    "lease_duration": 3600,
                    "renewable": True,
                }
        return self._json(
            {"lease_id": "", "lease_duration": 2764800, "renewable": False, "data": found, **lease}
        )

    def _mount(self, path, allowed):
        mount = next((m for m in self.server.mounts if path.startswith(m)), None)
        if mount is None or not any(a.startswith(mount) or mount.startswith(a) for a in allowed):
            return self._recorded("mount: none there")
        kind, version = self.server.mounts[mount]
        options = {"version": version} if version else None
        return self._json({"data": {"path": mount, "type": kind, "options": options}})

    def _versioned(self, name, wanted):
        versions = self.server.v2.get(name, [])
        number = int(wanted) if wanted else len(versions)
        if not 1 <= number <= len(versions):
            return self._recorded("kv 2: no such secret")
        version = versions[number - 1]
        metadata = {
            "version": number,
            "deletion_time": version["deleted"],
            "destroyed": version["destroyed"],
            "created_time": "2026-01-01T00:00:00Z",
            "custom_metadata": None,
        }
        if version["deleted"] or version["destroyed"]:
            return self._json({"data": {"data": None, "metadata": metadata}}, status=404)
        return self._json({"data": {"data": version["data"], "metadata": metadata}})

    def _is_elsewhere(self):
        return self.headers.get("x-vault-namespace") != self.server.namespace

    def _recorded(self, state):
        self._answer(_RECORDED[state])

    def _answer(self, recording):
        self._json(recording["body"], status=recording["status"])

    def _json(self, document, *, status=200):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
