"""A reference that YAML takes for a comment is found where it stands, and no other comment is."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from webhook.core import yamltext
from webhook.core.yaml_comments import Source

LOST = [
    "A: Bearer #{x:y}",
    "A: x\t#{x:y}",
    "A: a#b #{x:y}",
    "A: 'quoted' #{x:y}",
    'A: "quoted"   #{x:y}',
    "A: x ##{literal}",
    "A: x #y#{x:y}",
    "A: | #{x:y}\n  text",
    "A: >-2 #{x:y}\n    text",
    "A: two\n  lines #{x:y}",
    "{A: b #{x:y}\n}",
    "# \u2028\n\n\U0001f511: é \nA: \U0001f511é #{x:y}",
    "B: 1\r\nA: b #{x:y}\r\n",
]
KEPT = [
    "A: b # {x:y}",
    "A: b # was #{x:y}",
    "A: b #comment",
    "A: b#{x:y}",
    'A: "b #{x:y}"',
    "A: 'b #{x:y}'",
    "A: |\n  b #{x:y}",
    "A: b\n#{x:y}",
    "A: b\n  #{x:y}",
    "#{x:y}\nA: b",
    "A: b #{x:y}"[:6],
]


@pytest.mark.parametrize("text", LOST)
def test_a_comment_that_begins_like_a_reference_behind_a_value_is_told_of(text):
    """Whatever the style of the value, and whatever ends the lines."""
    assert yamltext.read(text, most=99).commented == ("A",)


@pytest.mark.parametrize("text", KEPT)
def test_a_comment_that_is_one_is_none_of_our_business(text):
    """Remarks may quote references; a line of its own is no value's."""
    assert yamltext.read(text, most=99).commented == ()


def test_values_within_values_are_told_by_their_path():
    """A mapping's key, a list's number."""
    text = "A:\n  value: b #{x}\n  list:\n  - c\n  - d #{x}\nB: e #{x}"

    assert yamltext.read(text, most=99).commented == ("A.value", "A.list.1", "B")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{A: #{x:y}}", "on line 1 an unquoted # begins a comment: quote the value"),
        (
            "{A: b,\n B: c #{x:y}, C: d}",
            "on line 2 an unquoted # begins a comment: quote the value",
        ),
        ("[b, #{x:y}]", "on line 1 an unquoted # begins a comment: quote the value"),
        ('{A: "b #{x:y}"', "line 2, column 1: did not find expected ',' or '}'"),
    ],
)
def test_a_comment_that_swallows_a_bracket_is_named(text, what):
    """The parser would miss the bracket, at the end of the text."""
    with pytest.raises(yamltext.YamlSlip) as caught:
        yamltext.read(text, most=99)

    assert str(caught.value) == what


WORDS = st.text("ab #{}:'\"\n|-é\u2028", max_size=12)


@given(st.lists(WORDS, max_size=4))
def test_any_text_is_looked_at_without_a_slip(words):
    """The places of the parser are places in the text, whatever the text holds."""
    text = "A: x #{y}\n" + "\n".join(words)

    try:
        found = yamltext.read(text, most=99)
    except yamltext.YamlSlip:
        return
    assert "A" in found.commented


@given(st.lists(st.text("ab#{}:é", min_size=1, max_size=6), min_size=1, max_size=4))
def test_a_value_in_quotes_loses_nothing(words):
    """What a YAML library writes has no such comment."""
    text = yaml.safe_dump({"A": " ".join(words), "B": words}, allow_unicode=True)

    assert yamltext.read(text, most=99).commented == ()


def test_a_text_without_a_suspect_is_not_taken_apart():
    """Most texts: they cost one search."""
    assert not Source('A: "#{x:y}"\nB: "a#{x}"\n# a remark').is_suspect
