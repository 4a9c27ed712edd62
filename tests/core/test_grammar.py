"""Values are read exactly as they are written, and mistakes are shown where they are."""

import pytest
from hypothesis import given

from injector.core import grammar, reference
from injector.core.grammar import GrammarError
from injector.core.reference import (
    EnvironmentKey,
    Expression,
    Filter,
    ServiceAddress,
    ServiceKey,
    SiblingKey,
    StoreRead,
)
from tests import strategies


def _one(ref, *filters):
    return (Expression(reference=ref, filters=filters),)


def _read(parse, text):
    try:
        return parse(text), ()
    except GrammarError as error:
        return None, error.slips


@given(strategies.values())
def test_a_value_written_and_read_is_the_same_value(value):
    """`parse` undoes `format_value`, whatever texts, names and arguments hold."""
    assert grammar.parse(reference.format_value(value)) == value


@given(strategies.any_texts)
def test_any_text_is_a_value_or_a_list_of_mistakes_with_columns_inside_it(text):
    """Nothing but GrammarError comes out, and each column points into the text."""
    value, slips = _read(grammar.parse, text)

    assert (value is None) == bool(slips)
    assert all(1 <= slip.column <= len(text) for slip in slips)
    if value is not None:
        assert grammar.parse(reference.format_value(value)) == value


@given(strategies.any_texts)
def test_any_text_is_a_reference_or_one_mistake(text):
    """`parse_reference` raises nothing else either; its column may be just past the end."""
    found, slips = _read(grammar.parse_reference, text)

    assert all(1 <= slip.column <= len(text) + 1 for slip in slips)
    if found is None:
        assert len(slips) == 1
    else:
        assert grammar.parse_reference(reference.format_reference(found)) == found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ()),
        ("plain $(X) ${Y} {{z}} %s", ("plain $(X) ${Y} {{z}} %s",)),
        ("##{A}", ("#{A}",)),
        ("###{A}", ("#", *_one(SiblingKey(key="A")))),
        ("####{A}", ("##{A}",)),
        ("#", ("#",)),
        ("#{A}", _one(SiblingKey(key="A"))),
        ("#{ A }", _one(SiblingKey(key="A"))),
        ('#{"a.b"}', _one(SiblingKey(key="a.b"))),
        ('#{ "1 %-/" | trim }', _one(SiblingKey(key="1 %-/"), Filter(name="trim"))),
        ('#{"A"}', _one(SiblingKey(key="A"))),
        ('#{$/"a.b"}', _one(EnvironmentKey(key="a.b"))),
        ('#{$svc/"a-b"}', _one(ServiceKey(service="svc", namespace=None, key="a-b"))),
        ("#{$/A}", _one(EnvironmentKey(key="A"))),
        ("#{$svc/A}", _one(ServiceKey(service="svc", namespace=None, key="A"))),
        ("#{$svc.ns/A}", _one(ServiceKey(service="svc", namespace="ns", key="A"))),
        ("#{@db}", _one(ServiceAddress(service="db", namespace=None, port=None))),
        ("#{@db.data:5432}", _one(ServiceAddress(service="db", namespace="data", port=5432))),
        ("#{v:kv/a}", _one(StoreRead(store="v", path="kv/a"))),
        ("#{v:kv/a#b@3}", _one(StoreRead(store="v", path="kv/a", field="b", version="3"))),
        ("#{v:kv/a#/b/0}", _one(StoreRead(store="v", path="kv/a", field="/b/0"))),
        ('#{v:"k v/}a"#"b c"}', _one(StoreRead(store="v", path="k v/}a", field="b c"))),
        (
            '#{A|trim | default("a, \\"}\\\\")}',
            _one(
                SiblingKey(key="A"), Filter(name="trim"), Filter(name="default", args=('a, "}\\',))
            ),
        ),
    ],
)
def test_each_form_reads_as_the_grammar_says(text, value):
    """The table of the reference, form by form."""
    assert grammar.parse(text) == value


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a #{", [3]),
        ("#{}", [3]),
        ("#{a:}", [5]),
        ("#{A B}", [5]),
        ("#{A|nope} #{B|nope}", [5, 15]),
        ("#{v:a//b} and #{v:a/../b}", [5, 19]),
        ('#{v:"a}', [1]),
        ("#{A | default(x)}", [15]),
        ('#{A | trim("x")}', [7]),
        ("#{@db:0}", [7]),
        ("#{$Svc/A}", [4]),
        ("#{a.b}", [3]),
        ("#{$/a.b} #{$s/a-b}", [5, 15]),
        ('#{"a=b"} #{"é"} #{""}', [3, 12, 19]),
        ("#{v:a#/~2}", [7]),
    ],
)
def test_mistakes_are_named_at_their_column_all_of_them(text, columns):
    """One bad expression hides no other."""
    with pytest.raises(GrammarError) as caught:
        grammar.parse(text)

    assert [slip.column for slip in caught.value.slips] == columns


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("#{A|base64encode}", 'did you mean "base64"? filters: '),
        ("#{A|urlencod}", 'did you mean "urlencode"? filters: '),
        ("#{A|base}", 'did you mean "base64"? filters: '),
        ("#{A|sha256sum}", "filters: "),
    ],
)
def test_an_unknown_filter_is_answered_with_the_list_and_the_nearest(text, hint):
    """A filter that the word begins with is nearer than one that shares its end."""
    with pytest.raises(GrammarError) as caught:
        grammar.parse(text)

    [slip] = caught.value.slips
    assert slip.hint == hint + ", ".join(reference.FILTERS)


def test_a_key_with_a_dot_is_told_to_stand_in_quotes():
    """The hint shows it as it is to be written."""
    with pytest.raises(GrammarError) as caught:
        grammar.parse("#{spring.datasource.url}")

    [slip] = caught.value.slips
    assert slip.what == '"spring.datasource.url" is not a key'
    assert slip.hint == (
        'a key like this one stands in quotes: "spring.datasource.url";'
        " a store needs a path: store:path#field"
    )


def test_a_text_of_nothing_but_mistakes_ends_after_a_few():
    """What comes back stays small however long the text is."""
    with pytest.raises(GrammarError) as caught:
        grammar.parse("#{A|defualt}" * 5000)

    assert len(caught.value.slips) == grammar.MAX_SLIPS


@pytest.mark.parametrize("text", ["x" * (grammar.MAX_TEXT + 1), "#{A}" * 65])
def test_texts_beyond_the_limits_are_refused(text):
    """A value holds 65 536 characters and 64 references."""
    with pytest.raises(GrammarError):
        grammar.parse(text)
