"""Decisions in turns: each within a budget, each namespace in its turn, long ones on a thread.

A review that finds nothing waiting is decided at once; one that comes when the loop has decided for
a slice of time waits in its namespace's queue. Both are decided within few steps: enough for nearly
every pod. What needs more is decided again, on a thread that only does that, one after
another and in turns as well, within the whole budget; reviews and probes go on meanwhile. Nothing
is kept of a decision that was broken off but what the snapshot remembers, so twice is as once.

    the queue of the namespace is full     TooMany, at once
    its time is over before its turn       TooLate, when the turn comes
    the whole budget is exceeded           OverBudget
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any

from injector.core import budget
from injector.core.budget import OverBudget
from webhook.core.turns import Full, Turns

QUICK_STEPS = 2_000
"""Steps on the serving thread: a few milliseconds."""
DECISION_STEPS = 100_000
"""Steps of one decision, whatever it is about; see ADR 13 for what they cost."""
MINOR_STEPS = 20_000
"""Steps of one decision that nobody depends on: a warning."""
MOST_WAITING = 64
"""Reviews of one namespace that may wait at once."""
MINOR_SHARE = 4
"""One place in so many is for reviews that nobody depends on: the rest is kept for pods."""
SLICE_S = 0.002
"""Reviews are decided for so long before the network gets its turn."""


class TooMany(Exception):
    """So many reviews of the namespace wait already that this one is not taken."""


class TooLate(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Job:
    """A review that waits; `work` decides, `is_over` says whether nobody waits any more."""

    namespace: str
    work: Callable[[], Any]
    is_over: Callable[[], bool]
    answer: asyncio.Future[Any]
    is_minor: bool = False


class Deciding:
    """Makes decisions in turns. To be used from one loop."""

    def __init__(
        self,
        *,
        quick_steps: int = QUICK_STEPS,
        decision_steps: int = DECISION_STEPS,
        minor_steps: int = MINOR_STEPS,
        most_waiting: int = MOST_WAITING,
        at_once_s: float = SLICE_S,
    ) -> None:
        self._quick_steps, self._decision_steps = quick_steps, decision_steps
        self._minor_steps, self._most_minor = minor_steps, max(1, most_waiting // MINOR_SHARE)
        self._at_once_s, self._spent_s = at_once_s, 0.0
        self._quick = Turns[_Job](most=most_waiting)
        self._long = Turns[_Job](most=most_waiting)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="long decisions")
        self._is_serving = self._is_long_busy = False

    @property
    def waiting(self) -> int:
        """How many reviews wait for their turn."""
        return len(self._quick) + len(self._long)

    async def decide(
        self,
        namespace: str,
        work: Callable[[], Any],
        *,
        is_over: Callable[[], bool] = lambda: False,
        is_long: bool = False,
        is_minor: bool = False,
    ) -> Any:
        """Return what the work returns, in the namespace's turn and within the budget.

        The work may be called twice and on another thread; `is_long` says that it will be long,
        `is_minor` that nobody depends on it: it gets fewer steps and fewer places to wait.
        Raises TooMany, TooLate, OverBudget, and what the work raises.
        """
        if (
            not (is_long or self._is_serving or len(self._quick))
            and self._spent_s < self._at_once_s
        ):
            try:
                return self._at_once(namespace, work)
            except OverBudget:
                is_long = True
        answer = asyncio.get_running_loop().create_future()
        job = _Job(
            namespace=namespace, work=work, is_over=is_over, answer=answer, is_minor=is_minor
        )
        try:
            self._put(self._long if is_long else self._quick, job)
        except Full:
            raise TooMany from None
        self._go_on()
        try:
            return await answer
        finally:
            # An error that is raised here refers to this frame, and the frame would to it.
            del answer, job

    def charge(self, namespace: str, cost_s: float) -> None:
        """Count processor time that was spent for a namespace."""
        self._quick.charge(namespace, cost_s)
        self._long.charge(namespace, cost_s)

    async def between(self, work: Callable[[], Any]) -> Any:
        """Return what the work returns, called while no long decision is under way."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """End the thread; what is under way there comes to its end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _put(self, turns: Turns[_Job], job: _Job) -> None:
        turns.put(job.namespace, job, most=self._most_minor if job.is_minor else None)

    def _at_once(self, namespace: str, work: Callable[[], Any]) -> Any:
        """Return what the work returns; a turn of the loop has a slice of time for such work."""
        if not self._spent_s:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        began_s = perf_counter()
        try:
            return _within(self._quick_steps, work)
        finally:
            took_s = perf_counter() - began_s
            self._spent_s += took_s
            self.charge(namespace, took_s)

    def _begin_turn(self) -> None:
        self._spent_s = 0.0

    def _go_on(self) -> None:
        """See to it that what waits is worked on."""
        if not self._is_serving and len(self._quick):
            self._is_serving = True
            asyncio.get_running_loop().call_soon(self._serve)
        if not self._is_long_busy:
            self._begin_long()

    def _serve(self) -> None:
        """Decide what waits, for a slice of time; what comes in meanwhile takes part then."""
        self._is_serving = False
        began_s = now_s = perf_counter()
        while now_s - began_s < SLICE_S:
            job = _next(self._quick)
            if job is None:
                break
            self._decide_quickly(job)
            before_s, now_s = now_s, perf_counter()
            self.charge(job.namespace, now_s - before_s)
        self._go_on()

    def _decide_quickly(self, job: _Job) -> None:
        try:
            result = _within(self._quick_steps, job.work)
        except OverBudget:
            try:
                self._put(self._long, job)
            except Full:
                job.answer.set_exception(TooMany())
        except Exception as fault:  # noqa: BLE001  # it is whoever waits that must know
            job.answer.set_exception(fault)
        else:
            job.answer.set_result(result)

    def _begin_long(self) -> None:
        job = _next(self._long)
        if job is None:
            return
        self._is_long_busy = True
        loop = asyncio.get_running_loop()
        under_way = loop.run_in_executor(self._thread, self._decide_long, job)
        under_way.add_done_callback(lambda done: self._end_long(job, done))

    def _decide_long(self, job: _Job) -> tuple[Any, Exception | None, float]:
        """Decide on the thread; return the result or what was raised, and the time it took."""
        began_s = thread_time()
        steps = self._minor_steps if job.is_minor else self._decision_steps
        try:
            result = _within(steps, job.work)
        except Exception as fault:  # noqa: BLE001  # it is whoever waits that must know
            return None, fault, thread_time() - began_s
        return result, None, thread_time() - began_s

    def _end_long(
        self, job: _Job, done: asyncio.Future[tuple[Any, Exception | None, float]]
    ) -> None:
        self._is_long_busy = False
        if done.cancelled():
            job.answer.cancel()
            return
        result, fault, took_s = done.result()
        self.charge(job.namespace, took_s)
        if not job.answer.done():
            if fault is None:
                job.answer.set_result(result)
            else:
                job.answer.set_exception(fault)
        self._go_on()


def _next(turns: Turns[_Job]) -> _Job | None:
    """Return the next whose answer somebody waits for; tell the others that they are too late."""
    while (found := turns.take()) is not None:
        _, job = found
        if job.answer.done():  # whoever waited was cancelled
            continue
        if not job.is_over():
            return job
        job.answer.set_exception(TooLate())
    return None


def _within(steps: int, work: Callable[[], Any]) -> Any:
    """Return what the work returns; raises OverBudget, also when the work has caught it.

    The error does not refer to the work's frames: they hold all that was decided until then.
    """
    result: Any = None
    with budget.limited(steps) as meter:
        try:
            result = work()
        except OverBudget:
            meter.left = -1
    if meter.is_exceeded:
        raise budget.over()
    return result
