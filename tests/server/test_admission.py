"""The handler with decisions of the test's own: faults, and what a decision may not do."""

import json
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from tests.bench import review
from webhook import connections, logs
from webhook.core.catalog import Catalog
from webhook.core.decide import decide
from webhook.core.our_container import Injection
from webhook.core.review import Outcome
from webhook.metrics import MAX_REASONS, Metrics
from webhook.server import Admission

CANARY = "canary-of-a-pods-own-value"


class Served:
    """An admission handler on loopback without TLS."""

    def __init__(self, decision, catalog=None):
        self.metrics = Metrics()
        self.admission = Admission(
            {"/mutate": decision},
            catalog if callable(catalog) else lambda: catalog or Catalog(),
            self.metrics,
            max_body_bytes=100_000,
            request_timeout_s=5,
        )

    async def __aenter__(self):
        limits = {"head_timeout_s": 5, "idle_timeout_s": 5, "max_connections": 9}
        self.server = connections.Server(self.admission, max_body_bytes=100_000, **limits)
        self.listener, (port,) = await connections.listen(self.server, "127.0.0.1", 0)
        self.session = ClientSession(f"http://127.0.0.1:{port}")
        return self

    async def __aexit__(self, *_):
        await self.session.close()
        self.listener.close()
        await self.server.drain(1)

    async def ask(self):
        """Post the bench's review; return status and answer."""
        headers = {"Content-Type": "application/json"}
        async with self.session.post("/mutate", data=review.body(), headers=headers) as response:
            return response.status, await response.read()


@pytest.mark.parametrize("comes", [True, False])
async def test_a_decision_that_awaits_news_is_made_again_when_they_come(comes):
    """What another replica has heard first is heard within a second, or the answer stays."""
    snapshots = [Catalog()]

    def decision(_request, catalog):
        if catalog is not snapshots[0]:
            return Outcome(kind="allow", reason="as_decided")
        if comes:
            snapshots.append(Catalog())
        return Outcome(kind="deny", reason="changed", awaits_news=True)

    async with Served(decision, lambda: snapshots[-1]) as served:
        status, answer = await served.ask()

    assert status == 200
    assert json.loads(answer)["response"]["allowed"] is comes


async def test_a_fault_of_our_own_is_a_denial_without_a_trace():
    """The client gets SI-500 and no word of the exception; log and metric say where it was."""

    def trips(_request, _catalog):
        local = {"value": CANARY}
        raise KeyError(local["value"])

    async with Served(trips) as served:
        status, body = await served.ask()
        metrics = served.metrics.render().decode()

    response = json.loads(body)["response"]
    assert (status, response["allowed"]) == (200, False)
    assert response["status"]["message"].splitlines() == [
        "SI-500 the webhook failed to decide about this object",
        "       hint: its log has a line with the request's uid; please report it with that line",
    ]
    assert 'secret_injector_webhook_faults_total{part="decide"} 1.0' in metrics
    assert 'outcome="deny",reason="fault"} 1.0' in metrics


async def test_what_audits_find_is_counted():
    """Two findings of policies with the action Audit are two in the metric, and no denial."""

    def audited(_request, _catalog):
        return Outcome(kind="skip", reason="not_asked", facts={"audits": ["one", "two"]})

    async with Served(audited) as served:
        _, body = await served.ask()
        metrics = served.metrics.render().decode()

    assert json.loads(body)["response"]["allowed"] is True
    assert "secret_injector_webhook_policy_audits_total 2.0" in metrics


async def test_a_fault_is_logged_with_its_place_and_no_value(tmp_path):
    """The log line names type and frames; neither the message nor a local is in it."""

    def trips(_request, _catalog):
        raise KeyError(CANARY)

    with (tmp_path / "log").open("wb") as stream:
        logs.set_up("info", stream)
        try:
            async with Served(trips) as served:
                await served.ask()
        finally:
            logs.structlog.reset_defaults()
    lines = [json.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]

    assert [line["event"] for line in lines] == ["a decision failed", "review answered"]
    assert lines[0]["fault"] == "KeyError"
    assert lines[0]["at"][-1].startswith(f"{Path(__file__).name}:")
    assert CANARY not in (tmp_path / "log").read_text()


HOOK = {"is_on": False, "seen": []}


def _watch(event, _arguments):
    if HOOK["is_on"] and event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        HOOK["seen"].append(event)


@pytest.fixture
def outbound():
    """What is connected or looked up while switched on: an audit hook sees all of it."""
    if not HOOK.get("is_added"):
        sys.addaudithook(_watch)  # cannot be taken away again
        HOOK["is_added"] = True
    HOOK["seen"].clear()
    yield HOOK
    HOOK["is_on"] = False


async def test_no_connection_is_made_while_a_review_is_answered(outbound):
    """From head to answer of a real decision nothing is connected to and no name is looked up."""
    injection = Injection(image="example.com/injector")
    catalog = Catalog.of([review.STORE])

    def decision(request, snapshot):
        return decide(request, snapshot, injection)

    async with Served(decision, catalog) as served:
        await served.ask()  # the client connects now, and keeps the connection
        outbound["is_on"] = True
        answers = [await served.ask() for _ in range(3)]
        outbound["is_on"] = False

    assert [json.loads(body)["response"]["allowed"] for _, body in answers] == [True] * 3
    assert outbound["seen"] == []


async def test_the_watch_over_connections_sees_one(outbound):
    """The hook of the test above does see a connection that is made."""

    async def hello(_request):
        return web.Response()

    limits = {"head_timeout_s": 5, "idle_timeout_s": 5, "max_connections": 9, "max_body_bytes": 9}
    server = connections.Server(hello, **limits)
    listener, (port,) = await connections.listen(server, "127.0.0.1", 0)
    outbound["is_on"] = True
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/"):
        pass
    outbound["is_on"] = False
    listener.close()
    await server.drain(1)

    assert "socket.connect" in outbound["seen"]


async def test_the_time_the_api_server_gives_is_kept():
    """The query's timeout, less a margin, bounds the request; our own limit does too."""
    admission = Served(None).admission

    class Asked:
        method = "POST"

        def __init__(self, path):
            self.raw_path = path
            self.headers = {"Content-Type": "application/json; charset=utf-8"}

    limits = {
        query: admission._route(Asked("/mutate" + query))[1]
        for query in ("", "?timeout=2s", "?a=b&timeout=3s", "?timeout=30s", "?timeout=x")
    }

    assert limits == {
        "": 5,
        "?timeout=2s": 1.75,
        "?a=b&timeout=3s": 2.75,
        "?timeout=30s": 5,
        "?timeout=x": 5,
    }


async def test_paths_with_ever_new_queries_are_not_all_remembered():
    """What is remembered of paths is bounded, whoever sends them."""
    admission = Served(None).admission

    class Asked:
        method = "POST"
        headers = {"Content-Type": "application/json"}  # noqa: RUF012  # read only

    for number in range(1000):
        Asked.raw_path = f"/mutate?n={number}"
        admission._route(Asked)

    assert len(admission._routes) == 64


def test_reasons_beyond_the_limit_count_as_other():
    """However many reasons there are, the number of series is bounded."""
    metrics = Metrics()
    for number in range(MAX_REASONS + 50):
        metrics.answered("/mutate", "deny", f"reason-{number}", 0.001)

    text = metrics.render().decode()

    assert text.count("secret_injector_webhook_reviews_total{") == MAX_REASONS + 1
    assert 'reason="other"} 50.0' in text
