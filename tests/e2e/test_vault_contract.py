"""The contract and the faults of `tests/providers` against a real Vault server, not the fake."""

import pytest

pytest.register_assert_rewrite(
    *(f"tests.providers.test_{suite}" for suite in ("access", "contract", "faults", "tls"))
)

from injector.core import errors  # noqa: E402 (after the rewrite is registered)
from tests.e2e.vault_rig import RealVaultRig, Server  # noqa: E402
from tests.providers.failing import FINE  # noqa: E402
from tests.providers.test_access import *  # noqa: E402, F403 (the suite is what we run)
from tests.providers.test_contract import *  # noqa: E402, F403
from tests.providers.test_faults import *  # noqa: E402, F403
from tests.providers.test_tls import *  # noqa: E402, F403


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the module."""
    made = Server(tmp_path_factory.mktemp("vault"))
    yield made
    made.close()


@pytest.fixture
def rig(tmp_path, server):
    """Takes the place of the suites' fixture."""
    made = RealVaultRig(tmp_path, server)
    yield made
    made.close()


@pytest.fixture
def remote(rig):
    """Takes the place of the suites' fixture; there is a secret to read."""
    rig.put("plain", FINE)
    return rig


def test_kv_version_1_and_other_engines_are_read(rig, server):
    """A plain read without versions; a number keeps its digits."""
    server("POST", "old/app", {"n": 1.5, "t": "x"})

    app, pinned, key = rig.read("old/app", ("old/app", "2"), "transit/keys/app")

    assert (app.reveal(), app.lease) == ({"n": "1.5", "t": "x"}, None)
    assert pinned.what == "this mount keeps no versions"
    assert key.reveal()["type"] == "ed25519"


def test_deleted_and_destroyed_versions_say_so(rig, server):
    """The server's own metadata tells one from the other."""
    for text in "123":
        rig.put("a", {"x": text})
    server("POST", "kv/delete/a", {"versions": [3]})
    server("POST", "kv/destroy/a", {"versions": [1]})

    newest, first, second, ninth = rig.read("a", ("a", "1"), ("a", "2"), ("a", "9"))

    assert (newest.code, newest.what) == (errors.MISSING, "version 3 was deleted")
    assert (first.code, first.what) == (errors.MISSING, "version 1 was destroyed")
    assert second.reveal() == {"x": "2"}
    assert (ninth.code, ninth.what) == (errors.MISSING, "no such secret, or no version 9 of it")


def test_a_wrapped_token_is_unwrapped_once(rig, server):
    """A response-wrapped token works, and a second time it does not."""
    rig.put("a", {"x": "1"})
    wrapped = server.wrapped("auth/token/create", {"policies": ["shop"], "ttl": "5m"})
    rig.source("secrets/v/token", wrapped)
    auth = {"token": {"token": {"secretRef": {"name": "v", "key": "token"}}, "wrapped": True}}

    first, second = (rig.read("a", document=rig.document(auth=auth))[0] for _ in range(2))

    assert first.reveal() == {"x": "1"}
    assert (second.code, second.what) == (
        errors.UNAUTHENTICATED,
        "login refused: the wrapping token was used before, or has expired",
    )


def test_an_unknown_mount_and_a_forbidden_one_read_alike(rig):
    """What the server says about a mount that is not there."""
    (answer,) = rig.read("no/such")

    assert (answer.code, answer.what) == (
        errors.FORBIDDEN,
        "no policy lets us into this mount, or there is no such mount",
    )


def test_a_sealed_server_says_that_it_is_sealed(tmp_path):
    """A server of its own, sealed under our hands."""
    server = Server(tmp_path)
    rig = RealVaultRig(tmp_path / "rig", server)
    server("PUT", "sys/seal")
    try:
        (answer,) = rig.read("a")
    finally:
        rig.proxy.close()
        server.close()

    assert (answer.code, answer.what) == (errors.DOWN, "it is sealed (3 tries)")
