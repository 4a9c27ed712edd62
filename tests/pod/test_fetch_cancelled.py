"""`secret-injector fetch` told to end while a store keeps it waiting: at once, without a trace."""

import signal
import time
from pathlib import Path

import pytest

from injector.leaving import PATIENCE_S
from tests.pod.init_container import Pod, plan_for
from tests.providers.conftest import NETWORK
from tests.providers.fault_proxy import Hang, Status

PATIENT = {"timeout": "60s", "retry": {"attempts": 5}}
LATER = Status(503, (("Content-Type", "application/json"), ("Retry-After", "15")))


@pytest.fixture
def remote(request, tmp_path):
    """A store behind a network."""
    made = NETWORK[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def pod(remote, tmp_path):
    """A pod before its init container, with what it needs to enter the store."""
    return Pod(tmp_path)


def until(is_so, what):
    """Wait until it is so."""
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def rests(pid):
    """Say whether every thread of a process waits, and none has run since a moment ago."""
    tasks = Path(f"/proc/{pid}/task")
    before = {task: task.joinpath("stat").read_text() for task in tasks.iterdir()}
    time.sleep(0.02)
    after = {task: task.joinpath("stat").read_text() for task in tasks.iterdir()}
    return before == after and all(") S " in stat for stat in after.values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("waits_for", ["login", "read", "next try"])
@pytest.mark.parametrize("remote", ["vault", "awsSecretsManager"], indirect=True)
def test_a_signal_ends_a_fetch_that_waits(remote, pod, waits_for, number):
    """Whatever it waits for: no value, no message, no word to the store but Vault's logout."""
    remote.put("plain", {"password": "p"})
    remote.proxy.when = lambda request: remote.is_login(request) == (waits_for == "login")
    remote.proxy.faults = [LATER if waits_for == "next try" else Hang()] * 9
    document = {**remote.document(), **PATIENT}
    plan = plan_for((remote.path("plain"), "password"), name="store", document=document)

    process = pod.start(plan)
    until(lambda: len(remote.proxy.faults) < 9, "the store is asked")
    until(lambda: rests(process.pid), "the program waits")
    asked = len(remote.proxy.seen)
    began_s = time.monotonic()
    process.send_signal(number)
    output, messages = process.communicate(timeout=30)

    is_logged_in = remote.path("plain").startswith("kv/") and waits_for != "login"
    assert time.monotonic() - began_s < (1 + PATIENCE_S if is_logged_in else 1)
    assert process.returncode == 128 + number
    told = [line for line in messages.splitlines() if '"event":"try ' not in line]
    assert (output, told, pod.termination_log.read_text()) == ("", [], "")
    assert pod.is_blank()
    after = [request.path for request in remote.proxy.seen[asked:]]
    assert after == ["/v1/auth/token/revoke-self"] * is_logged_in
