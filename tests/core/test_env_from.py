"""Keys of a secret as variables: who can write it gains no code, and no name that is set."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import env_from, errors
from injector.core.errors import FetchFailed
from injector.core.plan import (
    ContainerPlan,
    EnvFrom,
    EnvItem,
    KeyRule,
    Pick,
    Plan,
    PlanStore,
    PlanValue,
    Read,
    Rule,
)
from injector.core.render import MAX_TOTAL_BYTES, render
from injector.core.secret import Failure, Number, Secret

SHOP = Read(store=0, path="secret/shop")
MINE = Read(store=0, path="secret/mine")
SERVICE, POD = "ServiceSecrets shop/shop", "annotation secret-injector.io/env"
STAR = EnvFrom(value=0, keys=("*",))


def plan_of(*entries, env=(), own=(), rules=(), rule=None):
    """Return a plan: value 0 is the service's secret, 1 the pod's, 2 a text of the service."""
    values = (
        PlanValue(parts=(Pick(read=0),), key="*", origin=SERVICE, rule=rule),
        PlanValue(parts=(Pick(read=1),), key="*", origin=POD),
        PlanValue(parts=("written",), key="A", origin=SERVICE),
    )
    items = tuple(EnvItem(name=name, value=2) for name in env)
    app = ContainerPlan(name="app", env=items, env_from=entries, own=tuple(own))
    return Plan(
        namespace="shop",
        service_account="shop",
        stores=(PlanStore(name="vault", document="{}"),),
        reads=(SHOP, MINE),
        values=values,
        containers=(app,),
        rules=tuple(rules),
    )


def rendered(p, shop, mine=None):
    """Return what the container gets of secrets with these keys."""
    answers = {
        SHOP: shop if isinstance(shop, Failure | Secret) else Secret(shop),
        MINE: Secret(mine or {}),
    }
    (only,) = render(p, answers, today="2026-11-26")
    return only


def variables(*entries, shop, mine=None, **more):
    """Return the variables that the entries give, and what is told: (code, key, name, what)."""
    found = rendered(plan_of(*entries, **more), shop, mine)
    told = [(line.code.id, line.key, line.name, line.what) for line in found.told]
    return {name: data.decode() for name, data in found.env}, told


def problems(*entries, shop, mine=None, **more):
    """Return the lines of the problems with which the fetch fails."""
    with pytest.raises(FetchFailed) as failed:
        rendered(plan_of(*entries, **more), shop, mine)
    return [problem.line() for problem in failed.value.problems]


def test_every_key_becomes_a_variable_with_its_prefix_and_its_new_name():
    """`*` is every key; rename names one of them, and the prefix stands before every name."""
    entry = EnvFrom(value=0, keys=("*",), prefix="DB_", rename=(("login", "USER"),))

    found, told = variables(entry, shop={"login": "shop", "PASSWORD": "x", "port": Number("5432")})

    assert found == {"DB_USER": "shop", "DB_PASSWORD": "x", "DB_port": "5432"}
    assert told == []


@pytest.mark.parametrize(
    ("keys", "taken"),
    [(("DB_*",), {"DB_A", "DB_"}), (("*_A", "X"), {"DB_A", "X"}), ((), set())],
)
def test_patterns_take_the_keys_that_match_and_no_others(keys, taken):
    """A pattern is matched with the secret's own name for the key."""
    shop = dict.fromkeys(["DB_A", "DB_", "X", "A"], "x")

    found, _ = variables(EnvFrom(value=0, keys=keys), shop=shop)

    assert set(found) == taken


def test_what_an_import_does_not_take_does_not_come():
    """Each import on the way has its patterns for the names of variables; all must match."""
    entry = EnvFrom(value=0, keys=("*",), prefix="DB_", only=(("DB_*",), ("*_A", "*_B")))

    found, told = variables(entry, shop=dict.fromkeys(["A", "B", "C"], "x"))

    assert (set(found), told) == ({"DB_A", "DB_B"}, [])


def test_values_are_what_a_reference_to_the_key_would_give():
    """Texts as they are, numbers as written, lists and mappings as compact JSON, also of a text."""
    data = {"T": "a b", "N": Number("1e400"), "YES": True, "L": ["a", {"b": None}], "B": b"\xff"}

    found = rendered(plan_of(STAR), data)
    parsed = rendered(plan_of(STAR), Secret(json.dumps({"A": [1, "x"]}).encode()))

    assert dict(found.env) == {
        "T": b"a b",
        "N": b"1e400",
        "YES": b"true",
        "L": b'["a",{"b":null}]',
        "B": b"\xff",
    }
    assert dict(parsed.env) == {"A": b'[1,"x"]'}


@pytest.mark.parametrize("name", ["LD_PRELOAD", "PATH", "node_options", "APP_JAVA_OPTS"])
def test_a_key_never_decides_which_code_runs(name):
    """Not by pattern, not with a prefix that makes such a name, not by a new name."""
    head, tail = name[:2], name[2:]
    what = "that decides which code a process runs"

    for entry, key in (
        (STAR, name),
        (EnvFrom(value=0, keys=("*",), prefix=head), tail),
        (EnvFrom(value=0, keys=("*",), rename=(("k", name),)), "k"),
    ):
        found, told = variables(entry, shop={key: "evil", "FINE": "x"})
        assert [value for value in found.values() if value == "evil"] == []
        assert told == [("SI-118", key, name, what)]


def test_an_endpoint_comes_with_a_prefix_or_by_a_name_that_somebody_wrote():
    """By pattern alone it does not: who writes the secret would choose whom the process trusts."""
    shop = {"HTTP_PROXY": "http://evil"}
    what = "that decides whom a process talks to or believes"

    by_pattern = variables(STAR, shop=shop)
    renamed = EnvFrom(value=0, keys=("*",), rename=(("HTTP_PROXY", "HTTPS_PROXY"),))
    prefixed = EnvFrom(value=0, keys=("*",), prefix="HTTP_")

    assert by_pattern == ({}, [("SI-118", "HTTP_PROXY", "HTTP_PROXY", what)])
    assert variables(renamed, shop=shop) == ({"HTTPS_PROXY": "http://evil"}, [])
    assert variables(prefixed, shop={"PROXY": "p"}) == ({"HTTP_PROXY": "p"}, [])


def test_a_key_that_is_no_variables_name_is_left_out_and_told():
    """Its neighbours come; where the entry is strict, the fetch fails and names the key."""
    shop = {"a=b": "x", "": "y", "FINE": "z"}
    what = "that is not the name of a variable"
    strict = EnvFrom(value=0, keys=("*",), is_strict=True)

    assert variables(STAR, shop=shop) == (
        {"FINE": "z"},
        [("SI-104", "", "", what), ("SI-104", "a=b", "a=b", what)],
    )
    assert problems(strict, shop={"a=b": "x", "FINE": "z"}) == [
        f"SI-104 vault secret/shop#a=b for a=b ({SERVICE}): {what}"
    ]


def test_a_name_that_anything_stronger_sets_stays_what_it_is_without_a_word():
    """Whether a key of the plan, or the pod itself in its env or an annotation sets it."""
    shop = {"A": "theirs", "HOST": "theirs", "B": "b"}

    found, told = variables(STAR, shop=shop, env=["A"], own=["HOST"])

    assert (found, told) == ({"A": "written", "B": "b"}, [])


def test_of_two_entries_the_later_one_wins():
    """They stand weakest first: the service's, then the pod's."""
    entries = (STAR, EnvFrom(value=1, keys=("*",), is_pods=True))

    found, told = variables(*entries, shop={"A": "a", "B": "b"}, mine={"B": "mine"})

    assert (found, told) == ({"A": "a", "B": "mine"}, [])


def test_a_key_that_has_the_new_name_of_another_gives_way_to_it():
    """Somebody wrote the new name; the key of that name is told."""
    entry = EnvFrom(value=0, keys=("*",), rename=(("OLD", "NEW"),))

    found, told = variables(entry, shop={"OLD": "old", "NEW": "new"})

    assert found == {"NEW": "old"}
    assert told == [("SI-105", "NEW", "NEW", 'the key "OLD" is renamed to that')]


@pytest.mark.parametrize("action", ["Deny", "Warn", "Audit"])
def test_a_policy_denies_keys_by_the_secrets_name_and_by_the_variables(action):
    """With Deny they do not come; with Warn and Audit they do, and are told of."""
    rule = KeyRule(policy="guard", action=action, deny=("root", "DB_ADMIN"))
    entry = EnvFrom(value=0, keys=("*",), prefix="DB_")
    shop = {"root": "r", "ADMIN": "a", "USER": "u"}
    what = "the key is not allowed (policy guard, rule keys)"

    found, told = variables(entry, shop=shop, rules=[rule])

    denied = {} if action == "Deny" else {"DB_root": "r", "DB_ADMIN": "a"}
    assert found == {"DB_USER": "u", **denied}
    assert told == [("SI-121", "ADMIN", "DB_ADMIN", what), ("SI-121", "root", "DB_root", what)]


def test_a_final_key_of_a_service_is_not_replaced_by_a_key_of_the_pods_secret():
    """The weaker entry keeps it, and the pod's key is left out."""
    rule = KeyRule(policy="guard", action="Deny", final=("DB_*",))
    entries = (STAR, EnvFrom(value=1, keys=("*",), is_pods=True))
    what = "a weaker entry has it, and it is final (policy guard, rule final)"

    found, told = variables(
        *entries, shop={"DB_URL": "a", "B": "b"}, mine={"DB_URL": "m", "B": "m"}, rules=[rule]
    )

    assert (found, told) == ({"DB_URL": "a", "B": "m"}, [("SI-121", "DB_URL", "DB_URL", what)])


def test_a_final_key_of_a_service_that_the_pod_sets_itself_fails_the_fetch():
    """At admission nobody knew that the secret has it; a policy that only warns lets it pass."""
    rule = KeyRule(policy="guard", action="Deny", final=("DB_*",))
    warns = KeyRule(policy="guard", action="Warn", final=("DB_*",))
    what = "the key is final and may not be overridden by the pod (policy guard, rule final)"

    lines = problems(STAR, shop={"DB_URL": "a"}, own=["DB_URL"], rules=[rule])
    of_warning = variables(STAR, shop={"DB_URL": "a"}, own=["DB_URL"], rules=[warns])
    pods_own = variables(
        EnvFrom(value=1, keys=("*",), is_pods=True),
        shop={},
        mine={"DB_URL": "a"},
        own=["DB_URL"],
        rules=[rule],
    )

    assert lines == [f"SI-121 vault secret/shop#DB_URL for DB_URL ({SERVICE}): {what}"]
    assert of_warning == ({}, [("SI-121", "DB_URL", "DB_URL", what)])
    assert pods_own == ({}, [])


def test_a_value_that_no_variable_can_carry_is_left_out_and_told():
    """A keystore in the same Secret costs nobody the password; null is no value."""
    shop = {"jks": b"a\x00b", "BIG": "x" * 131_072, "NULL": None, "PASSWORD": "p"}

    found, told = variables(STAR, shop=shop)

    assert found == {"PASSWORD": "p"}
    assert told == [
        ("SI-602", "BIG", "BIG", "the variable takes 131077 bytes, the kernel passes 131072"),
        ("SI-404", "NULL", "NULL", "the key is there and null"),
        ("SI-602", "jks", "jks", "the value holds a NUL byte, which no environment can carry"),
    ]


def test_a_secret_that_is_not_there_fails_unless_the_entry_does_not_require_it():
    """A store that is down fails it in any case."""
    missing = Failure(code=errors.MISSING, what="there is no such secret")
    down = Failure(code=errors.DOWN, what="the store cannot be reached")
    optional = Rule(required=False)

    assert problems(STAR, shop=missing) == [
        f"SI-404 vault secret/shop for * ({SERVICE}): there is no such secret"
    ]
    assert variables(STAR, shop=missing, rule=optional) == ({}, [])
    assert problems(STAR, shop=down, rule=optional) == [
        f"SI-503 vault secret/shop for * ({SERVICE}): the store cannot be reached"
    ]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (
            b"plain text",
            "it has no fields: it is not JSON in UTF-8: line 1, column 1: a value is missing",
        ),
        (b'["a"]', "it has no keys: it is JSON, and no mapping"),
    ],
)
def test_a_secret_without_keys_fails_and_says_so(data, what):
    """Nothing of it is quoted."""
    assert problems(STAR, shop=Secret(data)) == [
        f"SI-415 vault secret/shop for * ({SERVICE}): {what}"
    ]


def test_no_secret_brings_more_variables_than_a_container_may_have():
    """The keys of a secret and the variables of a container are counted before anything is set."""
    many = {f"K{i}": "x" for i in range(env_from.MAX_VARIABLES)}
    too_many = {f"K{i}": "x" for i in range(env_from.MAX_KEYS + 1)}

    assert len(variables(STAR, shop=many)[0]) == env_from.MAX_VARIABLES
    assert problems(STAR, shop=many, env=["A"]) == [
        "SI-117 for all variables: it would get 513 variables, the limit is 512"
    ]
    assert problems(STAR, shop=too_many) == [
        f"SI-117 vault secret/shop for * ({SERVICE}): it has 4097 keys, the limit is 4096"
    ]


def test_all_values_together_count_with_those_of_keys():
    """The limit for a pod's values knows no difference."""
    shop = {f"K{i}": "x" * 100_000 for i in range(MAX_TOTAL_BYTES // 100_000 + 1)}

    (line,) = problems(STAR, shop=shop)

    assert line.startswith("SI-601 all values together take 4200000 bytes")


@given(
    st.dictionaries(st.text(max_size=12) | st.sampled_from(["PATH", "A", "HTTP_PROXY"]), st.text()),
    st.sampled_from(["", "DB_", "LD_", "HTTP_"]),
)
def test_whatever_a_secret_holds_no_written_name_changes_and_no_code_is_set(shop, prefix):
    """Each variable is a legal name that steers no code, and A is what was written."""
    entry = EnvFrom(value=0, keys=("*",), prefix=prefix)

    found, _ = variables(entry, shop={k: v.replace("\0", "") for k, v in shop.items()}, env=["A"])

    assert found.pop("A") == "written"
    assert [name for name in found if env_from.refusal(name, is_written=True)] == []
