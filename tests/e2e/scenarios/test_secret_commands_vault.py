"""A person's `secret` on the KV engines of a real Vault, with the policy that the page states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from injector import writers
from injector.commands import stores_here
from injector.core import stores
from tests.e2e.scenarios import canaries
from tests.e2e.scenarios.machine import Machine
from tests.e2e.testbed.vault import VaultError

DOCS = Path(__file__).parents[3] / "docs/stores/vault.md"
VALUE = 'it\'s "$x" `y` \n'


class Engine:
    """Secrets of one engine below a folder of the test's own."""

    def __init__(self, vault, mount, folder):
        self.vault, self.mount, self.folder = vault, mount, folder
        self.is_versioned = mount == "secret"

    def name(self, name):
        """Return the name of a secret as a reference has it."""
        return f"{self.mount}/{self.folder}/{name}"

    def there(self, name):
        """Return what the secret holds, as root reads it; None where there is none."""
        kind = "data/" if self.is_versioned else ""
        try:
            found = self.vault.request("GET", f"{self.mount}/{kind}{self.folder}/{name}")["data"]
        except VaultError as error:
            if error.status != 404:
                raise
            return None
        return found["data"] if self.is_versioned else found

    def put(self, name, **data):
        """Write as somebody else would."""
        write = self.vault.put if self.is_versioned else self.vault.put_v1
        write(f"{self.folder}/{name}", data)


@pytest.fixture(params=["secret", "kv1"])
def engine(vault, request):
    """Return both engines in turn, with a folder for this test."""
    word = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return Engine(vault, request.param, word.strip("-"))


@pytest.fixture
def person(vault, engine, tmp_path):
    """Return a machine with a token that may do what the page says and no more."""
    blocks = re.findall(r"```hcl\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (policy,) = (block for block in blocks if "metadata" in block)
    name = engine.folder
    body = {"policy": policy.replace("/shop/", f"/{name}/")}
    vault.request("PUT", f"sys/policies/acl/{name}", body)
    made = vault.request(
        "POST", "auth/token/create", {"policies": [name], "no_default_policy": False}
    )
    machine = Machine(folder=tmp_path)
    machine.write(".secret-injector/token", made["auth"]["client_token"])
    machine.write(".secret-injector/stores.yaml", document(vault))
    return machine


def document(vault):
    """Return the definition of the store for this machine."""
    auth = {"token": {"token": {"file": "token"}}}
    spec = {"vault": {"address": vault.address, "caBundle": vault.ca_pem, "auth": auth}}
    return {"kind": "ClusterSecretStore", "metadata": {"name": "vault"}, "spec": spec}


def test_a_secret_lives_from_creation_to_deletion(engine, person):
    """Set, get, list, history, rotate, delete; no value is in any message."""
    name = engine.name("db")
    canary = canaries.text("value", before="'", after='"$\n')

    made = person.secret("set", name, "password", stdin=canary.value.decode() + "\n")
    first = engine.there("db")
    more = person.secret("set", name, "--data", "user=app")
    other = person.secret("set", engine.name("deep/er"), "--data", "k=v")
    shown = person.secret("get", name, "password", "--reveal")
    masked = person.secret("get", name)
    listed = person.secret("list", engine.name(""))
    missing = person.secret("get", engine.name("dc"))
    history = person.secret("history", name)
    rotated = person.secret("rotate", name, "password", "--rule", "hex:40")
    turned = engine.there("db")
    dropped = person.secret("delete", name, "password", "--force")
    left = engine.there("db")
    gone = person.secret("delete", name, "--force")

    done = (made, more, other, rotated, dropped, gone)
    assert [(each.status, each.out) for each in done] == [(0, "")] * 6, [d.err for d in done]
    assert first == {"password": canary.value.decode()}
    assert shown.out == canary.value.decode()
    assert masked.out.count("***") == 2
    assert listed.out.split() == [name, engine.name("deep/er")]
    assert missing.err[1] == f'       hint: did you mean "{name}"?'
    versions = [line.split()[0] for line in history.out.splitlines()[1:]]
    assert versions == (["1", "2"] if engine.is_versioned else ["password,"])
    assert (len(turned["password"]), turned["user"]) == (40, "app")
    assert (left, engine.there("db")) == ({"user": "app"}, None)
    said = "".join("".join(each.err) for each in (*done, shown, masked, listed, missing, history))
    assert canaries.search([canary], said.encode()) == frozenset()


def test_an_older_version_is_brought_back_as_the_newest(engine, person):
    """Version 2 of the engine keeps them; version 1 keeps none, and says so."""
    name = engine.name("db")
    for value in ("one", "two"):
        person.secret("set", name, "--data", f"password={value}")

    done = person.secret("rollback", name, "--to", "1")
    unknown = person.secret("rollback", name, "--to", "9")

    if engine.is_versioned:
        assert (done.status, done.err) == (0, [f"{name} is at version 3"])
        assert person.values(name, "--version", "2") == {"password": "two"}
        assert (unknown.status, "there are: 1, 2, 3" in unknown.err[0]) == (6, True)
    else:
        assert [(each.status, each.err[0]) for each in (done, unknown)] == [
            (6, f"SI-404 {name}: no version 1; there are: none"),
            (6, f"SI-404 {name}: no version 9; there are: none"),
        ]
    wanted = "one" if engine.is_versioned else "two"
    assert engine.there("db") == {"password": wanted}


def test_types_of_keys_that_are_not_named_stay(engine, person):
    """A number and an object stay what they were for who reads JSON."""
    engine.put("db", port=5432, tls={"on": True}, password="x")

    done = person.secret("set", engine.name("db"), "--data", "password=y")

    assert done.status == 0
    assert engine.there("db") == {"port": 5432, "tls": {"on": True}, "password": "y"}


def test_apply_creates_updates_and_prunes(engine, person):
    """A dry run changes nothing; a second run changes nothing; generated values stay."""
    engine.put("old", k="x")
    engine.put("db", password="x")
    secrets = {
        engine.name("db"): {"password": VALUE, "user": "app"},
        engine.name("new"): {"pin": {"generate": "digits:6"}},
    }
    person.write("secrets.yaml", {"secrets": secrets})
    argv = ("apply", "-f", "secrets.yaml", "--prune", engine.name(""))
    db, new, old = (engine.name(each) for each in ("db", "new", "old"))
    lines = f"~ {db}  +user ~password\n+ {new}  +pin\n- {old}\n"

    dry = person.secret(*argv, "--dry-run")
    before = {each: engine.there(each) for each in ("db", "new", "old")}
    done = person.secret(*argv)
    first = engine.there("new")
    again = person.secret(*argv)

    assert (dry.out, dry.err) == (lines, ["3 of 3 secrets would change"])
    assert before == {"db": {"password": "x"}, "new": None, "old": {"k": "x"}}
    assert (done.out, done.err) == (lines, ["3 of 3 secrets changed"])
    assert (again.out, again.err) == ("", ["0 of 2 secrets changed"])
    assert engine.there("db") == {"password": VALUE, "user": "app"}
    assert (engine.there("new"), len(first["pin"])) == (first, 6)
    assert engine.there("old") is None


def test_what_somebody_else_wrote_in_between_is_not_lost_where_the_engine_can_tell(engine, person):
    """Check-and-set refuses ours, also for what was not there or was deleted."""
    spec = document(engine.vault)["spec"]
    spec["vault"]["auth"]["token"]["token"]["file"] = str(person.folder / ".secret-injector/token")
    writer = writers.open_writer(
        stores.parse("vault", spec, in_cluster=False), stores_here.access()
    )

    def write(name):
        waiting = [lambda: engine.put(name, theirs="2")]

        def changed(old):
            if waiting:
                waiting.pop()()
            return {**(old or {}), "ours": "3"}

        return writer.change(engine.name(name), changed)

    engine.put("there", before="1")
    engine.put("deleted", before="1")
    if engine.is_versioned:
        engine.vault.request("DELETE", f"secret/data/{engine.folder}/deleted")
    try:
        versions = [write(name) for name in ("there", "new", "deleted")]
    finally:
        writer.close()

    found = [engine.there(name) for name in ("there", "new", "deleted")]
    if engine.is_versioned:
        assert found == [{"theirs": "2", "ours": "3"}] * 3
        assert versions == ["3", "2", "3"]
    else:
        assert found == [{"before": "1", "ours": "3"}, {"ours": "3"}, {"before": "1", "ours": "3"}]


def test_what_the_policy_does_not_allow_is_named_and_not_done(engine, person):
    """Another folder is neither read nor written."""
    elsewhere = f"{engine.mount}/elsewhere/db"

    done = person.secret("set", elsewhere, "--data", "k=v")

    assert (done.status, done.out) == (5, "")
    assert done.err[1].startswith(f"SI-403 vault {elsewhere}: no policy lets us")
