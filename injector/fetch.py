"""From a plan to secrets: every store is entered once, every read asked once, all at a time.

One thread per store does what `visit` says. At the deadline, threads that still wait for a store
are left behind, and their reads have failed.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from injector import providers
from injector.core import errors, stores
from injector.core.errors import Problem, Refused
from injector.core.plan import Plan, Read
from injector.core.record import Record
from injector.core.secret import Failure, Secret
from injector.deadline import Deadline
from injector.leaving import Leaving
from injector.logs import Log
from injector.providers import Access
from injector.sites import Open
from injector.visit import REAL, SILENT_S, Chance, ReadFacts, StoreFacts, Visit

MAX_THREADS = 16


class Fetched(Record):
    """An answer for every read of the plan, what each store took, and an account of each read."""

    answers: Mapping[Read, Secret | Failure]
    stores: tuple[StoreFacts, ...]
    reads: tuple[ReadFacts, ...] = ()


def fetch(
    p: Plan,
    sources_dir: Path | None,
    deadline: Deadline,
    *,
    secrets_dir: Path | None = None,
    open_session: Open = providers.open_session,
    chance: Chance = REAL,
    leaving: Leaving | None = None,
    log: Log | None = None,
) -> Fetched:
    """Return an answer for every read, at the deadline at the latest; failed tries go to `log`.

    With `leaving`, logins that brought leases or may have stay open until the caller leaves.

    `sources_dir` is where the projected sources are mounted, `secrets_dir` where whole Secrets are;
    both are None on a laptop. Raises Refused for a store definition that is wrong; never for what a
    store answers.
    """
    access = Access(
        namespace=p.namespace,
        service_account=p.service_account,
        sources_dir=sources_dir,
        secrets_dir=secrets_dir,
        deadline=deadline,
        leaving=leaving,
        is_patient=p.is_patient,
    )
    visits = []
    answers: dict[Read, Secret | Failure] = {}
    for index, planned in enumerate(p.stores):
        store = stores.parse(
            planned.name, _document(planned.document), in_cluster=sources_dir is not None
        )
        reads = []
        for read in dict.fromkeys(read for read in p.reads if read.store == index):
            if problem := store.spec.path_problem(read.path, None, read.version):
                from injector.core import spellings  # only for a hint

                hint = spellings.of_path(read.path, store.provider)
                answers[read] = Failure(code=errors.REFERENCE, what=problem, hint=hint)
            else:
                reads.append(read)
        if reads:
            visits.append(Visit(store, reads, access, open_session, chance, log))
    _run(visits, deadline)
    for visit in visits:
        answers.update(visit.concluded())
    return Fetched(
        answers=answers,
        stores=tuple(visit.facts() for visit in visits),
        reads=tuple(fact for visit in visits for fact in visit.read_facts()),
    )


def _run(visits: Sequence[Visit], deadline: Deadline) -> None:
    """Run all visits, at most `MAX_THREADS` at a time; return at the deadline whatever is left."""
    waiting = deque(visits)

    def work() -> None:
        while True:
            try:
                visit = waiting.popleft()
            except IndexError:
                return
            visit.run()

    threads = [
        threading.Thread(target=work, name="store", daemon=True)
        for _ in range(min(MAX_THREADS, len(visits)))
    ]
    for thread in threads:
        thread.start()
    first = Deadline.after(deadline.bound_s(SILENT_S))
    for thread in threads:
        thread.join(max(0.0, first.left_s()))
    if any(thread.is_alive() for thread in threads):
        for visit in visits:
            visit.tell_of_silence()
    for thread in threads:
        thread.join(max(0.0, deadline.left_s()))


def _document(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(
            [Problem(code=errors.PLAN, what="a store's definition in the plan is not JSON")]
        ) from None
