"""The budget of a decision: counted in steps, refused when exceeded, nothing where no limit is."""

from __future__ import annotations

import pytest

from injector.core import budget, errors
from injector.core.budget import OverBudget


def test_without_a_limit_any_work_is_allowed():
    """In a pod and on a laptop nobody counts."""
    budget.spend(10**12)


def test_the_step_after_the_last_is_refused():
    """As many steps as the limit pass; the next raises SI-122."""
    with budget.limited(3):
        budget.spend()
        budget.spend(2)
        with pytest.raises(OverBudget) as caught:
            budget.spend()
    assert [problem.code for problem in caught.value.problems] == [errors.WORK]


def test_a_limit_inside_a_limit_counts_on_its_own():
    """An object parsed during a decision has a budget of its own."""
    with budget.limited(1):
        with budget.limited(5):
            budget.spend(5)
        budget.spend()


def test_what_is_foreseen_to_exceed_the_limit_is_refused_before_it_is_done():
    """Nothing is spent by looking ahead; what cannot fit exceeds the limit at once."""
    budget.foresee(10**12)  # without a limit
    with budget.limited(5) as meter:
        budget.foresee(5)
        assert meter.left == 5
        with pytest.raises(OverBudget):
            budget.foresee(6)
        assert meter.is_exceeded


def test_a_limit_stays_exceeded_whoever_caught_the_error():
    """A loop that takes every refusal for one more problem does not go on for ever."""
    with budget.limited(2) as meter:
        budget.spend(2)
        assert not meter.is_exceeded
        for _ in range(2):
            with pytest.raises(OverBudget):
                budget.spend()
        assert meter.is_exceeded
