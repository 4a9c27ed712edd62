"""A real Vault server beside the cluster, with TLS and what the tests need set up in it."""

import hashlib
import json
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.testbed import cache
from tests.e2e.testbed.api import Object
from tests.e2e.testbed.pki import Authority
from tests.e2e.testbed.process import Daemon, until
from tests.e2e.testbed.vault_client import AUDIENCE, PORT, VaultClient, VaultError

OTHER_CA_PORT = 8210
POSTGRES_PLUGIN = "postgresql-database-plugin"


class Vault(VaultClient):
    """One Vault server with storage on disk.

    Mounted: KV version 1 at `kv1/`, version 2 at `secret/`; auth methods `approle`, and
    `kubernetes` and `jwt` once `trust_cluster` was called. `address` is what pods and tests use
    with `ca_pem`; `other_ca_address` is the same server with a certificate of an authority that
    `ca_pem` does not hold. A server that was stopped comes back with its data.
    """

    def __init__(self, folder: Path, host: str, *, logs: Path, enter: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.other_ca_address = f"https://{host}:{OTHER_CA_PORT}"
        self.storage = folder / "data"
        self.log = logs / "vault.log"
        self._unseal_key = ""
        self._authority = Authority(folder / "pki", "vault-ca")
        self._other_authority = Authority(folder / "other-pki", "unknown-ca")
        super().__init__(host, self._authority.cert)
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
                    "plugin_directory": str((cache.bin_dir() / "plugins").resolve()),
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


__all__ = ["AUDIENCE", "PORT", "POSTGRES_PLUGIN", "Vault", "VaultError"]
