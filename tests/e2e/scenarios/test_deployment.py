"""Scenario: a Deployment whose containers get different values, under the restricted profile."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.scenarios.inside import File
from tests.e2e.testbed.process import CommandFailedError

KEY = b"\x00\x01binary\xff"
LAUNCH = "/run/secret-injector"
GROUP = 65532


@pytest.fixture
def shop(tenant):
    """Return a function that creates the Deployment and returns its Ready pod's name."""
    tenant.restrict()
    tenant.put_vault("db", user="shop", password="p@ss/word")
    tenant.put_vault_v1("queue", password="from version 1")
    tenant.put_secret("payment", {"api-key": "from a Secret", "key.der": KEY})
    tenant.put_local({"mail/smtp": {"password": "from a file"}})
    path = f"vault:secret/{tenant.namespace}/db"

    def create(*, web_user, worker_user):
        annotations = pods.asking(
            env__web={
                "DATABASE_URL": f"postgres://#{{{path}#user}}:#{{{path}#password | urlencode}}@db",
                "API_KEY": "#{k8s:payment#api-key}",
            },
            env__worker={
                "QUEUE_PASSWORD": f"#{{vault:kv1/{tenant.namespace}/queue#password}}",
                "SMTP_PASSWORD": "#{local:mail/smtp#password}",
            },
            files__web={"key.der": "#{k8s:payment#key.der}"},
            files__worker={
                "db.json": f"#{{{path}}}",
                "smtp": {"value": "#{local:mail/smtp#password}", "path": "mail/smtp"},
            },
        )
        pod = pods.pod(
            "shop",
            pods.restricted(pods.app("web", command=pods.SLEEP), user=web_user),
            pods.restricted(pods.app("worker", command=pods.SLEEP), user=worker_user),
            annotations=annotations,
        )
        tenant.apply(pods.deployment(pod))
        tenant.cluster.wait_condition("Deployment", "shop", tenant.namespace, condition="Available")
        (made,) = tenant.cluster.find("Pod", tenant.namespace, selector="app=shop")
        return made["metadata"]["name"]

    return create


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Who runs the two containers, and how the files must then be protected."""

    web: int
    worker: int
    owner: int
    mode: int
    folder_mode: int
    is_group_added: bool


ONE = Users(web=1234, worker=1234, owner=1234, mode=0o400, folder_mode=0o700, is_group_added=False)
TWO = Users(web=1234, worker=4321, owner=GROUP, mode=0o440, folder_mode=0o750, is_group_added=True)


@pytest.mark.parametrize("users", [ONE, TWO], ids=["one-user", "two-users"])
def test_each_container_of_a_restricted_deployment_gets_its_own_values(tenant, inside, shop, users):
    """Variables and files from every kind of store arrive whole, readable by their user alone."""
    name = shop(web_user=users.web, worker_user=users.worker)
    pod = inside(name)

    def file(content):
        return File(mode=users.mode, user=users.owner, group=GROUP, content=content)

    assert pod.environ("web") == {
        b"DATABASE_URL": b"postgres://shop:p%40ss%2Fword@db",
        b"API_KEY": b"from a Secret",
    }
    assert pod.environ("worker") == {
        b"QUEUE_PASSWORD": b"from version 1",
        b"SMTP_PASSWORD": b"from a file",
    }
    assert pod.files(container="web") == {"key.der": file(KEY)}
    assert pod.files(container="worker") == {
        "db.json": file(b'{"password":"p@ss/word","user":"shop"}'),
        "mail/smtp": file(b"from a file"),
    }
    assert pod.names(pods.FILES, "web") == {"key.der"}
    assert pod.names(pods.FILES, "worker") == {"db.json", "mail"}
    for container, user in (("web", users.web), ("worker", users.worker)):
        assert pod.folder_modes(pods.FILES, container) == {users.folder_mode}
        assert pod.folder_modes(LAUNCH, container) == {users.folder_mode}
        assert pod.names(LAUNCH, container) == {"launcher", "env"}
        assert pod.mounts(container) == {LAUNCH: "ro", pods.FILES: "ro"}
        assert pod.status(container)["Uid"] == [str(user)] * 4
        assert (str(GROUP) in pod.status(container)["Groups"]) == users.is_group_added
        assert pod.argv(container) == [word.encode() for word in pods.SLEEP]
    read = ("cat", f"{pods.FILES}/mail/smtp")
    assert tenant.cluster.exec(name, "worker", *read, namespace=tenant.namespace) == b"from a file"


def test_the_pod_that_is_stored_holds_no_value_and_our_container_no_api_token(tenant, inside, shop):
    """The stored pod names where values come from; the default API token is mounted in the apps."""
    name = shop(web_user=1234, worker_user=1234)
    inside(name)

    stored = tenant.cluster.get("Pod", name, tenant.namespace)

    text = json.dumps(stored)
    assert not [v for v in ("p@ss", "p%40ss", "version 1", "a Secret", "a file") if v in text]
    ours = pods.ours(stored)
    assert [
        (m["name"], m["mountPath"], m.get("readOnly", False)) for m in ours["volumeMounts"]
    ] == [
        ("secret-injector", "/secret-injector/volume", False),
        ("secret-injector-sources", "/var/run/secrets/kubernetes.io/serviceaccount", True),
    ]
    assert [entry["name"] for entry in ours["env"]] == [
        "SECRET_INJECTOR_PLAN",
        "SECRET_INJECTOR_LOG_LEVEL",
        "POD_NAME",
    ]
    web = stored["spec"]["containers"][0]
    assert "env" not in web
    assert [m["name"].partition("-access-")[0] for m in web["volumeMounts"]] == [
        "kube-api",
        "secret-injector",
        "secret-injector",
    ]


def test_an_application_cannot_change_what_it_was_given(tenant, inside, shop):
    """Files are on a read-only mount, also for the user who owns them."""
    name = shop(web_user=1234, worker_user=1234)
    inside(name)
    write = ("sh", "-c", f"echo x > {pods.FILES}/db.json")

    with pytest.raises(CommandFailedError) as refused:
        tenant.cluster.exec(name, "worker", *write, namespace=tenant.namespace)

    assert b"Read-only file system" in refused.value.stderr
