"""Scenario: a file that sops encrypted lies in a ConfigMap, as it lies in Git, and pods read it."""

from __future__ import annotations

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.system import store
from tests.e2e.sops_rig import new_key, sops

FILE = """\
# of the shop
db:
    user: shop
    password: "p@ss: word'\\n"
    port: 5432
hosts: [a.example.org, b.example.org]
"""


def test_a_pod_reads_a_file_of_sops_from_a_configmap(system, tenant, inside, tmp_path):
    """Its key comes from a Secret; both are mounted into our container, and no right is needed."""
    key, recipient = new_key(tmp_path, "keys.txt")
    (tmp_path / "secrets.yaml").write_text(FILE)
    sops("encrypt", "-i", "--age", recipient, "secrets.yaml", folder=tmp_path)
    tenant.put_secret("sops-age", {"keys.txt": key.read_bytes()})
    tenant.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "secrets"},
            "data": {"secrets.yaml": (tmp_path / "secrets.yaml").read_text()},
        }
    )
    name = f"{tenant.namespace}-sops"
    spec = {
        "file": {"configMapRef": {"name": "secrets", "key": "secrets.yaml"}},
        "identity": {"secretRef": {"name": "sops-age", "key": "keys.txt"}},
    }
    system.define(store(name, {"sops": spec}))
    env = {
        "PASSWORD": f"#{{{name}:db#password}}",
        "URL": f"pg://#{{{name}:db#user}}@db:#{{{name}:db/port}}/app",
        "HOSTS": f"#{{{name}:hosts | lines}}",
    }

    annotations = pods.asking(env=env, files={"db.json": f"#{{{name}:db}}"})
    tenant.apply(pods.pod("app", pods.app(command=pods.SLEEP), annotations=annotations))
    there = inside("app")

    assert there.environ() == {
        b"PASSWORD": b"p@ss: word'\n",
        b"URL": b"pg://shop@db:5432/app",
        b"HOSTS": b"a.example.org\nb.example.org",
    }
    assert {file: found.content for file, found in there.files().items()} == {
        "db.json": b'{"user":"shop","password":"p@ss: word\'\\n","port":5432}'
    }
