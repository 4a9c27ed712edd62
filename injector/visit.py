"""One store's part of a fetch: ask, be patient with what passes, answer for all.

A passing failure is tried again after a random wait (full jitter), or after as long as the store
asked for, until the deadline. A store that is away or sealed is asked without a login whether it is
back; then all who waited for it log in at times of their own. Each failed try is a line of the log.
An expired login is renewed once, or after a long wait again; what is final is final at
once. Where the store is asked, if it is in several places, `sites` decides. Sessions are closed at
the end; a login that must outlast it, its provider hands to `leaving`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from injector.core import errors
from injector.core.plan import Read
from injector.core.record import Record, replace
from injector.core.secret import Failure, Secret, failed_with
from injector.core.stores import Retry, Store
from injector.logs import Log
from injector.providers import Access
from injector.sites import Open, Sites

TRIES = 5
"""Tries where nobody waits for long: on a laptop, and for a certificate that is not trusted."""

PROBE_S = 5.0
"""The pause between questions whether a store that has been away for long is back."""

SPREAD_S = 5.0
"""The longest wait between the return of a store and our login, or as long as it was away."""

SILENT_S = 2.0
"""How long a store may say nothing before the log says so."""

RENEWABLE_AFTER_S = 60.0
"""A login that ends sooner than so long after its renewal is not renewed again."""


class StoreFacts(Record):
    """What one store took, and which of its regions or servers answered: for the log line."""

    name: str
    provider: str
    served_by: str
    reads: int
    tries: int
    logins: int
    open_ms: float
    read_ms: float


class ReadFacts(Record):
    """One read as it is accounted for: what was read, as whom, and what came of it.

    `version` is the one that the store gave, else the one asked for; `code` is empty when there is
    a value, else that of the failure.
    """

    store: str
    provider: str
    served_by: str
    identity: str
    path: str
    version: str
    code: str


def _random() -> float:
    """Return a number from 0 to 1; the module `random` would cost every start for a rare retry."""
    return int.from_bytes(os.urandom(6), "big") / 2**48


class Chance(Record):
    """Clock, sleep and randomness, so that a test can have its own."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = _random


REAL = Chance()


class Visit:
    """One store's part of the work, done by one thread and concluded by another."""

    def __init__(
        self,
        store: Store,
        reads: Sequence[Read],
        access: Access,
        enter: Open,
        chance: Chance,
        log: Log | None = None,
    ) -> None:
        """Take what is to be done; `enter` opens a session, `log` gets a line a failed try."""
        self._store, self._reads, self._access = store, tuple(reads), access
        self._sites = Sites(store, access, enter, chance.clock)
        self._chance = chance
        self._answers: dict[Read, Secret | Failure] = {}
        self._last: Failure | None = None
        self._tries = 0
        self._log, self._is_heard = log, False
        self._away_s: float | None = None
        """When the try began that found the store away; None while it is there."""
        self._lock = threading.Lock()
        self._is_concluded = False

    def run(self) -> None:
        """Try until every read has its answer; whatever happens becomes one."""
        try:
            self._try_all()
        except Exception as error:  # noqa: BLE001 (a fault of ours must not look like a hang)
            what = f"a fault of our own: {type(error).__name__} in provider {self._store.provider}"
            self._settle(dict.fromkeys(self._reads, Failure(code=errors.INTERNAL_ERROR, what=what)))
        finally:
            self._is_heard = True
            self._sites.close()

    def concluded(self) -> Mapping[Read, Secret | Failure]:
        """Return an answer for every read; nothing that comes later counts."""
        with self._lock:
            self._is_concluded = True
            what = "the store gave no answer before the deadline"
            if self._last is not None:
                what = f"the deadline passed, last: {self._last.what}"
            late = Failure(code=errors.DEADLINE, what=what, identity=self._sites.identity)
            return {read: self._answers.get(read, late) for read in self._reads}

    def tell_of_silence(self) -> None:
        """Say in the log that the store has not answered yet, if nothing else was told of it."""
        if self._log is None or self._is_heard or not self._tries or not self._sites.current:
            return
        self._log.warning(
            f"try {self._tries}: no answer from {self._sites.current} yet",
            store=self._store.name,
            timeout_s=self._store.timeout_s,
        )

    def facts(self) -> StoreFacts:
        """Return what it took so far."""
        return StoreFacts(
            name=self._store.name,
            provider=self._store.provider,
            served_by=", ".join(self._sites.answered),
            reads=len(self._reads),
            tries=self._tries,
            logins=self._sites.logins,
            open_ms=round(self._sites.open_s * 1000, 1),
            read_ms=round(self._sites.read_s * 1000, 1),
        )

    def read_facts(self) -> tuple[ReadFacts, ...]:
        """Return what is known of every read so far."""
        with self._lock:
            answers = dict(self._answers)
        return tuple(self._fact(read, answers.get(read)) for read in self._reads)

    def _fact(self, read: Read, answer: Secret | Failure | None) -> ReadFacts:
        site, identity = self._sites.answered_by.get(read, ("", ""))
        if isinstance(answer, Secret):
            version, code = answer.version or read.version, ""
        else:
            version, code = read.version, (answer.code if answer else errors.DEADLINE).id
            identity = identity or (answer.identity if answer else self._sites.identity)
        return ReadFacts(
            store=self._store.name,
            provider=self._store.provider,
            served_by=site,
            identity=identity,
            path=read.path,
            version=version or "",
            code=code,
        )

    def _try_all(self) -> None:
        pending = self._reads
        renewed_s: float | None = None
        attempt = 0
        while pending and not self._is_concluded:
            attempt += 1
            self._tries += 1
            began_s = self._chance.clock()
            answers = self._ask(pending)
            passing = [read for read in pending if _is_passing(answers[read])]
            if self._away_s is None and any(_is_away(answers[read]) for read in passing):
                self._away_s = began_s
            expired = [read for read in pending if failed_with(answers[read], errors.EXPIRED)]
            if expired and self._may_renew(renewed_s):
                renewed_s = self._chance.clock()
                attempt -= 1
                self._sites.close()
                again = {*expired, *passing}
                self._settle({read: answers[read] for read in pending if read not in again})
                pending = tuple(read for read in pending if read in again)
                continue
            wait_s = self._wait_s([answers[read] for read in passing], attempt)
            self._tell(attempt, [answers[read] for read in passing], wait_s)
            if wait_s is None:
                self._settle(answers, attempt)
                return
            self._settle({read: answers[read] for read in pending if read not in passing})
            pending = tuple(passing)
            if pending:
                self._chance.sleep(wait_s)

    def _ask(self, reads: Sequence[Read]) -> Mapping[Read, Secret | Failure]:
        """Ask the store; one that was away only if it is back, and not all of us at the same time.

        10,000 pods may have waited for it: their logins spread over as long as it was away, up to
        `SPREAD_S`, or a server that has just come back falls again.
        """
        if self._away_s is not None:
            failure = self._sites.absence()
            if failure is not None:
                who = failure.identity or (self._last.identity if self._last else "")
                return dict.fromkeys(reads, replace(failure, identity=who))
            away_s = self._chance.clock() - self._away_s
            self._away_s = None
            longest_s = min(SPREAD_S, away_s, self._access.deadline.left_s() / 2)
            self._chance.sleep(max(0.0, longest_s) * self._chance.random())
        return self._sites.read(reads)

    def _tell(
        self, attempt: int, passing: Sequence[Secret | Failure], wait_s: float | None
    ) -> None:
        """Write the line of a failed try: what happened, and when the next one is."""
        failures = [answer for answer in passing if isinstance(answer, Failure)]
        if self._log is None or not failures:
            return
        self._is_heard = True
        bound = self._bound(failures)
        of = f" of {bound}" if bound is not None else ""
        next_step: dict[str, float] = {} if wait_s is None else {"next_try_s": round(wait_s, 1)}
        self._log.warning(
            f"try {attempt}{of}: {failures[0].what}",
            store=self._store.name,
            code=failures[0].code.id,
            hint=failures[0].hint or failures[0].code.advice,
            **next_step,
        )

    def _bound(self, failures: Sequence[Failure]) -> int | None:
        """Return how many tries there are at most; None when the deadline alone ends them."""
        if self._access.is_patient:
            return None
        if self._store.retry.attempts is not None:
            return self._store.retry.attempts
        is_trust = all(failure.code is errors.TLS for failure in failures)
        return TRIES if is_trust or self._access.sources_dir is None else None

    def _may_renew(self, renewed_s: float | None) -> bool:
        """Say whether an expired login is renewed: once, and again after a long wait."""
        return renewed_s is None or self._chance.clock() - renewed_s >= RENEWABLE_AFTER_S

    def _wait_s(self, passing: Sequence[Secret | Failure], attempt: int) -> float | None:
        """Return how long to wait before the next try; None when there will be none."""
        if not passing:
            return 0.0
        failures = [answer for answer in passing if isinstance(answer, Failure)]
        self._last = failures[0]
        retry = self._store.retry
        bound = self._bound(failures)
        if bound is not None and attempt >= bound:
            return None
        asked_s = max((failure.retry_after_s or 0.0 for failure in failures), default=0.0)
        chance = self._chance.random()
        wait_s = backoff_s(retry, attempt, chance)
        if self._away_s is not None:
            wait_s = probe_s(retry, attempt, chance)
        wait_s = max(asked_s, wait_s)
        return wait_s if wait_s < self._access.deadline.left_s() else None

    def _settle(self, answers: Mapping[Read, Secret | Failure], attempt: int = 1) -> None:
        """Keep answers that will not change, with the number of tries if there were several."""
        with self._lock:
            for read, answer in answers.items():
                if isinstance(answer, Failure) and answer.is_passing and attempt > 1:
                    answer = replace(answer, what=f"{answer.what} ({attempt} tries)")  # noqa: PLW2901
                self._answers.setdefault(read, answer)


def backoff_s(retry: Retry, attempt: int, chance: float) -> float:
    """Return the wait after a try (the first is 1): full jitter below an exponential bound.

    `chance` is from 0 to 1. Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
    """
    return min(retry.cap_s, _bound_s(retry, attempt)) * chance


def probe_s(retry: Retry, attempt: int, chance: float) -> float:
    """Return the wait before a store that is away is asked again: soon at first, then `PROBE_S`.

    The jitter of the first waits keeps the questions of many pods apart.
    """
    bound_s = _bound_s(retry, attempt)
    return PROBE_S if bound_s >= PROBE_S else bound_s * chance


def _bound_s(retry: Retry, attempt: int) -> float:
    return retry.base_s * 2.0 ** min(attempt - 1, 32)


def _is_away(answer: Secret | Failure) -> bool:
    return isinstance(answer, Failure) and answer.is_away


def _is_passing(answer: Secret | Failure) -> bool:
    return isinstance(answer, Failure) and answer.is_passing
