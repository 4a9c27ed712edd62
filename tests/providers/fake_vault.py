"""A small Vault, written from HashiCorp's HTTP API documentation, for tests without a Go toolchain.

Pages followed: "KV secrets engine version 1/2 (API)", "Kubernetes/JWT/AppRole auth method (API)",
"/auth/token" (lookup-self, revoke-self), "/sys/wrapping/unwrap", "/sys/internal/ui/mounts", and
"HTTP API: status codes". The suite runs against the real server in the e2e tests and holds this to
account.
"""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


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
        self.token_type = "service"
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
            return self._error(404, "no handler for route")
        if path == "/v1/sys/wrapping/unwrap":
            with vault.lock:
                inner = vault.wrapped.pop(self.headers.get("x-vault-token"), None)
            if inner is None or body.get("token"):
                return self._error(400, "wrapping token is not valid or does not exist")
            return self._json({"auth": {"client_token": inner}})
        if path == "/v1/auth/token/revoke-self":
            return self._revoke(self.headers.get("x-vault-token"))
        if path.startswith("/v1/kv/data/"):
            return self._write(path.removeprefix("/v1/kv/data/"), body)
        mount = path.removeprefix("/v1/auth/").removesuffix("/login")
        who = (mount, body.get("role", body.get("role_id")), body.get("jwt", body.get("secret_id")))
        if who not in vault.logins:
            known = any(key[:2] == who[:2] for key in vault.logins)
            text = (
                "service account name not authorized" if known else f'invalid role name "{who[1]}"'
            )
            return self._error(403 if known else 400, text)
        token = f"hvs.{len(vault.tokens) + len(vault.revoked)}"
        vault.tokens[token] = vault.logins[who]
        about = {"client_token": token, "lease_duration": 3600, "token_type": vault.token_type}
        return self._json({"auth": about})

    def _revoke(self, token):
        vault = self.server
        if token not in vault.tokens:
            return self._error(
                403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"
            )
        if vault.token_type == "batch":
            return self._error(400, "batch tokens cannot be revoked")
        del vault.tokens[token]
        vault.revoked.append(token)
        self.send_response(204)
        self.end_headers()
        return None

    def do_DELETE(self):
        name = urllib.parse.unquote(self.path).removeprefix("/v1/kv/metadata/")
        if self.server.tokens.get(self.headers.get("x-vault-token")) is None:
            return self._error(403, "permission denied")
        self.server.v2.pop(name, None)
        self.send_response(204)
        self.end_headers()
        return None

    def _write(self, name, body):
        allowed = self.server.tokens.get(self.headers.get("x-vault-token")) or ()
        if not any(f"kv/{name}".startswith(prefix) for prefix in allowed):
            return self._error(403, "1 error occurred:\n\t* permission denied\n\n")
        for happen in self.server.before_writes:
            happen(name)
        number = len(self.server.v2.get(name, ()))
        if body["options"].get("cas", number) != number:
            text = "check-and-set parameter did not match the current version"
            return self._error(400, text)
        self.server.put(name, body["data"])
        return self._json({"data": {"version": number + 1}})

    def _about(self, path, query, allowed):
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
                return self._error(403, "1 error occurred:\n\t* permission denied\n\n")
            found = [n.removeprefix(name) for n in self.server.v2 if n.startswith(name)]
            keys = sorted({n.partition("/")[0] + ("/" if "/" in n else "") for n in found})
            return self._json({"data": {"keys": keys}}) if keys else self._error(404)
        if name not in self.server.v2:
            return self._error(404)
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
            return self._error(403, "permission denied")
        if path == "auth/token/lookup-self":
            return self._json({"data": {"ttl": 1}})
        if path == "sys/internal/ui/mounts" or path.startswith("kv/metadata"):
            return self._about(path, query, allowed)
        if path.startswith("sys/internal/ui/mounts/"):
            return self._mount(path.removeprefix("sys/internal/ui/mounts/"), allowed)
        mount = next((m for m in vault.mounts if path.startswith(m)), "")
        kind, version = vault.mounts.get(mount, ("", None))
        name = path.removeprefix(mount)
        if kind == "kv" and version == "2":
            name = name.removeprefix("data/")
        if not any(f"{mount}{name}".startswith(prefix) for prefix in allowed):
            return self._error(403, "1 error occurred:\n\t* permission denied\n\n")
        if kind == "kv" and version == "2":
            return self._versioned(name, dict(urllib.parse.parse_qsl(query)).get("version"))
        found = vault.v1.get(name) if kind == "kv" else vault.dynamic.get(name)
        if found is None:
            return self._error(
                404 if kind == "kv" else 400, *([] if kind == "kv" else [f"unknown role: {name}"])
            )
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
            return self._error(
                403,
                "preflight capability check returned 403, please ensure client's policies grant"
                f' access to path "{path.partition("/")[0]}/"',
            )
        kind, version = self.server.mounts[mount]
        options = {"version": version} if version else None
        return self._json({"data": {"path": mount, "type": kind, "options": options}})

    def _versioned(self, name, wanted):
        versions = self.server.v2.get(name, [])
        number = int(wanted) if wanted else len(versions)
        if not 1 <= number <= len(versions):
            return self._error(404)
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

    def _error(self, status, *texts):
        self._json({"errors": list(texts)}, status=status)

    def _json(self, document, *, status=200):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
