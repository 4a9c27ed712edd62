"""A store in several places: the next one answers for one that is not there, and only then."""

import pytest

from injector.core import errors
from injector.core.secret import Failure
from tests.providers.fallbacks import FALLBACKS
from tests.providers.fault_proxy import Hang, Reset, Status
from tests.providers.rigs import revealed

AWAY = Status(503)
HOME, ELSEWHERE = {"from": "home"}, {"from": "elsewhere"}


@pytest.fixture
def two(remote):
    """The store's fallback; each place holds a secret of the same name with another value."""
    made = FALLBACKS[remote.name](remote)
    remote.put("plain", HOME)
    made.put("plain", ELSEWHERE)
    yield made
    made.close()


def is_read(remote):
    """Let faults hit reads of the first place, not logins there."""
    remote.proxy.when = lambda request: not remote.is_login(request)


def failed(answer):
    """The failure, after a look that nothing foreign is in it."""
    assert isinstance(answer, Failure)
    assert "CANARY" not in repr(answer)
    return answer


def test_the_first_place_is_used_while_it_is_there(remote, two):
    """The fallback is asked nothing, and the log line names the place that answered."""
    (answer,) = remote.read("plain", document=two.document())

    assert revealed(answer) == HOME
    assert two.asked == 0
    assert remote.fetched.stores[0].served_by == two.home


@pytest.mark.parametrize("fault", [AWAY, Status(500), Reset(), Reset(after=2)])
def test_the_fallback_answers_for_reads_that_fail(remote, two, fault):
    """At once, without a wait; the log line names the fallback alone."""
    is_read(remote)
    remote.proxy.faults = [fault] * 99

    (answer,) = remote.read("plain", document=two.document())

    assert revealed(answer) == ELSEWHERE
    assert remote.waits == []
    assert remote.fetched.stores[0].served_by == two.site


def test_a_place_that_hangs_is_left_after_one_try_of_its_time(remote, two):
    """The store's timeout bounds what an outage costs."""
    is_read(remote)
    remote.proxy.faults = [Hang()] * 99

    (answer,) = remote.read("plain", document={**two.document(), "timeout": "300ms"})

    assert revealed(answer) == ELSEWHERE


def test_a_closed_port_is_a_place_that_is_away(remote, two):
    """No connection at all, to the login where it is there or to the store."""
    remote.proxy.refuse()

    (answer,) = remote.read("plain", document=two.document())

    assert revealed(answer) == ELSEWHERE
    assert remote.waits == []


@pytest.mark.parametrize(
    "remote", ["vault", "azureKeyVault", "gcpSecretManager"], indirect=True
)  # which ask for one secret a call
def test_what_was_answered_is_not_asked_elsewhere(remote, two):
    """The fallback hears of what is still open alone."""
    for place in (remote, two):
        place.put("second", ELSEWHERE)
    remote.proxy.when = lambda request: not remote.is_login(request) and "second" in asked(request)
    remote.proxy.faults = [AWAY] * 99

    answers = remote.read("plain", "second", document=two.document())

    elsewhere = [asked(each) for each in two.proxy.seen if not remote.is_login(each)]
    assert [revealed(each) for each in answers] == [HOME, ELSEWHERE]
    assert [text for text in elsewhere if "plain" in text] == []
    assert remote.fetched.stores[0].served_by == f"{two.home}, {two.site}"


def test_the_place_that_answered_is_asked_first_from_then_on(remote, two):
    """Health is remembered within a run: a later try does not wait for the dead place again."""
    is_read(remote)
    remote.proxy.faults = [AWAY] * 99
    two.proxy.when = lambda request: not remote.is_login(request) and "second" in asked(request)
    two.proxy.faults = [AWAY]
    two.put("second", ELSEWHERE)
    two.put("third", ELSEWHERE)

    first, second, third = remote.read("plain", "second", "third", document=two.document())

    assert [revealed(each) for each in (first, second, third)] == [ELSEWHERE] * 3
    assert remote.fetched.stores[0].served_by == two.site


def test_what_the_first_place_does_not_have_is_missing(remote, two):
    """A refusal is no unavailability: asking elsewhere would hide it."""
    two.put("only-there", ELSEWHERE)

    (answer,) = remote.read("only-there", document=two.document())

    assert failed(answer).code is errors.MISSING
    assert two.asked == 0


def test_what_the_first_place_forbids_is_forbidden(remote, two):
    """Nor does a missing permission lead elsewhere."""
    remote.forbid()

    (answer,) = remote.read("plain", document=two.document())

    assert failed(answer).code is errors.FORBIDDEN
    assert two.asked == 0


def test_who_is_not_known_at_the_first_place_is_not_tried_at_another(remote, two):
    """A refused login is final."""
    remote.refuse_logins()

    (answer,) = remote.read("plain", document=two.document())

    assert failed(answer).code is errors.UNAUTHENTICATED
    assert two.asked == 0


def test_a_throttled_place_is_waited_for(remote, two):
    """Another place is no way around a quota."""
    is_read(remote)
    remote.proxy.faults = [Status(429)]

    (answer,) = remote.read("plain", document=two.document())

    assert revealed(answer) == HOME
    assert (two.asked, len(remote.waits)) == (0, 1)


def test_a_place_that_cannot_be_trusted_is_not_left_for_another(remote, two):
    """A wrong certificate may be an attack; it is told, and nobody is asked in its stead."""
    remote.proxy.context = remote.authority.context(ends=-0.5)

    (answer,) = remote.read("plain", document=two.document())

    assert failed(answer).code is errors.TLS
    assert two.asked == 0


def test_a_failure_of_the_fallback_says_where_and_why_there(remote, two):
    """Who we were, at which place, and which one was away."""
    is_read(remote)
    remote.proxy.faults = [AWAY] * 99

    (answer,) = remote.read("nothing-here", document=two.document())

    assert failed(answer).code is errors.MISSING
    assert answer.identity.endswith(f" in {two.site} ({two.home} is unavailable)")


def test_with_all_places_away_the_first_one_is_told_and_the_others_named(remote, two):
    """Every try asks every place; then the tries end as they do with one place."""
    is_read(remote)
    remote.proxy.faults = [AWAY] * 99
    two.proxy.refuse()

    (answer,) = remote.read("plain", document=two.document())

    assert failed(answer).code is errors.DOWN
    assert answer.what.endswith(f"; unavailable too: {two.site} (3 tries)")
    assert "refuses the connection" not in answer.what
    assert len(remote.waits) == 2


def test_a_login_that_dies_in_the_fallback_is_renewed_there(remote, two):
    """The place that answered last is remembered across the new login."""
    is_read(remote)
    remote.proxy.faults = [AWAY] * 99
    died = []

    def dies(request):
        if not remote.is_login(request) and not died:
            died.append(request)
            remote.expire_logins()
            if remote.name == "vault":
                two.vault.tokens.clear()
        return False

    two.proxy.when = dies
    two.proxy.faults = [AWAY]  # never used: `dies` says no

    (answer,) = remote.read("plain", document=two.document())

    reads = [each for each in remote.proxy.seen if not remote.is_login(each)]
    assert revealed(answer) == ELSEWHERE
    assert (remote.waits, len(reads)) == ([], 1)


def asked(request):
    """Everything a request says about what it asks for."""
    return request.path + request.body.decode("latin-1")
