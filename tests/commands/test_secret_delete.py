"""`secret delete`: who is asked before a secret goes, and which cluster."""

import os
import pty

import pytest

from tests.commands.laptop import run
from tests.commands.shop import add, refused
from tests.commands.test_live import SERVICES

LOCAL = {"local": {"file": {"file": "secrets.age"}, "identity": {"file": "identity.txt"}}}


@pytest.mark.parametrize(
    ("options", "answer", "is_there"),
    [((), "n", True), ((), "y", False), (("--cluster",), "", False), (("--force",), "", False)],
)
def test_who_is_at_a_terminal_is_asked_unless_they_said_where_to_look(
    shop, options, answer, is_there
):
    """What else mounts a Secret is not known, so a person has the last word."""
    ours, theirs = pty.openpty()
    argv = ("secret", "delete", "payment", "--store", "k8s", *options)
    try:
        os.write(ours, f"{answer}\n".encode())
        ended = run(shop.folder, *argv, stdin=theirs, stderr=theirs, capture_output=False)
        said = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert (ended.returncode != 0, shop.there("payment") is not None) == (is_there, is_there)
    assert ("delete payment? [y/N]" in said) == (answer != "")


def test_of_any_other_store_the_cluster_is_asked_when_told_to(shop, monkeypatch):
    """There every namespace counts; the options name the cluster and not the store."""
    shop.stores(("files", LOCAL))
    shop.secret("set", "kv/db", "--data", "password=1", store="files")
    add(shop, SERVICES, "pay", "billing", spec={"env": {"A": "#{files:kv/db#password}"}})
    path = str(shop.folder / ".kube/config")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")

    argv = ("delete", "kv/db", "--kubeconfig", path)
    used = [
        shop.secret(*argv, *options, store="files")
        for options in ((), ("--cluster",), ("--cluster", "--context", "here"))
    ]
    shop.cluster.do(shop.cluster.api.delete(SERVICES, "pay"))
    free = shop.secret(*argv, store="files")

    for done in used:
        assert refused(done, "ServiceSecrets billing/pay spec.env.A", secret="kv/db")
    assert (free.status, shop.secret("list", store="files").out) == (0, "")
    assert shop.asked("get", "list", "delete") == 0


def test_without_references_to_look_for_somebody_must_be_there(shop):
    """A store elsewhere is not deleted from because nobody looked."""
    shop.stores(("files", LOCAL))
    shop.secret("set", "kv/db", "--data", "password=1", store="files")

    done = shop.secret("delete", "kv/db", store="files")

    assert done.status == 2
    assert done.err.splitlines() == [
        "SI-201 nobody is there to confirm that kv/db goes",
        "       hint: -f DIR or --cluster has the references checked, --force leaves it at that",
    ]
