"""Where a store is: its definition with fallbacks, and each place as if it were alone."""

import pytest

from injector.core import stores
from injector.core.errors import Refused
from injector.core.record import replace
from injector.core.stores.address import Address, Server
from tests import authorities

TENANT = "72f988bf-0000-4000-8000-2d7cd011db47"
REQUIRED = {
    "vault": {"address": "https://v.example.org:8200", "auth": {"kubernetes": {"role": "r"}}},
    "awsSecretsManager": {"region": "eu-central-1", "auth": {"podIdentity": {}}},
    "awsParameterStore": {"region": "eu-central-1", "auth": {"podIdentity": {}}},
    "azureKeyVault": {
        "address": "https://a.vault.azure.net",
        "tenantId": TENANT,
        "auth": {"workloadIdentity": {"clientId": TENANT}},
    },
    "gcpSecretManager": {
        "project": "shop-prod",
        "location": "europe-west3",
        "auth": {
            "workloadIdentity": {"provider": "identitynamespace:p-1234.svc.id.goog:https://c"}
        },
    },
}
FALLBACKS = {
    "vault": {"address": "https://w.example.org"},
    "awsSecretsManager": {"region": "eu-west-1"},
    "awsParameterStore": {"region": "eu-west-1"},
    "azureKeyVault": {"address": "https://b.vault.azure.net"},
    "gcpSecretManager": {"location": "europe-west4"},
}
NAMES = {
    "vault": ["v.example.org:8200", "w.example.org"],
    "awsSecretsManager": ["eu-central-1", "eu-west-1"],
    "awsParameterStore": ["eu-central-1", "eu-west-1"],
    "azureKeyVault": ["a.vault.azure.net", "b.vault.azure.net"],
    "gcpSecretManager": ["europe-west3", "europe-west4"],
}


def parsed(kind, **changes):
    """A store with what its kind requires."""
    return stores.parse("store", {kind: {**REQUIRED[kind], **changes}})


def problems(kind, **changes):
    """The problems of a definition, as lines."""
    with pytest.raises(Refused) as refused:
        parsed(kind, **changes)
    return [f"{problem.source}: {problem.what}" for problem in refused.value.problems]


@pytest.mark.parametrize("kind", REQUIRED)
def test_a_store_without_fallbacks_is_one_site_which_is_itself(kind):
    """Nothing changes for who has one place."""
    store = parsed(kind)

    (site,) = store.sites()

    assert (site.name, site.spec) == (NAMES[kind][0], store.spec)


@pytest.mark.parametrize("kind", REQUIRED)
def test_each_site_is_a_store_of_its_own(kind):
    """In the order written; a site has no fallbacks, and the first is the store without them."""
    store = parsed(kind, fallbacks=[FALLBACKS[kind]])

    first, second = store.sites()

    assert [first.name, second.name] == NAMES[kind]
    assert first.spec == replace(store.spec, fallbacks=())
    assert second.spec != first.spec
    assert [site.spec for site in second.spec.sites()] == [second.spec]


def test_two_places_behind_one_server_have_two_names():
    """A gateway may lead to each by a path."""
    first, second = (f"https://gateway.example.org/{name}" for name in ("a", "b"))
    store = parsed("vault", address=first, fallbacks=[{"address": second}])

    assert [site.name for site in store.sites()] == [
        "gateway.example.org/a",
        "gateway.example.org/b",
    ]


@pytest.mark.parametrize("document", [{"k8s": {}}, {"dotenv": {"file": "x"}}, {"env": {}}])
def test_files_are_one_site_without_a_name(document):
    """There is nothing to call it."""
    store = stores.parse("store", document, in_cluster="k8s" in document)

    assert [(site.name, site.spec) for site in store.sites()] == [("", store.spec)]


def test_a_fallback_of_vault_has_the_authority_of_the_first_unless_it_has_its_own():
    """One CA for all is the usual case; a server's name is its own."""
    own = {"address": "https://x.example.org", "caBundle": authorities.SECOND, "tlsServerName": "x"}
    store = parsed(
        "vault",
        caBundle=authorities.FIRST,
        tlsServerName="v",
        fallbacks=[FALLBACKS["vault"], own],
    )

    assert store.spec.fallbacks == (
        Server(address=at("w.example.org"), ca_bundle=authorities.FIRST, has_name_field=True),
        Server(
            address=at("x.example.org"), ca_bundle=authorities.SECOND, name="x", has_name_field=True
        ),
    )


def test_a_fallback_of_google_has_the_endpoint_of_its_location_unless_it_has_its_own():
    """And a secret's name is that of the location, also where the path says the first one."""
    own = {"location": "europe-west1", "endpoint": "https://x.example.org"}
    store = parsed("gcpSecretManager", fallbacks=[FALLBACKS["gcpSecretManager"], own])
    full = "projects/other-prod/locations/europe-west3/secrets/db"

    _, second, third = store.sites()

    assert second.spec.place.address == at("secretmanager.europe-west4.rep.googleapis.com")
    assert third.spec.place.address == at("x.example.org")
    assert store.spec.path_problem(full, None, None) is None
    assert [second.spec.resource(path, "3") for path in ("db", full)] == [
        f"projects/{project}/locations/europe-west4/secrets/db/versions/3"
        for project in ("shop-prod", "other-prod")
    ]


@pytest.mark.parametrize(
    ("kind", "fallbacks", "said"),
    [
        ("vault", [{"address": "https://v.example.org:8200/"}], ["{}: names an address twice"]),
        ("vault", [{}], ["{}[0].address: is required"]),
        (
            "vault",
            [{"address": "http://w.example.org"}, {"address": "https://169.254.1.1"}],
            [
                "{}[0].address: must be https; plain http is for loopback only",
                "{}[1].address: is a link-local, multicast, reserved or metadata address",
            ],
        ),
        ("vault", [{**FALLBACKS["vault"], "auth": {}}], ["{}[0].auth: no such field"]),
        ("vault", [FALLBACKS["vault"]] * 5, ["{}: must be a list of at most 4 entries"]),
        ("awsParameterStore", [{"region": "eu-central-1"}], ["{}: names a region twice"]),
        (
            "azureKeyVault",
            [{"address": "https://a.vault.azure.net"}],
            ["{}: names an address twice"],
        ),
        (
            "azureKeyVault",
            [{"address": "https://evil.example"}],
            [
                (
                    '{}[0].address: must be a host under "vault.azure.net": '
                    "the login is for vaults there"
                )
            ],
        ),
        ("gcpSecretManager", [{"location": "europe-west3"}], ["{}: names a location twice"]),
        (
            "gcpSecretManager",
            [{"location": "x"}],
            ["{}[0].location: must be a location such as europe-west3"],
        ),
    ],
)
def test_wrong_fallbacks_are_refused(kind, fallbacks, said):
    """Each mistake at its place, and no other with it."""
    place = f"spec.{kind}.fallbacks"
    assert problems(kind, fallbacks=fallbacks) == [line.format(place) for line in said]


def test_the_global_secrets_of_google_have_no_fallbacks():
    """Google itself keeps them in several places."""
    fallbacks = [FALLBACKS["gcpSecretManager"]]

    assert problems("gcpSecretManager", location=None, fallbacks=fallbacks) == [
        (
            "spec.gcpSecretManager.fallbacks: goes with location: the global service answers from"
            " several places by itself"
        )
    ]


def at(host):
    """The address of a host at the usual port."""
    return Address(scheme="https", host=host, port=443, base="")
