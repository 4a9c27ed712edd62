"""The catalog follows the cluster, whatever the API server does to lists and watches."""

import asyncio
import contextlib
import json

import pytest
from aiohttp import web

from injector.core import stores
from tests.server.apiserver import NAMESPACES, NODES, STORES, ApiServer, answer, until
from webhook import reflector
from webhook.cluster import RESOURCES, Cluster
from webhook.core import nodes
from webhook.reflector import Resource

STORE = Resource(kind="ClusterSecretStore", path=STORES, is_optional=True)
SPEC = {"vault": {"address": "https://vault.example.com", "auth": {"kubernetes": {"role": "app"}}}}


class Following:
    """A cluster that follows a server.

    `waits` are the pauses it wanted, of which none is made; `states` the stores known in each.
    """

    def __init__(self, server, client, resources, **options):
        self.server = server
        self.waits, self.states = [], []
        self.cluster = Cluster(
            client, resources=resources, pause=self._pause, chance=lambda: 1.0, **options
        )

    async def _pause(self, seconds):
        self.waits.append(seconds)
        self.states.append(self.stores)
        await asyncio.sleep(0.002)

    @property
    def stores(self):
        """The names of the stores in the snapshot; the built-in one apart."""
        return sorted(self.cluster.catalog.stores.keys() - {"k8s"})

    def count(self, verb):
        """How many requests of a verb the server got."""
        return sum(each == verb for each, _ in self.server.seen)


@contextlib.asynccontextmanager
async def following(*resources, before=lambda server: None, **options):
    """Follow a fresh server, after `before` prepared it."""
    async with ApiServer() as server:
        prepared = before(server)
        if prepared is not None:
            await prepared
        async with await server.connect() as client:
            follower = Following(server, client, resources or (STORE,), **options)
            task = asyncio.create_task(follower.cluster.run())
            try:
                yield follower
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def one_store(server):
    """Put one store."""
    await server.put(STORES, "first", spec=SPEC)


async def test_a_change_of_each_kind_of_event_reaches_the_catalog():
    """Listed, added, modified and deleted objects are in the snapshot as the server has them."""
    async with following(before=one_store) as follower:
        await until(lambda: follower.stores == ["first"])
        before = follower.cluster.catalog
        await follower.server.put(STORES, "second", spec=SPEC)
        await until(lambda: follower.stores == ["first", "second"])
        await follower.server.put(STORES, "first", spec={**SPEC, "allowedNamespaces": ["shop"]})
        await until(lambda: not follower.cluster.catalog.stores["first"].serves("other"))
        await follower.server.delete(STORES, "second")
        await until(lambda: follower.stores == ["first"])

    assert sorted(before.stores) == ["first", "k8s"]
    assert before.stores["first"].serves("other")
    assert follower.count("list") == 1
    assert follower.cluster.count("ClusterSecretStore") == 1


async def test_the_catalog_is_synced_only_when_every_kind_was_listed():
    """One kind whose list is slow keeps the catalog from being complete."""
    gate = asyncio.Event()

    async def slow(_request):
        await gate.wait()
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})

    def prepare(server):
        server.faults.append(("list", slow))

    nodes = next(each for each in RESOURCES if each.kind == "Node")
    async with following(STORE, nodes, before=prepare) as follower:
        await until(lambda: len(follower.cluster.unsynced) == 1)
        waiting = follower.cluster.unsynced[0]
        assert follower.cluster.age_s(waiting) == float("inf")
        gate.set()
        await until(lambda: follower.cluster.unsynced == ())


async def test_long_lists_come_in_pages(monkeypatch):
    """A list of more objects than a page holds is read to its end, and applied as one."""
    monkeypatch.setattr(reflector, "PAGE", 2)

    async def prepare(server):
        for number in range(5):
            await server.put(STORES, f"s{number}", spec=SPEC)

    async with following(before=prepare) as follower:
        await until(lambda: follower.stores == ["s0", "s1", "s2", "s3", "s4"])

    assert follower.count("list") == 3


async def test_a_bookmark_moves_the_place_to_go_on_from():
    """After a bookmark a broken watch goes on from there, without a list."""
    async with following(before=one_store) as follower:
        await until(lambda: follower.server.watches)
        await follower.server.bookmark(STORES)
        version = follower.server.version
        await until(lambda: follower.cluster._reflectors[STORE.kind]._version == str(version))
        follower.server.compact()
        await follower.server.reset_watches()
        await until(lambda: follower.count("watch") == 2 and follower.server.watches)
        await follower.server.put(STORES, "second", spec=SPEC)
        await until(lambda: follower.stores == ["first", "second"])

    assert follower.count("list") == 1
    assert follower.server.queries[-1]["resourceVersion"] == str(version)
    assert follower.server.queries[-1]["allowWatchBookmarks"] == "true"


@pytest.mark.parametrize("way", ["status", "event"])
async def test_a_version_that_is_gone_leads_to_a_new_list(way):
    """410, as an HTTP status or as an ERROR event, lists again; objects deleted meanwhile leave."""
    async with following(before=one_store) as follower:
        await until(lambda: follower.server.watches)
        server = follower.server
        if way == "event":
            error = {"kind": "Status", "code": 410, "reason": "Expired", "metadata": {}}
            server.objects.pop(f"{STORES}/first")  # its event was compacted away
            await server.put(NODES, "unseen")
            await server.emit(STORES, "ERROR", error)
        else:
            server.objects.pop(f"{STORES}/first")
            await server.put(NODES, "unseen")
            server.compact()
            await server.reset_watches()
        await until(lambda: follower.stores == [])
        await until(lambda: server.watches)

    assert follower.count("list") == 2


async def test_a_reset_watch_loses_no_event():
    """Events that happen while the watch is broken arrive when it is back."""
    async with following(before=one_store) as follower:
        await until(lambda: follower.server.watches)
        await follower.server.reset_watches()
        await follower.server.put(STORES, "second", spec=SPEC)
        await until(lambda: follower.stores == ["first", "second"])

    assert follower.count("list") == 1


async def test_what_the_server_asks_to_wait_is_waited():
    """429 with Retry-After is waited at least so long; the known objects stay meanwhile."""
    async with following(before=one_store) as follower:
        await until(lambda: follower.server.watches)
        slow = answer(429, "TooManyRequests", **{"Retry-After": "7"})
        follower.server.faults.extend([("watch", slow), ("watch", slow)])
        await follower.server.end_watches()
        await until(lambda: follower.server.watches)

        assert follower.stores == ["first"]
    assert [wait for wait in follower.waits if wait == 7] == [7, 7]


async def test_failures_are_answered_with_doubling_waits_up_to_a_limit():
    """Each failure in a row doubles the wait's limit; none is above the longest."""

    def prepare(server):
        server.faults.extend([("list", answer(500, "InternalError"))] * 9)

    async with following(before=prepare) as follower:
        await until(lambda: follower.cluster.unsynced == ())

    assert follower.waits[:9] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]


async def test_an_empty_list_is_a_state_too():
    """A list without objects is complete: the cluster has none."""
    async with following() as follower:
        await until(lambda: follower.cluster.unsynced == ())

        assert follower.stores == []
        assert follower.cluster.age_s("ClusterSecretStore") < 5


async def test_a_kind_that_is_not_installed_is_empty_and_looked_for_again():
    """A 404 on an optional kind does not hold up the rest; installed later, it is followed."""

    def prepare(server):
        server.collections.discard(STORES)

    async with following(before=prepare) as follower:
        await until(lambda: follower.cluster.unsynced == () and len(follower.waits) > 2)
        await follower.server.put(STORES, "late", spec=SPEC)
        follower.server.collections.add(STORES)
        await until(lambda: follower.stores == ["late"])

    assert set(follower.waits) == {reflector.ABSENT_S * 1.5}


async def test_a_kind_that_seems_gone_once_is_not_forgotten():
    """One 404 may come from a server that is still starting; only a second one empties the kind."""
    async with following(before=one_store) as follower:
        await until(lambda: follower.server.watches)
        follower.server.faults.append(("watch", answer(404, "NotFound")))
        await follower.server.end_watches()
        await until(lambda: follower.count("list") == 2 and follower.server.watches)
        known = [state for state in follower.states if state != ["first"]]
        follower.server.faults.append(("watch", answer(404, "NotFound")))
        follower.server.collections.discard(STORES)
        await follower.server.end_watches()
        await until(lambda: follower.stores == [])

    assert known == []


async def test_a_kind_that_must_exist_is_not_taken_for_empty():
    """A 404 or 403 on nodes or namespaces keeps the catalog incomplete."""
    nodes = next(each for each in RESOURCES if each.kind == "Node")

    def prepare(server):
        server.faults.append(("list", answer(403, "Forbidden")))
        server.collections.discard(NODES)

    async with following(nodes, before=prepare) as follower:
        await until(lambda: len(follower.waits) > 3)

        assert follower.cluster.unsynced == ("Node",)


async def test_an_answer_of_another_form_is_listed_again():
    """A proxy's page instead of JSON, in a list or in a watch, changes nothing that is known."""

    async def page(_request):
        return web.Response(text="<html>sorry</html>\n")

    async with following(before=one_store) as follower:
        await until(lambda: follower.server.watches)
        follower.server.faults.extend([("watch", page), ("list", page)])
        await follower.server.end_watches()
        await until(lambda: follower.count("list") == 3 and follower.server.watches)

        assert follower.stores == ["first"]


async def test_a_silent_watch_is_begun_anew(monkeypatch):
    """A watch that nothing comes from, bookmarks included, is taken for a dead connection."""
    monkeypatch.setattr(reflector, "SILENCE_S", 0.1)

    async with following(before=one_store) as follower:
        await until(lambda: follower.count("watch") >= 3)

        assert follower.count("list") == 1
        assert follower.stores == ["first"]


async def test_of_nodes_and_namespaces_only_what_is_needed_is_asked_for():
    """Namespaces come as metadata, nodes give their kubelet's version; all else is left out."""

    async def prepare(server):
        await server.put(NAMESPACES, "shop", metadata={"labels": {"team": "a"}}, spec={"x": 1})
        await server.put(
            NODES,
            "n1",
            spec={"podCIDR": "10.0.0.0/24"},
            status={
                "nodeInfo": {"kubeletVersion": "v1.37.2", "kernelVersion": "6.1"},
                "images": [],
            },
        )
        await server.put(
            NODES,
            "n2",
            spec={"unschedulable": True},
            status={"nodeInfo": {"kubeletVersion": "v1.30.0"}},
        )

    async with following(*RESOURCES[:2], before=prepare) as follower:
        await until(lambda: len(follower.server.watches) == 2)
        catalog = follower.cluster.catalog

    assert catalog.labels_of("shop") == {"kubernetes.io/metadata.name": "shop", "team": "a"}
    assert catalog.nodes == {"n1": nodes.CAPABLE}
    accepts = {(verb, path): accept for verb, path, accept in follower.server.accepts}
    assert "as=PartialObjectMetadataList;" in accepts["list", NAMESPACES]
    assert "as=PartialObjectMetadata;" in accepts["watch", NAMESPACES]


async def test_a_heartbeat_of_a_node_makes_no_new_snapshot():
    """A change that decisions do not read keeps the snapshot and all worked out from it."""
    status = {"nodeInfo": {"kubeletVersion": "v1.37.2"}}

    async def prepare(server):
        await server.put(NODES, "n1", status=status)

    async with following(RESOURCES[1], before=prepare) as follower:
        await until(lambda: follower.server.watches)
        before = follower.cluster.catalog
        await follower.server.put(NODES, "n1", status={**status, "conditions": ["a new time"]})
        version = str(follower.server.version)
        await until(lambda: follower.cluster._reflectors["Node"]._version == version)

        assert follower.cluster.catalog is before


async def test_an_object_that_breaks_the_catalog_is_there_and_cannot_be_used(monkeypatch):
    """A fault of our own in one object is counted; what needs it is told, the others are served."""
    faults, seen = [], []
    honest = stores.parse

    def trips(name, document):
        if name == "odd" and document:
            raise ZeroDivisionError
        return honest(name, document)

    monkeypatch.setattr(stores, "parse", trips)

    async def prepare(server):
        await server.put(STORES, "odd", spec=SPEC)
        await one_store(server)

    async with following(
        before=prepare, on_fault=faults.append, on_unusable=seen.append
    ) as follower:
        await until(lambda: follower.cluster.unsynced == ())
        known = follower.cluster.catalog.stores
        assert follower.cluster.unusable("ClusterSecretStore") == 1
        await follower.server.delete(STORES, "odd")
        await until(lambda: follower.stores == ["first"])
        assert follower.cluster.unusable("ClusterSecretStore") == 0

    assert known["first"].store is not None
    assert known["odd"].store is None
    (problem,) = known["odd"].problems
    assert problem.line() == (
        "SI-500 (ClusterSecretStore odd): the webhook failed to read this object, so nothing"
        " of it is used"
    )
    assert faults == ["catalog"]
    assert seen == ["ClusterSecretStore"]


async def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(monkeypatch):
    """Objects of the largest size do not fill the memory by coming in one page."""
    monkeypatch.setattr(reflector, "PAGE_BYTES", 100_000)

    async def prepare(server):
        for number in range(20):
            await server.put(STORES, f"s{number}", spec={**SPEC, "padding": "x" * 30_000})
        await server.put(STORES, "largest", spec={**SPEC, "padding": "x" * 200_000})

    async with following(before=prepare) as follower:
        await until(lambda: follower.cluster.unsynced == ())
        count = len(follower.stores)
    limits = [int(query["limit"]) for query in follower.server.queries if "limit" in query]

    assert count == 21
    assert (max(limits), min(limits)) == (500, 1)
    assert follower.waits == []


async def test_what_the_server_says_in_a_failure_is_not_logged(capsys):
    """The message of a Status may quote objects: it reaches no log line."""

    def prepare(server):
        server.faults.extend([("list", answer(500, "InternalError"))] * 3)

    async with following(before=prepare) as follower:
        await until(lambda: follower.cluster.unsynced == ())

    printed = "".join(capsys.readouterr())
    assert "InternalError" in printed
    assert "canary-of-a-message" not in printed
    assert json.dumps(follower.waits)
