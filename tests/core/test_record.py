"""Records behave as frozen, slotted, keyword-only dataclasses do."""

from __future__ import annotations

import pytest

from injector.core.record import Record, fields, hidden, replace


class Place(Record):
    """A record with a default."""

    name: str
    port: int = 80


class SecretPlace(Place):
    """A record that has more than its base, and does not show it."""

    key: bytes = hidden()


class Other(Record):
    """Another record with the fields of Place."""

    name: str
    port: int = 80


def test_fields_are_given_by_name_and_defaults_fill_in():
    """A record has what it was given and what its class says."""
    assert fields(Place(name="db")) == {"name": "db", "port": 80}
    assert fields(SecretPlace(key=b"k", name="db", port=1)) == {
        "name": "db",
        "port": 1,
        "key": b"k",
    }


@pytest.mark.parametrize(
    ("record", "given", "what"),
    [
        (Place, {}, "Place lacks name"),
        (Place, {"name": "db", "prot": 1}, "Place has no prot"),
        (SecretPlace, {"name": "db"}, "SecretPlace lacks key"),
    ],
)
def test_a_wrong_field_is_refused(record, given, what):
    """What is missing or unknown is named."""
    with pytest.raises(TypeError, match=f"^{what}$"):
        record(**given)


def test_positions_are_refused():
    """Fields have names; their order means nothing."""
    with pytest.raises(TypeError):
        Place("db")


def test_a_record_never_changes():
    """Fields cannot be set, added or deleted."""
    place = Place(name="db")

    for change in (
        lambda: setattr(place, "port", 1),
        lambda: setattr(place, "other", 1),
        lambda: delattr(place, "port"),
    ):
        with pytest.raises(AttributeError):
            change()
    assert not hasattr(place, "__dict__")
    assert fields(place) == {"name": "db", "port": 80}


def test_records_are_equal_and_hashed_by_class_and_content():
    """Equal fields of one class are one key; those of another class are not."""
    assert Place(name="db") == Place(name="db", port=80)
    assert len({Place(name="db"), Place(name="db", port=80), Place(name="db", port=1)}) == 2
    assert Place(name="db") != Other(name="db")
    assert Place(name="db") != SecretPlace(name="db", key=b"")


def test_a_hidden_field_is_not_shown():
    """The representation has every field but the hidden ones."""
    assert repr(SecretPlace(name="db", key=b"s3cret")) == "SecretPlace(name='db', port=80)"


def test_replace_gives_a_changed_copy():
    """The copy is of the same class, and the record stays as it was."""
    place = SecretPlace(name="db", key=b"k")

    assert replace(place, port=1) == SecretPlace(name="db", port=1, key=b"k")
    assert place.port == 80
    with pytest.raises(TypeError, match="has no prot"):
        replace(place, prot=1)
