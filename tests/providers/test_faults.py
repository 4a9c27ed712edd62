"""How every store behind a network fails: coded, in time, without a word of the server's own."""

import email.utils
import time
from types import SimpleNamespace

import pytest

from injector import providers
from injector.core import errors, stores
from injector.core.errors import FetchFailed
from injector.core.secret import Failure, Secret
from injector.deadline import Deadline
from injector.http_session import retry_after_s
from injector.providers import Access
from tests.providers.failing import FINE, failed
from tests.providers.fault_proxy import FaultProxy, Hang, Oversized, Reset, Status, Trickle
from tests.providers.rigs import revealed


@pytest.fixture(autouse=True)
def _secret(remote):
    remote.put("plain", FINE)


def only_reads(remote):
    """Let faults hit reads, not logins."""
    remote.proxy.when = lambda request: not remote.is_login(request)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Status(500), errors.DOWN),
        (Status(502, (("Content-Type", "text/html"),), b"<h1>CANARY</h1>"), errors.DOWN),
        (Status(503), errors.DOWN),
        (Status(429), errors.THROTTLED),
        (Reset(), errors.DOWN),
        (Reset(after=3), errors.DOWN),
    ],
)
@pytest.mark.parametrize("hits", ["login", "read"])
def test_a_passing_failure_is_tried_again(remote, fault, code, hits):
    """The store is asked again and answers; with a lasting fault the tries end, and are counted."""
    remote.proxy.when = lambda request: remote.is_login(request) == (hits == "login")
    remote.proxy.faults = [fault]

    (answer,) = remote.read("plain")
    assert isinstance(answer, Secret)
    assert revealed(answer) == FINE

    remote.proxy.faults = [fault] * 100
    failure = failed(remote.read("plain")[0])
    assert failure.code is code
    assert failure.what.endswith("(3 tries)")


def test_waits_are_jittered_and_as_long_as_the_store_asks(remote):
    """The second wait is twice the first; Retry-After stretches one wait, and is obeyed."""
    only_reads(remote)
    remote.proxy.faults = [Status(503), Status(503)]
    remote.read("plain")
    assert remote.waits == [0.1, 0.2]

    remote.waits.clear()
    throttled = Status(429, (("Content-Type", "application/json"), ("Retry-After", "7")))
    remote.proxy.faults = [throttled]
    (answer,) = remote.read("plain")
    assert isinstance(answer, Secret)
    assert remote.waits == [7.0]


def test_a_wait_beyond_the_deadline_is_not_begun(remote):
    """The failure comes at once when the store asks for more time than there is."""
    only_reads(remote)
    throttled = Status(429, (("Content-Type", "application/json"), ("Retry-After", "3600")))
    remote.proxy.faults = [throttled]

    failure = failed(remote.read("plain")[0])

    assert (failure.code, remote.waits) == (errors.THROTTLED, [])


@pytest.mark.parametrize("fault", [Hang(), Hang(after=60), Trickle()])
@pytest.mark.parametrize("hits", ["login", "read"])
def test_a_store_that_hangs_is_left_behind_at_the_deadline(remote, fault, hits):
    """Neither silence nor one byte now and then holds anybody up."""
    remote.proxy.when = lambda request: remote.is_login(request) == (hits == "login")
    remote.proxy.faults = [fault] * 100
    started = time.monotonic()

    failure = failed(remote.read("plain", deadline_s=0.5)[0])

    assert failure.code in (errors.DEADLINE, errors.DOWN)
    assert time.monotonic() - started < 2


def test_one_try_takes_no_longer_than_its_timeout(remote):
    """A hanging try is given up for another one, which is answered."""
    only_reads(remote)
    remote.proxy.faults = [Trickle(every_s=0.2)]

    (answer,) = remote.read("plain", document={**remote.document(), "timeout": "300ms"})

    assert isinstance(answer, Secret)


@pytest.mark.parametrize("declares_length", [True, False])
def test_a_body_without_end_is_not_read_to_its_end(remote, declares_length):
    """The answer is dropped a little above 8 MiB, and not asked for again."""
    only_reads(remote)
    remote.proxy.faults = [Oversized(declares_length=declares_length)] * 9

    failure = failed(remote.read("plain")[0])

    assert (failure.code, failure.what) == (errors.BODY, "the answer is larger than 8 MiB")
    assert remote.proxy.sent < 20_000_000


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Status(200, (("Content-Type", "text/html"),), b"<h1>CANARY</h1>"), errors.CONTENT),
        (Status(200, (), b'{"data":{"data":{}}}'), errors.CONTENT),
        (Status(200, body=b'{"CANARY":'), errors.CONTENT),
        (Status(200, body=b'{"a":1,"a":2}'), errors.CONTENT),
        (Status(200, body=b"[" * 100_000), errors.CONTENT),
        (Status(200, body=b"[]"), errors.CONTENT),
        (Status(200, body=b"{}"), errors.CONTENT),
        (Status(204, (), b""), errors.CONTENT),
        (Status(418), errors.CONTENT),
    ],
)
@pytest.mark.parametrize("hits", ["login", "read"])
def test_an_answer_of_another_form_is_final(remote, fault, code, hits):
    """A captive portal, a wrong port, a broken server: told at once, nothing quoted."""
    remote.proxy.when = lambda request: remote.is_login(request) == (hits == "login")
    remote.proxy.faults = [fault] * 9

    assert failed(remote.read("plain")[0]).code is code
    assert remote.waits == []


@pytest.fixture
def elsewhere(remote):
    """Another server, which the store's certificates would trust as well."""
    made = FaultProxy(remote.authority.context(), ("127.0.0.1", 9))
    yield made
    made.close()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("hits", ["login", "read"])
def test_a_redirect_is_named_and_never_followed(remote, elsewhere, hits, status):
    """Nobody connects to where a server points, so no credential gets there."""
    place = f"127.0.0.1:{elsewhere.port}"
    remote.proxy.when = lambda request: remote.is_login(request) == (hits == "login")
    remote.proxy.faults = [Status(status, (("Location", f"https://{place}/v1/x"),))] * 9

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.DOWN
    assert failure.what == f"it redirects to {place}, not followed (3 tries)"
    assert elsewhere.connections == 0


def test_a_closed_port_refuses(remote):
    """The address is in the message."""
    remote.proxy.refuse()

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.DOWN
    assert failure.what == f"127.0.0.1:{remote.proxy.port} refuses the connection (3 tries)"


def test_a_default_never_stands_in_for_a_store_that_is_away(remote):
    """An outage is no missing value."""
    remote.proxy.refuse()

    with pytest.raises(FetchFailed) as failed:
        remote.value("plain", "user", default="nobody")

    assert [problem.code for problem in failed.value.problems] == [errors.DOWN]


def test_a_name_that_does_not_resolve_is_told(remote):
    """DNS trouble has its own words."""
    document = remote.document(address="https://no-such-host.invalid:8200")

    failure = failed(remote.read("plain", document=document)[0])

    assert failure.code is errors.DOWN
    assert failure.what == "the name no-such-host.invalid cannot be resolved (3 tries)"


def test_one_bad_read_costs_no_other_read(remote):
    """Faults hit what they hit; the rest is delivered, after one login."""
    names = [f"secret-{i}" for i in range(12)]
    for name in names:
        remote.put(name, {"name": name})

    answers = remote.read(*names, "missing")

    assert [revealed(answer)["name"] for answer in answers[:-1]] == names
    assert failed(answers[-1]).code is errors.MISSING
    entered = [each for each in remote.proxy.seen if not each.path.endswith("/revoke-self")]
    assert sum(map(remote.is_login, entered)) == 1


def test_proxies_of_the_environment_are_not_used(remote, monkeypatch):
    """A variable of the image cannot turn our traffic."""
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert isinstance(remote.read("plain")[0], Secret)


def test_a_forbidden_peer_gets_nothing(remote, monkeypatch):
    """A name that leads to a link-local address is left alone once that is known."""
    judge = SimpleNamespace(is_forbidden_peer=lambda ip: ip == "127.0.0.1")
    monkeypatch.setattr(remote.judge, judge)

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.DOWN
    assert "link-local" in failure.what
    assert remote.proxy.seen == []


def test_a_server_that_is_back_is_found_without_a_login(remote):
    """The store that was away is asked over a connection, or for its health; nothing logs in."""
    store = stores.parse("store", remote.document())
    access = Access(
        namespace="shop",
        service_account="checkout",
        sources_dir=remote.sources,
        deadline=Deadline.after(10),
    )

    assert providers.absence(store, access) is None
    assert [(each.method, each.path) for each in remote.proxy.seen] == (
        [("GET", "/v1/sys/health?standbyok=true&perfstandbyok=true")]
        if remote.name == "vault"
        else []
    )
    remote.proxy.refuse()
    away = providers.absence(store, access)
    assert away is not None
    assert (away.what, away.is_away) == (
        f"127.0.0.1:{remote.proxy.port} refuses the connection",
        True,
    )


@pytest.mark.parametrize("remote", ["vault"], indirect=True)
@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (Status(503), Failure(code=errors.DOWN, what="it is sealed", is_away=True)),
        (Status(501), Failure(code=errors.DOWN, what="it is not initialized", is_away=True)),
        (
            Status(429, (("Retry-After", "9"),)),
            Failure(code=errors.THROTTLED, what="a rate limit is exceeded", retry_after_s=9.0),
        ),
        (Status(502), Failure(code=errors.DOWN, what="it has trouble of its own (502)")),
        (Status(404), None),
        (Status(403), None),
    ],
)
def test_the_health_of_vault_says_whether_it_is_back(remote, fault, found):
    """A proxy that lets nobody ask is no reason to wait."""
    store = stores.parse("store", remote.document())
    access = Access(
        namespace="shop",
        service_account="checkout",
        sources_dir=remote.sources,
        deadline=Deadline.after(10),
    )
    remote.proxy.faults = [fault]

    assert providers.absence(store, access) == found


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("7", 7.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("\u00b2", None),
    ],
)
def test_a_retry_after_has_one_reading(value, wait_s):
    """Of seconds and dates; anything else is no wait."""
    assert retry_after_s({"retry-after": value}) == wait_s


def test_a_retry_after_may_be_a_date():
    """The wait is until then; a date that has passed is no wait."""
    then = email.utils.formatdate(time.time() + 100, usegmt=True)

    assert retry_after_s({"retry-after": then}) == pytest.approx(100, abs=2)
    assert retry_after_s({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}) == 0.0
