"""`secret`: what is put in comes out, versions are kept, and values are shown to who asks."""

import json
import stat

import pyrage
import pytest

CANARY = "c4n4ry 'p\"w$x"


def put(bench, name, *items, value=CANARY):
    """Set keys of a secret, the value from standard input; fail loudly."""
    done = bench.secret("set", bench.path(name), *items, input=value, stdin=None)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "c4n4ry" not in done.stderr
    return done.stderr


def shown(bench, name, *options):
    """Return the secret's values."""
    done = bench.secret("get", bench.path(name), "--reveal", "-o", "json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_a_value_comes_out_as_it_went_in(bench):
    """By standard input with its last line break gone, by file byte for byte."""
    (bench.folder / "key.pem").write_text("a\nb\n")

    first = put(bench, "shop/db", "password", value=CANARY + "\n")
    second = put(bench, "shop/db", "key=@key.pem", value="")

    assert first.endswith(f"{bench.path('shop/db')} is at version 1\n")
    assert second.endswith("is at version 2\n")
    assert shown(bench, "shop/db") == {"password": CANARY, "key": "a\nb\n"}
    one = bench.secret("get", bench.path("shop/db"), "password", "--reveal")
    assert one.stdout == CANARY


def test_values_are_masked_until_somebody_asks(bench):
    """Names and sizes are shown, and beside them which version it is."""
    put(bench, "shop/db", "password")

    as_table = bench.secret("get", bench.path("shop/db"))
    as_json = bench.secret("get", bench.path("shop/db"), "-o", "json")

    assert as_table.stdout == "KEY       BYTES  VALUE\npassword  13     ***\n"
    assert as_table.stderr == f"{bench.path('shop/db')} at version 1\n"
    assert json.loads(as_json.stdout) == {"password": "***"}


def test_names_are_listed_and_the_nearest_is_offered(bench):
    """Folders below folders too."""
    for name in ("shop/db", "shop/deep/er", "other"):
        put(bench, name, "password")

    listed = bench.secret("list")
    below = bench.secret("list", bench.path("shop/"))
    missing = bench.secret("get", bench.path("shop/dc"))

    assert listed.stdout.split() == [bench.path(n) for n in ("other", "shop/db", "shop/deep/er")]
    assert below.stdout.split() == [bench.path(n) for n in ("shop/db", "shop/deep/er")]
    assert missing.returncode == 6
    assert f'hint: did you mean "{bench.path("shop/db")}"?' in missing.stderr


def test_an_older_version_is_brought_back_as_a_new_one(bench):
    """History lists them all; nothing is lost."""
    put(bench, "shop/db", "password", value="one")
    put(bench, "shop/db", "password", value="two")

    done = bench.secret("rollback", bench.path("shop/db"), "--to", "1")
    history = bench.secret("history", bench.path("shop/db"), "-o", "json")

    assert done.stderr.endswith("is at version 3\n")
    assert shown(bench, "shop/db") == {"password": "one"}
    assert shown(bench, "shop/db", "--version", "2") == {"password": "two"}
    assert [entry["version"] for entry in json.loads(history.stdout)] == ["1", "2", "3"]
    unknown = bench.secret("rollback", bench.path("shop/db"), "--to", "9")
    assert (unknown.returncode, "there are: 1, 2, 3" in unknown.stderr) == (6, True)


def test_rotation_makes_a_value_of_the_rule_and_shows_none(bench):
    """Other keys stay."""
    put(bench, "shop/db", "password")
    put(bench, "shop/db", "user", value="app")

    done = bench.secret("rotate", bench.path("shop/db"), "password", "--rule", "hex:40")

    found = shown(bench, "shop/db")
    assert (done.returncode, done.stdout, found["user"]) == (0, "", "app")
    assert len(found["password"]) == 40
    assert set(found["password"]) <= set("0123456789abcdef")
    assert found["password"] not in done.stderr


def test_deletion_is_refused_while_a_service_refers_to_it(bench):
    """The line names the place; force deletes it all the same."""
    put(bench, "shop/db", "password", value="x")
    put(bench, "shop/db", "user", value="app")
    reference = f"#{{store:{bench.path('shop/db')}#password}}"
    (bench.folder / "svc.yaml").write_text(
        "apiVersion: secret-injector.io/v1alpha1\nkind: ServiceSecrets\n"
        f"metadata: {{name: checkout}}\nspec: {{env: {{PASSWORD: '{reference}'}}}}\n"
    )
    secret = bench.path("shop/db")

    alone = bench.secret("delete", secret)
    used = bench.secret("delete", secret, "-f", "svc.yaml")
    key_used = bench.secret("delete", secret, "password", "-f", "svc.yaml")
    key_free = bench.secret("delete", secret, "user", "-f", "svc.yaml")

    assert (alone.returncode, "nobody is there to confirm" in alone.stderr) == (2, True)
    for refused in (used, key_used):
        assert refused.returncode == 4
        assert "ServiceSecrets default/checkout spec.env.PASSWORD" in refused.stderr
    assert key_free.returncode == 0
    assert shown(bench, "shop/db") == {"password": "x"}
    assert bench.secret("delete", secret, "--force").returncode == 0
    assert bench.secret("list").stdout == ""


def test_a_value_in_the_arguments_is_refused_or_warned_of(bench):
    """KEY=VALUE is a mistake; --data says what it costs."""
    mistaken = bench.secret("set", bench.path("a/b"), "k=v4lue")
    warned = bench.secret("set", bench.path("a/b"), "--data", "k=v4lue")

    assert mistaken.returncode == 2
    assert "v4lue" not in mistaken.stderr
    assert warned.stderr.startswith("warning: --data shows the value in the shell's history")
    assert shown(bench, "a/b") == {"k": "v4lue"}


def test_apply_creates_updates_and_prunes_and_shows_no_value(bench):
    """A dry run changes nothing; a second run changes nothing; generated values stay."""
    put(bench, "shop/old", "k", value="x")
    put(bench, "shop/db", "password", value="x")
    (bench.folder / "tls.pem").write_text("pem\n")
    documents = {
        bench.path("shop/db"): {"password": CANARY, "user": "app"},
        bench.path("shop/new"): {"key": {"file": "tls.pem"}, "pin": {"generate": "digits:6"}},
    }
    (bench.folder / "secrets.yaml").write_text(json.dumps({"secrets": documents}))
    argv = ("apply", "-f", "secrets.yaml", "--prune", bench.path("shop/"))
    db, new, old = (bench.path(f"shop/{name}") for name in ("db", "new", "old"))
    lines = f"~ {db}  +user ~password\n+ {new}  +key +pin\n- {old}\n"

    dry = bench.secret(*argv, "--dry-run")
    before = shown(bench, "shop/db")
    done = bench.secret(*argv)
    first = shown(bench, "shop/new")
    again = bench.secret(*argv)

    assert (dry.stdout, dry.stderr) == (lines, "3 of 3 secrets would change\n")
    assert before == {"password": "x"}
    assert (done.stdout, done.stderr) == (lines, "3 of 3 secrets changed\n")
    assert (again.stdout, again.stderr) == ("", "0 of 2 secrets changed\n")
    assert shown(bench, "shop/db") == documents[db]
    assert shown(bench, "shop/new") == first
    assert (first["key"], len(first["pin"])) == ("pem\n", 6)
    assert bench.secret("list").stdout.split() == [db, new]


def test_the_first_secret_makes_a_key_that_is_its_owners_alone(local):
    """Key and file are 0600; a service on the same machine can read it at once."""
    put(local, "shop/db", "password")
    (local.folder / "svc.yaml").write_text(
        "apiVersion: secret-injector.io/v1alpha1\nkind: ServiceSecrets\n"
        "metadata: {name: checkout}\nspec: {env: {PASSWORD: '#{store:shop/db#password}'}}\n"
    )

    done = local.run("run", "-f", "svc.yaml", "--", "sh", "-c", 'printf %s "$PASSWORD"')

    assert (done.returncode, done.stdout) == (0, CANARY)
    for name in ("secrets.age", "identity.txt"):
        assert stat.S_IMODE((local.folder / ".secret-injector" / name).stat().st_mode) == 0o600


def test_no_reader_of_a_file_is_shut_out(local):
    """A file that others can open is only written when they are listed."""
    put(local, "shop/db", "password")
    file = local.folder / ".secret-injector/secrets.age"
    identity = pyrage.x25519.Identity.from_str(
        (local.folder / ".secret-injector/identity.txt").read_text().splitlines()[-1]
    )
    content = pyrage.decrypt(file.read_bytes(), [identity])
    other = pyrage.x25519.Identity.generate().to_public()
    file.write_bytes(pyrage.encrypt(content, [identity.to_public(), other], armored=True))
    before = file.read_bytes()

    done = local.secret("set", "shop/db", "--data", "k=v")

    assert done.returncode == 2
    assert "the file has 2 readers, and only 1 are known here" in done.stderr
    assert file.read_bytes() == before


def test_somebody_elses_write_meanwhile_is_not_lost(vault):
    """Check-and-set refuses ours, and it is made again on top of theirs."""
    put(vault, "shop/db", "password", value="x")
    theirs = [{"password": "x", "port": 5432}]

    def happen(name):
        if theirs:
            vault.vault.put(name, theirs.pop())

    vault.vault.before_writes.append(happen)
    put(vault, "shop/db", "user", value="app")

    assert vault.vault.v2["shop/db"][-1]["data"] == {
        "password": "x",
        "port": 5432,
        "user": "app",
    }


def test_a_policy_that_forbids_writing_is_named_as_that(vault):
    """The line has the store, the path and who we are."""
    vault.vault.tokens["hvs.token"] = ["kv/other/"]

    done = vault.secret("set", "kv/shop/db", "--data", "k=v")

    assert done.returncode == 5
    assert "SI-403 store kv/shop/db: no policy lets us" in done.stderr
    assert vault.vault.v2 == {}


def test_a_folder_is_listed_by_who_may_list_no_other(vault):
    """Also to prune it and to offer the nearest name; what may not be listed is no empty list."""
    vault.vault.tokens["hvs.token"] = ["kv/shop/"]
    put(vault, "shop/db", "password")
    put(vault, "shop/old", "password")
    (vault.folder / "secrets.yaml").write_text("secrets: {kv/shop/db: {k: v}}")

    everything = vault.secret("list")
    folder = vault.secret("list", "kv/shop/d")
    missing = vault.secret("get", "kv/shop/dc")
    pruned = vault.secret("apply", "-f", "secrets.yaml", "--prune", "kv/shop/")

    assert (everything.returncode, everything.stdout) == (5, "")
    assert everything.stderr.splitlines()[0] == (
        "SI-403 store: no policy lets us list kv/, old/; as a given token"
    )
    assert folder.stdout == "kv/shop/db\n"
    assert 'hint: did you mean "kv/shop/db"?' in missing.stderr
    assert pruned.stdout == "~ kv/shop/db  +k -password\n- kv/shop/old\n"


@pytest.mark.parametrize(
    "argv", [("set",), ("get",), ("nothing",), ("rotate", "a", "b", "--rule", "x")]
)
def test_wrong_calls_end_with_status_2(local, argv):
    """And nothing on standard output."""
    done = local.secret(*argv)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("SI-201 ")
