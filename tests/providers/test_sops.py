"""The sops store on files that SOPS 3.13.3 wrote, as they are and after somebody touched them."""

import json
from pathlib import Path

import pyrage
import pytest

from injector import sops_file, sops_format
from injector.core import errors, stores
from injector.core.pick import pick
from injector.sops_format import Scalar
from tests.providers.file_rigs import SopsRig

FILES = Path(__file__).parent / "sops"
IDENTITY = (FILES / "identity.txt").read_text()
YAML = {
    "plain": {"user": "shop", "password": 'p"ä$(X)#{y} \\'},
    "port": "5432",
    "ratio": "1.5",
    "big": "12345678901234567",
    "tiny": "0.00001",
    "enabled": True,
    "nothing": None,
    "empty": "",
    "yes_text": "yes",
    "hosts": ["a.example.org", {"name": "b", "port": "1"}],
    "multi": "first\nsecond\n",
    "deep": {"er": {"path": "found"}},
    "visible_unencrypted": "in plain sight",
    "count_unencrypted": "3",
    "rate_unencrypted": "2.5",
    "on_unencrypted": True,
    "day_unencrypted": "2026-01-31T00:00:00Z",
}
JSON = {
    "plain": {"user": "shop", "port": "5432", "ratio": "1.5"},
    "flag": False,
    "none": None,
    "list": ["a", "2"],
    "name_unencrypted": "x",
    "n_unencrypted": "7",
}
INI = {
    "DEFAULT": {"top": "1"},
    "db": {"user": "shop", "pw": "a;b", "port_unencrypted": "5432"},
    "db.replica": {"note": "two\nlines", "quoted": "q"},
}
MERGE = {
    "base": {"user": "u", "password": "p"},
    "prod": {"<<": {"user": "u", "password": "p"}, "password": "q"},
    "both": {"<<": [{"user": "u", "password": "p"}, {"user": "other", "host": "h"}]},
}
DOCUMENTS = {"0": {"a": "one"}, "1": {}, "2": {"a": "two", "b": {"c": ["x", "y"]}}}
DOTENV = {"USER": "shop", "PASSWORD": "p$a#b c", "MULTI": "a\nb", "EMPTY": ""}


def opened(data, form, identity=IDENTITY):
    """Return the values of a file."""
    document = sops_format.parse(data, form)
    return sops_file.decrypt(document, sops_file.age_key(document, identity))


@pytest.mark.parametrize(
    ("name", "form", "values"),
    [
        ("all.yaml", "yaml", YAML),
        ("some.yaml", "yaml", YAML),
        ("all.json", "json", JSON),
        ("all.env", "dotenv", DOTENV),
        ("all.ini", "ini", INI),
        ("merge.yaml", "yaml", MERGE),
        ("documents.yaml", "yaml", DOCUMENTS),
        ("blob", "binary", {"data": "text\n"}),
    ],
)
def test_files_of_sops_are_read_as_they_were_written(name, form, values):
    """Every kind of value; the MAC holds, so all of them were seen in their order."""
    assert opened((FILES / name).read_bytes(), form) == values


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        (
            "merge.yaml",
            {
                "prod/user": b"u",
                "prod/password": b"q",
                "both/host": b"h",
                "both/user": b"u",
                "prod": {"user": "u", "password": "q"},
            },
        ),
        ("documents.yaml", {"0/a": b"one", "2/a": b"two", "2/b/c/1": b"y"}),
        ("all.ini", {"DEFAULT/top": b"1", "db/pw": b"a;b", "db.replica/quoted": b"q"}),
    ],
)
def test_paths_lead_through_merge_keys_documents_and_sections(tmp_path, name, paths):
    """What is written wins over what is merged; documents have numbers, ini files sections."""
    rig = SopsRig(tmp_path)
    rig.source("secrets/key/identity", IDENTITY)
    rig.source(f"configmaps/file/{name}", (FILES / name).read_bytes())
    document = rig.document()
    document["sops"]["file"]["configMapRef"]["key"] = name

    answers = rig.read(*paths, document=document)

    assert dict(zip(paths, (answer.reveal() for answer in answers), strict=True)) == paths


def test_a_binary_file_is_one_value():
    """SOPS keeps bytes under the key data."""
    (value,) = opened((FILES / "binary.json").read_bytes(), "json").values()

    assert (type(value), len(value)) == (bytes, 40)


def _changed(data, change):
    document = json.loads(data)
    change(document)
    return json.dumps(document).encode()


def _swap(document):
    plain = document["plain"]
    plain["user"], plain["ratio"] = plain["ratio"], plain["user"]


def _plaintext(document):
    document["plain"]["user"] = "CANARY"


@pytest.mark.parametrize(
    ("change", "code", "what"),
    [
        (_swap, errors.CONTENT, 'the value of "plain/user" was changed, or moved'),
        (_plaintext, errors.CONTENT, 'the value of "plain/user" is not encrypted, and should be'),
        (lambda d: d.pop("flag"), errors.CONTENT, "MAC mismatch"),
        (lambda d: d.update(name_unencrypted="y"), errors.CONTENT, "MAC mismatch"),
        (lambda d: d.update(extra_unencrypted="y"), errors.CONTENT, "MAC mismatch"),
        (
            lambda d: d["sops"].update(lastmodified="2027-01-01T00:00:00Z"),
            errors.CONTENT,
            "the file's MAC was changed, or moved",
        ),
        (
            lambda d: d["sops"].update(age=[], kms=[{"arn": "arn:aws:kms:x"}]),
            errors.NOT_SUPPORTED,
            "the file is encrypted by AWS KMS, and the store is for age",
        ),
        (
            lambda d: d["sops"].update(key_groups=[{}], shamir_threshold=2),
            errors.NOT_SUPPORTED,
            "the file needs keys of several groups",
        ),
    ],
)
def test_what_somebody_touched_is_refused(tmp_path, change, code, what):
    """Moved, replaced, removed, added; nothing of a value is told."""
    rig = SopsRig(tmp_path)
    rig.source("secrets/key/identity", IDENTITY)
    rig.source("configmaps/file/all.json", _changed((FILES / "all.json").read_bytes(), change))

    (answer,) = rig.read("plain")

    assert answer.code is code
    assert answer.what.startswith(what)
    assert "CANARY" not in answer.what


def test_the_threshold_of_a_single_group_is_no_matter():
    """Sops writes the threshold of its configuration, and shares no key where one group is."""
    data = _changed(
        (FILES / "all.json").read_bytes(), lambda d: d["sops"].update(shamir_threshold=1)
    )

    assert opened(data, "json") == JSON


@pytest.mark.parametrize(
    ("content", "identity", "code", "what"),
    [
        (b'{"a": "b"}', IDENTITY, errors.CONTENT, "it has no data of SOPS"),
        (b"a: [", IDENTITY, errors.CONTENT, "it is not JSON: line 1, column 1"),
        (None, str(pyrage.x25519.Identity.generate()), errors.UNAUTHENTICATED, "opens none of"),
        (None, "", errors.UNAUTHENTICATED, "the identity holds no age key"),
    ],
)
def test_each_thing_that_can_be_wrong_has_its_own_words(tmp_path, content, identity, code, what):
    """Not a file of SOPS, not JSON, another key, no key."""
    rig = SopsRig(tmp_path)
    rig.put("plain", {"a": "b"})
    rig.source("secrets/key/identity", identity)
    if content is not None:
        rig.source("configmaps/file/all.json", content)

    (answer,) = rig.read("plain")

    assert answer.code is code
    assert what in answer.what


def test_values_that_are_no_mapping_are_read_by_their_path(tmp_path):
    """Scalars give their text, lists their JSON; what is not there names what is."""
    rig = SopsRig(tmp_path)
    rig.source("secrets/key/identity", IDENTITY)
    rig.source("configmaps/file/all.json", (FILES / "all.json").read_bytes())

    port, flag, listed, below = rig.read("plain/port", "flag", "list", "plain/prot")

    assert [pick(a, None).data for a in (port, flag, listed)] == [b"5432", b"false", b'["a",2]']
    assert below.code is errors.MISSING
    assert below.what == "no such key below plain; keys there: port, ratio, user"
    assert below.hint == 'did you mean "port"?'


TREE = {
    "example.org/db": {"password": "p"},
    "a/b": "joined",
    "a": {"b": "below", "c/d": {"e": "deep"}},
    "end/": "slash",
    "https://x": "url",
    "hosts": "h",
}


@pytest.fixture
def slashed(tmp_path):
    """A file whose keys have slashes."""
    rig = SopsRig(tmp_path)
    rig.tree = TREE
    rig._write()
    return rig


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("example.org/db/password", b"p"),
        ("a/b", b"below"),
        ("a~1b", b"joined"),
        ("a/c/d/e", b"deep"),
        ("end/", b"slash"),
        ("https:~1~1x", b"url"),
    ],
)
def test_a_key_with_slashes_is_reached(slashed, path, value):
    """As it is written, or with ~1 for a slash where both readings are there."""
    (answer,) = slashed.read(path)

    assert answer.reveal() == value


def test_a_hint_never_repeats_what_was_written(tmp_path):
    """What is null is said to be; a near key is another word."""
    rig = SopsRig(tmp_path)
    rig.tree = TREE
    rig._write()
    (below,) = rig.read("example.org/db/pasword")
    rig.source("secrets/key/identity", IDENTITY)
    rig.source("configmaps/file/all.json", (FILES / "all.json").read_bytes())
    null, entry, beyond = rig.read("none", "list/1", "list/2")

    assert (below.code, below.what, below.hint) == (
        errors.MISSING,
        "no such key below example.org/db; keys there: password",
        'did you mean "password"?',
    )
    assert (null.code, null.what, null.hint) == (
        errors.MISSING,
        "the key none is there and null",
        "",
    )
    assert entry.reveal() == b"2"
    assert (beyond.code, beyond.what) == (
        errors.MISSING,
        "no such entry below list: a list of 2 is there",
    )


def test_a_dotenv_file_whose_line_ends_were_changed_says_so():
    """SOPS does not read it either, and says something about a date."""
    data = (FILES / "all.env").read_bytes().replace(b"\n", b"\r\n")

    with pytest.raises(sops_format.NotSops, match="its lines end with CRLF"):
        sops_format.parse(data, "dotenv")


@pytest.mark.parametrize(
    ("data", "form", "what"),
    [
        (b'{"a": 1,\n "sops": }', "json", "it is not JSON: line 2, column 10: a value is missing"),
        (b"a: [\nb: c: d\n", "yaml", "it is not yaml: line 2, column "),
        (b"[a\n", "ini", "the name of a section is not closed by ]"),
        (b"[a]\nb\n", "ini", "a line is not KEY = VALUE"),
        (b"[a]\nb=`x\n", "ini", "a quoted value is never closed"),
        (b"[a]\n[a]\n", "ini", "a section stands twice"),
    ],
)
def test_a_file_of_another_form_says_where(data, form, what):
    """Line and column where there are any; nothing of the content."""
    with pytest.raises(sops_format.NotSops) as caught:
        sops_format.parse(data, form)

    assert str(caught.value).startswith(what)


@pytest.mark.parametrize(
    ("text", "key", "is_encrypted"),
    [
        (r"\Apass\z", "pass", True),
        (r"\Apass\z", "passed", False),
        ("(^data$|^stringData$)", "stringData", True),
        ("(^data$|^stringData$)", "metadata", False),
        ("(?i)(^a$|^b$)", "B", True),
        ("^(?P<kind>data|word)$", "word", True),
        ("^[[:upper:]_]+$", "API_KEY", True),
        ("^[[:upper:]_]+$", "apiKey", False),
        ("[[:digit:]]$", "key1", True),
    ],
)
def test_patterns_in_the_spelling_of_go_are_read(text, key, is_encrypted):
    """Ends, named groups, POSIX classes and brackets around everything."""
    rule = sops_file._rule({"encrypted_regex": text})

    assert rule((key,)) is is_encrypted


def test_the_format_comes_from_the_name_or_is_asked_for():
    """A name without a known ending needs `format`."""
    spec = {"file": {"file": "secrets"}, "identity": {"file": "key"}}

    with pytest.raises(errors.Refused) as caught:
        stores.parse("s", {"sops": spec}, in_cluster=False)
    parsed = stores.parse("s", {"sops": {**spec, "format": "yaml"}}, in_cluster=False)

    assert [problem.source for problem in caught.value.problems] == ["spec.sops.format"]
    assert parsed.spec.format == "yaml"


@pytest.mark.parametrize(
    ("text", "kind", "hashed"),
    [
        ("10", "int", "10"),
        ("1.50", "float", "1.5"),
        ("1e3", "float", "1000"),
        ("1e-7", "float", "0.0000001"),
        ("1e400", "str", "1e400"),
        ("-.Inf", "float", "-Inf"),
        (".nan", "float", "NaN"),
        (".iNf", "str", ".iNf"),
        ("TRUE", "bool", "True"),
        ("yes", "str", "yes"),
        ("2026-01-31", "time", "2026-01-31T00:00:00Z"),
    ],
)
def test_a_plain_scalar_of_yaml_is_hashed_as_go_reads_it(text, kind, hashed):
    """Where the MAC is computed from values in plain text, their form matters to the byte."""
    data = f"a: {text}\nsops:\n  mac: m\n".encode()

    assert sops_format.parse(data, "yaml").tree == {"a": Scalar(kind=kind, text=hashed)}


def test_a_constant_that_json_has_not_is_refused():
    """Python's reader takes NaN; no value may come into a file by what SOPS would not read."""
    with pytest.raises(sops_format.NotSops, match="it holds NaN, which is no JSON"):
        sops_format.parse(b'{"a": NaN, "sops": {"mac": "m"}}', "json")


def test_flat_names_of_a_dotenv_file_are_what_is_deep_elsewhere():
    """Lists of mappings in mappings, as SOPS flattens a key of KMS with its context."""
    lines = (
        "A=1",
        "sops_kms__list_0__map_arn=arn:aws:kms:x",
        "sops_kms__list_0__map_context__map_app=shop",
        "sops_kms__list_1__map_arn=arn:aws:kms:y",
        "sops_mac=m",
    )

    document = sops_format.parse("\n".join(lines).encode(), "dotenv")

    assert document.metadata == {
        "kms": [
            {"arn": "arn:aws:kms:x", "context": {"app": "shop"}},
            {"arn": "arn:aws:kms:y"},
        ],
        "mac": "m",
    }


@pytest.mark.parametrize("name", ["age__list_1__map_enc", "age__list_x__map_enc", "mac__map_x"])
def test_damaged_names_are_refused(name):
    """Nothing is guessed."""
    with pytest.raises(sops_format.NotSops, match="its data of SOPS is damaged"):
        sops_format.parse(f"sops_mac=m\nsops_{name}=1\n".encode(), "dotenv")
