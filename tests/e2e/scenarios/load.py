"""Creations of annotated pods at a steady rate, each looked at, while something else happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.cluster import Object

_WORKERS = 64

Create = Callable[[int], Object]
"""Creates the pod of a number and returns it as the API server answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """One creation: when it began and how long it took in seconds, and how it ended.

    `error` is empty for a pod that was accepted.
    """

    number: int
    began_s: float
    took_s: float
    error: str
    is_whole: bool


class Load:
    """Creations at *per_s* per second from entering to leaving; `made` has them all afterwards.

    A creation that takes long holds up no other one, as long as a worker is free. *is_whole* says
    of an answer whether it has all that injection adds.
    """

    def __init__(self, create: Create, *, per_s: float, is_whole: Callable[[Object], bool]) -> None:
        self.made: list[Creation] = []
        self._create, self._is_whole = create, is_whole
        self._every_s = 1 / per_s
        self._next = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(_WORKERS)]
        self._began_s = 0.0

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.made.sort(key=lambda creation: creation.number)

    @property
    def elapsed_s(self) -> float:
        """The time since the load began."""
        return time.monotonic() - self._began_s

    def run_for(self, seconds: float) -> None:
        """Let the load go on for so long."""
        until = self.elapsed_s + seconds
        while (left_s := until - self.elapsed_s) > 0:
            self._over.wait(left_s)

    @property
    def failed(self) -> list[Creation]:
        """The creations that were refused."""
        return [creation for creation in self.made if creation.error]

    @property
    def uninjected(self) -> list[Creation]:
        """The creations that were accepted without all that injection adds."""
        return [each for each in self.made if not each.error and not each.is_whole]

    def summary(self) -> str:
        """Return the figures in one line."""
        times = sorted(creation.took_s for creation in self.made)
        return (
            f"{len(self.made)} creations in {self.elapsed_s:.0f} s: {len(self.failed)} failed,"
            f" {len(self.uninjected)} uninjected, median {times[len(times) // 2] * 1000:.0f} ms,"
            f" longest {times[-1] * 1000:.0f} ms"
        )

    def _work(self) -> None:
        while True:
            with self._lock:
                number = self._next
                self._next += 1
            if self._over.wait(max(0.0, number * self._every_s - self.elapsed_s)):
                return
            began_s = self.elapsed_s
            error, is_whole = "", False
            try:
                is_whole = self._is_whole(self._create(number))
            except (ApiError, OSError) as refused:
                error = str(refused) or type(refused).__name__
            took_s = self.elapsed_s - began_s
            made = Creation(
                number=number, began_s=began_s, took_s=took_s, error=error, is_whole=is_whole
            )
            with self._lock:
                self.made.append(made)
