"""Which site is asked, without a network: what fallbacks do to real stores is in test_fallbacks."""

import itertools

import pytest

from injector.core import errors, stores
from injector.core.plan import Read
from injector.core.secret import Failure
from injector.deadline import Deadline
from injector.providers import Access
from injector.sites import Sites

VAULT = {"address": "https://a", "auth": {"kubernetes": {"role": "r"}}}
STORE = stores.parse("vault", {"vault": {**VAULT, "fallbacks": [{"address": "https://b"}]}})
READ = Read(store=0, path="kv/a")
DOWN = Failure(code=errors.DOWN, what="away")


class Down:
    """A session with a store that is not there."""

    identity = "role"

    def read(self, reads, deadline):
        return dict.fromkeys(reads, DOWN)

    def close(self):
        """Nothing is open."""


@pytest.mark.parametrize(
    ("left_s", "entered", "what"),
    [(60, ["a", "b"], "away; unavailable too: b"), (0, ["a"], "away")],
)
def test_no_further_site_is_entered_when_the_time_is_over(left_s, entered, what):
    """Nobody waits for its answer any more."""
    hosts = []

    def enter(store, access):
        hosts.append(store.spec.server.address.host)
        return Down()

    access = Access(
        namespace="shop",
        service_account="checkout",
        sources_dir=None,
        deadline=Deadline.after(left_s),
    )
    sites = Sites(STORE, access, enter, itertools.count().__next__)

    (answer,) = sites.read([READ]).values()

    assert (hosts, answer.what, sites.answered) == (entered, what, [])
    assert (sites.logins, sites.open_s, sites.read_s) == (len(entered),) * 3
