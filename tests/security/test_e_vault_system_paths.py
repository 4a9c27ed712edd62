"""What a Vault server answers about itself is no secret of a service: the store must allow it."""

import pytest

from injector.core import errors, stores
from injector.core.errors import Refused
from injector.core.secret import Secret
from tests import asking
from tests.providers.rigs import CREDENTIAL, VaultRig


def _store(**fields):
    store = asking.vault()
    store["spec"]["vault"].update(fields)
    return store


def _decided(path, store):
    return asking.outcome(asking.pod({"env": f"A: '#{{vault:{path}}}'"}), store)


SYSTEM = [
    "auth/token/lookup-self#id",
    "auth/token/lookup-self",
    "auth/kubernetes/role/admin#policies",
    "sys/internal/ui/mounts#secret",
    "sys/wrapping/lookup",
    "identity/oidc/token/app#token",
    "identity/entity/id/x",
    "Auth/token/lookup-self#id",
    "SYS/health",
    "sYs/health",
    "Identity/oidc/token/app",
    '"auth/token/lookup-self"#id',
    '"\u017fys/health"',
]
SPELLED_OTHERWISE = [
    "./auth/token/lookup-self#id",
    "secret/../auth/token/lookup-self#id",
    "auth/./token/lookup-self#id",
    "/auth/token/lookup-self#id",
    "//auth/token",
    '"auth%2Ftoken/lookup-self"',
    '"%61uth/token/lookup-self"',
    '" auth/token/lookup-self"',
    '"auth\u200b/token/lookup-self"',
    '"auth\\\\token/lookup-self"',
]


@pytest.mark.parametrize("path", SYSTEM)
def test_paths_of_the_server_itself_are_refused(path):
    """`auth/token/lookup-self` is readable for every login, and holds the token."""
    decided = _decided(path, _store())

    [problem] = decided.problems
    assert (decided.kind, problem.code.id) == ("deny", "SI-101")
    assert "the store allows them by systemPaths" in problem.what


@pytest.mark.parametrize("path", SPELLED_OTHERWISE)
@pytest.mark.parametrize("allowed", [[], ["auth/token/lookup-self"]])
def test_no_other_spelling_of_such_a_path_is_planned(path, allowed):
    """Dots, slashes, escapes and what cannot be seen are refused with and without a permission."""
    decided = _decided(path, _store(systemPaths=allowed))

    assert (decided.kind, asking.codes(decided)) == ("deny", ["SI-101"])


@pytest.mark.parametrize(
    ("path", "is_planned"),
    [
        ("identity/oidc/token/app#token", True),
        ("sys/plugins/catalog/x", True),
        ("sys/plugins", True),
        ("identity/oidc/token/application", False),
        ("identity/oidc/token", False),
        ("identity/oidc", False),
        ("Identity/oidc/token/app", False),
        ("sys/pluginsx", False),
        ("auth/token/lookup-self", False),
    ],
)
def test_a_store_allows_a_path_and_what_lies_below(path, is_planned):
    """A permission is a path of whole segments, in the case it is written in."""
    decided = _decided(path, _store(systemPaths=["identity/oidc/token/app", "sys/plugins"]))

    assert (decided.kind == "inject") is is_planned


@pytest.mark.parametrize(
    "path", ["secret/auth/github#token", "secret/sys/x", "authx/y#z", "kv/identity", "system/a"]
)
def test_other_mounts_may_hold_folders_of_these_names(path):
    """Only the first segment names what is mounted."""
    assert _decided(path, _store()).kind == "inject"


@pytest.mark.parametrize(
    "entry",
    ["auth", "sys/", "/sys/x", "secret/a", "sys/../auth/x", "sys/.", "auth/*", "sys//x", ""],
)
def test_a_permission_that_is_no_path_of_the_servers_own_is_refused(entry):
    """No pattern, no whole area, nothing that is not canonical."""
    document = _store(systemPaths=[entry])["spec"]

    with pytest.raises(Refused) as caught:
        stores.parse("vault", document)
    assert [p.source for p in caught.value.problems] == ["spec.vault.systemPaths[0]"]


@pytest.mark.parametrize(
    ("mount", "kind", "path"),
    [
        ("team/sys/", "ns_system", "team/sys/health"),
        ("a/b/identity/", "ns_identity", "a/b/identity/entity/x"),
    ],
)
def test_a_namespace_in_the_path_is_no_way_around(tmp_path, mount, kind, path):
    """Vault takes a namespace at the head of a path; what is mounted there decides in the pod."""
    rig = VaultRig(tmp_path)
    try:
        rig.path = lambda name: name
        rig.vault.mounts[mount] = (kind, None)
        rig.vault.logins["kubernetes", "shop", CREDENTIAL] = [mount]
        [answer] = rig.read(path)
    finally:
        rig.close()

    assert answer.code is errors.FORBIDDEN
    assert "systemPaths" in answer.what
    assert not [r for r in rig.proxy.seen if r.path == f"/v1/{path}"]


def test_an_engine_may_be_mounted_under_such_a_name(tmp_path):
    """What is mounted decides, not what it is called: `team/auth/` can be an engine of secrets."""
    rig = VaultRig(tmp_path)
    try:
        rig.path = lambda name: name
        rig.vault.mounts["team/auth/"] = ("database", None)
        rig.vault.dynamic["creds/app"] = {"password": "x"}
        rig.vault.logins["kubernetes", "shop", CREDENTIAL] = ["team/auth/"]
        [answer] = rig.read("team/auth/creds/app")
    finally:
        rig.close()

    assert isinstance(answer, Secret)
