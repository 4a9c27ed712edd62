"""JSON that is refused says in which line and column, and nothing of its content."""

import pytest

from injector.core import secret

SYNTAX = "it is not JSON in UTF-8: "
TWICE = "it has a key twice: "


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"plain", f"{SYNTAX}line 1, column 1: a value is missing"),
        (b"", f"{SYNTAX}line 1, column 1: a value is missing"),
        (
            b'{\n  "a": "CANARY"\n  "b": 2\n}',
            f"{SYNTAX}line 3, column 3: a comma or the closing bracket is missing",
        ),
        (
            b'{"a": 1,\n}',
            f"{SYNTAX}line 2, column 1: a key in double quotes is missing",
        ),
        (b'{"a" 1}', f"{SYNTAX}line 1, column 6: a colon is missing behind the key"),
        (b'{"a": 1}\n{"b": 2}', f"{SYNTAX}line 2, column 1: something stands behind the end"),
        (
            b'{"a":\n "CANARY',
            f"{SYNTAX}line 2, column 2: the text that begins here is never closed",
        ),
        (
            b'{"a": "x\ny"}',
            f"{SYNTAX}line 1, column 9: a line break or control character stands in a text",
        ),
        (b'{"a": "\\x"}', f"{SYNTAX}line 1, column 8: a backslash begins no escape"),
        ("\ufeff{}".encode(), f"{SYNTAX}line 1, column 1: it begins with a byte order mark"),
        ("{}".encode("utf-16"), f"{SYNTAX}it is UTF-16; save it as UTF-8"),
        (b'{"\xc3\xa4":\n "\xc3\xa4\xff"}', f"{SYNTAX}line 2, column 4: a byte is no UTF-8"),
        (b'{"a": {"b": 1,\n "c": 2, "b": 3}}', f"{TWICE}line 2, column 10"),
        (b'{"a": 1, "b": {"a": 1},\n "\\u0061": 2}', f"{TWICE}line 2, column 2"),
        (
            b'{"a": "NaN",\n "b": [1, -Infinity]}',
            "it holds -Infinity, which is no JSON: line 2, column 11",
        ),
        (b"[" * 100_000, "it is nested more than 32 deep"),
    ],
)
def test_each_way_to_be_no_json_has_its_place(data, message):
    """Lines and columns count from 1, columns in characters."""
    with pytest.raises(secret.NotJson) as caught:
        secret.parse_json(data)

    assert str(caught.value) == message
