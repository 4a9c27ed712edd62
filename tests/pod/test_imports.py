"""Every pod waits for our start-up: what a `fetch` may load, counted after a real one."""

import os
import subprocess
import sys

import pyrage
import pytest

from injector import local_file, local_format
from injector.core import plan_codec, stores
from injector.core.plan import ContainerPlan, FileItem, Pick, Plan, PlanStore, PlanValue, Read
from tests.providers.fake_vault import FakeVault

LAZY = ("-X", "lazy_imports=all") if sys.version_info >= (3, 15) else ()
"""As in the image."""

SLOW = {
    *("argparse", "asyncio", "concurrent", "dataclasses", "decimal", "difflib", "email", "http"),
    *("inspect", "ipaddress", "logging", "multiprocessing", "random", "runpy", "secrets"),
    *("selectors", "socket", "ssl", "subprocess", "tempfile", "tokenize", "traceback", "urllib"),
}
"""Parts of the standard library that take a millisecond or more, with all that they load."""

OF_VAULT = {"email", "http", "ipaddress", "selectors", "socket", "ssl", "urllib"}
"""What HTTP over TLS takes."""

OF_PATHLIB = set() if LAZY else {"ipaddress", "urllib"}
"""What `pathlib` loads in older versions."""

FOREIGN = {"aiobotocore", "aiohttp", "botocore", "click", "cryptography", "kubernetes_asyncio"}
FOREIGN |= {"msgspec", "prometheus_client", "pyrage", "structlog", "uvloop", "yaml"}
"""What nobody needs who reads from Vault; without lazy imports, hvac loads much of its own."""

_FETCH = """
import sys
before = set(sys.modules)
from injector.commands import fetch
assert fetch.main([]) == 0
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""


def fetched(store, path, folder):
    """Run a fetch of one file; return what it loaded, apart from the standard library and in it."""
    folder.joinpath("volume").mkdir()
    plan = Plan(
        namespace="shop",
        service_account="checkout",
        stores=(PlanStore(name="store", document=stores.canonical(store)),),
        reads=(Read(store=0, path=path),),
        values=(PlanValue(parts=(Pick(read=0, field="key"),), key="key", origin="test"),),
        containers=(ContainerPlan(name="app", files=(FileItem(path="key", value=0),)),),
    )
    run = subprocess.run(
        [sys.executable, "-I", *LAZY, "-c", _FETCH],
        env={
            "PATH": os.environ["PATH"],
            "SECRET_INJECTOR_PLAN": plan_codec.encode(plan),
            "SECRET_INJECTOR_VOLUME_DIR": str(folder / "volume"),
            "SECRET_INJECTOR_SOURCES_DIR": str(folder / "sources"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (folder / "volume/app/files/key").read_text() == "value"
    loaded = set(run.stdout.split())
    return loaded - sys.stdlib_module_names, loaded & SLOW - OF_PATHLIB


@pytest.fixture
def source(tmp_path):
    """Return how to put a file where the kubelet would mount it."""

    def put(name, data):
        path = tmp_path / "sources" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(data)

    return put


def test_a_secret_of_the_namespace_takes_our_own_code_alone(tmp_path, source):
    """The shortest way loads no library and nothing slow."""
    source("secrets/app/key", b"value")

    assert fetched({"k8s": {}}, "app", tmp_path) == ({"injector"}, set())


def test_a_local_file_takes_one_library(tmp_path, source):
    """The store `local` loads age, and nothing slow."""
    identity = pyrage.x25519.Identity.generate()
    secrets = local_format.put(
        local_format.EMPTY, "app", {"key": "value"}, created="2026-01-01T00:00:00Z"
    )
    source("configmaps/file/age", local_file.encrypt(secrets, [str(identity.to_public())]))
    source("secrets/identity/key", str(identity).encode())
    store = {
        "file": {"configMapRef": {"name": "file", "key": "age"}},
        "identity": {"secretRef": {"name": "identity", "key": "key"}},
    }

    assert fetched({"local": store}, "app", tmp_path) == ({"injector", "pyrage"}, set())


def test_vault_takes_its_library_and_http(tmp_path, source):
    """The store `vault` loads hvac; with lazy imports not even what hvac names."""
    source("secrets/approle/secret-id", b"s3cret")
    server = FakeVault()
    try:
        server.logins["approle", "role", "s3cret"] = ["kv/"]
        server.put("app", {"key": "value"})
        host, port = server.server_address
        secret_id = {"secretRef": {"name": "approle", "key": "secret-id"}}
        auth = {"appRole": {"roleId": "role", "secretId": secret_id}}
        store = {"vault": {"address": f"http://{host}:{port}", "auth": auth}}

        ours, slow = fetched(store, "kv/app", tmp_path)
    finally:
        server.close()

    if LAZY:
        assert (ours, slow - OF_VAULT) == ({"injector", "hvac"}, set())
    else:
        assert {"injector", "hvac"} <= ours
        assert not ours & FOREIGN
