"""Reviews per second and their latency: the real process, over TLS, as the API server talks to it.

It follows an API server (the tests' small one), so its memory is that of a process in a cluster.

The server has one core, the load another. Connections are kept and each waits for its answer before
it asks again, as the API server's do. "One template" is a rollout: pods that differ in nothing but
their uid. "All different" changes an annotation every time, so nothing may be remembered.
"""

import os
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from tests.bench import review
from tests.bench.figure import Figure
from tests.bench.interpreters import Interpreter, found
from tests.bench.serving import HOST, peak_of, served

CONNECTIONS = 4
WINDOWS, SECONDS = 3, 2.0
"""Measured in windows, of which the one that other programs disturbed least is reported."""
WARM_UP = 400
BEFORE = os.environ.get("SECRET_INJECTOR_BENCH_BEFORE", "")
ROUNDS = 8
"""Windows of each kind and commit in a comparison."""
TARGETS = (2500, 8, 120)
"""Reviews per second at least; milliseconds and MiB at most."""


def run():
    """Return the figures of each interpreter; the image's are judged, since clusters run that."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here, *image = found(folder / "image")
        return [
            figure
            for each in (here, *image)
            for figure in figures(each, folder, is_judged=not image or each is image[0])
        ] + (compared(here, folder) if BEFORE else [])


def compared(here: Interpreter, folder: Path):
    """Return how many reviews this commit answers for each that the commit before does."""
    before = replace(
        here,
        command=(f"{BEFORE}/.venv/bin/python", "-I", "-m", "injector"),
        env={"SECRET_INJECTOR_LAUNCHER": f"{BEFORE}/build/launcher"},
    )
    cores = sorted(os.sched_getaffinity(0))
    results = {}
    places = [folder / "now", folder / "before"]
    for place in places:
        place.mkdir()
    with (
        served(here, places[0], cores[0]) as now,
        served(before, places[1], cores[0]) as then,
    ):
        os.sched_setaffinity(0, cores[-1:])
        try:
            rollout = [review.body() for _ in range(64)]
            for server in (now, then):
                load(server, rollout, count=WARM_UP)
            for begin in range(ROUNDS):
                others = different_pods(3000, first=begin * 3000)
                for server in (now, then) if begin % 2 else (then, now):
                    same = load(server, rollout, seconds=SECONDS)
                    different = load(server, others, seconds=SECONDS)
                    results.setdefault((server, "one template"), []).append(same.rate)
                    results.setdefault((server, "all different"), []).append(different.rate)
        finally:
            os.sched_setaffinity(0, cores)
    return [
        Figure(
            name=f"admission: {kind}, to the commit before",
            value=statistics.median(results[now, kind]) / statistics.median(results[then, kind]),
            unit="x",
            at_least=least,
        )
        for kind, least in (("one template", 0.8), ("all different", 0.9))
    ]


def figures(interpreter: Interpreter, folder: Path, *, is_judged: bool):
    """Return the figures of a rollout, of all different pods, and the process's memory."""
    cores = sorted(os.sched_getaffinity(0))
    with served(interpreter, folder, cores[0]) as server:
        os.sched_setaffinity(0, cores[-1:])
        try:
            load(server, [review.body()], count=WARM_UP)
            rollout = [review.body() for _ in range(64)]
            same = calmest(load(server, rollout, seconds=SECONDS) for _ in range(WINDOWS))
            others = different_pods(WINDOWS * 3000)
            different = calmest(
                load(server, others[begin::WINDOWS], seconds=SECONDS) for begin in range(WINDOWS)
            )
        finally:
            os.sched_setaffinity(0, cores)
        peak = peak_of(server.pid)
    named = f"admission [{interpreter.name}]"
    rate, p99_ms, peak_mib = TARGETS if is_judged else (None, None, None)
    return [
        Figure(name=f"{named}: one template", value=same.rate, unit="reviews/s", at_least=rate),
        Figure(name=f"{named}: one template, p50", value=same.percentile_ms(50), unit="ms"),
        Figure(
            name=f"{named}: one template, p99",
            value=same.percentile_ms(99),
            unit="ms",
            at_most=p99_ms,
        ),
        Figure(name=f"{named}: all different", value=different.rate, unit="reviews/s"),
        Figure(name=f"{named}: all different, p50", value=different.percentile_ms(50), unit="ms"),
        Figure(name=f"{named}: all different, p99", value=different.percentile_ms(99), unit="ms"),
        Figure(name=f"{named}: memory, peak", value=peak, unit="MiB", at_most=peak_mib),
    ]


class Result:
    """The time each answer took, and how long all of it lasted."""

    def __init__(self, latencies, lasted_s):
        """Keep both, in seconds."""
        self.latencies = latencies
        self.rate = len(latencies) / lasted_s

    def percentile_ms(self, percent):
        """Return a percentile of the latencies."""
        return statistics.quantiles(self.latencies, n=100)[percent - 1] * 1000


def calmest(results):
    """Return the result with the highest rate."""
    return max(results, key=lambda result: result.rate)


def different_pods(number, first=0):
    """Return reviews of pods of which no two get the same plan."""
    bodies = []
    for index in range(first, first + number):
        pod = review.pod()
        pod["metadata"]["annotations"]["secret-injector.io/env"] += f"\nPOD_NUMBER: 'n{index}'"
        bodies.append(review.body(pod))
    return bodies


def load(server, bodies, *, seconds=float("inf"), count=sys.maxsize):
    """Send the bodies in turn over several connections until time, count or bodies are used up.

    Every answer is checked for status and outcome; a body is sent again only when there is one list
    for a rollout (fewer than a thousand).
    """
    heads = (
        f"POST /mutate?timeout=5s HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    )
    messages = [f"{heads}Content-Length: {len(b)}\r\n\r\n".encode() + b for b in bodies]
    if len(messages) >= 1000:
        count = len(messages)
    numbers, latencies, failures = iter(range(count)), [], []
    begin = time.perf_counter()
    end = begin + seconds

    def client():
        try:
            raw = socket.create_connection(("127.0.0.1", server.port))
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with server.context.wrap_socket(raw, server_hostname=HOST) as connection:
                for number in numbers:
                    sent = time.perf_counter()
                    if sent > end:
                        return
                    connection.sendall(messages[number % len(messages)])
                    answer = receive(connection)
                    latencies.append(time.perf_counter() - sent)
                    if b'"allowed":true,' not in answer or b'"patchType"' not in answer:
                        raise AssertionError(answer[:400])
        except Exception as error:  # noqa: BLE001  # a thread's failure fails the bench
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return Result(latencies, time.perf_counter() - begin)


def receive(connection):
    """Return one whole answer."""
    answer = connection.recv(65536)
    head = answer.index(b"\r\n\r\n") + 4
    length = int(re.search(rb"(?i)content-length: *(\d+)", answer[:head])[1])
    while len(answer) < head + length:
        answer += connection.recv(65536)
    return answer
