"""A namespace that the watch has not told of yet: no selector is passed by being early."""

import asyncio
import contextlib
import json
import threading
from time import perf_counter

import pytest
from aiohttp import ClientSession

from tests import asking
from tests.server.apiserver import NAMESPACES, ApiServer, until
from webhook import connections
from webhook.cluster import RESOURCES, Cluster
from webhook.core.catalog import Catalog
from webhook.core.decide import decide
from webhook.core.review import Head, Kind
from webhook.core.validate import validate
from webhook.metrics import Metrics
from webhook.namespaces import Arrivals
from webhook.server import Admission

BY_LABEL = asking.policy(
    match={"namespaceSelector": {"matchLabels": {"tenant": "true"}}}, rules={"env": "forbidden"}
)
BY_NAME = asking.policy(
    match={"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}},
    rules={"env": "forbidden"},
)
ENVIRONMENT = {
    "kind": "EnvironmentSecrets",
    "metadata": {"name": "prod"},
    "spec": {
        "namespaceSelector": {"matchExpressions": [{"key": "stage", "operator": "Exists"}]},
        "env": {"A": "x"},
    },
}
POD = asking.pod({"env": "A: x"})
NOT_KNOWN = (
    "SI-123 nothing is known of namespace shop yet, and a selector looks at its labels\n"
    "       hint: create the pod again in a moment; if it stays, the webhook's watch of namespaces"
    " is behind"
)


def _followed(*objects):
    return Catalog(is_followed=True).with_objects((raw["kind"], raw) for raw in objects)


def _namespace(**labels):
    return {"kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}


@pytest.mark.parametrize("selecting", [BY_LABEL, ENVIRONMENT], ids=["policy", "environment"])
def test_a_pod_is_refused_while_a_selector_needs_labels_that_nobody_told(selecting):
    """Today's labels would be the name alone, and a policy by label would not match."""
    decided = asking.outcome(POD, catalog=_followed(selecting))

    assert (decided.kind, asking.codes(decided)) == ("deny", ["SI-123"])
    known = asking.outcome(POD, catalog=_followed(selecting, _namespace()))
    assert known.kind == "inject"


def test_the_policy_binds_as_soon_as_the_labels_are_known():
    """The same pod in the same namespace, once its label is there."""
    decided = asking.outcome(POD, catalog=_followed(BY_LABEL, _namespace(tenant="true")))

    assert asking.codes(decided) == ["SI-121"]


@pytest.mark.parametrize("objects", [(), (BY_NAME,), (asking.policy(rules={"env": "allowed"}),)])
def test_nobody_is_refused_where_no_selector_looks_at_another_label(objects):
    """The name is in the review; a policy for all or by name needs nothing else."""
    assert asking.outcome(POD, catalog=_followed(*objects)).kind == "inject"


@pytest.mark.parametrize("annotations", [{}, {"inject": "false", "env": "A: x"}])
def test_a_pod_that_does_not_ask_is_never_refused_for_it(annotations):
    """Other pods are untouched, whatever is known."""
    assert asking.outcome(asking.pod(annotations), catalog=_followed(BY_LABEL)).kind == "skip"


def test_offline_commands_judge_by_what_their_files_say():
    """A catalog of files is complete as it is: no namespace is on its way."""
    assert asking.outcome(POD, BY_LABEL).kind == "inject"


def _body(pod=POD, namespace="shop"):
    request = {
        "uid": "1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": namespace,
        "object": pod,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(review).encode()


class _Served:
    """A webhook on loopback that follows the namespaces of a small API server."""

    def __init__(self, server, cluster, arrivals):
        self.server, self.cluster, self.arrivals = server, cluster, arrivals

    async def ask(self, namespace="shop", limit="5s"):
        """Post a review of the pod; return whether it is allowed, what is said, the seconds."""
        began_s = perf_counter()
        async with self.session.post(
            f"/mutate?timeout={limit}",
            data=_body(namespace=namespace),
            headers={"Content-Type": "application/json"},
        ) as response:
            answer = json.loads(await response.read())["response"]
        said = answer.get("status", {}).get("message", "")
        return answer["allowed"], said, perf_counter() - began_s


@contextlib.asynccontextmanager
async def _serving(*objects, patience_s=1.0):
    arrivals = Arrivals(patience_s=patience_s)
    namespaces = [each for each in RESOURCES if each.kind == "Namespace"]
    async with ApiServer() as server:
        await server.put(NAMESPACES, "known", metadata={"labels": {}})
        async with await server.connect() as client:
            cluster = Cluster(client, resources=namespaces, on_namespaces=arrivals.told)
            following = asyncio.create_task(cluster.run())
            await until(lambda: not cluster.unsynced)
            cluster.catalog = cluster.catalog.with_objects((raw["kind"], raw) for raw in objects)
            admission = Admission(
                {"/mutate": lambda asked, catalog: decide(asked, catalog, asking.INJECTION)},
                lambda: cluster.catalog,
                Metrics(),
                max_body_bytes=100_000,
                request_timeout_s=5,
                arrivals=arrivals,
            )
            limits = {"head_timeout_s": 5, "idle_timeout_s": 5, "max_connections": 900}
            listening = connections.Server(admission, max_body_bytes=100_000, **limits)
            listener, (port,) = await connections.listen(listening, "127.0.0.1", 0)
            served = _Served(server, cluster, arrivals)
            async with ClientSession(f"http://127.0.0.1:{port}") as served.session:
                yield served
            listener.close()
            await listening.drain(1)
            admission.deciding.close()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def test_a_review_waits_for_the_watch_and_is_judged_by_the_labels():
    """`apply` of a namespace and its pods: the pods come first, and nobody sends them again."""
    async with _serving(BY_LABEL, patience_s=5) as served:
        asked = asyncio.create_task(served.ask())
        await until(lambda: served.arrivals._waiting)
        await served.server.put(NAMESPACES, "shop", metadata={"labels": {"tenant": "true"}})
        allowed, said, took_s = await asked
        free = asyncio.create_task(served.ask("free"))
        await until(lambda: served.arrivals._waiting)
        await served.server.put(NAMESPACES, "free", metadata={"labels": {}})

        assert (allowed, took_s < 4) == (False, True)
        assert said.startswith("SI-121 ")
        assert (await free)[0] is True


async def test_others_are_served_while_a_review_waits():
    """The wait holds no turn: hundreds of reviews are answered beside it."""
    async with _serving(BY_LABEL, patience_s=5) as served:
        asked = asyncio.create_task(served.ask())
        await until(lambda: served.arrivals._waiting)
        others = []
        for _ in range(5):
            others += await asyncio.gather(*(served.ask("known") for _ in range(40)))

        assert [allowed for allowed, _, _ in others] == [True] * 200
        assert not asked.done()
        await served.server.put(NAMESPACES, "shop", metadata={"labels": {}})
        assert (await asked)[0] is True


async def test_a_review_is_refused_with_a_code_when_word_does_not_come():
    """After the time, and never later than the API server waits."""
    async with _serving(BY_LABEL) as served:
        allowed, said, took_s = await served.ask()

        assert (allowed, said) == (False, NOT_KNOWN)
        assert 1.0 <= took_s < 3.0
        _, said, took_s = await served.ask(limit="1s")
        assert said == NOT_KNOWN
        assert took_s < 1.0


@pytest.mark.parametrize("objects", [(), (BY_NAME,)])
async def test_nobody_waits_where_no_selector_looks_at_another_label(objects):
    """Without such a selector a new namespace costs nothing."""
    async with _serving(*objects, patience_s=60) as served:
        assert (await asyncio.wait_for(served.ask(), 4))[0] is True


async def test_the_number_of_reviews_that_wait_is_bounded(monkeypatch):
    """Beyond it a review is decided as it is: refused, at once."""
    monkeypatch.setattr("webhook.namespaces.MOST_WAITING", 3)
    async with _serving(BY_LABEL, patience_s=5) as served:
        waiting = [asyncio.create_task(served.ask()) for _ in range(3)]
        await until(lambda: len(served.arrivals._waiting) == 3)

        assert (await served.ask())[1] == NOT_KNOWN
        await served.server.put(NAMESPACES, "shop", metadata={"labels": {}})
        assert all([(await each)[0] for each in waiting])
        assert not served.arrivals._waiting


async def test_word_from_another_thread_wakes_the_review():
    """The watch has a loop of its own."""
    arrivals = Arrivals(patience_s=10)
    state = {"catalog": _followed(BY_LABEL)}
    head = Head(uid="1", kind=Kind(kind="Pod"), operation="CREATE", namespace="shop")

    def arrive():
        state["catalog"] = _followed(BY_LABEL, _namespace())
        arrivals.told()

    settled = asyncio.create_task(arrivals.settle(head, lambda: state["catalog"], within_s=10))
    await until(lambda: arrivals._waiting)
    threading.Thread(target=arrive).start()
    await asyncio.wait_for(settled, 5)


def test_our_resources_are_not_refused_for_a_new_namespace():
    """A ServiceSecrets of a set that is applied in one go is stored."""
    raw = asking.service("shop", "app", {"A": "#{$/A}"})
    request = asking.request(POD)
    asked = type(request)(
        uid="1",
        kind=Kind(kind="ServiceSecrets", group="secret-injector.io"),
        operation="CREATE",
        namespace="shop",
        name="app",
        object=raw,
    )

    assert validate(asked, _followed(BY_LABEL, ENVIRONMENT)).kind == "allow"
