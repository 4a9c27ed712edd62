"""What only Vault has: engines, mounts, leases, namespaces, and five ways to log in."""

import json

import pytest

from injector.core import errors
from injector.core.secret import Lease, Secret
from tests.providers.fault_proxy import Reset, Status
from tests.providers.rigs import CREDENTIAL, VaultRig


@pytest.fixture
def rig(tmp_path):
    """A fake Vault with its store."""
    made = VaultRig(tmp_path)
    yield made
    made.close()


def sent(rig):
    """What the server was asked: method and raw path."""
    return [f"{request.method} {request.path}" for request in rig.proxy.seen]


def test_a_mount_is_asked_about_once(rig):
    """One login and logout, one question per mount, one request per secret."""
    rig.put("a", {"x": "1"})
    rig.put("b", {"x": "2"})

    rig.read("a", "b")

    assert sorted(sent(rig)) == [
        "GET /v1/kv/data/a",
        "GET /v1/kv/data/b",
        "GET /v1/sys/internal/ui/mounts/kv/a",
        "POST /v1/auth/kubernetes/login",
        "POST /v1/auth/token/revoke-self",
    ]
    assert rig.proxy.connections == 1


def test_few_connections_carry_many_reads(rig):
    """Twenty reads share at most four connections, and all of them are closed at the end."""
    names = [f"s{i}" for i in range(20)]
    for name in names:
        rig.put(name, {})

    rig.read(*names)

    assert len(sent(rig)) == 23
    assert 1 <= rig.proxy.connections <= 4


def test_paths_are_encoded_exactly_once(rig):
    """What the server decodes is what the plan says."""
    rig.read("a b/ü+&", "database/creds/a b", "old/x@y")

    assert {path for path in sent(rig) if "internal" not in path and "POST" not in path} == {
        "GET /v1/kv/data/a%20b/%C3%BC%2B%26",
        "GET /v1/database/creds/a%20b",
        "GET /v1/old/x%40y",
    }


def test_every_request_carries_what_vault_wants_and_no_more(rig):
    """The token goes in its header; there is no namespace header without a namespace."""
    rig.put("a", {})

    rig.read("a")

    login, *reads, logout = rig.proxy.seen
    assert json.loads(login.body) == {"role": "shop", "jwt": CREDENTIAL}
    assert "x-vault-token" not in login.headers
    assert (logout.headers.pop("content-length"), logout.body) == ("0", b"")
    for request in (*reads, logout):
        assert request.headers == {
            "host": f"127.0.0.1:{rig.proxy.port}",
            "accept-encoding": "identity",
            "accept": "application/json",
            "x-vault-request": "true",
            "x-vault-token": "hvs.0",
        }


def test_kv_version_1_has_no_versions(rig):
    """It is read as it is; a pinned version is refused."""
    rig.vault.v1["app"] = {"n": 1.50}

    plain, pinned = rig.read("old/app", ("old/app", "2"))

    assert (plain.reveal(), plain.version, plain.lease) == ({"n": "1.5"}, None, None)
    assert (pinned.code, pinned.what) == (errors.MISSING, "this mount keeps no versions")


def test_a_dynamic_secret_keeps_its_lease(rig):
    """User and password come together, with what is needed to renew them."""
    rig.vault.dynamic["creds/app"] = {"username": "v-app-1", "password": "p"}

    answer, unknown = rig.read("database/creds/app", "database/creds/nope")

    assert answer.reveal() == {"username": "v-app-1", "password": "p"}
    assert answer.lease == Lease(id="database/creds/app/1", duration_s=3600.0, is_renewable=True)
    assert (unknown.code, unknown.what) == (errors.MISSING, "the engine has no such role")


def test_deleted_and_destroyed_versions_say_so(rig):
    """Both are missing, and differ in whether somebody can bring them back."""
    for _ in range(3):
        rig.put("a", {"x": "1"})
    rig.vault.v2["a"][0]["destroyed"] = True
    rig.vault.v2["a"][2]["deleted"] = "2026-01-01T00:00:00Z"

    newest, first, second, ninth = rig.read("a", ("a", "1"), ("a", "2"), ("a", "9"))

    assert (newest.code, newest.what) == (errors.MISSING, "version 3 was deleted")
    assert (first.code, first.what) == (errors.MISSING, "version 1 was destroyed")
    assert second.version == "2"
    assert (ninth.code, ninth.what) == (errors.MISSING, "no such secret, or no version 9 of it")


def test_a_path_with_the_api_s_own_data_in_it_is_explained(rig):
    """Who copies the path of the HTTP API gets the path to write."""
    (answer,) = rig.read("kv/data/shop")

    assert (answer.code, answer.hint) == (errors.MISSING, "leave out data/: write kv/shop")


def test_a_path_of_the_http_api_is_refused_with_what_to_write(rig):
    """Also where no webhook has seen it, as on a laptop; nothing is sent."""
    rig.path = str

    (answer,) = rig.read("/v1/kv/data/shop")

    assert (answer.code, answer.hint) == (errors.REFERENCE, "write kv/shop")
    assert rig.proxy.seen == []


def test_an_unknown_mount_and_a_forbidden_one_read_alike(rig):
    """Vault does not tell which, so neither do we."""
    (answer,) = rig.read("no/such")

    assert answer.code is errors.FORBIDDEN
    assert answer.what == "no policy lets us into this mount, or there is no such mount"
    assert answer.identity == 'role "shop" by kubernetes auth'
    assert answer.hint == (
        'is "no" the mount\'s name? vault secrets list shows them; else a policy of role "shop"'
        ' needs path "no/such" { capabilities = ["read"] }, or for KV version 2'
        ' path "no/data/such" { capabilities = ["read"] }'
    )


def test_an_unknown_mount_with_the_api_s_own_data_behind_it_is_explained_whole(rig):
    """The policy wants `data/`, the reference does not."""
    (answer,) = rig.read("no/data/such")

    assert answer.hint == (
        'is "no" the mount\'s name? vault secrets list shows them; else a policy of role "shop"'
        ' needs path "no/data/such" { capabilities = ["read"] }, and the reference no data/:'
        " no/such"
    )


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("kv/data/shop/db", "leave out data/: write kv/shop/db"),
        ("kv/shop/db", 'a policy of role "shop" needs path "kv/data/shop/db" {READ}'),
        ("old/shop/db", 'a policy of role "shop" needs path "old/shop/db" {READ}'),
        ("database/creds/app", 'a policy of role "shop" needs path "database/creds/app" {READ}'),
    ],
)
def test_a_path_that_no_policy_allows_comes_with_what_to_write(rig, path, hint):
    """To whom Vault says "forbidden" of what is not there, the same mistakes are explained."""
    rig.vault.logins["kubernetes", "shop", CREDENTIAL] = ["kv/none", "old/none", "database/none"]

    (answer,) = rig.read(path)

    assert (answer.code, answer.what) == (errors.FORBIDDEN, "no policy lets us read this path")
    assert answer.hint == hint.replace("{READ}", '{ capabilities = ["read"] }')


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("has_default", [False, True])
def test_a_forbidden_path_is_no_expired_login_without_the_policy_default(rig, is_old, has_default):
    """What tells the two apart needs no right, so it costs no second login."""
    rig.vault.default_policy, rig.vault.is_old = has_default, is_old
    rig.forbid()

    (answer,) = rig.read("a")

    assert answer.code is errors.FORBIDDEN
    assert rig.fetched.stores[0].logins == 1
    assert "GET /v1/auth/token/lookup-self" not in sent(rig)


@pytest.mark.parametrize("is_old", [False, True])
def test_a_dead_token_is_found_out_whatever_the_server_says_of_it(rig, is_old):
    """Older servers call it forbidden; the list of mounts, which any living token gets, tells."""
    rig.put("a", {"x": "1"})
    rig.vault.is_old = is_old
    rig.source("secrets/v/token", "hvs.dead")

    (answer,) = rig.read("a", document=rig.document(auth=token_auth()))

    assert (answer.code, answer.what) == (errors.EXPIRED, "the token has expired or was revoked")


def test_a_sealed_server_says_that_it_is_sealed(rig):
    """The phrase is one that we know; the rest of the body is not repeated."""
    sealed = Status(503, body=b'{"errors":["Vault is sealed","CANARY"]}')
    rig.proxy.faults = [sealed] * 9

    (answer,) = rig.read("a")

    assert (answer.code, answer.what) == (errors.DOWN, "it is sealed (3 tries)")


@pytest.mark.parametrize(
    ("status", "code", "what"),
    [
        (412, errors.DOWN, "it has not caught up with its primary yet (412) (3 tries)"),
        (472, errors.DOWN, "it is a standby that serves no reads (472) (3 tries)"),
        (473, errors.DOWN, "it is a standby that serves no reads (473) (3 tries)"),
        (500, errors.DOWN, "it has trouble of its own (500) (3 tries)"),
        (502, errors.DOWN, "it has trouble of its own (502) (3 tries)"),
        (400, errors.CONTENT, "it calls the request malformed (400)"),
        (404, errors.MISSING, "no such secret"),
        (405, errors.CONTENT, "this path cannot be read"),
        (429, errors.THROTTLED, "a rate limit is exceeded (3 tries)"),
    ],
)
def test_every_status_has_its_words(rig, status, code, what):
    """The number decides, the body does not."""
    rig.put("a", {})
    rig.proxy.when = lambda request: "/data/" in request.path
    rig.proxy.faults = [Status(status)] * 9

    (answer,) = rig.read("a")

    assert (answer.code, answer.what) == (code, what)


def test_a_namespace_is_entered(rig):
    """The header goes with every request, and the identity names it."""
    rig.put("a", {"x": "1"})
    rig.vault.namespace = "team-a"

    inside, outside = (
        rig.read("a", document=rig.document(**extra))[0] for extra in ({"namespace": "team-a"}, {})
    )

    assert inside.reveal() == {"x": "1"}
    assert outside.code is errors.UNAUTHENTICATED
    rig.forbid()
    (forbidden,) = rig.read("a", document=rig.document(namespace="team-a"))
    assert forbidden.identity == 'role "shop" by kubernetes auth (namespace team-a)'


AUTHS = {
    "jwt": ({"jwt": {"role": "shop", "mountPath": "oidc/k8s"}}, ("oidc/k8s", "shop")),
    "appRole": (
        {"appRole": {"roleId": "r-1", "secretId": {"secretRef": {"name": "v", "key": "id"}}}},
        ("approle", "r-1"),
    ),
}


@pytest.mark.parametrize("method", AUTHS)
def test_other_auth_methods_enter_too(rig, method):
    """The projected token by jwt, and a secret id from a Secret of the namespace."""
    auth, who = AUTHS[method]
    rig.put("a", {"x": "1"})
    rig.source("secrets/v/id", f"{CREDENTIAL}\n")
    rig.vault.logins = {(*who, CREDENTIAL): ["kv/"]}

    (answer,) = rig.read("a", document=rig.document(auth=auth))

    assert answer.reveal() == {"x": "1"}


def token_auth(**more):
    """Auth by a token from the Secret v."""
    return {"token": {"token": {"secretRef": {"name": "v", "key": "token"}}, **more}}


def test_a_given_token_needs_no_login(rig):
    """It is used as it is."""
    rig.put("a", {"x": "1"})
    rig.source("secrets/v/token", "hvs.given\n")
    rig.vault.tokens["hvs.given"] = ["kv/"]

    (answer,) = rig.read("a", document=rig.document(auth=token_auth()))

    assert answer.reveal() == {"x": "1"}
    assert [request.method for request in rig.proxy.seen] == ["GET", "GET"]


def test_a_wrapped_token_is_unwrapped_once(rig):
    """The second time somebody else may have had it, and that is said."""
    rig.put("a", {"x": "1"})
    rig.source("secrets/v/token", "hvs.wrapping")
    rig.vault.wrapped["hvs.wrapping"] = "hvs.inner"
    rig.vault.tokens["hvs.inner"] = ["kv/"]
    document = rig.document(auth=token_auth(wrapped=True))

    first, second = (rig.read("a", document=document)[0] for _ in range(2))

    assert first.reveal() == {"x": "1"}
    assert (second.code, second.what) == (
        errors.UNAUTHENTICATED,
        "login refused: the wrapping token was used before, or has expired",
    )


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak", "t\x00n", "tökèn"])
def test_a_credential_that_is_none_is_not_sent(rig, text):
    """It could break out of its header; nothing of it is repeated."""
    rig.source("secrets/v/token", text)

    (answer,) = rig.read("a", document=rig.document(auth=token_auth()))

    assert answer.code is errors.UNAUTHENTICATED
    assert answer.what == ("the credential in Secret v, key token, is empty or has blanks in it")
    assert rig.proxy.seen == []


def test_a_role_that_is_not_ours_is_told_apart_from_no_role(rig):
    """Both are refused logins, with different advice."""
    rig.source("tokens/store", "another")
    (not_ours,) = rig.read("a")
    rig.refuse_logins()
    (no_role,) = rig.read("a")

    assert not_ours.what == (
        'login refused: the role "shop" does not list ServiceAccount checkout of namespace shop'
    )
    assert no_role.what == 'login refused: there is no role "shop" at auth/kubernetes'


def test_a_token_of_the_environment_is_never_used(rig, monkeypatch, tmp_path):
    """Neither VAULT_TOKEN nor VAULT_ADDR nor a file in the home directory matters."""
    (tmp_path / ".vault-token").write_text("hvs.foreign")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_TOKEN", "hvs.foreign")
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    rig.put("a", {"x": "1"})

    (answer,) = rig.read("a")

    assert isinstance(answer, Secret)
    assert "foreign" not in repr(rig.proxy.seen)


def test_a_connection_that_the_server_closed_is_replaced(rig):
    """A kept connection that is gone costs a new one, and no try."""
    rig.put("a", {"x": "1"})
    rig.proxy.when = lambda request: "/data/" in request.path
    rig.proxy.faults = [Reset()]

    (answer,) = rig.read("a")

    assert answer.reveal() == {"x": "1"}
    assert rig.proxy.connections == 2
    assert (rig.waits, rig.fetched.stores[0].tries) == ([], 1)
