"""A real PostgreSQL server, for credentials that Vault makes on demand."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.testbed.process import CommandFailedError, Daemon, run, until
from tests.e2e.testbed.vault import POSTGRES_PLUGIN, Vault

PORT = 5432
_ADMIN_PASSWORD = "testbed"
_AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")


class Postgres:
    """One server with the database `app`, which pods and tests reach at `host`:5432.

    It runs as the user `postgres` of the Debian package, in *folder*.
    """

    def __init__(self, folder: Path, host: str, *, logs: Path, enter: Sequence[str] = ()) -> None:
        self.host = host
        self._programs = max(Path("/usr/lib/postgresql").iterdir()) / "bin"
        self._data = folder / "data"
        self._enter = tuple(enter)
        folder.mkdir()
        folder.parent.chmod(0o711)  # the server's user passes through
        shutil.chown(folder, "postgres")
        flags = ("-D", self._data, "-h", host, "-p", str(PORT), "-k", folder, "-c", "fsync=off")
        self._daemon = Daemon(
            "postgres",
            [*_AS_POSTGRES, self._programs / "postgres", *flags],
            log=logs / "postgres.log",
            enter=enter,
        )

    def start(self) -> None:
        """Make the database and start the server."""
        secret = self._data.parent / "password"
        secret.write_text(_ADMIN_PASSWORD)
        secret.chmod(0o644)
        initdb = (
            self._programs / "initdb",
            "--no-sync",
            "--auth=scram-sha-256",
            "--username=admin",
        )
        run(*_AS_POSTGRES, *initdb, f"--pwfile={secret}", f"--pgdata={self._data}")
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        self._daemon.start()
        until(
            lambda: self.query("SELECT 1", database="postgres"),
            what="PostgreSQL answers",
            timeout_s=30,
            retry_on=(CommandFailedError,),
            explain=self._daemon.tail,
        )
        self.query("CREATE DATABASE app", database="postgres")

    def stop(self) -> None:
        """Stop the server."""
        self._daemon.stop(timeout_s=2)

    def query(
        self,
        sql: str,
        *,
        user: str = "admin",
        password: str = _ADMIN_PASSWORD,
        database: str = "app",
    ) -> str:
        """Run SQL as *user* and return the rows as text; a refusal raises CommandFailedError."""
        address = f"host={self.host} port={PORT} dbname={database} user={user}"
        psql = (*self._enter, str(self._programs / "psql"), "-Atq", "-v", "ON_ERROR_STOP=1")
        return run(*psql, address, "-c", sql, env={"PGPASSWORD": password}).decode().strip()

    def offer(self, vault: Vault, role: str, *, ttl: str = "1h", max_ttl: str = "24h") -> str:
        """Let Vault make users of this server; return the path to read credentials from.

        Each read is a new user, which ends with its lease.
        """
        mounts = vault.request("GET", "sys/mounts")
        if "database/" not in mounts:
            vault.request("POST", "sys/mounts/database", {"type": "database"})
            connection = {
                "plugin_name": POSTGRES_PLUGIN,
                "connection_url": "postgresql://{{username}}:{{password}}@"
                f"{self.host}:{PORT}/app?sslmode=disable",
                "allowed_roles": "*",
                "username": "admin",
                "password": _ADMIN_PASSWORD,
            }
            vault.request("POST", "database/config/app", connection)
        create = (
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
        )
        settings = {
            "db_name": "app",
            "creation_statements": [create],
            "default_ttl": ttl,
            "max_ttl": max_ttl,
        }
        vault.request("POST", f"database/roles/{role}", settings)
        return f"database/creds/{role}"
