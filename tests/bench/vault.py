"""A real Vault on loopback with an AppRole and some secrets, and Vault's own agent to compare with.

The end-to-end tests build the program. It listens twice: in the open, and with a certificate of an
authority of its own, as a store in a cluster is.
"""

import contextlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.bench.interpreters import Program
from tests.e2e.testbed import cache

PORT, TLS_PORT = 18299, 18298
SECRETS = 20


class DevVault:
    """A `vault server -dev`; its files are in the folder."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.address = f"http://127.0.0.1:{PORT}"
        self.role_id = self.secret_id = ""

    def store(self, *, is_tls: bool) -> dict[str, object]:
        """Return the definition of a store for it."""
        secret = {"secretRef": {"name": "approle", "key": "secret-id"}}
        auth = {"appRole": {"roleId": self.role_id, "secretId": secret}}
        if not is_tls:
            return {"vault": {"address": self.address, "auth": auth}}
        bundle = (self.folder / "vault-ca.pem").read_text()
        address = f"https://127.0.0.1:{TLS_PORT}"
        return {"vault": {"address": address, "auth": auth, "caBundle": bundle}}

    def fill(self) -> None:
        """Write what the cases read."""
        self.call("POST", "sys/auth/approle", {"type": "approle"})
        rule = 'path "secret/*" { capabilities = ["read"] }'
        self.call("PUT", "sys/policies/acl/bench", {"policy": rule})
        self.call("POST", "auth/approle/role/bench", {"token_policies": ["bench"]})
        self.role_id = self.call("GET", "auth/approle/role/bench/role-id")["data"]["role_id"]
        made = self.call("POST", "auth/approle/role/bench/secret-id", {})
        self.secret_id = made["data"]["secret_id"]
        for index in range(SECRETS):
            self.call("POST", f"secret/data/app{index}", {"data": {"key": "value"}})

    def call(self, method, path, body=None):
        """Send a request as root."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"X-Vault-Token": "root"}
        request = urllib.request.Request(f"{self.address}/v1/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")

    def agent(self, reads: int) -> Program:
        """Return Vault's own agent, set to read once and end."""
        folder = self.folder
        (folder / "role").write_text(self.role_id)
        (folder / "secret").write_text(self.secret_id)
        templates = "".join(
            f'template {{ destination = "{folder}/agent{i}"\n'
            f'  contents = "{{{{ with secret \\"secret/data/app{i}\\" }}}}'
            f'{{{{ .Data.data.key }}}}{{{{ end }}}}" }}\n'
            for i in range(reads)
        )
        config = folder / "agent.hcl"
        config.write_text(
            f'exit_after_auth = true\nvault {{ address = "{self.address}" }}\n'
            f'auto_auth {{ method "approle" {{ config = {{ role_id_file_path = "{folder}/role"\n'
            f'  secret_id_file_path = "{folder}/secret"\n'
            f"  remove_secret_id_file_after_reading = false }} }} }}\n{templates}"
        )
        argv = (str(self.program), "agent", f"-config={config}", "-log-level=error")
        return Program(argv=argv, env={"HOME": str(folder)})


@contextlib.contextmanager
def running(folder: Path) -> Iterator[DevVault]:
    """Run the server with its files in the folder."""
    program = cache.bin_dir() / "vault"
    if not program.exists():
        raise SystemExit("no Vault to measure against: `make e2e` builds one from its Go modules")
    plain = folder / "plain.hcl"
    plain.write_text(f'listener "tcp" {{ address = "127.0.0.1:{PORT}"\n tls_disable = true }}\n')
    options = (
        "-dev-tls",
        f"-dev-tls-cert-dir={folder}",
        f"-dev-listen-address=127.0.0.1:{TLS_PORT}",
    )
    with (folder / "vault.log").open("wb") as log:
        server = subprocess.Popen(
            [program, "server", "-dev", "-dev-root-token-id=root", *options, f"-config={plain}"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
        )
        try:
            made = DevVault(program, folder)
            _wait(made)
            made.fill()
            yield made
        finally:
            server.terminate()
            server.wait(10)


def _wait(server: DevVault, *, limit_s: float = 20) -> None:
    end = time.monotonic() + limit_s
    while True:
        try:
            server.call("GET", "sys/health")
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
