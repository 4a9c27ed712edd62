"""Decisions are made in turns and within a budget, and nothing else waits for them."""

import asyncio
import io
import json
import threading
import urllib.request

import pytest
from aiohttp import ClientSession

from injector.core import budget
from injector.core.budget import OverBudget
from tests.bench import review
from tests.server.apiserver import until
from webhook import beside, bulk, connections
from webhook.beside import Beside, Pulse
from webhook.bulk import Bulk
from webhook.core.catalog import Catalog
from webhook.core.review import Outcome
from webhook.core.turns import Full
from webhook.deciding import Deciding, TooLate, TooMany
from webhook.metrics import Metrics
from webhook.server import Admission, pages

SKIP = Outcome(kind="skip", reason="not_asked")
LIMITS = {"head_timeout_s": 5, "idle_timeout_s": 5, "max_connections": 99}


def deciding(**options):
    """Return decisions with small budgets, all of which wait for their turn."""
    return Deciding(**{"quick_steps": 10, "decision_steps": 100, "at_once_s": 0, **options})


async def test_namespaces_are_served_in_turn_whoever_asked_most():
    """A hundred reviews of one namespace that came first do not stand before another's two."""
    order = []
    made = deciding(most_waiting=100)
    flood = [made.decide("flood", lambda: order.append("flood")) for _ in range(100)]
    others = [made.decide("quiet", lambda: order.append("quiet")) for _ in range(2)]

    await asyncio.gather(*flood, *others)

    assert sorted(order) == ["flood"] * 100 + ["quiet"] * 2
    assert order.index("quiet") <= 1
    assert len(order) - order[::-1].index("quiet") <= 50


async def test_a_review_that_finds_nothing_waiting_is_decided_at_once():
    """No task has a turn meanwhile; what needs more steps goes to the thread all the same."""
    order = []
    made = deciding(at_once_s=60)
    asyncio.get_running_loop().call_soon(order.append, "turn of the loop")

    await made.decide("n", lambda: order.append("decided"))
    assert order == ["decided"]
    assert await made.decide("n", lambda: budget.spend(50) or "long") == "long"


async def test_at_once_is_only_what_fits_into_a_slice_of_a_turn():
    """Whoever comes in the same turn after that waits, and is taken in the namespaces' order."""
    order = []
    made = deciding(at_once_s=1e-9)
    first = [made.decide("flood", lambda: order.append("flood")) for _ in range(3)]

    await asyncio.gather(*first, made.decide("quiet", lambda: order.append("quiet")))

    assert order == ["flood", "quiet", "flood", "flood"]


async def test_a_long_decision_does_not_stand_before_short_ones():
    """While one is decided on the thread for long, reviews of its own and other namespaces are."""
    go, begun = threading.Event(), threading.Event()

    def long():
        budget.spend(50)
        begun.set()
        assert go.wait(20)
        return "long"

    made = deciding()
    task = asyncio.create_task(made.decide("flood", long))
    await until(begun.is_set)
    short = [await made.decide(name, lambda: "short") for name in ("quiet", "flood", "quiet")]
    assert not task.done()
    go.set()

    assert [*short, await task] == ["short", "short", "short", "long"]


async def test_long_decisions_take_turns_as_well():
    """Ten long ones of a namespace are under way; another's first comes second."""
    order, gate = [], threading.Event()

    def long(name):
        def work():
            budget.spend(50)
            assert gate.wait(20)
            order.append(name)

        return work

    made = deciding()
    flood = [asyncio.create_task(made.decide("flood", long("flood"))) for _ in range(10)]
    await until(lambda: made.waiting == 9)
    quiet = asyncio.create_task(made.decide("quiet", long("quiet")))
    await until(lambda: made.waiting == 10)
    made.charge("flood", 1.0)  # to wait costs no processor
    gate.set()
    await asyncio.gather(*flood, quiet)

    assert order == ["flood", "quiet", *["flood"] * 9]


async def test_what_exceeds_the_whole_budget_is_refused():
    """Neither a caught refusal nor the second, longer try lets work go on beyond the budget."""
    tries = []

    def stubborn():
        tries.append(threading.current_thread() is threading.main_thread())
        for _ in range(1000):
            try:
                budget.spend()
            except OverBudget:
                continue
        return "done all the same"

    with pytest.raises(OverBudget):
        await deciding().decide("n", stubborn)
    assert tries == [True, False]


async def test_work_that_fits_is_done_once_and_where_reviews_are_served():
    """Nothing is done twice, or handed to a thread, that needs few steps."""
    seen = []

    def work():
        budget.spend(10)
        seen.append(threading.current_thread() is threading.main_thread())

    await deciding().decide("n", work)

    assert seen == [True]


async def test_a_full_queue_and_a_time_that_is_over_are_told_apart():
    """The third waiting review of a namespace is refused at once; one too late when it is taken."""
    made = deciding(most_waiting=2)
    calls = []
    asked = [
        made.decide("n", lambda: calls.append("decided"), is_over=lambda: False),
        made.decide("n", lambda: calls.append("late"), is_over=lambda: True),
        made.decide("n", lambda: calls.append("too many")),
        made.decide("m", lambda: calls.append("other namespace")),
    ]

    results = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(result) for result in results] == [type(None), TooLate, TooMany, type(None)]
    assert calls == ["decided", "other namespace"]


async def test_a_fault_reaches_who_asked_and_nobody_else():
    """What a decision raises, on either thread, is raised where it was asked for."""

    def trips(steps):
        def work():
            budget.spend(steps)
            raise KeyError(steps)

        return work

    made = deciding()
    results = await asyncio.gather(
        made.decide("a", trips(1)),
        made.decide("a", trips(50)),
        made.decide("b", lambda: "fine"),
        return_exceptions=True,
    )

    assert [repr(result) for result in results] == ["KeyError(1)", "KeyError(50)", "'fine'"]


async def test_places_for_large_bodies_are_few_and_given_in_turn():
    """Of two places both go round; who is cancelled while waiting loses none."""
    places, order = Bulk(most_at_once=1, most_waiting=3), []
    gate = asyncio.Event()

    async def hold(name):
        async with places.place(name):
            order.append(name)
            await gate.wait()

    tasks = [asyncio.create_task(hold("flood")) for _ in range(4)]
    await asyncio.sleep(0)
    quiet = asyncio.create_task(hold("quiet"))
    await asyncio.sleep(0)
    with pytest.raises(TooMany):
        await hold("flood")
    tasks[1].cancel()
    await asyncio.sleep(0)
    assert order == ["flood"]
    gate.set()
    await asyncio.gather(*tasks, quiet, return_exceptions=True)

    assert sorted(order) == ["flood", "flood", "flood", "quiet"]
    assert order.index("quiet") <= 2
    assert places._free == 1


class Served:
    """Reviews on loopback with a decision of the test's own."""

    def __init__(self, decision, **options):
        self.metrics = Metrics()
        self.admission = Admission(
            {"/mutate": decision, "/validate": decision},
            Catalog,
            self.metrics,
            max_body_bytes=3 * 2**20,
            request_timeout_s=5,
            deciding=deciding(**{"quick_steps": 2000, "decision_steps": 20_000, **options}),
        )

    async def __aenter__(self):
        self.server = connections.Server(self.admission, max_body_bytes=3 * 2**20, **LIMITS)
        self.listener, (self.port,) = await connections.listen(self.server, "127.0.0.1", 0)
        self.session = ClientSession()
        return self

    async def __aexit__(self, *_):
        await self.session.close()
        self.listener.close()
        await self.server.drain(1)
        self.admission.deciding.close()

    async def ask(self, pod=None, operation="CREATE"):
        """Post a review of the pod; return the response in it."""
        body = review.body(pod).replace(
            b'"operation":"CREATE"', f'"operation":"{operation}"'.encode()
        )
        async with self.session.post(
            f"http://127.0.0.1:{self.port}/mutate?timeout=5s",
            data=io.BytesIO(body),
            headers={"Content-Type": "application/json"},
        ) as response:
            return json.loads(await response.read())["response"]


async def test_over_budget_is_a_coded_denial_and_counted():
    """SI-122 and the advice, in an answer with the request's uid; the metric counts one review."""

    def endless(_request, _catalog):
        while True:
            budget.spend()

    async with Served(endless) as served:
        response = await served.ask()
        metrics = served.metrics.render().decode()

    assert response["allowed"] is False
    assert response["status"] == {
        "code": 403,
        "reason": "Forbidden",
        "message": "SI-122 the work that this input takes exceeds the budget\n"
        "       hint: split the object, or import and refer to less",
    }
    assert 'secret_injector_webhook_budget_exceeded_total{what="review"} 1.0' in metrics
    assert 'outcome="deny",reason="over_budget"} 1.0' in metrics


def stored(endpoint="/validate"):
    """Return the bytes of a review of a Deployment that is stored, and where it is sent."""
    asked = json.loads(review.body())
    asked["request"]["kind"] = {"group": "apps", "version": "v1", "kind": "Deployment"}
    template = asked["request"]["object"]
    asked["request"]["object"] = {"metadata": {"name": "web"}, "spec": {"template": template}}
    return json.dumps(asked).encode(), endpoint


async def passed(decision, **options):
    """Return the response about a stored Deployment, and the metrics, with a decision."""
    async with Served(decision, **options) as served:
        if options.get("most_waiting") == 0:
            served.admission.deciding._quick.put = refuse
        body, endpoint = stored()
        async with served.session.post(
            f"http://127.0.0.1:{served.port}{endpoint}?timeout=2s",
            data=io.BytesIO(body),
            headers={"Content-Type": "application/json"},
        ) as response:
            answer = json.loads(await response.read())["response"]
        return answer, served.metrics.render().decode()


async def test_a_workload_passes_that_takes_too_much_work_to_judge():
    """It is stored, and its author hears that only its pods will be judged."""

    def endless(_request, _catalog):
        while True:
            budget.spend()

    response, metrics = await passed(endless)

    assert (response["allowed"], response["warnings"]) == (
        True,
        [
            (
                "SI-122 pod template: this workload takes more work to judge than a warning is"
                " worth; its pods are judged;"
                " secret-injector mutate -f FILE judges it without a limit"
            )
        ],
    )
    assert 'endpoint="/validate",outcome="allow",reason="over_budget"} 1.0' in metrics


async def test_a_workload_passes_whatever_goes_wrong_on_our_side():
    """A fault and a full queue are logged and counted, and nobody else's concern."""

    def broken(_request, _catalog):
        raise ZeroDivisionError

    fault, counted = await passed(broken)
    busy, queued = await passed(lambda *_: SKIP, most_waiting=0)

    assert [fault["allowed"], busy["allowed"]] == [True, True]
    assert "warnings" not in fault
    assert "warnings" not in busy
    assert 'outcome="allow",reason="fault"} 1.0' in counted
    assert 'outcome="allow",reason="queue_full"} 1.0' in queued


async def test_a_workload_gets_a_fifth_of_the_steps_and_a_quarter_of_the_places():
    """However many workloads of a namespace are applied, its pods find room in the queue."""
    made = deciding(minor_steps=20, most_waiting=8)

    async def work(steps, *, is_minor):
        return await made.decide("n", lambda: budget.spend(steps), is_minor=is_minor)

    await work(20, is_minor=True)
    with pytest.raises(OverBudget):
        await work(21, is_minor=True)
    await work(100, is_minor=False)
    flood = await asyncio.gather(
        *(made.decide("n", lambda: "said", is_minor=True) for _ in range(8)),
        made.decide("n", lambda: "decided"),
        return_exceptions=True,
    )

    assert flood[:2] == ["said", "said"]
    assert [type(each) for each in flood[2:8]] == [TooMany] * 6
    assert flood[8] == "decided"


async def test_what_cannot_be_worked_out_about_a_deletion_does_not_prevent_it():
    """An object is deleted, with a warning, where to find who refers to it takes too long."""

    def endless(_request, _catalog):
        while True:
            budget.spend()

    async with Served(endless) as served:
        response = await served.ask(operation="DELETE")

    assert response["allowed"] is True
    assert response["warnings"] == [
        "secret-injector: to work out who refers to this object exceeds the budget"
    ]


async def test_a_body_of_many_values_is_refused_before_it_is_walked_through():
    """A list of half a million lists costs the others nothing; the refusal has its code."""
    calls = []
    pod = review.pod()
    pod["spec"]["containers"][0]["args"] = [[]] * 500_000

    async with Served(lambda *_: calls.append(1) or SKIP) as served:
        async with served.session.post(
            f"http://127.0.0.1:{served.port}/mutate?timeout=5s",
            data=io.BytesIO(review.body(pod)),
            headers={"Content-Type": "application/json"},
        ) as response:
            status, text = response.status, await response.text()
        metrics = served.metrics.render().decode()

    assert (status, text) == (413, "SI-122 the review has more than 65536 values\n")
    assert 'secret_injector_webhook_budget_exceeded_total{what="review"} 1.0' in metrics
    assert calls == []


async def test_a_large_body_is_decided():
    """A pod of a megabyte and few values passes as any other."""
    pod = review.pod()
    pod["spec"]["containers"][0]["args"] = ["x" * 2**20]

    async with Served(lambda *_: SKIP) as served:
        response = await served.ask(pod)

    assert response["allowed"] is True


async def test_a_full_queue_is_a_coded_denial_that_asks_to_try_again():
    """Status 429 and SI-505, which say that it is not the object's fault."""
    async with Served(lambda *_: SKIP, most_waiting=0) as served:
        served.admission.deciding._quick.put = refuse  # what waits cannot be seen from here
        response = await served.ask()

    assert response["allowed"] is False
    assert response["status"] == {
        "code": 429,
        "reason": "TooManyRequests",
        "message": "SI-505 too many reviews of this namespace wait already\n"
        "       hint: controllers retry by themselves; create fewer objects of the namespace at"
        " once",
    }


def refuse(*_, **__):
    """Refuse as a queue does that is full."""
    raise Full


async def test_health_and_metrics_answer_while_reviews_have_no_turn():
    """The page is read in the very thread that serves reviews, which is thereby blocked."""
    with Beside("probes", asyncio.new_event_loop) as probes:

        async def listen():
            handler = pages({"/healthz": lambda: (200, "text/plain", b"ok\n")})
            server = connections.Server(handler, max_body_bytes=9, **LIMITS)
            return await connections.listen(server, "127.0.0.1", 0)

        async def close(listener):
            listener.close()
            await listener.wait_closed()

        listener, (port,) = await probes.run(listen())
        url = f"http://127.0.0.1:{port}/healthz"
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: ASYNC210  # to block it
            text = answer.read()
        await probes.run(close(listener))

    assert text == b"ok\n"


async def test_a_loop_that_hangs_is_told_from_one_that_works():
    """Reviews without a turn for five seconds make it not ready, for thirty not alive."""
    now_s = 100.0
    pulse = Pulse(lambda: now_s)
    task = asyncio.create_task(pulse.run())
    await asyncio.sleep(0)
    task.cancel()
    troubles = []
    for later_s in (104.0, 106.0, 131.0):
        now_s = later_s
        troubles += [pulse.trouble(beside.LATE_S), pulse.trouble(beside.HUNG_S)]

    assert troubles == [
        *("", ""),
        *("reviews have had no turn for 5 s", ""),
        *("reviews have had no turn for 5 s", "reviews have had no turn for 30 s"),
    ]


def test_large_bodies_together_fit_the_memory():
    """As many of the largest as have a place are 12 MiB."""
    assert bulk.MOST_AT_ONCE * 3 * 2**20 == 12 * 2**20
