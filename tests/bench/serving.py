"""The webhook's own process, as it runs in a cluster: after a small API server, over TLS."""

import asyncio
import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench import review
from tests.bench.interpreters import Interpreter
from tests.server.apiserver import NAMESPACES, NODES, STORES, ApiServer
from webhook import certificates

HOST = "secret-injector.shop.svc"
SERVICES = STORES.replace("clustersecretstores", "servicesecrets")


class Served:
    """A running webhook: where it is, and whom to trust."""

    def __init__(self, pid, port, health, ca):
        """Keep the addresses."""
        self.pid, self.port, self.health = pid, port, health
        self.context = ssl.create_default_context(cadata=ca.decode())


@contextlib.contextmanager
def served(interpreter: Interpreter, folder: Path, core: int, services=()):
    """Start the webhook's own process on one core; stop it at the end.

    `services` are objects that the API server has beside the store.
    """
    root = interpreter.root
    place = (root / "tmp" if root else folder) / "webhook"
    place.mkdir()
    inside = interpreter.inside(place)
    pair = certificates.issue([HOST], now=datetime.now(UTC), life=timedelta(days=1))
    (place / "tls.crt").write_bytes(pair.chain)
    (place / "tls.key").write_bytes(pair.key)
    options = {
        "host": "127.0.0.1",
        **dict.fromkeys(("port", "health-port", "metrics-port", "drain-grace-s"), "0"),
        "namespace": "n",
        "tls-cert": f"{inside}/tls.crt",
        "tls-key": f"{inside}/tls.key",
        "kubeconfig": f"{inside}/kubeconfig",
        "image": "example.com/injector@sha256:0",
    }
    command = [*interpreter.command, "webhook", *(f"--{k}={v}" for k, v in options.items())]
    log = place / "log"
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [core])  # what is started now inherits it
    with (
        api_server(place / "kubeconfig", services),
        processes_in(root),
        log.open("wb") as stderr,
        subprocess.Popen(
            command,
            env={"PATH": "/usr/bin:/bin", **interpreter.env},
            stderr=stderr,
            preexec_fn=None if root is None else lambda: os.chroot(root),  # noqa: PLW1509  # a thread serves meanwhile, and chroot takes no lock
            cwd="/" if root else None,
        ) as process,
    ):
        os.sched_setaffinity(0, cores)
        begun_s = time.monotonic()
        try:
            deadline = time.monotonic() + 120
            while not (ports := is_ready(log.read_bytes())):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the webhook did not start: {log.read_text()}")
                time.sleep(0.05)
            found = Served(process.pid, *ports, pair.ca)
            found.begun_s = begun_s
            yield found
        finally:
            process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def processes_in(root: Path | None):
    """Mount /proc in another root: the webhook's key is loaded from memory, by a path there."""
    if root is None:
        yield
        return
    place = root / "proc"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "proc", "proc", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def is_ready(log):
    """Return the ports of reviews and health of a webhook that is ready, from its log, or None."""
    started = re.search(rb'"reviews":(\d+),"health":(\d+)', log)
    if started is None:
        return None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{int(started[2])}/readyz", timeout=5):
            return int(started[1]), int(started[2])
    except OSError:
        return None


@contextlib.contextmanager
def api_server(kubeconfig, services=()):
    """Run an API server that has the review's store, in a thread; write a kubeconfig for it."""
    stop, begun = asyncio.Event(), threading.Event()

    async def serve():
        async with ApiServer() as server:
            await server.put(STORES, "vault", spec=review.STORE["spec"])
            server.collections.add(SERVICES)
            for number, service in enumerate(services):
                await server.put(
                    SERVICES, f"s{number}", metadata=service["metadata"], spec=service["spec"]
                )
            await server.put(NAMESPACES, "shop")
            await server.put(NODES, "n", status={"nodeInfo": {"kubeletVersion": "v1.37.2"}})
            context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
            cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}
            user = {"name": "u", "user": {"token": "t"}}
            lists = {"contexts": [context], "clusters": [cluster], "users": [user]}
            for item in server.objects.values():
                server._encoded(item)
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


def peak_of(pid):
    """Return the most memory that the process ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
