"""Scenario: a file that sops encrypted, as it lies in Git, is in a ConfigMap or in our image."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.system import store
from tests.e2e.sops_rig import new_key, sops
from tests.e2e.testbed import product

FILE = """\
# of the shop
db:
    user: shop
    password: "p@ss: word'\\n"
    port: 5432
hosts: [a.example.org, b.example.org]
"""


IDENTITY = {"secretRef": {"name": "sops-age", "key": "keys.txt"}}
UPON = "localhost/secret-injector:testbed-with-file"
IN_IMAGE = "/secrets/shop.yaml"


@pytest.fixture
def file(tenant, tmp_path):
    """A file that sops encrypted; the key that opens it is in a Secret of the tenant."""
    key, recipient = new_key(tmp_path, "keys.txt")
    made = tmp_path / "secrets.yaml"
    made.write_text(FILE)
    sops("encrypt", "-i", "--age", recipient, made.name, folder=tmp_path)
    tenant.put_secret("sops-age", {"keys.txt": key.read_bytes()})
    return made


def test_a_pod_reads_a_file_of_sops_from_a_configmap(system, tenant, inside, file):
    """Its key comes from a Secret; both are mounted into our container, and no right is needed."""
    tenant.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "secrets"},
            "data": {file.name: file.read_text()},
        }
    )
    name = f"{tenant.namespace}-sops"
    reference = {"configMapRef": {"name": "secrets", "key": file.name}}
    system.define(store(name, {"sops": {"file": reference, "identity": IDENTITY}}))
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


def test_a_pod_reads_a_file_of_sops_from_the_image(
    system, tenant, local_cluster, inside, file, image
):
    """An image built upon ours has the file, and is what the chart is told to inject."""
    local_cluster.load_image(product.build_upon(UPON, file, IN_IMAGE))
    system.install(injected={"image": {"tag": UPON.rpartition(":")[2]}})
    name = f"{tenant.namespace}-sops"
    system.define(store(name, {"sops": {"file": {"imagePath": IN_IMAGE}, "identity": IDENTITY}}))
    annotations = pods.asking(env={"PASSWORD": f"#{{{name}:db#password}}"})

    tenant.apply(pods.pod("app", pods.app(command=pods.SLEEP), annotations=annotations))
    environ = inside("app").environ()
    system.install()

    assert environ == {b"PASSWORD": b"p@ss: word'\n"}
