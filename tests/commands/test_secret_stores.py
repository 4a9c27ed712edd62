"""Which store `secret` means: `k8s` without a definition, what a file defines, and what fits it."""

import sys

import pytest

from injector import writers

LOCAL = {"local": {"file": {"file": "secrets.age"}, "identity": {"file": "identity.txt"}}}
K8S = {"k8s": {}}


def test_a_definition_of_the_name_k8s_wins(desk):
    """A laptop keeps in a file what a cluster keeps in Secrets."""
    desk.stores(("k8s", LOCAL))

    done = desk.secret("set", "payment", "--data", "a=1")

    assert done.err.endswith("payment is at version 1\n")
    assert desk.secret("list").out == "payment\n"
    assert desk.cluster.api.seen == []


def test_a_definition_of_the_name_k8s_that_cannot_be_written_wins_too(desk):
    """It is not passed over for a cluster that nobody meant."""
    desk.stores(("k8s", {"dotenv": {"folder": "dev"}}))

    done = desk.secret("list")

    assert done.status == 2
    assert "SI-112 store k8s: a store of kind dotenv cannot be changed from here" in done.err
    assert desk.cluster.api.seen == []


def test_k8s_is_there_beside_the_stores_of_a_file_and_under_other_names(desk):
    """A file need not name it; the only store that can be written needs no naming."""
    desk.put("payment", {"a": "1"})
    desk.stores(("files", LOCAL))
    beside = desk.secret("list")
    desk.stores(("own", K8S))
    alone = desk.run("secret", "list")
    desk.stores(("own", K8S), ("files", LOCAL))
    both = desk.run("secret", "list")

    assert [beside.out, alone.out] == ["payment\n", "payment\n"]
    assert (both.status, both.err.splitlines()[0]) == (
        2,
        "SI-201 2 stores can be written here: own, files",
    )


def test_without_a_file_and_a_name_the_hint_is_k8s(desk):
    """Nobody is sent to a cluster without having said so."""
    done = desk.run("secret", "list")

    assert done.status == 2
    assert done.err.splitlines() == [
        "SI-201 no store is defined: there is no .secret-injector/stores.yaml",
        "       hint: write it (docs/commands.md), name another with --stores, or take --store k8s",
    ]
    assert desk.cluster.api.seen == []


@pytest.mark.parametrize("option", ["-n", "--kubeconfig", "--context"])
@pytest.mark.parametrize(
    "argv",
    [
        ("set", "a", "--data", "k=v"),
        ("get", "a"),
        ("list",),
        ("history", "a"),
        ("rollback", "a", "--to", "1"),
        ("rotate", "a", "k"),
        ("apply", "-f", "secrets.yaml"),
    ],
)
def test_a_store_elsewhere_has_no_cluster(desk, argv, option):
    """An option that would do nothing is a mistake."""
    desk.stores(("files", LOCAL))
    (desk.folder / "secrets.yaml").write_text("secrets: {a: {k: v}}")

    done = desk.secret(*argv, option, "x", store="files")

    assert (done.status, done.out) == (2, "")
    assert (
        f"SI-201 {option}: the store files is of kind local, and only k8s has a cluster" in done.err
    )
    assert not (desk.folder / ".secret-injector/secrets.age").exists()


def test_a_package_that_is_not_installed_is_named(desk, monkeypatch):
    """Pods need none of it, so not every installation has it."""
    monkeypatch.setitem(sys.modules, "kubernetes_asyncio", None)
    for name in ("kubernetes", "api_server"):
        monkeypatch.delitem(sys.modules, f"injector.writers.{name}", raising=False)
        monkeypatch.delattr(writers, name, raising=False)

    done = desk.secret("list")

    assert done.status == 2
    assert done.err.splitlines() == [
        "SI-201 store k8s: a store of kind k8s needs the package kubernetes_asyncio",
        "       hint: pip install 'secret-injector[all]' has every store's packages",
    ]
