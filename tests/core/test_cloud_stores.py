"""Definitions of Azure and Google stores: what they accept, what they mount, what they read."""

import pytest

from injector.core import claims, stores
from injector.core.claims import Claims
from injector.core.errors import Refused
from injector.core.stores import azure
from injector.core.stores.azure import Place
from injector.core.stores.source import SecretSource, TokenSource

TENANT = "72f988bf-0000-4000-8000-2d7cd011db47"
CLIENT = "fad7d5b3-0000-4000-8000-8d12124e1cf1"
POOL = "projects/123456789012/locations/global/workloadIdentityPools/cluster/providers/kubernetes"


def azure_store(**changes):
    """A key vault's store, with changes."""
    spec = {
        "address": "https://shop.vault.azure.net",
        "tenantId": TENANT,
        "auth": {"workloadIdentity": {"clientId": CLIENT}},
    }
    return stores.parse("az", {"azureKeyVault": {**spec, **changes}})


def gcp_store(**changes):
    """A Secret Manager's store, with changes."""
    spec = {"project": "shop-prod", "auth": {"workloadIdentity": {"provider": POOL}}}
    return stores.parse("gcp", {"gcpSecretManager": {**spec, **changes}})


def test_a_federated_login_mounts_one_token_for_its_cloud():
    """The audience is the cloud's customary one, unless the store has its own."""
    spec = {"address": "https://shop.vault.azure.net", "tenantId": TENANT}
    chosen = stores.parse(
        "az",
        {
            "audience": "mine",
            "azureKeyVault": {**spec, "auth": {"workloadIdentity": {"clientId": CLIENT}}},
        },
    )

    assert azure_store().sources() == (
        TokenSource(audience="api://AzureADTokenExchange", path="tokens/az"),
    )
    assert chosen.sources() == (TokenSource(audience="mine", path="tokens/az"),)
    assert gcp_store().sources() == (
        TokenSource(audience=f"https://iam.googleapis.com/{POOL}", path="tokens/gcp"),
    )


def test_a_fleets_pool_is_its_own_audience():
    """GKE's pool is named by the token, the cluster by the exchange."""
    cluster = "https://container.googleapis.com/v1/projects/shop-prod/locations/eu/clusters/a"
    provider = f"identitynamespace:shop-prod.svc.id.goog:{cluster}"
    store = gcp_store(auth={"workloadIdentity": {"provider": provider}})

    assert store.sources() == (TokenSource(audience="shop-prod.svc.id.goog", path="tokens/gcp"),)
    assert store.spec.login.audience == provider


@pytest.mark.parametrize(
    ("store", "auth"),
    [
        (azure_store, ("clientSecret", {"clientId": CLIENT}, "secret")),
        (gcp_store, ("serviceAccountKey", {}, "key")),
    ],
)
def test_a_credential_comes_from_a_secret_of_the_namespace(store, auth):
    """It is mounted key by key; a ConfigMap is refused."""
    method, rest, name = auth
    good, bad = (
        {method: {**rest, name: {kind: {"name": "app", "key": "k"}}}}
        for kind in ("secretRef", "configMapRef")
    )

    assert store(auth=good).sources() == (SecretSource(name="app", key="k", path="secrets/app/k"),)
    with pytest.raises(Refused, match="must come from a Secret"):
        store(auth=bad)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"address": "https://shop.vault.azure.cn"}, 'must be a host under "vault.azure.net"'),
        ({"address": "https://evilvault.azure.net"}, 'must be a host under "vault.azure.net"'),
        ({"address": "http://shop.vault.azure.net"}, "must be https"),
        ({"authorityHost": "https://169.254.169.254"}, "link-local"),
        ({"tenantId": "a/../b"}, "must be a tenant's id or domain"),
        ({"tenantId": ".."}, "must be a tenant's id or domain"),
        ({"auth": {"workloadIdentity": {"clientId": "me"}}}, "must be the id of an application"),
        ({"auth": {}}, "needs exactly one of workloadIdentity, clientSecret"),
        ({"vault": "x"}, "no such field"),
    ],
)
def test_a_wrong_azure_definition_is_refused(changes, what):
    """Each mistake is one problem, at its place."""
    with pytest.raises(Refused) as refused:
        azure_store(**changes)

    (problem,) = refused.value.problems
    assert what in problem.what


def test_a_sovereign_cloud_is_three_addresses():
    """Vault, suffix and authority belong together."""
    spec = azure_store(
        address="https://shop.vault.azure.cn",
        vaultSuffix="vault.azure.cn",
        authorityHost="https://login.partner.microsoftonline.cn",
    ).spec

    assert (spec.suffix, spec.authority.url()) == (
        "vault.azure.cn",
        "https://login.partner.microsoftonline.cn:443",
    )


@pytest.mark.parametrize(
    ("path", "version", "problem"),
    [
        ("Db-Password-1", None, None),
        ("db", "4387e9f3d6e14c459867679a90fd0f79", None),
        ("certificates/web", None, None),
        ("certificates/web/key", None, None),
        ("certificates/web/pfx", None, "a Key Vault path is"),
        ("db_password", None, "a Key Vault path is"),
        ("db/", None, "a Key Vault path is"),
        ("secrets/db", None, "a Key Vault path is"),
        ("x" * 128, None, "a Key Vault path is"),
        ("db\n", None, "a Key Vault path is"),
        ("db", "3", "a Key Vault version is"),
        ("db", "4387E9F3D6E14C459867679A90FD0F79", "a Key Vault version is"),
    ],
)
def test_azure_paths(path, version, problem):
    """A path is a name, or a certificate or a part of one."""
    found = azure_store().spec.path_problem(path, None, version)

    assert found is problem if problem is None else found.startswith(problem)


def test_a_field_of_a_certificate_is_refused():
    """Certificates have parts, not fields; the message names them."""
    found = azure_store().spec.path_problem("certificates/web", "tls.key", None)

    assert found == "a certificate is PEM text without fields; /key and /chain are its parts"


def test_places_of_key_vault():
    """A certificate is the secret of its name, whole or in part."""
    assert azure.place("certificates/web/key") == Place(name="web", part="key")
    assert azure.place("certificates/web") == Place(name="web", part="")
    assert azure.place("web") == Place(name="web", part=None)


@pytest.mark.parametrize(
    ("path", "version", "resource"),
    [
        ("db", None, "projects/shop-prod/secrets/db/versions/latest"),
        ("db", "3", "projects/shop-prod/secrets/db/versions/3"),
        ("db", "stable", "projects/shop-prod/secrets/db/versions/stable"),
        (
            "projects/other-prod/secrets/a_B-1",
            None,
            "projects/other-prod/secrets/a_B-1/versions/latest",
        ),
        (
            "projects/example.com:other-prod/secrets/a",
            "1",
            "projects/example.com:other-prod/secrets/a/versions/1",
        ),
    ],
)
def test_google_paths(path, version, resource):
    """Short paths are of the store's project."""
    spec = gcp_store().spec

    assert spec.path_problem(path, None, version) is None
    assert spec.resource(path, version) == resource


@pytest.mark.parametrize(
    ("path", "version", "problem"),
    [
        (
            "projects/shop-prod/secrets/db",
            None,
            'in the store\'s own project the path is just "db"',
        ),
        ("projects/123456789012/secrets/db", None, "the project by its id"),
        ("projects/other-prod/locations/eu-west1/secrets/db", None, "without a location"),
        ("projects/other-prod/secrets/db/versions/1", None, "a path is NAME or"),
        ("db.dots", None, "a path is NAME or"),
        ("db:access", None, "a path is NAME or"),
        ("db", "0", "a version is"),
        ("db", "1/../2", "a version is"),
    ],
)
def test_google_paths_that_are_refused(path, version, problem):
    """One secret has one spelling, so that a policy's pattern cannot be walked around."""
    assert problem in gcp_store().spec.path_problem(path, None, version)


def test_a_regional_store_asks_its_region():
    """The endpoint and the names are the region's."""
    spec = gcp_store(location="europe-west3").spec

    assert spec.place.address.host == "secretmanager.europe-west3.rep.googleapis.com"
    assert spec.resource("db", None) == (
        "projects/shop-prod/locations/europe-west3/secrets/db/versions/latest"
    )
    full = "projects/other-prod/locations/europe-west3/secrets/db"
    assert spec.path_problem(full, None, None) is None
    assert "locations/europe-west3" in spec.path_problem(
        "projects/other-prod/secrets/db", None, None
    )


def test_without_a_project_a_short_path_is_refused():
    """The way out is in the message."""
    found = gcp_store(project=None).spec.path_problem("db", None, None)

    assert found == "the store has no project; write projects/PROJECT/secrets/NAME"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"project": "123456789012"}, "must be a project's id (not its number)"),
        ({"location": "a/b"}, "must be a location such as europe-west3"),
        ({"auth": {"workloadIdentity": {"provider": "cluster"}}}, "must be projects/NUMBER/"),
        ({"endpoints": {"iam": "https://x.example"}}, "no such field"),
        (
            {"auth": {"workloadIdentity": {"provider": POOL, "serviceAccount": "a/b@c"}}},
            "must be the email address of a service account",
        ),
    ],
)
def test_a_wrong_google_definition_is_refused(changes, what):
    """Each mistake is one problem, at its place."""
    with pytest.raises(Refused) as refused:
        gcp_store(**changes)

    (problem,) = refused.value.problems
    assert what in problem.what


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.!!.c", "e30.W10.x", "e30.eyJhdWQiOjF9.x"])
def test_a_token_that_says_nothing_has_empty_claims(token):
    """A hint must never fail."""
    assert claims.parse(token) == Claims()
