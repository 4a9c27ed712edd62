"""Fetching: stores side by side, patience with what passes, none with what is final."""

import io
import json
import threading
import time

import pytest

from injector.core import errors
from injector.core.errors import Refused
from injector.core.plan import Plan, PlanStore, Read
from injector.core.record import replace
from injector.core.secret import Failure, LoginFailed, Secret
from injector.core.stores import Retry
from injector.deadline import Deadline
from injector.fetch import fetch
from injector.logs import Log
from injector.visit import Chance, StoreFacts, backoff_s

DOWN = Failure(code=errors.DOWN, what="it is away", identity="us")
EXPIRED = Failure(code=errors.EXPIRED, what="the token has expired")
MISSING = Failure(code=errors.MISSING, what="no such secret")


class Scripted:
    """A store whose answers are a script: per try a failure for all reads, or None: secrets."""

    def __init__(self, *script, opens=()):
        self.script, self.opens = list(script), list(opens)
        self.asked, self.opened, self.closed = [], 0, 0
        self.identity = "us"

    def open(self, store, access):
        self.opened += 1
        failure = self.opens.pop(0) if self.opens else None
        if failure is not None:
            raise LoginFailed(failure)
        return self

    def read(self, reads, deadline):
        self.asked.append([read.path for read in reads])
        answer = self.script.pop(0) if self.script else None
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer()
        if isinstance(answer, dict):
            return {read: answer.get(read.path) or Secret({}) for read in reads}
        return {read: answer or Secret({}) for read in reads}

    def close(self):
        self.closed += 1


def plan(*paths, stores=1, attempts=3):
    """A plan that reads the paths from each of its stores."""
    document = f'{{"k8s":{{}},"retry":{{"attempts":{attempts}}}}}' if attempts else '{"k8s":{}}'
    return Plan(
        namespace="shop",
        service_account="checkout",
        stores=tuple(PlanStore(name=f"s{i}", document=document) for i in range(stores)),
        reads=tuple(Read(store=i, path=path) for i in range(stores) for path in paths),
    )


def run(p, scripts, *, deadline_s=10.0, sources_dir=None, log=None):
    """Fetch with one script for each store; return answers by path, and the waits."""
    waits = []
    fetched = fetch(
        p,
        sources_dir,
        Deadline.after(deadline_s),
        open_session=lambda store, access: scripts[int(store.name[1:])].open(store, access),
        chance=Chance(sleep=waits.append, random=lambda: 1.0),
        log=log,
    )
    return fetched, waits


def outcomes(fetched):
    """Answers by path: "secret", or code and words."""
    return {
        read.path: "secret" if isinstance(answer, Secret) else (answer.code.id, answer.what)
        for read, answer in fetched.answers.items()
    }


def test_only_what_failed_in_passing_is_asked_again():
    """What has its answer, good or final, is left alone."""
    store = Scripted({"a": DOWN, "b": MISSING}, {"a": DOWN}, None)

    fetched, waits = run(plan("a", "b", "c"), [store])

    assert outcomes(fetched) == {
        "a": "secret",
        "b": ("SI-404", "no such secret"),
        "c": "secret",
    }
    assert store.asked == [["a", "b", "c"], ["a"], ["a"]]
    assert waits == [0.2, 0.4]
    assert (store.opened, store.closed) == (1, 1)


def test_tries_end_and_are_counted():
    """The last failure is the answer."""
    store = Scripted(DOWN, DOWN, DOWN, None)

    fetched, waits = run(plan("a"), [store])

    assert outcomes(fetched) == {"a": ("SI-503", "it is away (3 tries)")}
    assert (len(store.asked), len(waits), store.closed) == (3, 2, 1)


def test_a_login_that_fails_in_passing_is_tried_again():
    """And one that is refused is not."""
    passing, final = Scripted(opens=[DOWN, DOWN]), Scripted(opens=[MISSING, None])

    fetched, _ = run(plan("a"), [passing])
    assert outcomes(fetched) == {"a": "secret"}
    assert (passing.opened, passing.closed) == (3, 1)

    fetched, waits = run(plan("a"), [final])
    assert outcomes(fetched) == {"a": ("SI-404", "no such secret")}
    assert (final.opened, final.closed, waits) == (1, 0, [])


def test_an_expired_login_is_renewed_once_and_costs_no_try():
    """What was in passing trouble at the same time is asked again too."""
    store = Scripted({"a": EXPIRED, "b": DOWN, "c": MISSING}, {"b": DOWN}, {"b": DOWN}, None)

    fetched, _ = run(plan("a", "b", "c", "d"), [store])

    assert outcomes(fetched) == {
        "a": "secret",
        "b": "secret",
        "c": ("SI-404", "no such secret"),
        "d": "secret",
    }
    assert store.asked == [["a", "b", "c", "d"], ["a", "b"], ["b"], ["b"]]
    assert (store.opened, store.closed) == (2, 2)


def test_a_login_that_expires_again_is_final():
    """One renewal, then the words of the store."""
    store = Scripted(EXPIRED, EXPIRED, None)

    fetched, _ = run(plan("a"), [store])

    assert outcomes(fetched) == {"a": ("SI-402", "the token has expired")}
    assert (store.opened, store.closed) == (2, 2)


def test_a_store_that_hangs_costs_only_its_own_reads():
    """At the deadline its thread is left behind; the other store's answers are there."""
    over = threading.Event()
    hanging, fine = Scripted(lambda: over.wait(20) and None), Scripted()
    started = time.monotonic()

    fetched, _ = run(plan("a", stores=2), [hanging, fine], deadline_s=0.3)

    took_s = time.monotonic() - started
    over.set()
    by_store = {read.store: answer for read, answer in fetched.answers.items()}
    assert isinstance(by_store[1], Secret)
    assert by_store[0] == Failure(
        code=errors.DEADLINE, what="the store gave no answer before the deadline", identity="us"
    )
    assert took_s < 2


def test_stores_are_entered_at_the_same_time():
    """Each store waits for all the others: one after the other would never end."""
    together = threading.Barrier(5)
    scripts = [Scripted(lambda: together.wait(5) and None) for _ in range(5)]

    fetched, _ = run(plan("a", stores=5), scripts)

    assert all(isinstance(answer, Secret) for answer in fetched.answers.values())


def test_a_fault_of_a_provider_becomes_an_answer_without_its_message():
    """The message of a foreign exception may quote a value; its type does not."""
    store = Scripted(ValueError("CANARY"))

    fetched, _ = run(plan("a", "b"), [store])

    words = ("SI-500", "a fault of our own: ValueError in provider k8s")
    assert outcomes(fetched) == {"a": words, "b": words}
    assert store.closed == 1


def test_a_provider_that_is_not_installed_is_named():
    """An extra that was left out is no riddle."""

    def nowhere(store, access):
        raise ModuleNotFoundError("hvac")

    fetched = fetch(plan("a"), None, Deadline.after(5), open_session=nowhere)

    assert outcomes(fetched) == {"a": ("SI-112", "provider k8s is not part of this installation")}


@pytest.mark.parametrize("document", ["{", "[]", '{"nope":{}}', "[" * 100_000])
def test_a_store_definition_that_is_none_is_refused(document):
    """Plans can be written by anybody; the refusal is coded."""
    p = Plan(namespace="n", service_account="s", stores=(PlanStore(name="s", document=document),))

    with pytest.raises(Refused):
        fetch(p, None, Deadline.after(5))


def test_backoff_doubles_up_to_its_cap_and_is_scaled_by_chance():
    """Full jitter: anything from nothing to the bound."""
    retry = Retry(attempts=9, base_s=0.2, cap_s=1.0)

    assert [backoff_s(retry, n, 1.0) for n in range(1, 6)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    assert backoff_s(retry, 3, 0.5) == pytest.approx(0.4)
    assert backoff_s(retry, 3, 0.0) == 0.0


def test_facts_say_what_it_took():
    """Reads, tries, logins and the time of both phases, for the log line."""
    ticks = iter(range(100))
    fetched = fetch(
        plan("a", "b"),
        None,
        Deadline.after(5),
        open_session=Scripted(DOWN).open,
        chance=Chance(sleep=lambda _: None, random=lambda: 0.0, clock=lambda: next(ticks)),
    )

    assert fetched.stores == (
        StoreFacts(
            name="s0",
            provider="k8s",
            served_by="",
            reads=2,
            tries=2,
            logins=1,
            open_ms=1000.0,
            read_ms=2000.0,
        ),
    )


def test_a_patient_plan_is_tried_until_its_deadline():
    """A pod that runs once, or asks for a deadline: the store's number of tries does not end it."""
    store = Scripted(*[DOWN] * 9, None)

    fetched, waits = run(replace(plan("a"), is_patient=True), [store], deadline_s=100.0)

    assert outcomes(fetched) == {"a": "secret"}
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]


def test_a_patient_plan_ends_at_its_deadline():
    """The last failure is told, with the number of tries."""
    store = Scripted(*[DOWN] * 9)

    fetched, waits = run(replace(plan("a"), is_patient=True), [store], deadline_s=10.0)

    assert outcomes(fetched) == {"a": ("SI-503", "it is away (7 tries)")}
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4]


def test_every_login_reads_the_projected_token_again(tmp_path):
    """The kubelet replaces a token of 600 s in time; a fetch that takes longer uses the new one."""
    token, seen = tmp_path / "token", []
    store = Scripted(DOWN, EXPIRED, None, opens=[DOWN, DOWN])
    token.write_text("first")

    def enter(definition, access):
        seen.append((access.sources_dir / "token").read_text())
        token.write_text(f"after {len(seen)}")
        return store.open(definition, access)

    p = replace(plan("a"), is_patient=True)
    chance = Chance(sleep=lambda _: None, random=lambda: 1.0)
    fetched = fetch(p, tmp_path, Deadline.after(900.0), open_session=enter, chance=chance)

    assert outcomes(fetched) == {"a": "secret"}
    assert seen == ["first", "after 1", "after 2", "after 3"]


def test_a_login_that_expires_after_a_long_wait_is_renewed_again():
    """Within a minute a second expiry is final; later it is the token's age."""
    store = Scripted(EXPIRED, DOWN, EXPIRED, None)
    now = [0.0]

    def sleep(seconds):
        now[0] += 61.0

    fetched = fetch(
        replace(plan("a"), is_patient=True),
        None,
        Deadline.after(900.0),
        open_session=store.open,
        chance=Chance(sleep=sleep, random=lambda: 1.0, clock=lambda: now[0]),
    )

    assert outcomes(fetched) == {"a": "secret"}
    assert store.opened == 3


AWAY = replace(DOWN, is_away=True)
UNTRUSTED = Failure(code=errors.TLS, what="it is not trusted")


def test_a_pod_tries_until_its_deadline_where_the_store_bounds_no_tries(tmp_path):
    """An outage of 50 s costs no restart: the waits go on, each at most the cap."""
    store = Scripted(*[DOWN] * 9, None)

    fetched, waits = run(plan("a", attempts=None), [store], deadline_s=100.0, sources_dir=tmp_path)

    assert outcomes(fetched) == {"a": "secret"}
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]


@pytest.mark.parametrize("failure", [DOWN, UNTRUSTED], ids=["down", "untrusted"])
def test_a_person_at_a_laptop_waits_for_five_tries(failure):
    """Somebody who sits there wants to read why."""
    store = Scripted(*[failure] * 9)

    fetched, waits = run(plan("a", attempts=None), [store], deadline_s=100.0)

    assert outcomes(fetched) == {"a": (failure.code.id, f"{failure.what} (5 tries)")}
    assert waits == [0.2, 0.4, 0.8, 1.6]


def test_a_certificate_that_is_not_trusted_ends_after_five_tries(tmp_path):
    """Waiting mends a definition rarely, and the pod says why only when it ends."""
    store = Scripted(*[UNTRUSTED] * 9)

    fetched, _ = run(plan("a", attempts=None), [store], deadline_s=100.0, sources_dir=tmp_path)

    assert outcomes(fetched) == {"a": ("SI-502", "it is not trusted (5 tries)")}


def test_each_failed_try_is_a_line_of_the_log(tmp_path):
    """What happened, of how many, and when the next try is; nothing of a try that succeeds."""
    stream = io.StringIO()
    store = Scripted(AWAY, DOWN, None)

    run(plan("a"), [store], sources_dir=tmp_path, log=Log(stream))

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    for line in lines:
        del line["timestamp"]
    told = {
        "level": "warning",
        "store": "s0",
        "code": "SI-503",
        "hint": "check address, network policies and the store's health",
    }
    assert lines == [
        {"event": "try 1 of 3: it is away", **told, "next_try_s": 0.2},
        {"event": "try 2 of 3: it is away", **told, "next_try_s": 0.4},
    ]


def test_a_try_without_a_bound_is_counted_alone(tmp_path):
    """There is no "of": the deadline ends it."""
    stream = io.StringIO()

    run(plan("a", attempts=None), [Scripted(DOWN)], sources_dir=tmp_path, log=Log(stream))

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "try 1: it is away"


class Outage:
    """A clock that sleeping moves, and a store of Vault that is away for a while.

    It notes when it was asked whether it is back, and when somebody logged in.
    """

    def __init__(self, monkeypatch, *, until_s, asks=()):
        self.now_s, self.until_s, self.asks = 0.0, until_s, list(asks)
        self.probes, self.logins = [], []
        monkeypatch.setattr("injector.providers.absence", self.absence)

    def absence(self, store, access):
        self.probes.append(round(self.now_s, 3))
        if self.asks:
            return self.asks.pop(0)
        return AWAY if self.now_s < self.until_s else None

    def open(self, store, access):
        self.logins.append(round(self.now_s, 3))
        if self.now_s < self.until_s:
            raise LoginFailed(AWAY)
        return Scripted()

    def sleep(self, seconds):
        self.now_s += seconds

    def run(self, tmp_path, chance, attempts=None):
        return fetch(
            plan("a", attempts=attempts),
            tmp_path,
            Deadline.after(1000.0),
            open_session=self.open,
            chance=Chance(sleep=self.sleep, random=lambda: chance, clock=lambda: self.now_s),
        )


def test_a_store_that_is_away_is_asked_without_a_login_until_it_is_back(tmp_path, monkeypatch):
    """Soon at first, then every 5 s; one login found it away, one comes after its return."""
    outage = Outage(monkeypatch, until_s=30.0)

    fetched = outage.run(tmp_path, 0.5)

    assert outcomes(fetched) == {"a": "secret"}
    assert outage.probes == [0.1, 0.3, 0.7, 1.5, 3.1, 8.1, 13.1, 18.1, 23.1, 28.1, 33.1]
    assert outage.logins == [0.0, 35.6]


def test_the_failure_of_a_store_that_stays_away_says_as_whom_it_was_asked(tmp_path, monkeypatch):
    """Also when the last try was no login, and so knew nobody's name."""
    anonymous = Failure(code=errors.DOWN, what="it is sealed", is_away=True)
    outage = Outage(monkeypatch, until_s=1000.0, asks=[anonymous])

    fetched = outage.run(tmp_path, 0.5, attempts=2)

    assert list(fetched.answers.values()) == [
        Failure(code=errors.DOWN, what="it is sealed (2 tries)", identity="us", is_away=True)
    ]
    assert outage.logins == [0.0]


@pytest.mark.parametrize(("chance", "spread_s"), [(0.0, 0.0), (0.5, 2.5), (1.0, 5.0)])
def test_the_first_logins_after_a_return_spread_over_five_seconds(
    tmp_path, monkeypatch, chance, spread_s
):
    """All pods that waited learn of it at much the same time."""
    outage = Outage(monkeypatch, until_s=30.0)

    outage.run(tmp_path, chance)

    assert outage.logins[-1] - outage.probes[-1] == pytest.approx(spread_s)


def test_a_short_absence_costs_no_long_wait(tmp_path, monkeypatch):
    """The spread is as long as the store was away: few can have waited for it."""
    outage = Outage(monkeypatch, until_s=0.05)

    outage.run(tmp_path, 1.0)

    assert outage.logins == [0.0, 0.4]


def test_what_the_store_asks_for_wins_over_our_own_pauses(tmp_path, monkeypatch):
    """A server on its feet again that says "later" is asked later."""
    later = Failure(code=errors.THROTTLED, what="it is busy", retry_after_s=40.0)
    outage = Outage(monkeypatch, until_s=1.0, asks=[AWAY, later])

    outage.run(tmp_path, 0.0)

    assert outage.probes == [0.0, 0.0, 40.0]
    assert outage.logins == [0.0, 40.0]


def test_a_store_that_hangs_is_told_of_before_the_try_ends(tmp_path):
    """A pod in Init:0/1 with an empty log is a riddle."""
    over, stream = threading.Event(), io.StringIO()
    address = "https://vault.example.org:8200"
    vault = {"address": address, "auth": {"kubernetes": {"role": "shop"}}}
    p = Plan(
        namespace="shop",
        service_account="checkout",
        stores=(PlanStore(name="vault", document=json.dumps({"vault": vault})),),
        reads=(Read(store=0, path="secret/db"),),
    )
    hanging = Scripted(lambda: over.wait(20) and None)

    fetch(p, tmp_path, Deadline.after(2.5), open_session=hanging.open, log=Log(stream))
    over.set()

    first = json.loads(stream.getvalue().splitlines()[0])
    assert first["event"] == "try 1: no answer from vault.example.org:8200 yet"
    assert (first["level"], first["store"], first["timeout_s"]) == ("warning", "vault", 10.0)


def test_a_thousand_short_tries_do_not_overflow():
    """A store may set a cap of 10 ms, and a pod a deadline of an hour."""
    retry = Retry(base_s=0.01, cap_s=0.01)

    assert backoff_s(retry, 5000, 1.0) == 0.01
