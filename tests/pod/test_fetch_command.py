"""`secret-injector fetch` as a process on real volumes: what it delivers and never says."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from injector.core import stores
from injector.core.plan import ContainerPlan, EnvFrom, Pick, PlanValue, Read
from injector.core.record import replace
from tests.pod.init_container import CANARY, Pod, plan_for
from tests.pod.rendered import visible


@pytest.fixture
def pod(tmp_path):
    """A pod before its init container."""
    return Pod(tmp_path)


def test_everything_planned_is_delivered_and_one_line_says_so(pod):
    """Variables and files byte for byte; the line counts and never quotes."""
    status, messages = pod.fetch(plan_for(("app", "password")))

    entry = b"V0=" + CANARY.encode() + b"\0"
    assert status == 0
    assert visible(pod.volumes.volume) == {
        "app/files/f0": CANARY.encode(),
        "app/launch/env": b"SIENV1 1 %d\n" % len(entry) + entry,
        "app/launch/launcher": pod.volumes.launcher.read_bytes(),
    }
    line = json.loads(messages)
    phases = {name: line.pop(name) for name in list(line) if name.endswith("_ms")}
    assert line.pop("timestamp").endswith("Z")
    stores = [
        {name: fact for name, fact in store.items() if not name.endswith("_ms")}
        for store in line.pop("stores")
    ]
    assert stores == [
        {"name": "k8s", "provider": "k8s", "served_by": "", "reads": 1, "tries": 1, "logins": 1}
    ]
    assert line == {
        "level": "info",
        "event": "values delivered",
        "pod": "api-7d4f",
        "namespace": "shop",
        "containers": 1,
        "reads": 1,
        "variables": 1,
        "files": 1,
    }
    assert all(0 <= took < 20_000 for took in phases.values())
    assert pod.termination_log.read_text() == ""


def test_keys_of_a_secret_are_delivered_and_those_left_out_are_told(pod):
    """The names are those in the store; a line for each that may not be set, and never a value."""
    plan = plan_for(("app", "password"))
    app = replace(plan.containers[0], files=(), env_from=(EnvFrom(value=1, keys=("*",)),))
    every = PlanValue(parts=(Pick(read=1),), key="*", origin="annotation env")
    plan = replace(
        plan,
        reads=(*plan.reads, Read(store=0, path="whole")),
        values=(*plan.values, every),
        containers=(app,),
    )
    whole = pod.folder / "secrets/whole"
    whole.mkdir(parents=True)
    for name in ("USER", "LD_PRELOAD", "V0"):
        (whole / name).write_text(CANARY)

    status, messages = pod.fetch(plan, SECRET_INJECTOR_SECRETS_DIR=str(whole.parent))

    body = b"".join(name + CANARY.encode() + b"\0" for name in (b"V0=", b"USER="))
    assert status == 0
    assert (pod.volumes.volume / "app/launch/env").read_bytes() == (
        b"SIENV1 2 %d\n" % len(body) + body
    )
    told = json.loads(messages.splitlines()[0])
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "level": "warning",
        "event": "key left out",
        "pod": "api-7d4f",
        "code": "SI-118",
        "store": "k8s",
        "path": "whole",
        "container": "app",
        "key": "LD_PRELOAD",
        "variable": "LD_PRELOAD",
        "why": "that decides which code a process runs",
        "hint": "give it another name with rename, or write a line for it in the pod's annotation",
    }


def test_of_many_keys_left_out_the_first_are_told_and_the_others_counted(pod):
    """A log of a pod is no place for four thousand lines."""
    every = PlanValue(parts=(Pick(read=0),), key="*", origin="annotation env")
    app = ContainerPlan(name="app", env_from=(EnvFrom(value=0, keys=("*",)),))
    plan = replace(plan_for(("whole", None)), values=(every,), containers=(app,))
    whole = pod.folder / "secrets/whole"
    whole.mkdir(parents=True)
    for index in range(70):
        (whole / f"LD_{index}").write_text("x")

    status, messages = pod.fetch(plan, SECRET_INJECTOR_SECRETS_DIR=str(whole.parent))

    lines = [json.loads(line) for line in messages.splitlines()]
    more = [line for line in lines if line["event"] == "more keys left out"]
    assert status == 0
    assert [line["event"] for line in lines].count("key left out") == 64
    assert [(line["container"], line["keys"]) for line in more] == [("app", 6)]


def test_a_higher_log_level_keeps_success_silent(pod):
    """The chart's setting for the containers that are added."""
    plan = plan_for(("app", "password"))

    assert pod.fetch(plan, SECRET_INJECTOR_LOG_LEVEL="warning") == (0, "")
    status, messages = pod.fetch(plan, SECRET_INJECTOR_LOG_LEVEL="loud")
    assert (status, messages.splitlines()[0]) == (
        2,
        "SI-201 SECRET_INJECTOR_LOG_LEVEL is none of debug, info, warning, error",
    )


def test_the_program_leaves_what_other_programs_need(pod):
    """A pod's start waits for every import.

    `ctypes` is loaded where the interpreter's file can be read, as in no image of ours.
    """
    process = pod.start(plan_for(("app", "password")), PYTHONPROFILEIMPORTTIME="1")
    _, imports = process.communicate(timeout=30)

    loaded = {line.rpartition("|")[2].strip() for line in imports.splitlines()}
    assert "injector.fetch" in loaded
    heavy = {"click", "yaml", "logging", "asyncio", "structlog", "aiohttp", "argparse"}
    others = {"hvac", "http.client", "pyrage", "requests", "ssl", "subprocess", "tempfile"}
    assert (heavy | others).isdisjoint(loaded)


def test_a_failure_is_a_block_on_standard_error_and_in_the_termination_message(pod):
    """Every problem with its hint, the status of the worst, and nothing is written."""
    status, messages = pod.fetch(plan_for(("app", "pasword"), ("app", "password"), ("no", "key")))

    assert status == 6
    lines = messages.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("SI-")] == [
        "SI-404 k8s app#pasword for V0, file f0 (annotation secret-injector.io/env)",
        "SI-404 k8s no#key for V2, file f2 (annotation secret-injector.io/env)",
    ]
    assert all(line.startswith("       hint: ") for line in lines[1::2])
    assert pod.termination_log.read_text() == messages
    assert pod.is_blank()


ONCE = (
    "restartPolicy is Never, so this pod does not retry: what made it has to make another,"
    " or secret-injector.io/deadline lets it wait longer"
)
AWAY = {"vault": {"address": "https://127.0.0.1:1", "auth": {"kubernetes": {"role": "app"}}}}


@pytest.mark.parametrize(
    ("facts", "said", "more"),
    [
        ({}, "the pod retries by itself", ""),
        (
            {"is_restarted": False},
            ONCE,
            "",
        ),
        (
            {"mesh": "Istio"},
            "the pod retries by itself",
            "; the pod is part of the mesh Istio: see docs/meshes.md",
        ),
    ],
)
def test_a_store_that_is_away_is_told_with_what_the_pod_does_next(pod, facts, said, more):
    """Its restartPolicy decides that, and its mesh may be the reason; both stand in the plan."""
    [source] = stores.parse("vault", AWAY).sources()
    (pod.folder / "sources" / source.path).parent.mkdir(parents=True)
    (pod.folder / "sources" / source.path).write_text("eyJ.eyJ.x")
    plan = plan_for(("secret/app", "password"), name="vault", document=AWAY)

    status, messages = pod.fetch(replace(plan, deadline_s=5.0, **facts))

    line, hint = messages.splitlines()
    assert status == 7
    assert line.startswith("SI-503 vault secret/app#password for V0, file f0"), line
    assert "127.0.0.1:1 refuses the connection" in line
    cure = "check address, network policies and the store's health"
    assert hint == f"       hint: {said}; {cure}{more}"
    first = pod.tries[0]
    assert first["event"] == "try 1: 127.0.0.1:1 refuses the connection"
    assert (first["store"], first["code"], first["hint"]) == ("vault", "SI-503", cure)
    assert pod.termination_log.read_text() == messages


def test_a_value_that_cannot_be_carried_is_refused_unseen(pod):
    """Native variables cannot hold a single quote; the line says that and no more."""
    status, messages = pod.fetch(plan_for(("app", "password"), mode="native"))

    assert status == 8
    assert messages.startswith(
        "SI-602 for V0 (annotation secret-injector.io/env): the value holds a single quote"
    )
    assert pod.is_blank()


def test_a_planted_link_is_refused_unseen(pod, tmp_path):
    """Nothing goes where it leads."""
    (pod.volumes.volume / "app").symlink_to(tmp_path)

    status, messages = pod.fetch(plan_for(("app", "password")))

    assert (status, messages[:7]) == (8, "SI-601 ")
    assert not (tmp_path / "launch").exists()


@pytest.mark.parametrize("plan", ["", "@@@", "eJwDAAAAAAE", "A" * 200_000])
def test_a_plan_that_is_none_is_refused(pod, plan):
    """Whatever stands in the variable, one line tells it."""
    if len(plan) > 100_000:
        plan = plan[:100_000]  # one string of an environment holds 131,072 bytes
    status, messages = pod.fetch(plan)

    assert (status, messages[:4]) == (2, "SI-2")
    assert pod.is_blank()


def test_many_problems_fit_the_termination_message(pod):
    """The log has all; the message whole lines of 4096 bytes, and the number of the others."""
    status, messages = pod.fetch(plan_for(*[("app", f"missing-{i}") for i in range(80)]))

    message = pod.termination_log.read_text()
    in_log = [line for line in messages.splitlines() if line.startswith("SI-404")]
    *shown, last = message.splitlines()
    assert (status, len(in_log)) == (6, 80)
    assert shown == in_log[: len(shown)]
    assert last == f"and {80 - len(shown)} more; see the log"
    assert len(message.encode()) <= 4096


def test_sigterm_ends_it_quietly_with_nothing_written(pod):
    """A read that hangs does not hold it, and the volumes stay blank."""
    (pod.secret / "password").unlink()
    os.mkfifo(pod.secret / "password")
    process = pod.start(plan_for(("app", "password")))
    deadline = time.monotonic() + 20
    caught = 0
    while not caught and time.monotonic() < deadline and process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.split("SigCgt:\t")[1][:16], 16) & (1 << (signal.SIGTERM - 1))
    process.send_signal(signal.SIGTERM)
    output, messages = process.communicate(timeout=20)

    assert (output, pod.is_blank()) == ("", True)
    assert process.returncode in (143, 5, 6, 7, 8)
    assert process.returncode != 143 or messages == ""
