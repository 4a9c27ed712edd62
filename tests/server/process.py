"""The webhook's real process on loopback, and ways to speak with it."""

import contextlib
import http.client
import json
import re
import signal
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench import review
from webhook import certificates

HOST = "localhost"
START_S = 20


class Process:
    """A running webhook. `ports` are by name: reviews, health, metrics."""

    def __init__(self, process, log, ca):
        self.process = process
        self.log = log
        self.trust = ssl.create_default_context(cadata=ca.decode()) if ca else None
        self.ports = {}

    def lines(self):
        """The log, each line as what it says; fails when a line is not JSON."""
        return [json.loads(line) for line in self.log.read_bytes().splitlines()]

    def connect(self):
        """A connection of the standard library's client to the reviews' port."""
        return http.client.HTTPSConnection(
            HOST, self.ports["reviews"], context=self.trust, timeout=20
        )

    def post(self, body, path="/mutate?timeout=5s", kind="application/json", connection=None):
        """Post a body; return status, headers and the answer's bytes."""
        with contextlib.ExitStack() as stack:
            if connection is None:
                connection = self.connect()
                stack.callback(connection.close)
            connection.request("POST", path, body, {"Content-Type": kind})
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def page(self, port, path, method="GET"):
        """Get a plain page; return status and text."""
        connection = http.client.HTTPConnection(HOST, self.ports[port], timeout=20)
        connection.request(method, path)
        response = connection.getresponse()
        found = response.status, response.read().decode()
        connection.close()
        return found

    def metric(self, name):
        """The value of a metric with its labels as Prometheus sees them; None when it is absent."""
        found = re.search(
            rf"^{re.escape(name)} (\S+)$", self.page("metrics", "/metrics")[1], re.MULTILINE
        )
        return float(found[1]) if found else None

    def memory_kib(self):
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def descriptors(self):
        """Open files."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def stop(self):
        """Ask it to end; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def offline(folder):
    """Make what a webhook without a cluster needs; return its flags and the authority to trust."""
    pair = certificates.issue([HOST], now=datetime.now(UTC), life=timedelta(days=1))
    (folder / "tls.crt").write_bytes(pair.chain)
    (folder / "tls.key").write_bytes(pair.key)
    (folder / "catalog.yaml").write_text(json.dumps(review.STORE))
    flags = ["--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key"]
    return [*flags, "--catalog", folder / "catalog.yaml"], pair.ca


def command(*flags):
    """The command of a webhook on free ports of loopback."""
    line = [sys.executable, "-m", "webhook", "--host", "127.0.0.1", "--image", "example.com/i"]
    line += ["--port", "0", "--health-port", "0", "--metrics-port", "0"]
    return [*line, *flags]


@contextlib.contextmanager
def running(folder, *flags, is_offline=True):
    """Start the webhook with flags of its own; kill it at the end if it still runs."""
    ours, ca = offline(folder) if is_offline else ([], b"")
    log = folder / "log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(command(*ours, *flags), stderr=stderr) as process,
    ):
        found = Process(process, log, ca)
        try:
            wait(lambda: b"webhook started" in log.read_bytes() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            started = next(line for line in found.lines() if line["event"] == "webhook started")
            found.ports = {name: started[name] for name in ("reviews", "health", "metrics")}
            yield found
        finally:
            if process.poll() is None:
                process.kill()


def wait(claim, limit_s=START_S):
    """Wait until the claim holds; fail when it does not in time."""
    deadline = time.monotonic() + limit_s
    while not claim():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
