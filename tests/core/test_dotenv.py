"""Dotenv files: strict reading, and writing that reads back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import dotenv
from tests.dotenv_text import dotenv_text

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


_DOLLAR = "line {} has a $ that some tools fill in; write single quotes around the value"
_QUOTED_DOLLAR = (
    "line 1 has a $ in double quotes that some tools fill in; write \\$, or single quotes"
)
_BACKSLASHES = (
    "line 1 has two backslashes, or one at the end, in single quotes: some tools drop one; write"
    " double quotes"
)
_TWO = "line 1 sets two variables for a shell, and one for other tools; quote the value"


@given(st.dictionaries(NAMES, TEXTS))
def test_what_is_written_reads_back_as_it_was(values):
    """Quotes, line breaks, dollars and blanks included."""
    assert dotenv.parse(dotenv_text(values).encode()) == values


def test_values_are_text_and_nothing_is_interpolated():
    """A dollar in single quotes is one; comments and blank lines say nothing; export is allowed."""
    text = (
        "# first\n\nA=b c  # comment\nexport B='x\ny'\n"
        'C="a\\n\\t\\"\\\\\\$"\r\nD=\'p$x${A}$(id)`\'\nE=\nF=a#b\n'
    )

    assert dotenv.parse(text.encode()) == {
        "A": "b c",
        "B": "x\ny",
        "C": 'a\n\t"\\$',
        "D": "p$x${A}$(id)`",
        "E": "",
        "F": "a#b",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"A=1\nB = 2", "line 2 is not NAME=value: no blanks may stand around ="),
        (b"A=1\nB 2", "line 2 is not NAME=value"),
        (b"A=1\nA=2", 'line 2 sets "A" again'),
        (b"A='x\n", "line 1 opens a single quote that nothing closes"),
        (b'A="x\n', "line 1 opens a double quote that nothing closes"),
        (b'A="\\x"', 'line 1 has an escape other than \\n \\r \\t \\" \\\\ \\$'),
        (
            b"A='x\ny'\nB='x'y",
            "line 3 has something behind its value; quote values with quotes, blanks or #",
        ),
        (
            b"\xef\xbb\xbfA=1",
            "line 1 begins with a byte order mark; save the file without it",
        ),
        (b"A=1\nB=\xff", "line 2 is not UTF-8"),
        ("A=1".encode("utf-16"), "line 1 begins as UTF-16 does; save the file as UTF-8"),
        (
            "A=1".encode("utf-16-le"),
            "line 1 is not NAME=value: it holds NUL bytes, as UTF-16 does; save the file as UTF-8",
        ),
        (b"#\nA=${B}/y", _DOLLAR.format(2)),
        (b"A=$HOME/x", _DOLLAR.format(1)),
        (b"A=p$$word", _DOLLAR.format(1)),
        (b"A=cost$", _DOLLAR.format(1)),
        (b'A="pa$$word"', _QUOTED_DOLLAR),
        (b'A="${B}"', _QUOTED_DOLLAR),
        (b'A="\\$$x"', _QUOTED_DOLLAR),
        (b"export A=1 B=2", _TWO),
        (b"A=1 B=2", _TWO),
        (b"export A=b c", _TWO),
        (
            b"A='C:\\\\x'",
            _BACKSLASHES,
        ),
        (
            b"A=1\rB=2\n",
            "line 1 has a carriage return or NUL within its value; lines end with LF or CRLF",
        ),
    ],
)
def test_what_others_read_in_two_ways_is_refused_with_its_line(text, message):
    """Nothing of a value is in the message."""
    with pytest.raises(dotenv.NotDotenv) as caught:
        dotenv.parse(text)

    assert str(caught.value) == message
