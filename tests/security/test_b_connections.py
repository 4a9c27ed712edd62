"""B: connections are counted before a byte of them is read, and the one that matters least goes."""

import contextlib
import resource
import select
import socket
import threading
from pathlib import Path

import pytest
import yaml

from tests.bench import review
from tests.server.process import HOST, running, wait

CHART = Path(__file__).parents[2] / "helm/secret-injector"
EXEMPT = ("--api-server-cidrs", "127.0.0.0/8, ::1")
FULL = "secret_injector_webhook_connections_full"


@pytest.fixture(autouse=True)
def _descriptors():
    """Let this process, and what it starts, open as many files as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def opened():
    """Closes at the end what a test opened."""
    with contextlib.ExitStack() as stack:
        yield stack


def raw(webhook, opened, source="127.0.0.1"):
    """A TCP connection that says nothing."""
    address = ("127.0.0.1", webhook.ports["reviews"])
    connection = socket.create_connection(address, timeout=20, source_address=(source, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened.enter_context(connection)


def secured(webhook, opened, source="127.0.0.1"):
    """A connection whose handshake is finished."""
    plain = raw(webhook, opened, source)
    return opened.enter_context(webhook.trust.wrap_socket(plain, server_hostname=HOST))


def ask(connection, body=None):
    """Send a review over a kept connection; return the answer's first line."""
    send(connection, body)
    return answer(connection)


def send(connection, body=None, missing=0):
    """Send a review but for its last bytes."""
    body = review.body() if body is None else body
    head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body[: len(body) - missing])


def answer(connection):
    """Read the answer; return its first line."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += (chunk := connection.recv(65536))
        assert chunk, "closed without an answer"
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = (
        int(line[15:])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head.partition(b"\r\n")[0].decode()


def is_open(connection):
    """Whether the server has neither closed nor reset the connection."""
    try:
        if not select.select([connection], [], [], 0)[0]:
            return True
        return bool(socket.socket.recv(connection, 1, socket.MSG_PEEK))
    except OSError:
        return False


def memory_limit_kib():
    """60 % of the memory limit of the chart's webhook."""
    limit = yaml.safe_load((CHART / "values.yaml").read_text())["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    return int(limit[:-2]) * 1024 * 0.6


class Callers:
    """Clients that behave: one keeps its connection, one opens another for each review."""

    def __init__(self, webhook):
        self.failures, self.answered = [], 0
        self._webhook = webhook
        self._told = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(is_kept,)) for is_kept in (True, False)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._told.set()
        for thread in self._threads:
            thread.join()

    def _call(self, is_kept):
        connection = self._webhook.connect() if is_kept else None
        while not self._told.wait(0.02):
            try:
                status, _, _ = self._webhook.post(review.body(), connection=connection)
                self.answered += 1
                if status != 200:
                    self.failures.append(status)
            except OSError as error:
                self.failures.append(error)
        if connection is not None:
            connection.close()


def peak_kib(webhook):
    """The most memory that the process ever had resident."""
    status = Path(f"/proc/{webhook.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def test_ten_thousand_raw_connections_cost_little_and_harm_nobody(tmp_path, opened):
    """Peers that connect and say nothing: memory stays low, and every review is answered."""
    with running(tmp_path) as webhook:
        with Callers(webhook) as callers:
            wait(lambda: callers.answered > 10)
            for _ in range(10_000):
                raw(webhook, opened)
            count = callers.answered
            wait(lambda: callers.answered > count + 20)
        arrived = webhook.metric(stage("arrived"))
        ready = webhook.page("health", "/readyz")[0]
        peak = peak_kib(webhook)

    assert callers.failures == []
    assert arrived <= 256
    assert ready == 200
    assert peak < memory_limit_kib()


@pytest.mark.parametrize("has_asked", [True, False])
def test_a_thousand_idle_connections_cost_little_and_harm_nobody(tmp_path, opened, has_asked):
    """Peers that keep connections open, after a review or without one: the same."""
    with running(tmp_path) as webhook:
        with Callers(webhook) as callers:
            wait(lambda: callers.answered > 10)
            for _ in range(1_000):
                connection = secured(webhook, opened)
                if has_asked:
                    assert ask(connection) == "HTTP/1.1 200 OK"
            count = callers.answered
            wait(lambda: callers.answered > count + 20)
        ready = webhook.page("health", "/readyz")[0]
        peak = peak_kib(webhook)

    assert callers.failures == []
    assert ready == 200
    assert peak < memory_limit_kib()


def test_bodies_that_never_end_cost_little(tmp_path, opened):
    """A peer that fills its share with large halves of reviews stays below the same mark."""
    with running(tmp_path) as webhook:
        for _ in range(300):
            with contextlib.suppress(OSError):  # beyond its share a peer is refused
                send(secured(webhook, opened), b" " * 127_000, missing=1000)
        wait(lambda: (webhook.metric(stage("busy")) or 0) > 200)
        peak = peak_kib(webhook)

    assert peak < memory_limit_kib()


def test_connections_give_way_in_order(tmp_path, opened):
    """First what has no handshake, the oldest first; then what asked nothing; then the idle."""
    with running(tmp_path, "--max-connections", "6", *EXEMPT) as webhook:
        used = [secured(webhook, opened) for _ in range(2)]
        statuses = [ask(each) for each in used]
        mute = [secured(webhook, opened) for _ in range(2)]
        silent = []
        for _ in range(2):
            silent.append(raw(webhook, opened))
            wait(lambda: webhook.metric(stage("arrived")) == len(silent))
        statuses.append(ask(used[0]))  # now the second one is the longest idle
        victims = [*silent, *mute, used[1], used[0]]
        went = []
        for _ in victims:
            newcomer = secured(webhook, opened)
            statuses.append(ask(newcomer))
            wait(lambda: any(not is_open(each) for each in victims if each not in went))  # noqa: B023  # called here
            went += [each for each in victims if not is_open(each) and each not in went]
        displaced = webhook.metric(
            'secret_injector_webhook_connections_displaced_total{port="reviews",reason="full"}'
        )

    assert [victims.index(each) for each in went] == [0, 1, 2, 3, 4, 5]
    assert set(statuses) == {"HTTP/1.1 200 OK"}
    assert displaced == 6


def test_a_request_in_flight_never_gives_way(tmp_path, opened):
    """When every connection carries a request, newcomers wait, and the replica is not ready."""
    with running(tmp_path, "--max-connections", "3", "--head-timeout-s", "20", *EXEMPT) as webhook:
        busy = [secured(webhook, opened) for _ in range(3)]
        for each in busy:
            send(each, missing=10)
        wait(lambda: webhook.metric(stage("busy")) == 3)
        ready = webhook.page("health", "/readyz")
        full = webhook.metric(FULL + '{port="reviews"}')
        waiting = raw(webhook, opened)
        still = [is_open(each) for each in busy]
        for each in busy:
            each.sendall(review.body()[-10:])
        statuses = [answer(each) for each in busy]
        newcomer = opened.enter_context(webhook.trust.wrap_socket(waiting, server_hostname=HOST))
        statuses.append(ask(newcomer))
        wait(lambda: webhook.page("health", "/readyz")[0] == 200)

    assert ready[0] == 503
    assert ready[1].endswith("connections: full: all 3 connections carry a request\n")
    assert (full, still) == (1, [True] * 3)
    assert statuses == ["HTTP/1.1 200 OK"] * 4


def test_one_address_holds_at_most_half(tmp_path, opened):
    """Beyond its share a peer's own connections give way, though there are places left."""
    with running(tmp_path, "--max-connections", "8") as webhook:
        others = [secured(webhook, opened, "127.0.0.3") for _ in range(2)]
        greedy = [secured(webhook, opened, "127.0.0.2") for _ in range(7)]
        wait(lambda: sum(map(is_open, greedy)) == 4)
        kept = [is_open(each) for each in greedy]
        statuses = [ask(each) for each in (*others, *greedy[3:])]

    assert kept == [False] * 3 + [True] * 4
    assert statuses == ["HTTP/1.1 200 OK"] * 6


def test_an_address_that_holds_its_share_of_requests_is_refused(tmp_path, opened):
    """Its further connections are closed at once; those of others are served."""
    with running(tmp_path, "--max-connections", "4", "--head-timeout-s", "20") as webhook:
        busy = [secured(webhook, opened, "127.0.0.2") for _ in range(2)]
        for each in busy:
            send(each, missing=10)
        wait(lambda: webhook.metric(stage("busy")) == 2)
        third = raw(webhook, opened, "127.0.0.2")
        wait(lambda: not is_open(third))
        status = ask(secured(webhook, opened, "127.0.0.3"))

    assert status == "HTTP/1.1 200 OK"


def test_addresses_of_api_servers_have_no_share(tmp_path, opened):
    """An API server behind one address may hold every connection."""
    with running(tmp_path, "--max-connections", "4", *EXEMPT) as webhook:
        kept = [secured(webhook, opened) for _ in range(4)]
        statuses = [ask(each) for each in kept]

    assert statuses == ["HTTP/1.1 200 OK"] * 4


@pytest.mark.parametrize("port", ["health", "metrics"])
def test_the_other_ports_are_guarded_alike(tmp_path, opened, port):
    """A thousand silent connections to a plain port do not keep a probe from its answer."""
    with running(tmp_path, "--max-connections", "64") as webhook:
        for _ in range(1_000):
            address = ("127.0.0.1", webhook.ports[port])
            opened.enter_context(socket.create_connection(address, timeout=20))

        assert webhook.page("health", "/healthz") == (200, "ok\n")
        assert webhook.page("metrics", "/metrics")[0] == 200


def test_networks_that_are_none_are_refused(tmp_path):
    """A mistake in the list is said at the start, not found in a flood."""
    with (
        pytest.raises(AssertionError, match="api-server-cidrs"),
        running(tmp_path, "--api-server-cidrs", "10.0.0.0/33"),
    ):
        pytest.fail("it started")


def stage(name):
    """The metric of the reviews' connections in a stage."""
    return f'secret_injector_webhook_connections{{port="reviews",stage="{name}"}}'
