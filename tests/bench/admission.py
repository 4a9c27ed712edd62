"""Reviews per second and their latency: the real process, over TLS, as the API server talks to it.

It follows an API server (the tests' small one), so its memory is that of a process in a cluster.

The server has one core, the load another. Connections are kept and each waits for its answer before
it asks again, as the API server's do. "One template" is a rollout: pods that differ in nothing but
their uid. "All different" changes an annotation every time, so nothing may be remembered.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench import review
from tests.bench.figure import Figure
from tests.server.apiserver import NAMESPACES, NODES, STORES, ApiServer
from webhook import certificates

HOST = "secret-injector.shop.svc"
CONNECTIONS = 4
WINDOWS, SECONDS = 3, 2.0
"""Measured in windows, of which the one that other programs disturbed least is reported."""
WARM_UP = 400


def run():
    """Return the figures of a rollout, of all different pods, and the process's memory."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), cores[0]) as server:
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
        peak = peak_mib(server.pid)
    return [
        Figure(name="admission: one template", value=same.rate, unit="reviews/s", at_least=2500),
        Figure(name="admission: one template, p50", value=same.percentile_ms(50), unit="ms"),
        Figure(
            name="admission: one template, p99", value=same.percentile_ms(99), unit="ms", at_most=8
        ),
        Figure(name="admission: all different", value=different.rate, unit="reviews/s"),
        Figure(name="admission: all different, p50", value=different.percentile_ms(50), unit="ms"),
        Figure(name="admission: all different, p99", value=different.percentile_ms(99), unit="ms"),
        Figure(name="admission: memory, peak", value=peak, unit="MiB", at_most=120),
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


class Served:
    """A running webhook: where it is, and whom to trust."""

    def __init__(self, pid, port, ca):
        """Keep the address."""
        self.pid, self.port = pid, port
        self.context = ssl.create_default_context(cadata=ca.decode())


def different_pods(number):
    """Return reviews of pods of which no two get the same plan."""
    bodies = []
    for index in range(number):
        pod = review.pod()
        pod["metadata"]["annotations"]["secret-injector.io/env"] += f"\nPOD_NUMBER: 'n{index}'"
        bodies.append(review.body(pod))
    return bodies


@contextlib.contextmanager
def served(folder, core):
    """Start the webhook's own process on one core; stop it at the end."""
    pair = certificates.issue([HOST], now=datetime.now(UTC), life=timedelta(days=1))
    (folder / "tls.crt").write_bytes(pair.chain)
    (folder / "tls.key").write_bytes(pair.key)
    command = [sys.executable, "-m", "webhook", "--host", "127.0.0.1", "--port", "0"]
    command += [
        "--health-port",
        "0",
        "--metrics-port",
        "0",
        "--drain-grace-s",
        "0",
        "--namespace",
        "n",
    ]
    command += ["--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key"]
    command += ["--kubeconfig", folder / "kubeconfig", "--image", "example.com/injector@sha256:0"]
    log = folder / "log"
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [core])  # what is started now inherits it
    with (
        api_server(folder / "kubeconfig"),
        log.open("wb") as stderr,
        subprocess.Popen(command, stderr=stderr) as process,
    ):
        os.sched_setaffinity(0, cores)
        try:
            deadline = time.monotonic() + 20
            while not (found := is_ready(log.read_bytes())):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the webhook did not start: {log.read_text()}")
                time.sleep(0.05)
            yield Served(process.pid, found, pair.ca)
        finally:
            process.send_signal(signal.SIGTERM)


def is_ready(log):
    """Return the reviews' port of a webhook that is ready, from its log; None before."""
    started = re.search(rb'"reviews":(\d+),"health":(\d+)', log)
    if started is None:
        return None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{int(started[2])}/readyz", timeout=5):
            return int(started[1])
    except OSError:
        return None


@contextlib.contextmanager
def api_server(kubeconfig):
    """Run an API server that has the review's store, in a thread; write a kubeconfig for it."""
    stop, begun = asyncio.Event(), threading.Event()

    async def serve():
        async with ApiServer() as server:
            await server.put(STORES, "vault", spec=review.STORE["spec"])
            await server.put(NAMESPACES, "shop")
            await server.put(NODES, "n", status={"nodeInfo": {"kubeletVersion": "v1.37.2"}})
            context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
            cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}
            user = {"name": "u", "user": {"token": "t"}}
            lists = {"contexts": [context], "clusters": [cluster], "users": [user]}
            kubeconfig.write_text(json.dumps({"current-context": "c", **lists}))
            begun.set()
            await stop.wait()

    with asyncio.Runner() as runner:
        thread = threading.Thread(target=runner.run, args=(serve(),))
        thread.start()
        begun.wait()
        try:
            yield
        finally:
            runner.get_loop().call_soon_threadsafe(stop.set)
            thread.join()


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
                    if b'"allowed":true,"patchType"' not in answer:
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


def peak_mib(pid):
    """Return the most memory that the process ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
