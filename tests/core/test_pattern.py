"""Patterns mean what `re.search` says, and no pattern or value makes them slow."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core.pattern import MAX_VALUE, Pattern, PatternError

ATOMS = st.sampled_from(["a", "b", "-", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\W", r"\.", "[]a]"])


def _more(inner):
    quantified = st.builds(
        lambda node, quantifier: f"(?:{node}){quantifier}",
        inner,
        st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,3}", "*?", ""]),
    )
    return (
        quantified
        | st.builds(lambda a, b: a + b, inner, inner)
        | st.builds(lambda a, b: f"({a}|{b})", inner, inner)
    )


PATTERNS = st.recursive(ATOMS, _more, max_leaves=8)


@given(PATTERNS, st.text("abc-.1\n", max_size=8))
def test_a_pattern_fits_where_re_search_finds_it(text, value):
    """The two agree on every pattern of the common language, tied to the ends or not."""
    tied = f"^({text})$"

    assert Pattern(text).matches(value) == (re.search(text, value) is not None)
    # In Python $ also stands before a last line break; here it is the end.
    assert Pattern(tied).matches(value) == (re.fullmatch(text, value) is not None)


@pytest.mark.parametrize(
    ("text", "fits", "fails"),
    [
        ("^https://.*$", "https://x", "http://x"),
        ("^https://", "https://x\ny", "see https://x"),
        ("^https://[^@/]+(:[0-9]{1,5})?/", "https://h:80/", "https://u@h/"),
        (r"^[\w.+-]+@[\w-]+\.[a-z]{2,}$", "a.b+c@d-e.org", "a@b"),
        ("^(a|b|)$", "", "ab"),
        ("a|b", "xbx", "xyz"),
        (r"^[\]\\-]+$", "]\\-", "a"),
        ("é+", "éé", "e"),
    ],
)
def test_common_patterns_do_what_their_authors_expect(text, fits, fails):
    """One value that fits and one that does not, for forms seen in practice."""
    pattern = Pattern(text)

    assert (pattern.matches(fits), pattern.matches(fails)) == (True, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("^a|b", "alternatives beside ^ or $ need brackets: ^(a|b)$ at column 1"),
        ("(a", 'a "(" without its ")" at column 1'),
        ("ab)", 'a ")" without its "(" at column 3'),
        ("[a", 'a "[" without its "]" at column 1'),
        ("*a", "nothing to repeat at column 1"),
        ("a**", "a repetition of a repetition; use ( ) at column 3"),
        ("a$b", r"$ is for the pattern's ends; write \$ at column 2"),
        ("(?=a)", "only ( ) and (?: ) are groups here at column 1"),
        (r"(a)\1", "no such escape at column 4"),
        ("a{x}", r"write {n}, {n,} or {n,m}, and \{ for a brace at column 2"),
        ("a{3,2}", "repetitions go from 0 to 1000, upwards at column 2"),
        ("[z-a]", "a range in [ ] goes upwards, between characters at column 1"),
        ("((a{1000}){1000}){1000}", "the pattern is too large at column 1"),
        ("((){1000}){1000}", "the pattern is too large at column 1"),
        ("(" * 40 + ")" * 40, "groups are more than 32 deep at column 33"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_column(text, message):
    """Every refusal says what and where."""
    with pytest.raises(PatternError) as refused:
        Pattern(text)

    assert str(refused.value) == message


@pytest.mark.parametrize("text", ["(a*)*b", "(a|a)*b", "(a|aa)+b", "(.*.*.*.*.*.*)b", "(a?){300}b"])
def test_patterns_that_explode_elsewhere_stay_quick(text):
    """Backtracking would need years for these."""
    started = time.process_time()

    assert not Pattern(text).matches("a" * MAX_VALUE)
    assert time.process_time() - started < 5


def test_a_value_above_the_limit_never_matches():
    """The bound on work is a bound on the value."""
    assert Pattern("a*").matches("a" * MAX_VALUE)
    assert not Pattern("a*").matches("a" * (MAX_VALUE + 1))
