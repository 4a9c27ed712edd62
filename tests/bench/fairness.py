"""What one namespace can do to the others: the dearest reviews there are, as fast as they go.

The replica has one core, both generators the other. Reviews of other namespaces, all different and
fifty a second, are timed twice: while the dear ones come once a second, and while they come without
end over many connections. Nothing of the others may fail, and the probe answers within a second.

`SECRET_INJECTOR_BENCH_SECONDS=60` makes each of the two parts as long as that.
"""

import contextlib
import itertools
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from tests.bench import review
from tests.bench.admission import receive
from tests.bench.figure import Figure
from tests.bench.interpreters import found
from tests.bench.serving import HOST, served

SECONDS = float(os.environ.get("SECRET_INJECTOR_BENCH_SECONDS", "10"))
A_SECOND = 50
CONNECTIONS = 32
"""Of the flood; the API server's are fewer."""


def run():
    """Return the figures."""
    with tempfile.TemporaryDirectory() as name:
        here, *_ = found(Path(name) / "image")
        cores = sorted(os.sched_getaffinity(0))
        with served(here, Path(name), cores[0]) as server:
            os.sched_setaffinity(0, cores[-1:])
            try:
                measured(server, pause_s=1, seconds=3)  # whatever is done once is done
                calm = measured(server, pause_s=1, seconds=SECONDS)
                flood = measured(server, pause_s=0, seconds=SECONDS)
            finally:
                os.sched_setaffinity(0, cores)
    figures = []
    for name, seen in (("one dear review a second", calm), ("a flood of them", flood)):
        figures += [
            Figure(name=f"fairness/others' p50, {name}", value=seen["p50_ms"], unit="ms"),
            Figure(name=f"fairness/others' p99, {name}", value=seen["p99_ms"], unit="ms"),
            Figure(name=f"fairness/others answered, {name}", value=seen["count"], unit="reviews"),
            Figure(
                name=f"fairness/others failed, {name}",
                value=seen["failed"],
                unit="reviews",
                at_most=0,
            ),
            Figure(
                name=f"fairness/health, slowest, {name}",
                value=seen["health_ms"],
                unit="ms",
                at_most=1000,
            ),
            Figure(name=f"fairness/dear ones answered, {name}", value=seen["dear"], unit="reviews"),
        ]
    ratio = flood["p99_ms"] / calm["p99_ms"]
    figures.append(
        Figure(name="fairness/others' p99, flood to calm", value=ratio, unit="x", at_most=3)
    )
    return figures


def measured(server, *, pause_s, seconds):
    """Return what the others saw while the dear reviews came with this pause."""
    certificates = server.context.get_ca_certs(binary_form=True)
    ca = ssl.DER_cert_to_PEM_cert(certificates[0])
    stop, latencies, failures, health = threading.Event(), [], [], []
    other = threading.Thread(target=timed, args=(server, stop, latencies, failures))
    probe = threading.Thread(target=probed, args=(server, stop, health))
    command = [sys.executable, "-m", "tests.bench.fairness", str(server.port), str(pause_s)]
    with subprocess.Popen(
        [*command, str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as flood:
        flood.stdin.write(ca)
        flood.stdin.close()
        assert flood.stdout.readline() == "begun\n"
        other.start()
        probe.start()
        dear = json.loads(flood.stdout.readline())
        stop.set()
        other.join()
        probe.join()
    quantiles = statistics.quantiles(latencies, n=100)
    return {
        "p50_ms": quantiles[49] * 1000,
        "p99_ms": quantiles[98] * 1000,
        "count": len(latencies),
        "failed": len(failures),
        "health_ms": max(health) * 1000,
        "dear": dear,
    }


def message(body):
    """Return a review as it goes over the wire."""
    head = f"POST /mutate?timeout=5s HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def timed(server, stop, latencies, failures):
    """Send reviews of other namespaces at a steady pace until told to stop, and time them."""
    raw = socket.create_connection(("127.0.0.1", server.port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with server.context.wrap_socket(raw, server_hostname=HOST) as connection:
        due = time.perf_counter()
        for number in itertools.count():
            due += 1 / A_SECOND
            if stop.wait(max(0.0, due - time.perf_counter())):
                return
            pod = review.pod()
            pod["metadata"]["annotations"]["secret-injector.io/env"] += f"\nNUMBER: 'n{number}'"
            sent = message(in_namespace(review.body(pod), f"other-{number % 5}"))
            begin = time.perf_counter()
            connection.sendall(sent)
            answer = receive(connection)
            latencies.append(time.perf_counter() - begin)
            if b'"allowed":true,' not in answer or b'"patchType"' not in answer:
                failures.append(answer[:400])


def probed(server, stop, health):
    """Ask for health ten times a second until told to stop."""
    while not stop.wait(0.1):
        begin = time.perf_counter()
        url = f"http://127.0.0.1:{server.health}/healthz"
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()
        health.append(time.perf_counter() - begin)


def in_namespace(body, name):
    """Return the review with another namespace."""
    return body.replace(b'"namespace":"shop"', f'"namespace":"{name}"'.encode())


def dearest():
    """Return reviews of one namespace that take as much work as each can be made to."""
    pods = []
    for env in (
        "".join(f'K{n}: "{"#{A|defualt}" * 30}"\n' for n in range(500)),
        "".join(f'K{n}: "{"#{vault:a/b#c|urlencode}" * 16}"\n' for n in range(500)),
        "".join(f'K{n}: "{"#{Z}" * 60}"\n' for n in range(400)),
        "A: " + "#{" * 60_000,
        "- " * 50_000,
    ):
        pod = review.pod()
        pod["metadata"]["annotations"]["secret-injector.io/env"] = env
        pods.append(pod)
    values = review.pod()
    values["spec"]["containers"][0]["args"] = [[]] * 900_000
    entries = review.pod()
    entries["spec"]["containers"][0]["env"] = [{"name": f"A{n}"} for n in range(100_000)]
    text = review.pod()
    text["spec"]["containers"][0]["args"] = ["$(" * 1_400_000]
    pods += [values, entries, text]
    return [message(in_namespace(review.body(pod), "flood")) for pod in pods]


def flood(port, pause_s, seconds):
    """Send the dearest reviews, one a pause or without any in parallel; print how many."""
    context = ssl.create_default_context(cadata=sys.stdin.read())
    messages = itertools.cycle(dearest())
    lock, counted = threading.Lock(), []
    os.nice(19)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    end = time.perf_counter() + seconds

    def client():
        while time.perf_counter() < end:
            with contextlib.suppress(OSError, ValueError), connected(port, context) as connection:
                while time.perf_counter() < end:
                    with lock:
                        sent = next(messages)
                    connection.sendall(sent)
                    receive(connection)
                    counted.append(1)
                    time.sleep(pause_s)

    threads = [threading.Thread(target=client) for _ in range(1 if pause_s else CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(f"{len(counted)}\n")


def connected(port, context):
    """Return a connection to the webhook."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=30)
    return context.wrap_socket(raw, server_hostname=HOST)


if __name__ == "__main__":
    flood(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
