"""Whatever stands in a file, we read what the real sops reads; else its MAC would not hold."""

import json
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from injector import sops_file, sops_format
from injector.core.secret import Number
from tests.e2e.sops_rig import new_key, sops

# What YAML or dotenv could take for something else, and characters that end lines for somebody.
ODD = (
    *("1", "1.0", "true", "yes", "null", "~", "2026-01-31", "0x1F", "1e3", ".5", "1_000", ".inf"),
    *(
        "a: b",
        "- x",
        "# c",
        " a",
        "a ",
        "\n",
        "a\n",
        "\t",
        "'",
        '"',
        "\\n",
        "|",
        "=",
        "<<",
        "ENC[]",
    ),
)
CHARACTERS = st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF)
ENDS = st.sampled_from("\u2028\x85\x7f\ufeff\x00\x1b\r")
TEXTS = st.text(CHARACTERS | ENDS, max_size=8) | st.sampled_from(ODD)
KEYS = st.builds(
    str.__add__, st.text(CHARACTERS, min_size=1, max_size=6), st.sampled_from(["", "_unencrypted"])
).filter(lambda key: key not in ("sops", "<<"))
LEAVES = (
    TEXTS
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.none()
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: str(number) != "-0.0")
)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}(_unencrypted)?", fullmatch=True)
VARIABLES = st.dictionaries(
    NAMES.filter(lambda name: not name.startswith("sops")), TEXTS, min_size=1, max_size=4
)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """An identity file and its recipient."""
    return new_key(tmp_path_factory.mktemp("sops"), "key.txt")


def read_both_ways(key, name, text):
    """Return what sops and what we read of a text that sops encrypted; None if it does not."""
    file, recipient = key
    path = Path(file).with_name(name)
    path.write_text(text)
    try:
        sops("encrypt", "-i", "--age", recipient, name, folder=path.parent)
    except AssertionError:  # sops takes not all that is YAML
        return None
    own = {"SOPS_AGE_KEY_FILE": str(file)}
    theirs = sops("decrypt", "--output-type", "json", name, folder=path.parent, **own)
    forms = {".yaml": "yaml", ".json": "json", ".env": "dotenv", ".ini": "ini"}
    form = forms[path.suffix]
    document = sops_format.parse(path.read_bytes(), form)
    ours = sops_file.decrypt(document, sops_file.age_key(document, file.read_text()))
    return _numbers(json.loads(theirs)), _numbers(ours)


def _numbers(node):
    """Return plain data in which 1, 1.0 and 1e0 are the same."""
    if isinstance(node, dict):
        return {name: _numbers(inner) for name, inner in node.items()}
    if isinstance(node, list):
        return [_numbers(inner) for inner in node]
    is_number = isinstance(node, (int, float, Number)) and not isinstance(node, bool)
    return float(node) if is_number else node


@settings(max_examples=60)
@given(tree=TREES)
@pytest.mark.parametrize("name", ["any.json", "any.yaml"])
def test_any_tree_is_read_as_sops_reads_it(key, name, tree):
    """Keys, texts and numbers of all kinds, encrypted and in plain text."""
    read = read_both_ways(key, name, json.dumps(tree))

    assume(read is not None)
    assert read[0] == read[1]


@settings(max_examples=60)
@given(values=VARIABLES)
def test_any_variables_are_read_as_sops_reads_them(key, values):
    """A line break is two characters in the file, and every other one is itself."""
    lines = [f"{name}={value}".replace("\n", "\\n") + "\n" for name, value in values.items()]

    theirs, ours = read_both_ways(key, "any.env", "".join(lines))

    assert theirs == ours
    assert ours.keys() == values.keys()


SCALARS = (
    *(
        "0x1F",
        "0o17",
        "017",
        "1_000",
        "+5",
        "-0",
        "1.",
        ".5",
        "1e3",
        "1E-7",
        "1.50",
        "1e21",
        "1e400",
    ),
    *("9223372036854775807", "123456789.123456789", "100000000000000000000.0", "0b101", "1:20:30"),
    *("yes", "no", "on", "y", "True", "TRUE", "~", "null", "NULL", "2026-01-31", "2026-1-3", "-.5"),
    *("2026-01-31T10:00:00Z", "2026-01-31t10:00:00+01:00", '!!int "5"', "!!str 5", "!!float 3"),
    *(
        "'it''s'",
        '"a\\tb"',
        "|\n  two\n  lines\n",
        ">\n  folded\n  text\n",
        "&a x",
        "0xg",
        "0x",
        "=",
    ),
)


@pytest.mark.parametrize("suffix", ["", "_unencrypted"])
def test_every_way_to_write_a_scalar_is_read_as_sops_reads_it(key, suffix):
    """What people write by hand; in plain text its form is part of the MAC."""
    text = "".join(f"k{i}{suffix}: {scalar}\n" for i, scalar in enumerate(SCALARS))

    theirs, ours = read_both_ways(key, "scalars.yaml", text)

    assert ours == theirs


INI_VALUES = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="`\\") | st.just(" "),
    max_size=9,
) | st.sampled_from(("a;b", "a # b", "'q'", '"q"', '"', "`a;b`", '"""l1\nl2"""', "`l1\nl2`", "x=y"))
SECTIONS = st.dictionaries(
    st.from_regex(r"[a-z][a-z.]{0,5}", fullmatch=True).filter(lambda name: name != "sops"),
    st.dictionaries(NAMES, INI_VALUES, max_size=3),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60)
@given(sections=SECTIONS, top=st.dictionaries(NAMES, INI_VALUES, max_size=2))
def test_any_ini_file_is_read_as_sops_reads_it(key, sections, top):
    """Comments, quotes and values over several lines; encrypted and in plain text."""
    lines = [f"{name} = {value}\n" for name, value in top.items()]
    for section, values in sections.items():
        lines += [f"[{section}]\n", *(f"{name} = {value}\n" for name, value in values.items())]

    read = read_both_ways(key, "any.ini", "".join(lines))

    assume(read is not None)
    theirs, ours = read
    assert {name: values for name, values in theirs.items() if values or name != "DEFAULT"} == ours


@pytest.mark.parametrize(
    "text",
    [
        "base: &b {n: &m [1], s: x}\nprod:\n  <<: *b\n  s: y\n",
        "base: &b {s: x}\nprod:\n  <<: [*b, {t: z}]\n",
        '"<<": {a: b}\nc: d\n',
        "base: &b {s_unencrypted: x}\nprod_unencrypted:\n  !!merge <<: *b\n",
    ],
)
def test_merge_keys_are_opened_as_sops_opens_them(key, text):
    """Under the key `<<`, to whose path the values are bound."""
    theirs, ours = read_both_ways(key, "merge.yaml", text)

    assert ours == theirs
