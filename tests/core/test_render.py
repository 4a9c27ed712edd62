"""Rendering: fields, filters, rules and defaults give exact bytes, or every problem at once."""

import base64
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import errors, reference
from injector.core.errors import FetchFailed, Problem
from injector.core.plan import (
    ContainerPlan,
    EnvItem,
    FileItem,
    Pick,
    Plan,
    PlanStore,
    PlanValue,
    Read,
    Rule,
    Use,
)
from injector.core.record import replace
from injector.core.render import MAX_TOTAL_BYTES, Rendered, render
from injector.core.secret import MAX_BYTES, Failure, Number, Secret

DB = Read(store=0, path="kv/shop/db")
MAIL = Read(store=0, path="kv/shop/mail", version="3")
ORIGIN = "ServiceSecrets shop/checkout"
THERE = "no such key; keys there: big, deep, empty, hosts, none, password, port, tls and 1 more"
FIELDS = {
    "user": "shop",
    "password": "p@ss/ w0rd",
    "port": Number("5432"),
    "big": Number("1e400"),
    "tls": True,
    "none": None,
    "empty": "",
    "hosts": ["a", "b", Number("3"), False],
    "deep": {"a/b": [{"~": "x"}]},
}


def f(name, *args):
    """A filter."""
    return reference.Filter(name=name, args=args)


def value(*parts, rule=None, key="KEY"):
    """A value of the plan."""
    return PlanValue(parts=parts, key=key, origin=ORIGIN, rule=rule)


def plan(*values, containers=None):
    """A plan whose one container gets value i as the variable V<i>."""
    env = tuple(EnvItem(name=f"V{i}", value=i) for i in range(len(values)))
    return Plan(
        namespace="shop",
        service_account="checkout",
        stores=(PlanStore(name="vault-prod", document="{}"),),
        reads=(DB, MAIL),
        values=values,
        containers=containers or (ContainerPlan(name="app", env=env),),
    )


def rendered(*values, db=None, mail=None, today="2026-11-22"):
    """Return the variables V0, V1 ... of a plan of these values."""
    answers = {
        DB: Secret(FIELDS) if db is None else db,
        MAIL: Secret({}) if mail is None else mail,
    }
    (only,) = render(plan(*values), answers, today=today)
    return dict(only.env)


def problems(*values, **answers):
    """The problems of a plan of these values."""
    with pytest.raises(FetchFailed) as failed:
        rendered(*values, **answers)
    return failed.value.problems


def test_texts_and_picks_and_earlier_values_are_joined_in_order():
    """A later value uses an earlier one as it came out, once."""
    user = value(Pick(read=0, field="user"))
    url = value(
        "pg://", Use(value=0), ":", Pick(read=0, field="password", filters=(f("urlencode"),))
    )

    assert rendered(user, url) == {"V0": b"shop", "V1": b"pg://shop:p%40ss%2F%20w0rd"}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("user", b"shop"),
        ("port", b"5432"),
        ("big", b"1e400"),
        ("tls", b"true"),
        ("empty", b""),
        ("hosts", b'["a","b",3,false]'),
        ("/hosts/1", b"b"),
        ("/deep/a~1b/0/~0", b"x"),
        ("/deep", b'{"a/b":[{"~":"x"}]}'),
    ],
)
def test_a_field_has_one_text_form(field, expected):
    """Top-level keys and pointers; numbers as written, the rest as JSON."""
    assert rendered(value(Pick(read=0, field=field))) == {"V0": expected}


def test_a_secret_without_field_is_all_of_it():
    """Bytes stay bytes; a mapping becomes compact JSON."""
    assert rendered(value(Pick(read=0)), db=Secret(b"\x00\xff")) == {"V0": b"\x00\xff"}
    assert rendered(value(Pick(read=0)), db=Secret({"b": "1", "a": Number("2.0")})) == {
        "V0": b'{"b":"1","a":2.0}'
    }


def test_a_binary_value_is_delivered_by_its_field_and_not_within_json():
    """No encoding is invented for bytes that are no text."""
    found = Secret({"key": b"\xff\x00", "name": "x"})

    assert rendered(value(Pick(read=0, field="key")), db=found) == {"V0": b"\xff\x00"}
    (problem,) = problems(value(Pick(read=0)), db=found)
    assert problem.code is errors.CONTENT
    assert problem.what == "it has values that are no text, so it is no JSON as a whole: key"


@pytest.mark.parametrize(
    ("field", "code", "what", "hint"),
    [
        (
            "pasword",
            errors.MISSING,
            THERE,
            'did you mean "password"?',
        ),
        ("none", errors.MISSING, "the key is there and null", ""),
        ("/hosts/4", errors.MISSING, "the list has 4 entries, no 4", ""),
        (
            "/hosts/01",
            errors.MISSING,
            'a list has no key "01"',
            "entries of a list are 0, 1, 2 ...",
        ),
        ("/user/x", errors.MISSING, 'nothing is below "x": its parent is no mapping', ""),
    ],
)
def test_a_missing_field_names_what_is_there(field, code, what, hint):
    """The problem has the place, the target, the origin and the names of the other fields."""
    assert problems(value(Pick(read=0, field=field))) == (
        Problem(
            code=code,
            what=what,
            source=f"vault-prod kv/shop/db#{field}",
            target="V0",
            origin=ORIGIN,
            hint=hint,
        ),
    )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (
            b"plain",
            "it has no fields: it is not JSON in UTF-8: line 1, column 1: a value is missing",
        ),
        (b"[1]", "it has no fields: it is JSON, and no mapping"),
        (b'{"a":1,"a":2}', "it has no fields: it has a key twice: line 1, column 8"),
        (b'{"a":NaN}', "it has no fields: it holds NaN, which is no JSON: line 1, column 6"),
        (
            b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
            "it has no fields: it is nested more than 32 deep",
        ),
    ],
)
def test_bytes_with_a_field_must_be_a_json_mapping(body, what):
    """JSON is read strictly; the problem quotes nothing of the value."""
    (problem,) = problems(value(Pick(read=0, field="a")), db=Secret(body))

    assert (problem.code, problem.what) == (errors.CONTENT, what)


@pytest.mark.parametrize(
    ("filters", "data", "expected"),
    [
        ((f("base64"),), b"\xff\xfe", b"//4="),
        ((f("base64decode"),), b"//\n4=", b"\xff\xfe"),
        ((f("json"),), 'a"\né'.encode(), '"a\\"\\né"'.encode()),
        ((f("trim"),), b" \t a b\r\n", b"a b"),
        ((f("lines"),), b'["a", 1.0, true]', b"a\n1.0\ntrue"),
        ((f("lines"),), b"[]", b""),
        ((f("urlencode"),), "a-._~/ %é".encode(), b"a-._~%2F%20%25%C3%A9"),
        ((f("base64decode"), f("trim"), f("base64")), b"IGEg", b"YQ=="),
        ((f("default", "x"),), b"", b""),
    ],
)
def test_a_filter_gives_exactly_these_bytes(filters, data, expected):
    """Filters work on bytes, left to right; an empty value is not a missing one."""
    assert rendered(value(Pick(read=0, filters=filters)), db=Secret(data)) == {"V0": expected}


def test_the_json_filter_leaves_a_whole_mapping_as_it_is():
    """A mapping is JSON already, also through another value; a text becomes a literal."""
    whole = value(Pick(read=0, filters=(f("json"),)))
    through = value(Use(value=0, filters=(f("json"),)))

    assert rendered(whole, through, db=Secret({"a": "b"})) == {
        "V0": b'{"a":"b"}',
        "V1": b'{"a":"b"}',
    }


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        (
            "base64decode",
            b"a",
            "base64decode: the value is not base64 (standard alphabet, with padding)",
        ),
        (
            "base64decode",
            b"__8=",
            "base64decode: the value is not base64 (standard alphabet, with padding)",
        ),
        ("json", b"\xff", "json: the value is not UTF-8 text"),
        ("lines", b"{}", "lines: the value is JSON, and no array"),
        ("lines", b'["a", null]', "lines: entry 1 is no text, number or boolean"),
        ("lines", b'["a\\nb"]', "lines: entry 0 has a line break in it"),
        (
            "lines",
            b'["\\ud800"]',
            "lines: an entry has half a surrogate pair, which is no character",
        ),
    ],
)
def test_a_filter_that_cannot_work_says_so_without_quoting(name, data, what):
    """The value stays out of the message."""
    (problem,) = problems(value(Pick(read=0, filters=(f(name),))), db=Secret(data))

    assert (problem.code, problem.what) == (errors.FILTER, what)
    assert problem.source == "vault-prod kv/shop/db"


@given(st.binary(max_size=64))
def test_encoding_filters_are_undone_by_their_inverse(data):
    """base64 and urlencode lose nothing, and base64decode undoes base64."""
    both = (f("base64"), f("base64decode"))
    found = rendered(
        value(Pick(read=0, filters=both)),
        value(Pick(read=0, filters=(f("urlencode"),))),
        db=Secret(data),
    )

    assert found["V0"] == data
    assert urllib.parse.unquote_to_bytes(found["V1"]) == data
    assert (
        base64.b64encode(data)
        == rendered(value(Pick(read=0, filters=(f("base64"),))), db=Secret(data))["V0"]
    )


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=32))
def test_the_json_filter_writes_what_json_reads(text):
    """The literal is read back as the same text by any JSON parser."""
    found = rendered(value(Pick(read=0, filters=(f("json"),))), db=Secret(text.encode()))

    assert json.loads(found["V0"]) == text


MISSING = Failure(code=errors.MISSING, what="no such secret", identity='role "shop"')
DOWN = Failure(code=errors.DOWN, what="it is sealed", hint="unseal it", identity='role "shop"')


def test_a_default_stands_in_for_what_is_missing_and_only_for_that():
    """A missing secret, field or version has a default; a store that is down has none."""
    with_default = value(Pick(read=0, field="nope", filters=(f("default", "x"), f("base64"))))
    by_rule = value(Pick(read=0, field="nope"), rule=Rule(default="y", matches="z"))

    assert rendered(with_default, by_rule) == {"V0": b"eA==", "V1": b"y"}
    assert rendered(with_default, by_rule, db=MISSING) == {"V0": b"eA==", "V1": b"y"}
    assert [p.code for p in problems(with_default, by_rule, db=DOWN)] == [errors.DOWN]


def test_a_value_that_need_not_be_there_is_left_out():
    """Neither the variable nor a problem; who uses it without a default still has one."""
    optional = value(Pick(read=0, field="nope"), rule=Rule(required=False))
    user = value("<", Use(value=0, filters=(f("default", "-"),)), ">")

    assert rendered(optional, user) == {"V1": b"<->"}
    (problem,) = problems(optional, value(Use(value=0)))
    assert (problem.code, problem.target) == (errors.MISSING, "V1")


def test_required_refuses_missing_and_empty_values_with_the_authors_words():
    """The reason is the hint; a default after it comes too late."""
    why = (f("required", "ask the shop team"), f("default", "x"))
    missing, empty = problems(
        value(Pick(read=0, field="nope", filters=why)),
        value(Pick(read=0, field="empty", filters=why)),
    )

    assert (missing.code, missing.hint) == (errors.MISSING, "ask the shop team")
    assert (empty.code, empty.what, empty.hint) == (
        errors.REQUIRED,
        "the value is empty",
        "ask the shop team",
    )


def test_required_true_refuses_an_empty_value_wherever_it_comes_from():
    """Of a store, of a default, of a filter; without the word an empty value is a value."""
    required = Rule(required=True)
    empty = Pick(read=0, field="empty")
    nope = Pick(read=0, field="nope")
    found = problems(
        value(empty, rule=required),
        value(nope, rule=Rule(required=True, default="")),
        value(Pick(read=0, field="nope", filters=(f("default", ""),)), rule=required),
        value(nope, rule=required),
    )

    assert [(p.code.id, p.target, p.what) for p in found] == [
        ("SI-301", "V0", "the value is empty"),
        ("SI-301", "V1, V2", "the value is empty"),
        ("SI-404", "V3", THERE),
    ]
    assert rendered(value(empty), value(empty, rule=Rule(matches=".*"))) == {"V0": b"", "V1": b""}
    assert rendered(value(Pick(read=0, field="user"), rule=required)) == {"V0": b"shop"}


@pytest.mark.parametrize("mode", ["launcher", "native"])
def test_a_variable_that_is_empty_by_its_default_is_left_out_where_empty_means_missing(mode):
    """For the kubelet it is missing; the launcher sets it. A value that is empty itself stays."""
    empty = Pick(read=0, field="nope", filters=(f("default", ""),))
    values = (
        value(empty),
        value(Pick(read=0, field="nope"), rule=Rule(default="")),
        value(Use(value=0), Use(value=1)),
        value(Use(value=0, filters=(f("base64"),)), rule=Rule(required=False)),
        value(empty, "x"),
        value(Pick(read=0, field="empty")),
        value(Pick(read=0, field="empty"), rule=Rule(required=False)),
    )
    env = tuple(EnvItem(name=f"V{i}", value=i) for i in range(len(values)))
    files = (FileItem(path="empty", value=0),)
    container = ContainerPlan(name="app", env_mode=mode, env=env, files=files)

    (only,) = render(
        plan(*values, containers=(container,)),
        {DB: Secret(FIELDS), MAIL: Secret({})},
        today="2026-11-22",
    )

    always = {"V4": b"x", "V5": b""}
    by_launcher = {f"V{i}": b"" for i in (0, 1, 2, 3, 6)}
    assert dict(only.env) == (always if mode == "native" else always | by_launcher)
    assert only.files == (("empty", b"", None),)


def test_rules_are_held_against_the_value():
    """Pattern and date are both reported; the value is not."""
    ruled = value(Pick(read=0, field="user"), rule=Rule(matches="[0-9]+", not_after="2026-11-22"))

    expired, mismatch = problems(ruled)

    assert (expired.code, expired.what) == (
        errors.EXPIRED_VALUE,
        "the value is past its notAfter date 2026-11-22",
    )
    assert (mismatch.code, mismatch.what) == (
        errors.MISMATCH,
        "the value does not match [0-9]+",
    )
    fine = value(Pick(read=0, field="port"), rule=Rule(matches="[0-9]+", not_after="2026-11-23"))
    assert rendered(fine) == {"V0": b"5432"}


def test_one_failed_read_is_told_once_with_all_that_waits_for_it():
    """Forty variables of a store that is down are one problem."""
    fields = [value(Pick(read=i % 2, field=f"f{i}"), key=f"K{i}") for i in range(40)]

    assert problems(*fields, db=DOWN, mail=DOWN) == (
        Problem(
            code=errors.DOWN,
            what="it is sealed",
            source="vault-prod kv/shop/db, kv/shop/mail@3",
            target="V0, V1, V2, V3 and 36 more",
            origin=ORIGIN,
            identity='role "shop"',
            hint="unseal it",
        ),
    )


def test_a_problem_of_several_containers_names_them():
    """Variables and files are told apart, and each with its containers."""
    containers = (
        ContainerPlan(name="app", env=(EnvItem(name="A", value=0),)),
        ContainerPlan(
            name="web",
            env=(EnvItem(name="A", value=0),),
            files=(FileItem(path="tls/key", value=0, mode=0o400),),
        ),
    )
    p = plan(value(Pick(read=0, field="nope")), containers=containers)

    with pytest.raises(FetchFailed) as failed:
        render(p, {DB: Secret({}), MAIL: Secret({})}, today="2026-11-22")

    (problem,) = failed.value.problems
    assert problem.line() == (
        "SI-404 vault-prod kv/shop/db#nope for A in app and web, file tls/key in web"
        " (ServiceSecrets shop/checkout): no such key; it is empty"
    )


def test_files_keep_path_mode_and_bytes_and_nothing_prints_them():
    """What comes out can be logged by accident without harm."""
    containers = (
        ContainerPlan(name="app", files=(FileItem(path="a/b", value=0, mode=0o440),)),
        ContainerPlan(name="web", env=(EnvItem(name="X", value=0),)),
    )
    p = plan(value(Pick(read=0)), containers=containers)

    found = render(p, {DB: Secret(b"canary"), MAIL: MISSING}, today="2026-11-22")

    assert found == (
        Rendered(name="app", env=(), files=(("a/b", b"canary", 0o440),)),
        Rendered(name="web", env=(("X", b"canary"),), files=()),
    )
    assert "canary" not in repr(found)


def test_sizes_are_limited_for_one_value_and_for_all_together():
    """What is too large is refused before anything is written."""
    pick = Pick(read=0)
    (one,) = problems(value(pick, "x"), db=Secret(b"a" * MAX_BYTES))
    (all_,) = problems(*[value(pick)] * 5, db=Secret(b"a" * MAX_BYTES))

    assert (one.code, one.what) == (
        errors.NOT_CARRIABLE,
        f"the value takes {MAX_BYTES + 1} bytes, the limit is {MAX_BYTES}",
    )
    assert (all_.code, all_.what) == (
        errors.VOLUME,
        f"all values together take {5 * MAX_BYTES} bytes, the limit is {MAX_TOTAL_BYTES}",
    )


def test_values_that_double_each_other_stop_early():
    """A short plan cannot ask for more memory than there is."""
    doubling = [value("x" * 1024)]
    doubling += [value(Use(value=i), Use(value=i)) for i in range(40)]

    found = problems(*doubling)

    assert {problem.code for problem in found} <= {errors.NOT_CARRIABLE, errors.VOLUME}


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=4) | st.integers().map(lambda n: Number(str(n))),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=3), JSON, max_size=3) | st.binary(max_size=16),
    st.none()
    | st.text(min_size=1, max_size=4).map(lambda s: "/" + s)
    | st.text(min_size=1, max_size=3),
    st.lists(
        st.sampled_from(
            [f(n) for n in ("base64", "base64decode", "json", "trim", "lines", "yaml")]
            + [f("get", "/a"), f("split", "/"), f("split", ",", "2")]
        )
    ),
)
def test_whatever_the_store_gives_there_are_bytes_or_problems(data, field, filters):
    """No answer of a store raises anything but our own error, and that one says something."""
    pick = Pick(read=0, field=field, filters=tuple(filters))
    outcome = []
    try:
        outcome += rendered(value(pick), db=Secret(data)).values()
    except FetchFailed as failed:
        outcome += [problem.what.encode() for problem in failed.problems]

    assert len(outcome) == 1
    assert isinstance(outcome[0], bytes)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("secret/shop/db.password", "a key is written behind #: secret/shop/db#password"),
        ("secret/shop/db:password", "a key is written behind #: secret/shop/db#password"),
        ("db.password", "a key is written behind #: db#password"),
        ("secret/shop/db", ""),
        ("secret/shop.prod/db", ""),
        ("secret/shop/.env", ""),
        ("secret/shop/db.", ""),
    ],
)
def test_a_key_that_was_written_into_the_path_is_said_where_it_belongs(path, hint):
    """Of a secret that is not there, when all of it is asked for: with a field the path counts."""
    read = Read(store=0, path=path)
    whole, part = value(Pick(read=0)), value(Pick(read=0, field="user"))
    made = replace(plan(whole, part), reads=(read,))

    with pytest.raises(FetchFailed) as failed:
        render(made, {read: MISSING}, today="2026-11-22")

    hints = {problem.target: problem.hint for problem in failed.value.problems}
    assert hints == ({"V0": hint, "V1": ""} if hint else {"V0, V1": ""})


@pytest.mark.parametrize(
    ("told", "hint"),
    [
        ("", "a key is written behind #: secret/shop/db#password"),
        ("add a line", "a key is written behind #: secret/shop/db#password; else add a line"),
    ],
)
def test_a_key_in_the_path_is_also_said_to_whom_the_store_says_forbidden(told, hint):
    """A store that does not let us in does not say either that there is no such secret."""
    read = Read(store=0, path="secret/shop/db.password")
    made = replace(plan(value(Pick(read=0))), reads=(read,))
    forbidden = Failure(code=errors.FORBIDDEN, what="no policy lets us read this path", hint=told)

    with pytest.raises(FetchFailed) as failed:
        render(made, {read: forbidden}, today="2026-11-22")

    assert [problem.hint for problem in failed.value.problems] == [hint]
