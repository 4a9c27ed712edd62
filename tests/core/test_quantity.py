"""Quantities: texts that Kubernetes takes for equal are equal, and come out as it writes them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.core import quantity


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0", Fraction(0)),
        ("0.1", Fraction(1, 10)),
        ("100m", Fraction(1, 10)),
        ("1e-1", Fraction(1, 10)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("1e3", Fraction(1000)),
        ("1E3", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("1k", Fraction(1000)),
        ("1Ki", Fraction(1024)),
        ("1.5Gi", Fraction(3 * 2**29)),
        ("-3", Fraction(-3)),
        ("+3M", Fraction(3_000_000)),
        ("5n", Fraction(5, 10**9)),
        ("128974848000m", Fraction(128974848)),
        (2, Fraction(2)),
    ],
)
def test_every_form_of_kubernetes_is_read(text, units):
    """Decimal and binary suffixes, exponents, signs and bare numbers are read exactly."""
    assert quantity.parse(text) == units * 10**9


@pytest.mark.parametrize(
    "text", ["", ".", "1KI", "1ki", "e3", "1 Gi", "1e", "0x1", "1" * 65, "\u0661"]
)
def test_what_is_not_a_quantity_is_none(text):
    """A text that the API server refuses is not guessed at."""
    assert quantity.parse(text) is None


@pytest.mark.parametrize(
    ("text", "is_binary", "canonical"),
    [
        ("0.1", False, "100m"),
        ("1000m", False, "1"),
        ("2000", False, "2k"),
        ("0.00001", False, "10u"),
        ("0.25Gi", True, "256Mi"),
        ("1024Mi", True, "1Gi"),
        ("1000", True, "1000"),
        ("0", True, "0"),
    ],
)
def test_the_text_is_what_the_api_server_stores(text, is_binary, canonical):
    """The canonical form is written, so a stored pod holds the same text."""
    assert quantity.text_of(quantity.parse(text), is_binary=is_binary) == canonical


@given(st.integers(0, 2**62), st.booleans())
def test_a_written_quantity_is_read_as_itself(value, is_binary):
    """No figure is lost on the way to text and back, bytes being whole."""
    nano = value * quantity.UNIT if is_binary else value
    assert quantity.parse(quantity.text_of(nano, is_binary=is_binary)) == nano
