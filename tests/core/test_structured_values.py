"""Text in a key that is JSON, YAML or a list: `get`, `yaml`, `split` take one thing out of it."""

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import errors, grammar, yaml_value
from injector.core.errors import FetchFailed
from injector.core.plan import ContainerPlan, EnvItem, Pick, Plan, PlanStore, PlanValue, Read
from injector.core.render import render
from injector.core.secret import MAX_DEPTH, Number, Secret

READ = Read(store=0, path="config")
APPLICATION = """\
# as people keep it
db:
  host: db.example      # a comment
  port: 5432
  password: "#{p'w"
  retries: 007
  tls: true
  since: 2026-01-31
  none: ~
hosts: [a, 'b', 1.50]
on: yes
"a/b~c": |
  two
  lines
"""


def outcome(text, stored):
    """Return what a reference to the whole of a secret gives, or its problem."""
    [expression] = grammar.parse(f"#{{v:config | {text}}}")
    value = PlanValue(
        parts=(Pick(read=0, filters=expression.filters),), key="KEY", origin="ServiceSecrets a/b"
    )
    p = Plan(
        namespace="shop",
        service_account="default",
        stores=(PlanStore(name="v", document="{}"),),
        reads=(READ,),
        values=(value,),
        containers=(ContainerPlan(name="app", env=(EnvItem(name="KEY", value=0),)),),
    )
    try:
        (only,) = render(p, {READ: Secret(stored)}, today="2026-11-26")
    except FetchFailed as failed:
        (problem,) = failed.problems
        return problem.code.id, problem.what, problem.hint
    return dict(only.env)["KEY"]


_NO_JSON = "it is not JSON in UTF-8: line 1, column 1: a value is missing"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('get("/db/password")', b'p"w'),
        ('get("/db/port")', b"5432"),
        ('get("/db")', b'{"password":"p\\"w","port":5432,"big":1e400}'),
        ('get("/db/big")', b"1e400"),
        ('get("/hosts/1")', b"b"),
        ('get("/hosts") | lines', b"a\nb"),
        ('get("/inner") | get("/x")', b"1"),
        ('get("/nope") | default("d")', b"d"),
        ('get("/db/port/x") | default("d")', b"d"),
        ('get("/a~1b/~0")', b"z"),
    ],
)
def test_get_takes_one_thing_out_of_json(text, expected):
    """A JSON Pointer, with the forms that a field has; what is not there has a default."""
    stored = (
        b'{"db": {"password": "p\\"w", "port": 5432, "big": 1e400}, "hosts": ["a", "b"],'
        b' "inner": "{\\"x\\": 1}", "a/b": {"~": "z"}}'
    )

    assert outcome(text, stored) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('yaml | get("/db/host")', b"db.example"),
        ('yaml | get("/db/port")', b"5432"),
        ('yaml | get("/db/password")', b"#{p'w"),
        ('yaml | get("/db/retries")', b"007"),
        ('yaml | get("/db/tls")', b"true"),
        ('yaml | get("/db/since")', b"2026-01-31"),
        ('yaml | get("/db/none") | default("d")', b"d"),
        ('yaml | get("/hosts")', b'["a","b",1.50]'),
        ('yaml | get("/on")', b"yes"),
        ('yaml | get("/a~1b~0c") | trim', b"two\nlines"),
    ],
)
def test_yaml_is_read_as_the_json_that_it_stands_for(text, expected):
    """Numbers as they are written; what only some readers take for a number or a date is text."""
    assert outcome(text, APPLICATION.encode()) == expected


@pytest.mark.parametrize(
    ("text", "stored", "expected"),
    [
        ('split(":") | get("/0")', b"user:pass", b"user"),
        ('split(":", "2") | get("/1")', b"user:pa:ss", b"pa:ss"),
        ('split(",")', 'a,"b",é'.encode(), '["a","\\"b\\"","é"]'.encode()),
        ('split(", ") | lines', b"a, b, c", b"a\nb\nc"),
        ('split(",")', b"", b'[""]'),
        ('split(",") | get("/7") | default("none")', b"a,b", b"none"),
    ],
)
def test_split_makes_a_list_of_a_text(text, stored, expected):
    """The parts as a JSON array; with a number, the last one keeps what is left."""
    assert outcome(text, stored) == expected


@pytest.mark.parametrize(
    ("text", "stored", "problem"),
    [
        (
            'get("/a")',
            b"a: canary",
            (
                "SI-304",
                f"get: the value has no fields: {_NO_JSON}",
                "if it is YAML, write yaml | get(...)",
            ),
        ),
        (
            'get("/db/pasword")',
            b'{"db": {"password": "canary"}}',
            ("SI-404", "get: no such key; keys there: password", 'did you mean "password"?'),
        ),
        (
            "yaml",
            b"a: *canary",
            (
                "SI-304",
                "yaml: the value is no YAML of the plain kind: line 1: aliases are not read",
                "",
            ),
        ),
        (
            "yaml",
            b"a: 1\nb: canary: x",
            ("SI-304", "yaml: the value is no YAML of the plain kind: line 2 cannot be read", ""),
        ),
        ('split(",")', b"\xff", ("SI-304", "split: the value is not UTF-8 text", "")),
    ],
)
def test_what_cannot_be_read_is_refused_without_a_word_of_it(text, stored, problem):
    """Names of keys are shown, values never."""
    assert outcome(text, stored) == problem


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "it is empty"),
        ("a: 1\n---\nb: 2", "line 3: a second document"),
        ("a: !!int 1", "line 1: tags are not read"),
        ("b: &x 1\na: *x", "line 2: aliases are not read"),
        ("<<: {a: 1}", "line 1: a key is no text"),
        ("a: 1\na: 2", "line 2: a key stands twice"),
        ("[a]: 1", "line 1: a key is no text"),
        ("[" * (MAX_DEPTH + 1), f"line 1: nested more than {MAX_DEPTH} deep"),
        ("%a\n" * 9, "more than a few lines that begin with %"),
        (
            "- a\n" * yaml_value.MAX_NODES,
            f"more than {yaml_value.MAX_NODES} texts, lists and mappings",
        ),
    ],
)
def test_yaml_that_expands_or_is_read_in_two_ways_is_refused(text, what):
    """Each with its line, and none with its text."""
    with pytest.raises(yaml_value.NotYaml) as caught:
        yaml_value.parse(text)

    assert str(caught.value) == what


PLAIN = st.text("abc #:-{}[]'\"\n/~", max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | PLAIN | st.integers().map(lambda n: Number(str(n))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_json_is_yaml(found):
    """What JSON says, the filter reads as JSON does."""
    text = json.dumps(found)

    assert yaml_value.parse(text) == json.loads(text)


@given(st.text() | st.text("[]{}:-,#&*!|>'\"%@`? \nab1~"))
def test_any_text_is_read_or_refused(text):
    """Nothing else comes out of it."""
    with suppress(yaml_value.NotYaml):
        yaml_value.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        'get("a")',
        'get("")',
        'get("/~2")',
        "get",
        'split("")',
        'split(",", "0")',
        "split",
        'yaml("x")',
    ],
)
def test_arguments_of_another_form_are_mistakes_where_they_are_written(text):
    """Before anything runs, at the filter's column."""
    with pytest.raises(grammar.GrammarError) as caught:
        grammar.parse(f"#{{A | {text}}}")

    assert [slip.column for slip in caught.value.slips] == [7]


def test_a_megabyte_is_split_and_read_in_no_time():
    """What a store may give at most, in the worst form; what comes out is refused by its size."""
    start = time.process_time()

    assert outcome('split(",")', b"," * 1_048_576)[0] == errors.NOT_CARRIABLE.id
    assert outcome("yaml", b"- " * 500_000)[0] == errors.FILTER.id
    assert time.process_time() - start < 5
