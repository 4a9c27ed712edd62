"""What every store does alike: the contract of `injector.providers`, through the real `fetch`."""

import pytest

from injector.core import errors
from injector.core.errors import FetchFailed
from injector.core.pick import NotPicked, pick
from injector.core.secret import MAX_BYTES, Failure
from tests.providers.rigs import revealed

DATA = {"user": "shop", "password": 'p"ä\n$(X)#{y} \\'}


def test_a_secret_is_read_with_all_its_fields(rig):
    """Values come as they are, whatever characters they have."""
    rig.put("plain", DATA)

    (answer,) = rig.read("plain")

    assert revealed(answer) == DATA
    assert pick(answer, "password").data == DATA["password"].encode()
    assert pick(answer, "/user").data == b"shop"


def test_every_key_of_a_secret_becomes_a_variable(rig):
    """Whatever the store, its keys come with their values; those of another secret do not."""
    rig.put("plain", DATA)
    rig.put("other", {"token": "t"})

    found = rig.variables("plain", prefix="DB_", rename=(("user", "LOGIN"),))

    assert found == {"DB_LOGIN": b"shop", "DB_password": DATA["password"].encode()}


def test_an_empty_value_is_a_value(rig):
    """Empty and missing are two things."""
    rig.put("plain", {"user": ""})

    (answer,) = rig.read("plain")

    assert pick(answer, "user").data == b""


def test_every_name_reaches_the_store_as_the_plan_has_it(rig):
    """No name is cleaned up, encoded twice or cut off."""
    for name in rig.names:
        rig.put(name, {"name": name})

    answers = rig.read(*rig.names)

    assert [revealed(answer) for answer in answers] == [{"name": name} for name in rig.names]


@pytest.mark.parametrize("count", [1, 21, 41])
def test_many_reads_are_answered_each_with_its_own_secret(rig, count):
    """Batches and concurrent reads mix nothing up."""
    names = [f"secret-{i}" for i in range(count)]
    for name in names:
        rig.put(name, {"name": name})

    answers = rig.read(*names)

    assert [revealed(answer) for answer in answers] == [{"name": name} for name in names]


def text_of(size):
    """A text of so many bytes that does not compress, with quotes, backslashes and tags in it."""
    return "".join(chr(33 + i * 7919 % 90) for i in range(size))


def test_a_large_value_arrives_whole(rig):
    """1 MiB to the byte, or as much as the store itself takes."""
    text = text_of(rig.largest)
    rig.put("plain", {"text": text})

    (answer,) = rig.read("plain")

    assert pick(answer, "text").data == text.encode()


def test_a_value_of_one_byte_more_than_one_mib_is_refused_and_costs_no_other(rig):
    """Wherever it stands; what stands beside it in the same document is still read."""
    rig.put("plain", {"text": text_of(MAX_BYTES + 1), "user": "shop"})

    (answer,) = rig.read("plain")

    for field in ("text", "/text", None):
        with pytest.raises(NotPicked) as refused:
            pick(answer, field)
        assert (refused.value.code, refused.value.what) == (
            errors.BODY,
            "the value is larger than 1 MiB",
        )
    assert pick(answer, "user").data == b"shop"


def test_a_missing_secret_is_told_apart_from_its_neighbours(rig):
    """One missing secret costs no other read its answer."""
    rig.put("plain", DATA)

    missing, there = rig.read("nothing-here", "plain")

    assert isinstance(missing, Failure)
    assert missing.code is errors.MISSING
    assert revealed(there) == DATA


@pytest.mark.parametrize(
    ("field", "what", "hint"),
    [
        ("pasword", "no such key; keys there: password, user", 'did you mean "password"?'),
        ("/pasword", "no such key; keys there: password, user", 'did you mean "password"?'),
        ("/user/0", 'nothing is below "0": its parent is no mapping', ""),
    ],
)
def test_a_missing_field_or_pointer_is_told_with_what_is_there(rig, field, what, hint):
    """Keys are named, values never."""
    rig.put("plain", DATA)

    with pytest.raises(FetchFailed) as failed:
        rig.value("plain", field)

    (problem,) = failed.value.problems
    assert (problem.code, problem.what, problem.hint) == (errors.MISSING, what, hint)


def test_a_default_stands_in_for_a_missing_secret_and_a_missing_field(rig):
    """Neither for a value that is there, be it empty."""
    rig.put("plain", {"user": ""})

    assert rig.value("nothing-here", "user", default="nobody") == b"nobody"
    assert rig.value("plain", "pasword", default="nothing") == b"nothing"
    assert rig.value("plain", "user", default="nobody") == b""


def test_a_version_is_pinned(rig):
    """An older version is read by its number, the newest without one; an unknown one is missing."""
    if not rig.has_versions:
        (answer,) = rig.read(("plain", "1"))
        assert (type(answer), answer.code) == (Failure, errors.REFERENCE)
        return
    rig.put("plain", {"n": "one"})
    rig.put("plain", {"n": "two"})

    one, two, seven = (rig.version("plain", number) for number in (1, 2, 7))
    first, newest, unknown = rig.read(("plain", one), "plain", ("plain", seven))

    assert (revealed(first), first.version) == ({"n": "one"}, one)
    assert (revealed(newest), newest.version) == ({"n": "two"}, two)
    assert unknown.code is errors.MISSING


def test_a_binary_value_arrives_byte_for_byte(rig):
    """Where a store can hold bytes that are no text, they come as they are."""
    if not rig.has_binary:
        rig.put("plain", {"text": "a\x00b"})
        assert revealed(rig.read("plain")[0]) == {"text": "a\x00b"}
        return
    rig.put("plain", {"der": bytes(range(256)), "text": "a"})

    (answer,) = rig.read("plain")

    assert revealed(answer) == {"der": bytes(range(256)), "text": "a"}


def test_the_previous_version_is_read_by_the_name_that_its_store_has_for_it(rig):
    """A label where the store moves one along, else the number or id before the newest."""
    rig.put("plain", {"n": "one"})
    if not rig.has_versions:
        assert rig.read(("plain", "previous"))[0].code is errors.REFERENCE
        return
    rig.put("plain", {"n": "two"})

    (answer,) = rig.read(("plain", rig.previous("plain")))

    assert (revealed(answer), answer.version) == ({"n": "one"}, rig.version("plain", 1))


@pytest.mark.parametrize("path", ["a/../b", "a//b", "a/./b", "a%2Fb", "a?b", "a#b", "a\nb"])
def test_a_hostile_path_never_reaches_the_store(rig, path):
    """A plan that somebody wrote by hand is refused before anything is sent."""
    (answer,) = rig.read(path)

    assert isinstance(answer, Failure)
    if rig.name == "vault" and path in ("a?b", "a#b"):  # names that Vault has: asked for exactly
        assert answer.code is errors.MISSING
        return
    assert answer.code is errors.REFERENCE
    assert rig.proxy is None or rig.proxy.seen == []


def test_nothing_of_a_session_prints_its_secrets(rig):
    """Answers and facts may be logged by accident without harm."""
    rig.put("plain", {"user": "CANARY-VALUE"})

    rig.read("plain")

    assert "CANARY" not in repr(rig.fetched)
    assert "CANARY" not in str(rig.fetched)


def test_two_references_to_one_secret_are_one_read(rig):
    """A dynamic username and its password come from the same lease."""
    rig.put("plain", DATA)

    first, second = rig.read("plain", "plain")

    assert first is second
    assert rig.fetched.stores[0].reads == 1
