"""Files as the real sops writes, edits and rotates them, and what others made of them."""

import json
import re

import pytest

from injector.core import errors
from injector.core.pick import pick
from tests.e2e.sops_rig import RealSopsRig, new_key, sops
from tests.providers.rigs import revealed

PLAIN = {"note_plain": "seen", "password": 'p"ä$(X)#{y} \\', "user": "shop"}
YAML = r"""
# before everything
plain:
    note_plain: seen
    password: 'p"ä$(X)#{y} \' # of the shop
    user: shop
port: 5432
ratio: 1.50
tiny: 1e-7
hosts: [a.example.org, {name: b, port_plain: 0x1F}]
multi: |
    first
    second
empty: ""
day_plain: 2026-01-31
limit_plain: .inf
"""
HOSTS = ["a.example.org", {"name": "b", "port_plain": 31}]
JSON = json.dumps({"plain": PLAIN, "port": 5432, "hosts": HOSTS, "empty": ""})
DOTENV = r"""
# before everything
USER=shop
PASSWORD=p$a#b "c"
MULTI=a\nb
EMPTY=
NOTE_plain=seen
"""
COMMON = {
    "plain": json.dumps(PLAIN, ensure_ascii=False, separators=(",", ":")),
    "port": "5432",
    "hosts": json.dumps(HOSTS, separators=(",", ":")),
    "empty": "",
}
FILES = {
    "all.yaml": (
        YAML,
        {
            **COMMON,
            "ratio": "1.5",
            "tiny": "0.0000001",
            "multi": "first\nsecond\n",
            "day_plain": "2026-01-31T00:00:00Z",
            "limit_plain": "+Inf",
        },
    ),
    "all.json": (JSON, COMMON),
    "all.env": (
        DOTENV,
        {
            "USER": "shop",
            "PASSWORD": 'p$a#b "c"',
            "MULTI": "a\nb",
            "EMPTY": "",
            "NOTE_plain": "seen",
        },
    ),
}
"""Name → what is encrypted, and what each key at the top gives."""


@pytest.fixture
def rig(tmp_path):
    """A store for an age key; its work folder is where sops runs."""
    return RealSopsRig(tmp_path)


def encrypted(rig, name, *, text=None, **rule):
    """Let sops encrypt a file under a rule of its configuration; the store has it then."""
    rule = rule if "key_groups" in rule else {"age": rig.recipient, **rule}
    (rig.work / ".sops.yaml").write_text(json.dumps({"creation_rules": [rule]}))
    (rig.work / name).write_text(FILES[name][0] if text is None else text)
    sops("encrypt", "-i", name, folder=rig.work)
    rig.keep(name)


def values(rig, name):
    """Return what each key at the top gives, through the store."""
    wanted = FILES[name][1]
    answers = rig.stored(*wanted, name=name)
    return dict(zip(wanted, (pick(each, None).data.decode() for each in answers), strict=True))


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"unencrypted_suffix": "_plain"},
        {"encrypted_suffix": "word"},
        {"encrypted_regex": "^(user|USER|hosts)$"},
        {"unencrypted_regex": "_plain$|^port$"},
        {"encrypted_regex": "pass|PASS", "mac_only_encrypted": True},
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("name", FILES)
def test_every_value_arrives_under_every_rule(rig, name, rule):
    """Whatever stays in plain text, in each of the forms, comments and all."""
    encrypted(rig, name, **rule)

    assert values(rig, name) == FILES[name][1]


@pytest.mark.parametrize("name", FILES)
def test_each_of_several_recipients_reads(rig, name):
    """The first, the last, and nobody else; for whom the file is stands in the message."""
    keys = [(rig.key, rig.recipient), *(new_key(rig.work, f"key-{i}.txt") for i in range(3))]
    recipients = [recipient for _, recipient in keys[:3]]
    encrypted(rig, name, age=",".join(recipients))

    for key, _ in keys[:3]:
        rig.source("secrets/key/identity", key.read_bytes())
        assert values(rig, name) == FILES[name][1]
    rig.source("secrets/key/identity", keys[3][0].read_bytes())
    (stranger,) = rig.stored("plain", name=name)
    assert stranger.code is errors.UNAUTHENTICATED
    assert stranger.what.endswith(f"it is encrypted for {', '.join(recipients)}")


@pytest.mark.parametrize("name", ["all.yaml", "all.json"])
def test_a_file_is_read_after_sops_has_edited_and_rotated_it(rig, name):
    """Set, unset, a new data key, another recipient in place of the first."""
    own = {"SOPS_AGE_KEY_FILE": str(rig.key)}
    other, for_other = new_key(rig.work, "other.txt")
    encrypted(rig, name)

    sops("set", name, '["plain"]["password"]', '"new"', folder=rig.work, **own)
    sops("unset", name, '["hosts"]', folder=rig.work, **own)
    rig.keep(name)
    plain, hosts = rig.stored("plain", "hosts", name=name)
    assert revealed(plain) == {**PLAIN, "password": "new"}
    assert hosts.code is errors.MISSING

    before = (rig.work / name).read_bytes()
    sops("rotate", "-i", name, folder=rig.work, **own)
    assert (rig.work / name).read_bytes() != before
    rig.keep(name)
    assert revealed(rig.stored("plain", name=name)[0])["password"] == "new"

    change = ("--add-age", for_other, "--rm-age", rig.recipient)
    sops("rotate", "-i", *change, name, folder=rig.work, **own)
    rig.keep(name)
    (locked_out,) = rig.stored("plain", name=name)
    rig.source("secrets/key/identity", other.read_bytes())
    (plain,) = rig.stored("plain", name=name)
    assert locked_out.code is errors.UNAUTHENTICATED
    assert revealed(plain)["password"] == "new"


SEALED = re.compile(r"ENC\[AES256_GCM,data:[^\]]*type:str\]")


def _exchange_two(text):
    first, second = SEALED.findall(text)[:2]
    return text.replace(first, "FIRST").replace(second, first).replace("FIRST", second)


def _line(text, word):
    (line,) = [line for line in text.splitlines(keepends=True) if word in line.lower()]
    return line


def _double_a_line(text):
    line = _line(text, "note_plain")
    return text.replace(line, line + line.replace("note", "more").replace("NOTE", "MORE"))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: text.replace("seen", "SEEN"), "MAC mismatch"),
        (lambda text: text.replace(_line(text, "password"), ""), "MAC mismatch"),
        (_double_a_line, "MAC mismatch"),
        (_exchange_two, 'the value of "'),
        (lambda text: SEALED.sub("CANARY", text, count=1), 'the value of "'),
        (lambda text: re.sub(r"(lastmodified\W+)20", r"\g<1>21", text), "the file's MAC was"),
    ],
    ids=["edited", "removed", "added", "exchanged", "replaced", "dated"],
)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_somebody_touched_gives_nothing(rig, name, change, what):
    """Not even the values that are as they were; sops refuses it as well."""
    encrypted(rig, name, unencrypted_suffix="_plain")
    file = rig.work / name
    before = file.read_text()
    file.write_text(change(before))
    rig.keep(name)

    answers = rig.stored(*FILES[name][1], name=name)

    assert file.read_text() != before
    assert {answer.code for answer in answers} == {errors.CONTENT}
    assert answers[0].what.startswith(what)
    assert "CANARY" not in answers[0].what
    with pytest.raises(AssertionError):
        sops("decrypt", name, folder=rig.work, SOPS_AGE_KEY_FILE=str(rig.key))


@pytest.mark.parametrize("groups", [1, 2])
def test_keys_of_one_group_open_a_file_and_of_two_are_refused(rig, groups):
    """Two groups share the key among them (Shamir): one pod could not open it alone."""
    _, other = new_key(rig.work, "other.txt")
    listed = [{"age": [recipient]} for recipient in (rig.recipient, other)[:groups]]
    encrypted(rig, "all.json", key_groups=listed, shamir_threshold=groups)

    (answer,) = rig.stored("port", name="all.json")

    if groups == 1:
        assert answer.reveal() == b"5432"
        return
    assert (answer.code, answer.what) == (
        errors.NOT_SUPPORTED,
        "the file needs keys of several groups (Shamir), which is not supported",
    )


def test_bytes_come_back_as_they_were(rig):
    """What sops calls binary has one value."""
    data = bytes(range(256)) * 4
    (rig.work / "file.json").write_bytes(data)
    options = ("--input-type", "binary", "--output-type", "json", "--age", rig.recipient)
    sops("encrypt", "-i", *options, "file.json", folder=rig.work)
    rig.keep("file.json")

    (answer,) = rig.stored("data", name="file.json")

    assert pick(answer, None).data == data


def test_several_documents_in_a_file_have_numbers(rig):
    """The MAC is over all of them; the first step of a path is the document's number, from 0."""
    encrypted(rig, "all.yaml", text="a: one\n---\n---\na: two\nb: {c: [x, y]}\n")

    answers = rig.stored("0/a", "2/a", "2/b/c/1", name="all.yaml")
    (without,) = rig.stored("a", name="all.yaml")

    assert [answer.reveal() for answer in answers] == [b"one", b"two", b"y"]
    assert without.what == "no such key at the top; keys there: 0, 1, 2"


def test_merge_keys_are_merged_as_a_reader_of_the_yaml_does(rig):
    """What is written wins over what is merged, and the first of several mappings over others."""
    text = """
base: &base {user: u, password: p}
prod:
  <<: *base
  password: q
both:
  <<: [*base, {user: other, host: h}]
"""
    encrypted(rig, "all.yaml", text=text)

    prod, password, host, user = rig.stored(
        "prod", "prod/password", "both/host", "both/user", name="all.yaml"
    )

    assert revealed(prod) == {"user": "u", "password": "q"}
    assert [each.reveal() for each in (password, host, user)] == [b"q", b"h", b"u"]


def test_ini_and_binary_are_read(rig):
    """Sections are the first step, DEFAULT is what stands before them; binary is the key data."""
    (rig.work / "shop.ini").write_text("top = 1\n; note\n[db]\nuser = shop # who\npw = `a;b`\n")
    (rig.work / "blob").write_bytes(b"\x00text\n")
    for name in ("shop.ini", "blob"):
        sops("encrypt", "-i", "--age", rig.recipient, name, folder=rig.work)
        rig.keep(name)

    top, user, password = rig.stored("DEFAULT/top", "db/user", "db/pw", name="shop.ini")
    document = rig.document("blob")
    document["sops"]["format"] = "binary"
    (blob,) = super(RealSopsRig, rig).read("data", document=document)

    assert [each.reveal() for each in (top, user, password)] == [b"1", b"shop", b"a;b"]
    assert blob.reveal() == b"\x00text\n"
