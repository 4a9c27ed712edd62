"""New values by rule: the length asked for, the alphabet named, every character as likely."""

import os
import string
import uuid
from base64 import b64decode
from collections import Counter

import pytest

from injector.core import generate


@pytest.mark.parametrize(
    ("rule", "length", "alphabet"),
    [
        ("alnum:32", 32, string.ascii_letters + string.digits),
        ("hex:7", 7, "0123456789abcdef"),
        ("digits:6", 6, string.digits),
    ],
)
def test_a_value_has_its_length_and_alphabet(rule, length, alphabet):
    """Two are not the same."""
    one, two = (generate.generate(rule, random_bytes=os.urandom) for _ in range(2))

    assert (len(one), set(one) <= set(alphabet)) == (length, True)
    assert one != two or length < 7


def test_bytes_and_identifiers_have_their_own_form():
    """Base64 counts bytes; a UUID is a random one (RFC 9562, 5.4)."""
    assert len(b64decode(generate.generate("base64:20", random_bytes=os.urandom))) == 20
    assert uuid.UUID(generate.generate("uuid", random_bytes=os.urandom)).version == 4


def test_no_character_is_favoured():
    """Of all bytes there are, each digit comes from as many; six of them are thrown away."""
    every = bytes(range(256))
    value = generate.generate("digits:250", random_bytes=lambda _: every)

    assert set(Counter(value).values()) == {25}


@pytest.mark.parametrize("rule", ["", "alnum", "alnum:0", "alnum:99999", "uuid:4", "x:3", "hex: 3"])
def test_what_is_no_rule_is_not_taken_for_one(rule):
    """A length is needed, but for a UUID."""
    assert not generate.is_rule(rule)
