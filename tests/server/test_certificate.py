"""The serving certificate: issued, shared, trusted, renewed and swapped while requests go on."""

import asyncio
import base64
import contextlib
import os
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from tests.server.apiserver import ApiServer, answer, decoded, until
from webhook import certificates, connections
from webhook.api import ApiFailure
from webhook.follower import Follower
from webhook.issuer import Issuer
from webhook.published import ADMISSION, Identity, configurations
from webhook.tls import Files, ServingCertificate
from webhook.witness import Witness

IDENTITY = Identity(
    namespace="injector",
    service="webhook",
    secret="serving",
    configurations=("mutatingwebhookconfigurations/ours", "validatingwebhookconfigurations/ours"),
)
SECRETS = "/api/v1/namespaces/injector/secrets"
LIFE = timedelta(days=90)
SETTLE_S = 10


def now():
    """The time, as certificates have it."""
    return datetime.now(UTC)


@contextlib.asynccontextmanager
async def cluster():
    """An API server with the chart's empty Secret and both configurations, and a client of it."""
    async with ApiServer() as server:
        await server.put(SECRETS, "serving", type="kubernetes.io/tls", data={})
        hook = {"name": "pods", "clientConfig": {"service": {"name": "webhook"}}}
        for path in IDENTITY.configurations:
            kind, name = path.split("/")
            await server.put(ADMISSION + kind, name, webhooks=[hook, {**hook, "name": "more"}])
        async with await server.connect() as client:
            yield server, client


class Replica:
    """One webhook's certificate, with a clock that only moves when told."""

    def __init__(self, client):
        self.time_s = 0.0
        self.serving = ServingCertificate()
        self.follower = Follower(
            client, IDENTITY, self.serving, settle_s=SETTLE_S, clock=lambda: self.time_s
        )
        self.round = self.follower.round


async def keep(client, **options):
    """A round of the certificates process; a lost race is another round, as in its loop."""
    issuer = Issuer(client, IDENTITY, life_s=LIFE.total_seconds(), **options)
    while True:
        try:
            return await issuer.round()
        except ApiFailure as failure:
            if failure.status != 409:
                raise


def secret(server):
    """The Secret's data, decoded."""
    data = server.objects[f"{SECRETS}/serving"]["data"]
    return {name: decoded(text) for name, text in data.items()}


def bundles(server):
    """Every caBundle of both configurations."""
    return [
        decoded(hook["clientConfig"].get("caBundle", ""))
        for path in IDENTITY.configurations
        for hook in server.objects[ADMISSION + path]["webhooks"]
    ]


async def test_the_first_round_issues_a_certificate_that_the_configurations_trust():
    """An empty Secret is filled, every caBundle gets the authority, and the handshake holds."""
    async with cluster() as (server, client):
        replica = Replica(client)
        early = await replica.round()
        await keep(client)
        settled = await replica.round()
        data, found = secret(server), bundles(server)

    assert (early, settled, replica.follower.is_trusted) == (False, True, True)
    assert sorted(data) == ["ca.crt", "tls.crt", "tls.key"]
    assert found == [data["ca.crt"]] * 4
    assert certificates.verifies(replica.serving.context, data["ca.crt"], "webhook.injector.svc")
    assert not certificates.verifies(replica.serving.context, data["ca.crt"], "other.injector.svc")
    assert server.objects[f"{SECRETS}/serving"]["type"] == "kubernetes.io/tls"


async def test_the_authority_can_sign_nothing_more():
    """No key but the leaf's is kept: the Secret's key is not the authority's."""
    async with cluster() as (server, client):
        await keep(client)
        data = secret(server)

    (authority,) = certificates.parse_bundle(data["ca.crt"])
    key = serialization.load_pem_private_key(data["tls.key"], password=None)
    assert key.public_key() != authority.public_key()
    assert b"".join(data.values()).count(b"BEGIN PRIVATE KEY") == 1


async def test_two_processes_that_race_end_with_one_certificate():
    """Should two ever hold the lease, one issues; all replicas serve that and are trusted."""
    async with cluster() as (server, client):
        replicas = [Replica(client) for _ in range(5)]
        await asyncio.gather(*(keep(client) for _ in range(3)))
        settled = await asyncio.gather(*(replica.round() for replica in replicas))

    assert settled == [True] * 5
    assert {replica.serving.pair.chain for replica in replicas} == {secret(server)["tls.crt"]}
    assert [len(certificates.parse_bundle(bundle)) for bundle in bundles(server)] == [1] * 4


async def test_a_certificate_is_renewed_at_two_thirds_of_its_life():
    """A day before two thirds nothing happens; a day after, a new one is issued."""
    async with cluster() as (server, client):
        await keep(client, now=lambda: now() - timedelta(days=61))
        first = secret(server)["tls.crt"]
        await keep(client, now=lambda: now() - timedelta(days=2))
        assert secret(server)["tls.crt"] == first
        await keep(client)
        replica = Replica(client)
        await replica.round()

        assert secret(server)["tls.crt"] != first
        assert replica.follower.is_trusted
        assert [len(certificates.parse_bundle(bundle)) for bundle in bundles(server)] == [2] * 4


async def test_expired_authorities_leave_the_bundle():
    """What no certificate can hang on any more is dropped when the bundle is next written."""
    old = certificates.issue(["a"], now=now() - timedelta(days=100), life=LIFE)
    kept = certificates.issue(["a"], now=now() - timedelta(days=50), life=LIFE)
    new = certificates.issue(["a"], now=now(), life=LIFE)

    bundle = certificates.extend(old.ca + kept.ca, new.ca, now=now())

    assert bundle == new.ca + kept.ca
    assert certificates.extend(bundle, new.ca, now=now()) is bundle


async def test_a_bundle_that_somebody_emptied_is_filled_again():
    """A caBundle lost to an upgrade makes us not trusted for at most a round."""
    async with cluster() as (server, client):
        replica = Replica(client)
        await keep(client)
        await replica.round()
        for path in IDENTITY.configurations:
            server.objects[ADMISSION + path]["webhooks"][1]["clientConfig"]["caBundle"] = (
                "bm9uc2Vuc2U="
            )
        await replica.round()
        assert not replica.follower.is_trusted
        await keep(client)
        await replica.round()

        assert replica.follower.is_trusted
        assert bundles(server) == [secret(server)["ca.crt"]] * 4


async def test_without_the_api_server_the_last_finding_stays():
    """A failing API server makes neither certificate nor trust go away."""
    async with cluster() as (server, client):
        replica = Replica(client)
        await keep(client)
        await replica.round()
        server.faults.extend([("get", answer(500, "InternalError"))] * 3)
        for _ in range(3):
            with pytest.raises(ApiFailure):
                await replica.round()

        assert replica.follower.is_trusted
        assert replica.serving.is_valid(now())


async def test_a_configuration_that_is_missing_means_not_trusted():
    """Before the chart's last object is there, no replica claims that it can be called."""
    async with cluster() as (server, client):
        gone = server.objects.pop(ADMISSION + IDENTITY.configurations[1])
        replica = Replica(client)
        with pytest.raises(ApiFailure):
            await keep(client)
        with pytest.raises(ApiFailure):
            await replica.round()
        assert not replica.follower.is_trusted
        server.objects[ADMISSION + IDENTITY.configurations[1]] = gone
        await keep(client)

        assert await replica.round()


async def test_rotation_under_requests_fails_none():
    """Six rotations, two replicas, four clients of which two see each caBundle late: no failure."""
    done, failures, stop = [0], [], asyncio.Event()

    async def hello(_request):
        done[0] += 1
        return web.Response(text="ok")

    async def ask(port, trust):
        """Connect, ask, close: again and again, trusting what the API server has or had."""
        while not stop.is_set():
            context = ssl.create_default_context(cadata=trust().decode())
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context, server_hostname="webhook.injector.svc"
                )
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                head = await reader.readline()
                assert head == b"HTTP/1.1 200 OK\r\n"
                writer.close()
                await writer.wait_closed()
            except (OSError, AssertionError) as error:
                failures.append(error)

    async with cluster() as (server, client):
        replicas = [Replica(client), Replica(client)]
        await keep(client)
        ports, listeners = [], []
        for replica in replicas:
            await replica.round()
            limits = {"head_timeout_s": 5, "idle_timeout_s": 60, "max_connections": 64}
            handler = connections.Server(hello, max_body_bytes=1000, **limits)
            context = replica.serving.context
            listener, found = await connections.listen(handler, "127.0.0.1", 0, ssl=context)
            listeners.append(listener)
            ports += found
        late = [bundles(server)[0]]
        clients = [
            asyncio.create_task(ask(port, trust))
            for port in ports
            for trust in (lambda: bundles(server)[0], lambda: late[0])
        ]
        for _ in range(6):
            before = secret(server)["tls.crt"]
            server.objects[f"{SECRETS}/serving"]["data"] = {}
            assert [await replica.round() for replica in replicas] == [False, False]
            await keep(client)
            for replica in replicas:
                await replica.round()
            count = done[0]
            await until(lambda c=count: done[0] > c + 4 or failures)
            assert {each.serving.pair.chain for each in replicas} == {before}
            late[0] = bundles(server)[0]
            for replica in replicas:
                replica.time_s += SETTLE_S
                assert await replica.round()
            count = done[0]
            await until(lambda c=count: done[0] > c + 4 or failures)
            assert {each.serving.pair.chain for each in replicas} == {secret(server)["tls.crt"]}
        stop.set()
        await asyncio.gather(*clients)
        for listener in listeners:
            listener.close()

    assert failures == []
    assert done[0] > 48


async def test_a_pair_that_no_bundle_holds_yet_is_not_served():
    """Between the Secret and the caBundles, and for a while after, the old certificate is served.

    The time to wait begins when the last bundle holds the authority, and again when one loses it.
    """
    async with cluster() as (server, client):
        replica = Replica(client)
        await keep(client)
        await replica.round()
        first, old = replica.serving.pair.chain, bundles(server)[0]
        server.objects[f"{SECRETS}/serving"]["data"] = {}
        await keep(client)
        hooks = server.objects[ADMISSION + IDENTITY.configurations[1]]["webhooks"]
        new = hooks[1]["clientConfig"]["caBundle"]
        served = []
        for bundle, time_s in (
            (None, 0),
            (None, 99),
            (new, 100),
            (None, 105),
            (new, 106),
            (new, 115),
        ):
            text = base64.b64encode(old).decode() if bundle is None else bundle
            hooks[1]["clientConfig"]["caBundle"] = text
            replica.time_s = time_s
            await replica.round()
            served.append(replica.serving.pair.chain == first)
        replica.time_s = 116
        settled = await replica.round()

    assert served == [True] * 6
    assert settled
    assert replica.serving.pair.chain == secret(server)["tls.crt"] != first


async def test_the_webhook_changes_nothing():
    """Whatever state Secret and configurations are in, a replica's rounds only read."""
    async with cluster() as (server, client):
        replica = Replica(client)
        await replica.round()
        await keep(client)
        server.seen.clear()
        await replica.round()
        server.objects[f"{SECRETS}/serving"]["data"] = {}
        await replica.round()

    assert {verb for verb, _ in server.seen} == {"get"}


def test_any_number_of_configurations_is_kept():
    """Names are separated by commas; none is no configuration."""
    assert configurations("a, b", "c") == (
        "mutatingwebhookconfigurations/a",
        "mutatingwebhookconfigurations/b",
        "validatingwebhookconfigurations/c",
    )
    assert configurations("", " ,") == ()


async def test_a_connection_outlives_the_swap_of_the_certificate():
    """A kept connection answers before and after a swap; a new one sees the new certificate."""
    serving = ServingCertificate()
    first, second = (certificates.issue(["localhost"], now=now(), life=LIFE) for _ in range(2))
    serving.serve(first)

    async def hello(_request):
        return web.Response(text="ok")

    limits = {"head_timeout_s": 5, "idle_timeout_s": 60, "max_connections": 9, "max_body_bytes": 9}
    listener, (port,) = await connections.listen(
        connections.Server(hello, **limits), "127.0.0.1", 0, ssl=serving.context
    )
    trust = ssl.create_default_context(cadata=(first.ca + second.ca).decode())

    async def connect():
        return await asyncio.open_connection(
            "127.0.0.1", port, ssl=trust, server_hostname="localhost"
        )

    async def ask(reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return (await reader.readuntil(b"ok"))[:15]

    def served(writer):
        return ssl.DER_cert_to_PEM_cert(
            writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        ).encode()

    kept = await connect()
    answers = [await ask(*kept)]
    serving.serve(second)
    fresh = await connect()
    answers += [await ask(*kept), await ask(*fresh)]

    assert answers == [b"HTTP/1.1 200 OK"] * 3
    assert (served(kept[1]), served(fresh[1])) == (first.chain, second.chain)
    for _, writer in (kept, fresh):
        writer.close()
        await writer.wait_closed()
    listener.close()


def write(folder, pair):
    """Write a pair as a mounted Secret shows it: a new folder, then one symlink swapped."""
    version = folder / f"..{pair.not_after.timestamp()}-{os.urandom(4).hex()}"
    version.mkdir()
    (version / "tls.crt").write_bytes(pair.chain)
    (version / "tls.key").write_bytes(pair.key)
    link = folder / "..data_tmp"
    link.symlink_to(version.name)
    link.replace(folder / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


async def test_files_are_served_anew_when_they_change(tmp_path):
    """A new pair is seen at the next look; the same one is not loaded again."""
    serving, pairs = ServingCertificate(), []
    files = Files(serving, tmp_path / "tls.crt", tmp_path / "tls.key")
    for _ in range(2):
        pairs.append(certificates.issue(["localhost"], now=now(), life=LIFE))
        write(tmp_path, pairs[-1])
        files.load()
        loaded = serving.pair
        files.load()

        assert serving.pair is loaded
        assert loaded.chain == pairs[-1].chain


@pytest.mark.parametrize("damage", ["other key", "empty", "gone", "garbage"])
async def test_files_that_cannot_be_served_leave_the_old_certificate(tmp_path, damage):
    """Half-written or foreign files are refused, and what was served is served on."""
    serving = ServingCertificate()
    files = Files(serving, tmp_path / "tls.crt", tmp_path / "tls.key")
    good, other = (certificates.issue(["localhost"], now=now(), life=LIFE) for _ in range(2))
    (tmp_path / "tls.crt").write_bytes(good.chain)
    (tmp_path / "tls.key").write_bytes(good.key)
    files.load()
    match damage:
        case "other key":
            (tmp_path / "tls.key").write_bytes(other.key)
        case "gone":
            (tmp_path / "tls.key").unlink()
        case _:
            text = b"" if damage == "empty" else b"-----BEGIN CERTIFICATE-----\nnonsense\n"
            (tmp_path / "tls.crt").write_bytes(text)

    with pytest.raises((OSError, ValueError)):
        files.load()

    assert serving.pair.chain == good.chain
    assert certificates.verifies(serving.context, good.ca, "localhost")


async def test_a_witness_sees_whether_others_keep_the_bundle():
    """With certificates from files we only look: trusted exactly while the caBundles fit."""
    async with cluster() as (server, client):
        serving = ServingCertificate()
        pair = certificates.issue(IDENTITY.names, now=now(), life=LIFE)
        serving.serve(pair)
        witness = Witness(client, IDENTITY, serving)
        findings = []
        text = base64.b64encode(pair.ca).decode()
        for path, bundle in ((None, None), (0, text), (1, text), (0, "")):
            if path is not None:
                for hook in server.objects[ADMISSION + IDENTITY.configurations[path]]["webhooks"]:
                    hook["clientConfig"]["caBundle"] = bundle
            await witness.round()
            findings.append(witness.is_trusted)

    assert findings == [False, False, True, False]
    assert {verb for verb, _ in server.seen} == {"get"}


def test_a_pair_does_not_show_its_key():
    """Neither repr nor str of a pair holds the key."""
    pair = certificates.issue(["a.example"], now=now(), life=LIFE)

    assert repr(pair) == str(pair) == f"Pair(a.example, until {pair.not_after.isoformat()})"
