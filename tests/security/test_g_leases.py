"""Row G: what a login brought decides whether it may be closed."""

import json

import pytest

from tests import asking
from tests.commands.laptop import run
from tests.pod.init_container import plan_for
from tests.security.test_g_logout import plan, pod, server

__all__ = ["pod", "server"]  # fixtures

LEASED = ("database/creds/app", "username")


@pytest.fixture(autouse=True)
def dynamic(server):
    """The fake has a path that gives leases."""
    server.vault.dynamic["creds/app"] = {"username": "u", "password": "p"}


def lines(messages):
    """Return the log as documents."""
    return [json.loads(line) for line in messages.splitlines()]


def test_a_login_with_a_lease_in_use_stays_and_the_log_says_that_nothing_renews_it(pod, server):
    """Revoking it would revoke the credentials that the application has."""
    status, messages = pod.fetch(plan(server, LEASED, ("kv/app", "key")))

    assert (status, server.tokens()) == (0, 1)
    (told,) = (line for line in lines(messages) if line["event"] == "nothing renews a lease")
    assert {name: told[name] for name in ("level", "store", "path", "lease_s")} == {
        "level": "warning",
        "store": "vault",
        "path": "database/creds/app",
        "lease_s": 3600.0,
    }


def test_leases_of_values_that_nobody_got_are_revoked(pod, server):
    """Five crash-looping fetches leave no user in the database."""
    for _ in range(5):
        assert pod.fetch(plan(server, LEASED, ("kv/app", "nokey")))[0] == 6

    assert server.tokens() == 0


def test_a_batch_token_is_not_revoked(pod, server):
    """Vault keeps nothing of it, and refuses."""
    server.vault.token_type = "batch"

    assert pod.fetch(plan(server, ("kv/app", "key")))[0] == 0
    assert pod.fetch(plan(server, ("kv/app", "nokey")))[0] == 6

    assert server.vault.posts.count("/v1/auth/token/revoke-self") == 0


def test_a_token_that_was_given_is_not_revoked(pod, server):
    """Others may use it."""
    server.vault.tokens["given"] = ["kv/"]
    (pod.secret / "token").write_text("given")
    auth = {"token": {"token": {"secretRef": {"name": "app", "key": "token"}}}}
    document = {"vault": {"address": server.address, "auth": auth}}

    assert pod.fetch(plan_for(("kv/app", "key"), name="vault", document=document))[0] == 0

    assert list(server.vault.tokens) == ["given"]


def test_a_fetch_without_leases_says_nothing_of_them(pod, server):
    """Static secrets need no renewal."""
    status, messages = pod.fetch(plan(server, ("kv/app", "key")))

    assert status == 0
    assert [line for line in lines(messages) if line["event"] == "nothing renews a lease"] == []


STORE = """
apiVersion: secret-injector.io/v1alpha1
kind: ClusterSecretStore
metadata: {name: vault}
spec:
  vault:
    address: https://vault:8200
    leased: ["ssh-ca/**"]
    auth: {kubernetes: {role: shop}}
---
apiVersion: secret-injector.io/v1alpha1
kind: ServiceSecrets
metadata: {name: checkout, namespace: shop}
spec:
  env:
    A: "#{vault:database/creds/app#username}"
    B: "#{vault:team/db/creds/app#username}"
    C: "#{vault:pki/issue/app#certificate}"
    D: "#{vault:ssh-ca/sign/app/x#key}"
    E: "#{vault:secret/shop/db#password}"
    F: "#{vault:database/static-creds/app#password}"
---
apiVersion: v1
kind: Pod
metadata:
  name: p
  namespace: shop
  annotations:
    secret-injector.io/service: checkout
    secret-injector.io/env: 'X: "#{vault:aws/creds/x#k}"'
spec: {containers: [{name: app, image: app, command: [app]}]}
"""
PATHS = ["database/creds/app", "pki/issue/app", "ssh-ca/sign/app/x", "team/db/creds/app"]


def warned(text):
    """Return the paths that warnings name."""
    marked = [line for line in text.splitlines() if "SI-140 vault " in line]
    return sorted(line.partition("SI-140 vault ")[2].partition(": ")[0] for line in marked)


def test_lint_warns_of_each_path_with_a_lease_once_where_it_stands(tmp_path):
    """By what Vault's engines customarily have, and by what the store names; it still succeeds."""
    (tmp_path / "all.yaml").write_text(STORE)

    done = run(tmp_path, "lint", "-f", "all.yaml")

    assert warned(done.stdout) == ["aws/creds/x", *PATHS]
    assert done.returncode == 0


def test_explain_warns_of_leases(tmp_path):
    """For the pod and for the service."""
    (tmp_path / "all.yaml").write_text(STORE)

    of_pod = run(tmp_path, "explain", "-f", "all.yaml", "p")
    of_service = run(tmp_path, "explain", "-f", "all.yaml", "checkout")

    assert warned(of_pod.stdout) == ["aws/creds/x", *PATHS]
    assert sorted(set(warned(of_service.stdout)) - {"aws/creds/x"}) == PATHS


def test_the_webhook_does_not_warn_of_leases():
    """Whoever creates pods could do nothing about it."""
    pod = asking.pod({"env": 'X: "#{vault:aws/creds/x#k}"'})

    assert asking.outcome(pod, asking.vault()).warnings == ()


@pytest.mark.parametrize(
    ("argv", "status", "left"),
    [
        (("doctor", "store", "--path", "database/creds/app"), 0, 0),
        (("env", "-f", "good.yaml"), 0, 1),
        (("env", "-f", "bad.yaml"), 6, 0),
    ],
    ids=["doctor", "a command with values", "a command without"],
)
def test_a_persons_commands_log_out_as_well(tmp_path, server, argv, status, left):
    """`doctor` uses nothing that it reads; the others keep a lease if its values went somewhere."""
    folder = tmp_path / ".secret-injector"
    folder.mkdir()
    (folder / "id").write_text("s3cret")
    auth = {"appRole": {"roleId": "role", "secretId": {"file": str(folder / "id")}}}
    spec = {"vault": {"address": server.address, "auth": auth}}
    head = {"apiVersion": "secret-injector.io/v1alpha1"}
    store = {**head, "kind": "ClusterSecretStore", "metadata": {"name": "store"}, "spec": spec}
    (folder / "stores.yaml").write_text(json.dumps(store))
    for name, key in (("good", "username"), ("bad", "nokey")):
        env = {"A": f"#{{store:database/creds/app#{key}}}"}
        service = {"kind": "ServiceSecrets", "metadata": {"name": name}, "spec": {"env": env}}
        (tmp_path / f"{name}.yaml").write_text(json.dumps({**head, **service}))

    done = run(tmp_path, *argv)

    assert (done.returncode, server.tokens()) == (status, left), done.stderr
