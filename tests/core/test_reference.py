"""Paths are canonical as written or refused; nothing is cleaned up: what is checked is read."""

import posixpath
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import reference


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "a//b",
        "a/",
        "//a",
        "/a/",
        ".",
        "..",
        "./a",
        "a/.",
        "a/./b",
        "a/../b",
        "../a",
        "a/..",
        "/..",
        "a%2e%2e/b",
        "a%2Fb",
        "%",
        "a?b",
        "a?list=true",
        "a#b",
        "a;b",
        "a;jsessionid=1/b",
        "a\\b",
        "..\\b",
        "a\x00b",
        "a\nb",
        "a\r\nHost: evil",
        "a\tb",
        "a\x7fb",
        " a",
        "a ",
        "a\u2028b",
        "a\u200bb",
        "a\u202eb",
        "\ud800",
        "x" * 1025,
    ],
)
def test_a_path_that_two_readers_could_read_differently_is_refused(path):
    """Empty and dot segments, escapes, queries, fragments, parameters and unprintables."""
    assert reference.path_problem(path) is not None


@pytest.mark.parametrize(
    "path", ["a", "a/b", "/a/b", "a.b/..c", "a/...", "a b/c", "é/ß", "a@b|{c}"]
)
def test_a_canonical_path_is_taken_as_it_is(path):
    """A single leading slash, inner blanks and dots within names are fine."""
    assert reference.path_problem(path) is None


@given(st.text(st.sampled_from("ab./%2eF#?;\\@ é"), max_size=16))
def test_a_path_that_is_taken_survives_url_and_path_cleaning(path):
    """What a server makes of the quoted path is the path itself."""
    if reference.path_problem(path) is not None:
        return

    url = urlsplit("https://store.example/v1/" + quote(path.removeprefix("/"), safe="/"))

    assert (url.query, url.fragment) == ("", "")
    assert unquote(url.path) == posixpath.normpath(unquote(url.path))
    assert unquote(url.path) == "/v1/" + path.removeprefix("/")
