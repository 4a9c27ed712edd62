"""Dotenv files: strict reading, and writing that reads back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import dotenv
from tests.dotenv_text import dotenv_text

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(NAMES, TEXTS))
def test_what_is_written_reads_back_as_it_was(values):
    """Quotes, line breaks, dollars and blanks included."""
    assert dotenv.parse(dotenv_text(values).encode()) == values


def test_values_are_text_and_nothing_is_interpolated():
    """A dollar is a dollar; comments and blank lines say nothing; export is allowed."""
    text = (
        "# first\n\nA=b c  # comment\nexport B='x\ny'\n"
        'C="a\\n\\t\\"\\\\\\$"\r\nD=p$x${A}$(id)\nE=\nF=a#b\n'
    )

    assert dotenv.parse(text.encode()) == {
        "A": "b c",
        "B": "x\ny",
        "C": 'a\n\t"\\$',
        "D": "p$x${A}$(id)",
        "E": "",
        "F": "a#b",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"A=1\nB = 2", "line 2 is not NAME=value"),
        (b"A=1\nA=2", 'line 2 sets "A" again'),
        (b"A='x\n", "line 1 opens a single quote that nothing closes"),
        (b'A="x\n', "line 1 opens a double quote that nothing closes"),
        (b'A="\\x"', 'line 1 has an escape other than \\n \\r \\t \\" \\\\ \\$'),
        (
            b"A='x\ny'\nB='x'y",
            "line 3 has something behind its value; quote values with quotes, blanks or #",
        ),
        (b"\xef\xbb\xbfA=1", "line 1 begins with a byte order mark"),
        (b"A=\xff", "it is not UTF-8"),
    ],
)
def test_what_others_read_in_two_ways_is_refused_with_its_line(text, message):
    """Nothing of a value is in the message."""
    with pytest.raises(dotenv.NotDotenv) as caught:
        dotenv.parse(text)

    assert str(caught.value) == message
