"""The suite of tests/security/test_g_logout.py against a real Vault server, counting its tokens."""

import pytest

pytest.register_assert_rewrite("tests.security.test_g_logout")

from tests.e2e.vault_rig import ROOT, Server  # noqa: E402 (after the rewrite is registered)
from tests.security.test_g_logout import *  # noqa: E402, F403 (the suite is what we run)
from tests.security.test_g_logout import plan  # noqa: E402


class RealServer:
    """A dev server with a secret and an AppRole; tokens are counted by their accessors."""

    def __init__(self, vault):
        self.vault = vault
        self.address = f"http://127.0.0.1:{vault.port}"
        rule = '{"path": {"kv/data/*": {"capabilities": ["read"]}}}'
        vault("PUT", "sys/policies/acl/app", {"policy": rule})
        self.role()
        vault("POST", "kv/data/app", {"data": {"key": "value"}})
        self.role_id = vault("GET", "auth/approle/role/app/role-id")["data"]["role_id"]
        made = vault("POST", "auth/approle/role/app/secret-id")
        self.secret_id = made["data"]["secret_id"]
        self.others = self._accessors()

    def role(self, **more):
        """Set how the logins are."""
        settings = {"token_policies": ["app"], "secret_id_ttl": "1h", "token_ttl": "10m"}
        self.vault("POST", "auth/approle/role/app", {**settings, **more})

    def tokens(self):
        """Return how many tokens of logins there are."""
        return len(self._accessors() - self.others)

    def _accessors(self):
        return set(self.vault("LIST", "auth/token/accessors", token=ROOT)["data"]["keys"])


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    """One server for the module."""
    made = Server(tmp_path_factory.mktemp("vault"))
    yield made
    made.close()


@pytest.fixture
def server(vault):
    """Takes the place of the suite's fixture."""
    return RealServer(vault)


def test_logins_are_counted(server):
    """A login that is not closed shows."""
    login = {"role_id": server.role_id, "secret_id": server.secret_id}

    server.vault("POST", "auth/approle/login", login)

    assert server.tokens() == 1


def test_batch_tokens_need_no_logout(pod, server):
    """They leave no accessor, and the fetch does not try to revoke them."""
    server.role(token_type="batch")

    assert pod.fetch(plan(server, ("kv/app", "key")))[0] == 0

    assert server.tokens() == 0
