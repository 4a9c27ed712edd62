"""H: the fetch's log says store, path, version and identity of each read, and never a value."""

import io
import json

import pytest

from injector import account
from injector.core import errors, stores
from injector.core.plan import Read
from injector.core.secret import Failure, LoginFailed, Secret
from injector.deadline import Deadline
from injector.logs import Log
from injector.providers import Access
from injector.visit import REAL, ReadFacts, Visit
from tests.pod.init_container import CANARY, Pod, plan_for

IDENTITY = 'role "shop" by kubernetes auth'


@pytest.fixture
def pod(tmp_path):
    """A pod before its init container."""
    return Pod(tmp_path)


def without_time(line):
    """Return a line's fields but for when it was written."""
    return {name: value for name, value in line.items() if name != "timestamp"}


def test_a_fetch_says_what_it_read_and_as_whom(pod):
    """One line a store, with every read once, before the line that says what was delivered."""
    pod.fetch(plan_for(("app", "password")))

    assert [without_time(line) for line in pod.account] == [
        {
            "level": "info",
            "event": "secrets read",
            "pod": "api-7d4f",
            "namespace": "shop",
            "store": "k8s",
            "provider": "k8s",
            "served_by": "",
            "identity": "the pod in namespace shop",
            "reads": [{"path": "app"}],
        }
    ]


def test_a_fetch_that_fails_afterwards_says_it_too(pod):
    """A read is on record although the pod does not start, and so is one that failed."""
    status, _ = pod.fetch(plan_for(("app", "pasword"), ("no", "key")))

    assert status == 6
    assert [line["reads"] for line in pod.account] == [
        [{"path": "app"}, {"path": "no", "code": "SI-404"}]
    ]


class Sessions:
    """A store of two sites: the first is away, the second has versions."""

    identity = IDENTITY

    def read(self, reads, _deadline):
        """Answer: one value, one refusal."""
        return {
            read: Failure(code=errors.FORBIDDEN, what="no", identity=IDENTITY)
            if read.path == "kv/forbidden"
            else Secret({"a": CANARY}, version="7")
            for read in reads
        }

    def close(self):
        """Nothing to close."""


def visited(enter, *reads):
    """Return the facts of the reads of one store after its visit."""
    document = {
        "vault": {
            "address": "https://a.example",
            "fallbacks": [{"address": "https://b.example"}],
            "auth": {"kubernetes": {"role": "shop"}},
        }
    }
    access = Access(
        namespace="shop", service_account="api", sources_dir=None, deadline=Deadline.after(5)
    )
    visit = Visit(stores.parse("vault", document), reads, access, enter, REAL)
    visit.run()
    visit.concluded()
    return visit.read_facts()


def test_a_read_names_the_version_the_store_gave_and_the_server_that_did():
    """With fallbacks the line says which one answered and who we were there."""

    def enter(store, _access):
        if "a.example" in store.spec.server.address.url():
            raise LoginFailed(Failure(code=errors.DOWN, what="away"))
        return Sessions()

    facts = visited(enter, Read(store=0, path="kv/a"), Read(store=0, path="kv/forbidden"))

    told = {
        "store": "vault",
        "provider": "vault",
        "served_by": "b.example",
        "identity": IDENTITY,
    }
    assert facts == (
        ReadFacts(path="kv/a", version="7", code="", **told),
        ReadFacts(path="kv/forbidden", version="", code="SI-403", **told),
    )


def test_a_login_that_fails_is_told_for_each_read():
    """Who tried is known also when the store let nobody in."""

    def enter(_store, _access):
        raise LoginFailed(Failure(code=errors.UNAUTHENTICATED, what="no", identity=IDENTITY))

    (fact,) = visited(enter, Read(store=0, path="kv/a", version="3"))

    assert (fact.identity, fact.version, fact.code) == (IDENTITY, "3", "SI-401")


def test_a_line_stays_below_what_a_runtime_splits():
    """512 reads of the longest paths are all told, in lines of less than 16 KiB."""
    one = {"store": "s", "provider": "vault", "served_by": "", "identity": "é" * 5000}
    facts = [
        ReadFacts(path=f"{n:03}" + "é" * 5000, version="v", code="", **one) for n in range(512)
    ]
    stream = io.StringIO()

    account.tell(Log(stream), "shop", facts)

    lines = stream.getvalue().splitlines()
    told = [read["path"][:3] for line in lines for read in json.loads(line)["reads"]]
    assert told == [f"{number:03}" for number in range(512)]
    assert max(len(line) for line in lines) < 16 * 1024
