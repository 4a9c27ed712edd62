"""`doctor`: the step that fails is the last one told, with its reason and exit status."""

import json

import pytest

from tests.commands.laptop import run
from tests.providers.cloud_rigs import AzureRig
from tests.providers.fake_azure import CLIENT, CLIENT_SECRET
from tests.providers.fallbacks import VaultFallback


def steps(done):
    """Return mark and name of each step, and the names of places alone."""
    return [tuple(line.split()[:2]) for line in done.stdout.splitlines()]


def test_every_step_of_a_sound_store_is_told(vault):
    """With the keys of what was read, and no value."""
    vault.vault.put("shop/db", {"password": "c4n4ry", "user": "app"})

    done = vault.run("doctor", "store", "--path", "kv/shop/db")
    as_json = vault.run("doctor", "store", "--path", "kv/shop/db", "-o", "json")

    assert (done.returncode, done.stderr) == (0, "")
    assert steps(done) == [("ok", s) for s in ("resolve", "connect", "tls", "log", "read")]
    assert done.stdout.rstrip().endswith("keys password, user, version 1")
    assert "c4n4ry" not in done.stdout + as_json.stdout
    assert [step["ok"] for step in json.loads(as_json.stdout)] == [True] * 5


def test_a_certificate_that_is_not_trusted_ends_it_at_tls(vault, tmp_path):
    """The system's authorities do not know this one."""
    file = tmp_path / ".secret-injector/stores.yaml"
    document = json.loads(file.read_text())
    del document["spec"]["vault"]["caBundle"]
    file.write_text(json.dumps(document))

    done = vault.run("doctor", "store")

    assert done.returncode == 7
    assert steps(done) == [("ok", "resolve"), ("ok", "connect"), ("FAIL", "tls")]
    assert "SI-502 store store: 127.0.0.1 is not trusted" in done.stderr


def test_nobody_listening_ends_it_at_connect(vault):
    """Nothing is logged in to."""
    vault.proxy.close()

    done = vault.run("doctor", "store")

    assert done.returncode == 7
    assert steps(done) == [("ok", "resolve"), ("FAIL", "connect")]


def test_a_missing_credential_ends_it_at_the_login(vault, tmp_path):
    """The exit status is that of the problem."""
    (tmp_path / ".secret-injector/token").unlink()

    done = vault.run("doctor", "store", "--path", "kv/shop/db")

    assert done.returncode == 5
    assert steps(done)[-1] == ("FAIL", "log")
    assert "is not there" in done.stderr


def test_a_missing_secret_ends_it_at_the_read(local):
    """A store without network has fewer steps."""
    local.secret("set", "shop/db", "--data", "k=v")

    done = local.run("doctor", "store", "--path", "shop/dc")

    assert done.returncode == 6
    assert steps(done) == [("ok", "log"), ("FAIL", "read")]
    assert 'hint: did you mean "shop/db"?' in done.stderr


def test_an_unknown_store_is_met_with_the_nearest(local):
    """Status 2, and no step."""
    done = local.run("doctor", "stor")

    assert (done.returncode, done.stdout) == (2, "")
    assert 'hint: did you mean "store"?' in done.stderr


def test_the_server_of_the_login_is_reached_too(tmp_path):
    """Entra has a name, a port and a certificate of its own, and so its own steps."""
    rig = AzureRig(tmp_path)
    here = tmp_path / ".secret-injector"
    here.mkdir()
    (here / "key").write_text(CLIENT_SECRET)
    entra = f"http://127.0.0.1:{rig.fake.server_address[1]}"
    auth = {"clientSecret": {"clientId": CLIENT, "secret": {"file": "key"}}}
    define(here, rig.document(auth=auth, authorityHost=entra))
    rig.put("db", {"user": "app"})

    done = run(tmp_path, "doctor", "store", "--path", "db")

    rig.close()
    reached = [("ok", step) for step in ("resolve", "connect", "tls")]
    assert (done.returncode, done.stderr) == (0, "")
    assert steps(done) == [*reached, *reached, ("ok", "log"), ("ok", "read")]


@pytest.fixture
def two(vault, tmp_path):
    """A Vault with a fallback, which holds the same secret."""
    made = VaultFallback(vault)
    made.vault.tokens = vault.vault.tokens
    for each in (vault.vault, made.vault):
        each.put("shop/db", {"user": "app"})
    spec = {"vault": {**vault.spec["vault"], "fallbacks": [{"address": made.at}]}}
    define(tmp_path / ".secret-injector", spec)
    yield made
    made.close()


def test_fallbacks_are_examined_like_the_first_place(vault, two):
    """Each under its name, all of them read."""
    done = vault.run("doctor", "store", "--path", "kv/shop/db")

    five = [("ok", step) for step in ("resolve", "connect", "tls", "log", "read")]
    assert (done.returncode, done.stderr) == (0, "")
    assert steps(done) == [(two.home,), *five, (two.site,), *five]


def test_a_first_place_that_is_away_does_not_hide_how_its_fallback_is(vault, two):
    """Both are told, and the exit status is that of the one that fails."""
    vault.proxy.close()

    done = vault.run("doctor", "store", "--path", "kv/shop/db")
    as_json = vault.run("doctor", "store", "--path", "kv/shop/db", "-o", "json")

    home = [("ok", "resolve"), ("FAIL", "connect")]
    five = [("ok", step) for step in ("resolve", "connect", "tls", "log", "read")]
    assert done.returncode == 7
    assert steps(done) == [(two.home,), *home, (two.site,), *five]
    assert [(each["site"], each["ok"]) for each in json.loads(as_json.stdout)] == [
        *((two.home, ok) for ok in (True, False)),
        *((two.site, True) for _ in five),
    ]


def define(here, spec):
    """Write the definition of the store."""
    document = {"kind": "ClusterSecretStore", "metadata": {"name": "store"}, "spec": spec}
    (here / "stores.yaml").write_text(json.dumps(document))
