"""Whose turn it is: work waits in a queue per owner, and who has cost least so far comes first.

It is start-time fair queueing. Work starts at its owner's finish, or now if that is past; the least
start is taken, and what the work cost moves the owner's finish. So an owner that was idle has saved
up nothing, one that sends without end waits for everybody else, and one whose queue is always empty
when it asks again still pays for what it had.

An owner is a namespace; a cost is in any unit, as long as it is one.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Generic, TypeVar

Work = TypeVar("Work")

MAX_REMEMBERED = 4096
"""So many owners' finishes are remembered; then those that are past are forgotten, or all."""


class Full(Exception):
    """So much of this owner waits already that no more is taken."""


class Turns(Generic[Work]):
    """Work that waits for its turn, at most `most` pieces of one owner."""

    def __init__(self, *, most: int) -> None:
        """Begin with nothing."""
        self._most = most
        self._waiting: dict[str, deque[Work]] = {}
        self._starts: list[tuple[float, int, str]] = []
        self._finish: dict[str, float] = {}
        self._now = 0.0
        self._number = 0
        self._count = 0

    def __len__(self) -> int:
        """Return how much waits."""
        return self._count

    def put(self, owner: str, work: Work, *, most: int | None = None) -> None:
        """Let work wait; raises Full when the owner has `most` waiting, by default as many as any.

        Work that is not urgent is put with a smaller number, and so leaves room for what is.
        """
        queue = self._waiting.get(owner)
        if queue is None:
            queue = self._waiting[owner] = deque()
            self._line_up(owner)
        elif len(queue) >= (self._most if most is None else most):
            raise Full
        queue.append(work)
        self._count += 1

    def take(self) -> tuple[str, Work] | None:
        """Return an owner and the first of its work, None when nothing waits.

        Whoever takes calls `charge` with what the work cost, which may be said in parts.
        """
        while self._starts:
            start, _, owner = heapq.heappop(self._starts)
            if self._finish.get(owner, 0.0) > start:  # charged since it lined up
                self._line_up(owner)
                continue
            self._now = max(self._now, start)
            queue = self._waiting[owner]
            work = queue.popleft()
            self._count -= 1
            if queue:
                self._line_up(owner)
            else:
                del self._waiting[owner]
            return owner, work
        return None

    def charge(self, owner: str, cost: float) -> None:
        """Count what work of the owner cost."""
        self._finish[owner] = max(self._now, self._finish.get(owner, 0.0)) + cost
        if len(self._finish) > MAX_REMEMBERED:
            self._finish = {o: at for o, at in self._finish.items() if at > self._now}
            if len(self._finish) > MAX_REMEMBERED // 2:
                self._finish.clear()

    def _line_up(self, owner: str) -> None:
        self._number += 1
        start = max(self._now, self._finish.get(owner, 0.0))
        heapq.heappush(self._starts, (start, self._number, owner))
