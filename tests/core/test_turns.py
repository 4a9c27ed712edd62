"""Turns: who has cost least so far comes first, and what one owner may have waiting is bounded."""

import pytest

from webhook.core.turns import Full, Turns


def order(turns, cost=lambda _owner: 1.0):
    """Take everything, charging each piece of work; return it in the order of its turns."""
    taken = []
    while (found := turns.take()) is not None:
        owner, work = found
        turns.charge(owner, cost(owner))
        taken.append(work)
    return taken


def waiting(**counts):
    """Return turns in which owners have so much waiting, put in one owner after another."""
    turns = Turns(most=1000)
    for owner, count in counts.items():
        for number in range(count):
            turns.put(owner, f"{owner}{number}")
    return turns


def test_owners_take_turns_whatever_the_first_has_waiting():
    """Who came last waits for one piece of work of each other owner, not for all of it."""
    assert order(waiting(a=4, b=2, c=1)) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_turns_are_weighted_by_cost():
    """One whose work costs three times as much gets a third of the turns."""
    taken = order(waiting(dear=3, cheap=9), lambda owner: 3.0 if owner == "dear" else 1.0)

    assert taken == [
        *("dear0", "cheap0", "cheap1", "cheap2"),
        *("dear1", "cheap3", "cheap4", "cheap5"),
        *("dear2", "cheap6", "cheap7", "cheap8"),
    ]


def test_whoever_comes_new_is_served_before_a_flood():
    """A hundred pieces of an owner that was served already do not stand before another's first."""
    turns = waiting(flood=100)
    for _ in range(3):
        turns.take()
        turns.charge("flood", 1.0)
    turns.put("quiet", "quiet0")

    assert turns.take() == ("quiet", "quiet0")


def test_idleness_saves_nothing_up():
    """Who waited long before asking gets its share from then on, and not all of the past's."""
    turns = waiting(busy=200)
    for _ in range(100):
        turns.take()
        turns.charge("busy", 1.0)
    for number in range(3):
        turns.put("idle", f"idle{number}")

    assert order(turns)[:6] == ["idle0", "busy100", "idle1", "busy101", "idle2", "busy102"]


def test_an_empty_queue_forgives_no_cost():
    """Who asks one by one and dearly stands behind who asks one by one and cheaply."""
    turns = Turns(most=10)
    taken = []
    for _ in range(4):
        turns.put("dear", "dear")
        turns.put("cheap", "cheap")
        owner, _ = turns.take()
        taken.append(owner)
        turns.charge(owner, 10.0 if owner == "dear" else 1.0)

    assert taken == ["dear", "cheap", "cheap", "cheap"]


def test_a_full_queue_is_its_owners_alone():
    """The piece after the last is refused; another owner's is taken."""
    turns = Turns(most=2)
    turns.put("a", 1)
    turns.put("a", 2)
    with pytest.raises(Full):
        turns.put("a", 3)
    turns.put("b", 4)

    assert len(turns) == 3
    assert order(turns) == [1, 4, 2]
    assert len(turns) == 0


def test_what_is_remembered_of_owners_is_bounded():
    """Ten thousand owners, each with a debt, leave few traces."""
    turns = Turns(most=1)
    for number in range(10_000):
        turns.put(f"n{number}", number)
        owner, _ = turns.take()
        turns.charge(owner, 1.0)

    assert len(turns._finish) <= 4097
