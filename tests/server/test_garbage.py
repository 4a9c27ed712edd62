"""Reference cycles are looked for between long decisions, and decisions leave none behind."""

import asyncio
import gc
import threading
import weakref

import pytest

from injector.core import budget
from injector.core.budget import OverBudget
from tests.server.apiserver import until
from webhook import garbage
from webhook.deciding import Deciding


class Node:
    """Something that can refer to itself."""


def cycle():
    """Return a weak reference to an object that only refers to itself."""
    node = Node()
    node.itself = node
    return weakref.ref(node)


@pytest.fixture
def no_collector():
    """Keep the collector from helping out."""
    with garbage.in_rounds():
        yield


def test_inside_the_collector_does_not_start_by_itself_and_outside_it_does():
    """Whoever uses the code as a library keeps Python's own way."""
    assert gc.isenabled()
    with garbage.in_rounds():
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.parametrize("all_every", [1, 10**9])
async def test_a_cycle_is_gone_after_a_round(no_collector, all_every):
    """Young objects are looked at in each round, all of them in each so manyth."""
    deciding = Deciding()
    rounds = asyncio.create_task(garbage.run(deciding.between, every_s=0.001, all_every=all_every))
    left = cycle()

    await until(lambda: left() is None)

    rounds.cancel()
    deciding.close()


async def test_a_round_waits_until_a_long_decision_has_ended(no_collector):
    """All that a decision holds would have to be looked at, while everybody waits."""
    go, begun, order = threading.Event(), threading.Event(), []

    def long():
        begun.set()
        assert go.wait(20)
        order.append("decided")

    deciding = Deciding()
    decision = asyncio.create_task(deciding.decide("shop", long, is_long=True))
    await until(begun.is_set)
    collecting = asyncio.create_task(deciding.between(lambda: order.append("collected")))
    await deciding.decide("shop", lambda: order.append("another"))
    go.set()
    await asyncio.gather(decision, collecting)

    assert order == ["another", "decided", "collected"]
    deciding.close()


@pytest.mark.parametrize("is_long", [False, True])
async def test_what_a_decision_held_is_freed_without_the_collector(no_collector, is_long):
    """Broken off or failed, it leaves no cycle: megabytes would wait for the next round."""
    held = []

    def exceeding():
        node = Node()
        held.append(weakref.ref(node))
        budget.spend(10**9)

    deciding = Deciding()
    with pytest.raises(OverBudget):
        await deciding.decide("shop", exceeding, is_long=is_long)

    assert held
    assert [reference() for reference in held] == [None] * len(held)
    deciding.close()
