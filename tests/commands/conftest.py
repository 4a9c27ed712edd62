"""Stores that can be written, an age file and a Vault behind TLS, and commands beside files."""

import json

import pytest

from injector import cli
from tests.commands.desk import Desk
from tests.commands.laptop import run
from tests.commands.shop import add
from tests.commands.test_live import READ
from tests.providers.certificates import Authority
from tests.providers.fake_vault import FakeVault
from tests.providers.fault_proxy import FaultProxy
from tests.server.apiserver import NAMESPACES


class LocalBench:
    """An age file and its key, neither of which is there at first."""

    def __init__(self, folder):
        self.folder = folder
        self.spec = {
            "local": {"file": {"file": "secrets.age"}, "identity": {"file": "identity.txt"}}
        }

    def path(self, name):
        return name

    def close(self):
        """Nothing runs."""


class VaultBench:
    """A fake Vault behind TLS, entered by a token from a file."""

    def __init__(self, folder):
        self.folder = folder
        self.vault = FakeVault()
        self.vault.tokens["hvs.token"] = ["kv/"]
        self.authority = Authority(folder)
        self.proxy = FaultProxy(self.authority.context(), self.vault.server_address)
        (folder / ".secret-injector").mkdir(exist_ok=True)
        (folder / ".secret-injector/token").write_text("hvs.token\n")
        self.spec = {
            "vault": {
                "address": f"https://127.0.0.1:{self.proxy.port}",
                "caBundle": self.authority.pem,
                "auth": {"token": {"token": {"file": "token"}}},
            }
        }

    def path(self, name):
        return f"kv/{name}"

    def close(self):
        self.proxy.close()
        self.vault.close()


def bench_of(kind, folder):
    """Return a folder with one store of the kind, and how to run commands on it."""
    bench = {"local": LocalBench, "vault": VaultBench}[kind](folder)
    document = {
        "apiVersion": "secret-injector.io/v1alpha1",
        "kind": "ClusterSecretStore",
        "metadata": {"name": "store"},
        "spec": bench.spec,
    }
    (folder / ".secret-injector").mkdir(exist_ok=True)
    (folder / ".secret-injector/stores.yaml").write_text(json.dumps(document))
    bench.run = lambda *argv, **options: run(folder, *argv, **options)
    bench.secret = lambda *argv, **options: run(folder, "secret", *argv, **options)
    return bench


@pytest.fixture(params=["local", "vault"])
def bench(request, tmp_path):
    """Each kind of store in turn."""
    made = bench_of(request.param, tmp_path)
    yield made
    made.close()


@pytest.fixture
def local(tmp_path):
    """An age file."""
    return bench_of("local", tmp_path)


@pytest.fixture
def vault(tmp_path):
    """A Vault."""
    made = bench_of("vault", tmp_path)
    yield made
    made.close()


@pytest.fixture
def desk(tmp_path, capsysbinary, monkeypatch):
    """A person's machine beside a cluster."""
    made = Desk(tmp_path, capsysbinary, monkeypatch)
    yield made
    made.close()


@pytest.fixture
def shop(desk):
    """A cluster with the Secret payment in two namespaces, to which nothing refers."""
    desk.cluster.api.collections |= READ
    add(desk, NAMESPACES, "billing", namespace=None)
    for namespace in ("shop", "billing"):
        desk.put("payment", {"api-key": "1", "spare": "2"}, namespace=namespace)
    return desk


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Return a function that writes files and runs a command beside them: status, out, err."""
    monkeypatch.chdir(tmp_path)

    def written(*argv, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        given = [word for name in files for word in ("-f", f"{name}.yaml")]
        status = cli.run([*argv, *given])
        return status, *capsys.readouterr()

    return written
