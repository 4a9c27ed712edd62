"""Who we are to a store behind a network: refused, expired, revoked, and said as whom."""

import pytest

from injector.core import errors
from injector.core.errors import FetchFailed
from injector.core.secret import Secret
from tests.providers.failing import FINE, failed
from tests.providers.fault_proxy import Status


@pytest.fixture(autouse=True)
def _secret(remote):
    remote.put("plain", FINE)


def test_who_may_not_read_is_told_once_and_not_tried_again(remote):
    """Forbidden is final, and says as whom."""
    remote.forbid()

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.FORBIDDEN
    assert failure.identity
    assert remote.waits == []


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        ("forbid", errors.FORBIDDEN),
        ("refuse_logins", errors.UNAUTHENTICATED),
    ],
)
def test_a_default_never_stands_in_for_what_we_may_not_read(remote, happens, code):
    """A lost permission must not start an application with a made-up value."""
    getattr(remote, happens)()

    with pytest.raises(FetchFailed) as refused:
        remote.value("plain", "user", default="nobody")

    assert [problem.code for problem in refused.value.problems] == [code]


def test_who_is_not_known_is_told_once_and_not_tried_again(remote):
    """A refused login is final, and says as whom."""
    remote.refuse_logins()

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.UNAUTHENTICATED
    assert failure.identity
    assert (remote.waits, len(remote.proxy.seen)) == ([], 1)


def test_a_missing_credential_is_told_without_asking_the_store(remote):
    """The token's file is not there: the store hears nothing."""
    for path in remote.sources.rglob("*"):
        if path.is_file():
            path.unlink()

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.UNAUTHENTICATED
    assert remote.proxy.seen == []


@pytest.mark.parametrize("happens", ["expire_logins", "revoke_logins"])
def test_a_login_that_expired_or_was_revoked_is_renewed_once(remote, happens):
    """Between login and read the token dies: a new login, and the read succeeds."""
    logins = []

    def dies(request):
        if request.path.endswith("/revoke-self"):
            return False
        if remote.is_login(request):
            logins.append(request)
        elif len(logins) == 1:
            getattr(remote, happens)()
        return False

    remote.proxy.when = dies
    remote.proxy.faults = [Status(500)]  # never used: `dies` says no

    (answer,) = remote.read("plain")

    assert isinstance(answer, Secret)
    assert (len(logins), remote.waits) == (2, [])


def test_a_login_that_always_dies_is_renewed_only_once(remote):
    """No storm of logins."""
    remote.proxy.when = lambda request: (
        False if remote.is_login(request) else bool(remote.expire_logins())
    )
    remote.proxy.faults = [Status(500)]

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.EXPIRED
    entered = [each for each in remote.proxy.seen if not each.path.endswith("/revoke-self")]
    assert sum(map(remote.is_login, entered)) == 2
