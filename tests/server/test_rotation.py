"""The certificates process as a process: what it keeps, whom it follows, how it ends."""

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.apiserver import ApiServer, answer, decoded, until
from tests.server.test_process import kubeconfig
from webhook import api, certificates, rotation
from webhook.published import ADMISSION

SECRETS = "/api/v1/namespaces/injector/secrets"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/injector/leases"
CANARY = "c4n4ry"
START_S = 20


@contextlib.asynccontextmanager
async def cluster():
    """An API server with what the chart makes: an empty Secret, a Lease, three configurations."""
    async with ApiServer() as server:
        await server.put(SECRETS, "serving")
        await server.put(LEASES, "certificates")
        for kind, name in (("mutating", "ours"), ("validating", "ours"), ("validating", "pods")):
            hooks = [{"name": "a", "clientConfig": {}}, {"name": "b", "clientConfig": {}}]
            await server.put(f"{ADMISSION}{kind}webhookconfigurations", name, webhooks=hooks)
        yield server


@contextlib.asynccontextmanager
async def running(folder, server, *flags, program=("-m", "injector", "certificates")):
    """Start the process; yield it and a function that returns its log's lines; kill it."""
    kube = kubeconfig(folder, server.port)
    line = [sys.executable, *program, *kube, "--validating-configuration", "ours,pods"]
    line += ["--lease", "certificates", *flags]
    log = folder / f"log-{len(list(folder.iterdir()))}"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(*line, stderr=stderr)
        try:
            yield process, lambda: [json.loads(each) for each in log.read_bytes().splitlines()]
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def bundles(server):
    """Every caBundle of the three configurations."""
    return [
        decoded(hook["clientConfig"].get("caBundle", ""))
        for path, item in server.objects.items()
        if path.startswith(ADMISSION)
        for hook in item["webhooks"]
    ]


def is_kept(server):
    """Whether every caBundle holds the authority of the Secret's certificate."""
    data = server.objects[f"{SECRETS}/serving"].get("data") or {}
    return "ca.crt" in data and all(
        certificates.holds(bundle, decoded(data["ca.crt"])) for bundle in bundles(server)
    )


def sockets(pid):
    """Return the sockets of a process, and every socket of this machine that listens."""
    links = [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    own = {link[8:-1] for link in links if link.startswith("socket:[")}
    return own, {row[9] for row in rows if row[3] == "0A"}


async def test_from_an_empty_secret_to_bundles_that_trust_it(tmp_path):
    """One start fills the Secret and all six caBundles; SIGTERM ends it with status 0."""
    async with cluster() as server, running(tmp_path, server) as (process, lines):
        await until(lambda: is_kept(server), limit_s=START_S)
        count = len(bundles(server))
        process.terminate()
        status = await process.wait()
        seen = {(verb, path.split("/")[-2]) for verb, path in server.seen}

    allowed = {
        (verb, resource) for _, resource, verbs, _ in api.CERTIFICATES_RBAC for verb in verbs
    }
    verbs = {"get": "get", "put": "update", "patch": "patch"}
    assert count == 6
    assert status == 0
    assert {(verbs[verb], resource) for verb, resource in seen} == allowed
    assert [line["event"] for line in lines()] == [
        "certificates process started",
        "leading",
        "certificate issued",
        *["authority added to caBundle"] * 3,
        "certificates process stopped",
    ]


async def test_it_listens_nowhere(tmp_path):
    """No socket of the process listens: what may patch webhook configurations cannot be called."""
    async with cluster() as server, running(tmp_path, server) as (process, _):
        await until(lambda: is_kept(server), limit_s=START_S)
        own, listening = sockets(process.pid)

    assert own
    assert own & listening == set()


async def test_a_second_replica_waits_for_the_lease(tmp_path):
    """While one holds the lease the other reads nothing but the lease."""
    async with cluster() as server, running(tmp_path, server):
        await until(lambda: is_kept(server), limit_s=START_S)
        holder = server.objects[f"{LEASES}/certificates"]["spec"]["holderIdentity"]
        async with running(tmp_path, server) as (_, lines):
            await until(lines, limit_s=START_S)
            before = len(server.seen)
            await until(lambda: len(server.seen) > before + 1, limit_s=START_S)
            events = [line["event"] for line in lines()]
        after = server.objects[f"{LEASES}/certificates"]["spec"]["holderIdentity"]

    assert events == ["certificates process started"]
    assert after == holder


async def test_a_bundle_that_somebody_emptied_is_filled_again(tmp_path):
    """An upgrade or a person that drops a caBundle is put right by the next round."""
    async with cluster() as server, running(tmp_path, server, "--tls-check-s", "0.05"):
        await until(lambda: is_kept(server), limit_s=START_S)
        path = f"{ADMISSION}validatingwebhookconfigurations/pods"
        server.objects[path]["webhooks"][1]["clientConfig"] = {}
        assert not is_kept(server)
        await until(lambda: is_kept(server), limit_s=START_S)


async def test_an_api_server_that_refuses_is_asked_again(tmp_path):
    """Errors are waited out with a line each, in which nothing of the answer is quoted."""
    async with cluster() as server:
        server.faults.extend([("get", answer(503, "ServiceUnavailable"))])
        async with running(tmp_path, server) as (_, lines):
            await until(lambda: is_kept(server), limit_s=START_S)
            refused = [line for line in lines() if line["event"] == "certificate not kept"]

    assert [(line["status"], line["cause"]) for line in refused] == [(503, "ServiceUnavailable")]


async def test_a_fault_of_its_own_ends_it_without_a_value(tmp_path):
    """What it does not understand is a line with a place, and status 1: it is started again."""
    async with cluster() as server:
        server.objects[f"{SECRETS}/serving"]["data"] = [CANARY]
        async with running(tmp_path, server) as (process, lines):
            status = await process.wait()

    assert status == 1
    assert lines()[-1]["event"] == "certificates process failed"
    assert lines()[-1]["at"]
    assert CANARY not in json.dumps(lines())


async def test_a_process_that_hangs_is_ended_by_the_kernel(tmp_path):
    """No probe asks it anything: an alarm ends it, also when Python does nothing any more."""
    script = "import time, sys; from webhook import rotation; rotation.HANG_S = 1; "
    script += "rotation.Keeper.turn = lambda *_, **__: time.sleep(60); rotation.main(sys.argv[1:])"
    async with (
        cluster() as server,
        running(tmp_path, server, program=("-c", script)) as (process, _),
    ):
        status = await process.wait()

    assert status == -14


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ["--namespace is needed"]),
        (["--namespace", "n", "--lease", ""], ["--lease is needed"]),
        (
            ["--namespace", "n", "--certificate-life-s", "0", "--log-level", "loud"],
            ["--certificate-life-s must be above zero", "--log-level must be"],
        ),
    ],
)
def test_settings_that_are_wrong_are_refused_together(argv, words, capsys, monkeypatch):
    """All that is wrong is said at once, with SI-201 and exit status 2."""
    monkeypatch.setattr("os.environ", {})

    assert rotation.main(argv) == 2

    said = capsys.readouterr().err
    assert said.count("SI-201") == len(words)
    assert [word for word in words if word not in said] == []


def test_it_loads_no_server():
    """What is not loaded cannot be reached: neither the reviews' server nor the catalog."""
    script = "import webhook.rotation, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())

    assert {"webhook.server", "webhook.connections", "webhook.core.catalog"} & loaded == set()
