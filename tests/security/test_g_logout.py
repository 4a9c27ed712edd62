"""Row G: who logs in to Vault logs out, after delivery and after failure.

The suite also runs against the real server (tests/e2e/test_vault_logout.py).
"""

import json
import signal
import socket
import threading
import time

import pytest

from tests.pod.init_container import Pod, plan_for
from tests.providers.fake_vault import FakeVault


class FakeServer:
    """The fake Vault, and how a pod logs in to it."""

    def __init__(self):
        self.vault = FakeVault()
        self.vault.logins["approle", "role", "s3cret"] = ["kv/", "database/"]
        self.vault.put("app", {"key": "value"})
        self.address = "http://{}:{}".format(*self.vault.server_address)
        self.role_id, self.secret_id = "role", "s3cret"

    def tokens(self):
        """Return how many tokens of logins there are."""
        return len(self.vault.tokens)

    def close(self):
        self.vault.close()


@pytest.fixture
def server():
    """The real server's test has another one."""
    made = FakeServer()
    yield made
    made.close()


@pytest.fixture
def pod(tmp_path, server):
    """A pod with the secret id of its AppRole."""
    made = Pod(tmp_path)
    (made.secret / "id").write_text(server.secret_id)
    return made


def plan(server, *reads, address=None):
    """Return a plan that reads from Vault as an AppRole."""
    secret_id = {"secretRef": {"name": "app", "key": "id"}}
    auth = {"appRole": {"roleId": server.role_id, "secretId": secret_id}}
    document = {"vault": {"address": address or server.address, "auth": auth}}
    return plan_for(*reads, name="vault", document=document)


def test_five_good_fetches_leave_no_token(pod, server):
    """Nothing is left of a login that brought no lease."""
    for _ in range(5):
        assert pod.fetch(plan(server, ("kv/app", "key")))[0] == 0

    assert server.tokens() == 0


def test_five_failing_fetches_leave_no_token(pod, server):
    """A pod in CrashLoopBackOff does not fill the store."""
    for _ in range(5):
        assert pod.fetch(plan(server, ("kv/app", "key"), ("kv/app", "nokey")))[0] == 6
        assert pod.fetch(plan(server, ("kv/nothing", "key")))[0] == 6

    assert server.tokens() == 0


def test_a_fetch_that_cannot_deliver_leaves_no_token(pod, server):
    """The failure comes after the last read."""
    pod.volumes.launcher.unlink()

    assert pod.fetch(plan(server, ("kv/app", "key")))[0] != 0

    assert server.tokens() == 0


class Gate(threading.Thread):
    """Passes requests on to the server until one holds `held`, which gets no answer."""

    def __init__(self, address, held):
        super().__init__(daemon=True)
        self.target = address.partition("://")[2].split(":")
        self.held, self.reached = held, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "http://{}:{}".format(*self.listener.getsockname())
        self.start()

    def run(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        with one:
            while data := one.recv(65536):
                if self.held in data:
                    self.reached.set()
                    continue
                other.sendall(data)

    def close(self):
        self.listener.close()


@pytest.fixture
def gate(server):
    """Return how to put a gate in front of the server."""
    made = []

    def make(held):
        made.append(Gate(server.address, held))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_fetch_that_is_stopped_leaves_no_token(pod, server, gate):
    """The kubelet's SIGTERM comes while a read waits."""
    at = gate(b"/kv/data/app")
    process = pod.start(plan(server, ("kv/app", "key"), address=at.address))
    assert at.reached.wait(20)
    process.send_signal(signal.SIGTERM)

    process.communicate(timeout=20)

    assert process.returncode != 0
    assert server.tokens() == 0


def test_a_logout_without_an_answer_takes_one_second_and_changes_nothing(pod, server, gate):
    """The values are delivered; the token ends with its own life."""
    at = gate(b"revoke-self")
    began_s = time.monotonic()

    status, messages = pod.fetch(plan(server, ("kv/app", "key"), address=at.address))

    assert (status, json.loads(messages.splitlines()[-1])["event"]) == (0, "values delivered")
    assert 1.0 <= time.monotonic() - began_s < 10.0
    assert at.reached.is_set()
    assert server.tokens() == 1
