"""The definitions of the AWS stores: what they take, what they refuse, which paths can exist."""

import pytest

from injector.core import stores
from injector.core.errors import Refused
from injector.core.stores import source
from injector.core.stores.address import Address
from injector.core.stores.aws import Ambient, Keys, Place, PodIdentity, SecretsManager, WebIdentity
from tests import authorities

ROLE = "arn:aws:iam::123456789012:role/secrets-{namespace}"
IRSA = {"webIdentity": {"roleArn": ROLE}}
SECRET = {"secretRef": {"name": "aws", "key": "id"}}
KEYS = {"keys": {"accessKeyId": SECRET, "secretAccessKey": SECRET}}
KINDS = ("awsSecretsManager", "awsParameterStore")


def parsed(member, *, in_cluster=True, **aws):
    """A store with defaults for what the test does not speak of."""
    aws = {"region": "eu-central-1", "auth": IRSA, **aws}
    return stores.parse("aws", {member: aws}, in_cluster=in_cluster)


def problems(**aws):
    """The problems of a definition, as lines."""
    with pytest.raises(Refused) as refused:
        parsed("awsSecretsManager", **aws)
    return [f"{problem.source}: {problem.what}" for problem in refused.value.problems]


def test_a_full_definition_is_read_whole():
    """Every field has its place."""
    store = parsed(
        "awsSecretsManager",
        endpoint="https://vpce.example.org",
        fallbacks=[{"region": "us-gov-west-1", "stsEndpoint": "https://sts.example.org:8443/x"}],
        caBundle=authorities.FIRST,
        roleArn="arn:aws-us-gov:iam::210987654321:role/team/reader",
        externalId="shop-7",
    )

    assert store.spec == SecretsManager(
        home="eu-central-1",
        place=Place(
            region="eu-central-1",
            endpoint=Address(scheme="https", host="vpce.example.org", port=443, base=""),
        ),
        fallbacks=(
            Place(
                region="us-gov-west-1",
                sts_endpoint=Address(scheme="https", host="sts.example.org", port=8443, base="/x"),
            ),
        ),
        fips=False,
        ca_bundle=authorities.FIRST,
        role_arn="arn:aws-us-gov:iam::210987654321:role/team/reader",
        external_id="shop-7",
        login=WebIdentity(role_arn=ROLE),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("auth", "login", "sources"),
    [
        (IRSA, WebIdentity(role_arn=ROLE), (source.token("aws", "sts.amazonaws.com"),)),
        ({"podIdentity": {}}, PodIdentity(), (source.token("aws", "pods.eks.amazonaws.com"),)),
        (
            KEYS,
            Keys(
                access_key_id=source.secret("aws", "id"),
                secret_access_key=source.secret("aws", "id"),
                session_token=None,
            ),
            (source.secret("aws", "id"), source.secret("aws", "id")),
        ),
    ],
)
def test_each_login_says_what_it_must_mount(kind, auth, login, sources):
    """Nothing more than the login needs is mounted."""
    store = parsed(kind, auth=auth)

    assert store.spec.login == login
    assert store.sources() == sources


def test_ambient_credentials_are_for_laptops():
    """In a cluster a node's own role must never stand in for the pod."""
    assert parsed(KINDS[0], in_cluster=False, auth={"ambient": {}}).spec.login == Ambient()
    assert problems(auth={"ambient": {}}) == [
        "spec.awsSecretsManager.auth: needs exactly one of webIdentity, podIdentity, keys",
        "spec.awsSecretsManager.auth.ambient: no such field",
    ]


@pytest.mark.parametrize(
    ("aws", "problem"),
    [
        ({"region": "Frankfurt"}, "region: must be a region, such as eu-central-1"),
        ({"fallbacks": [{"region": "eu-central-1"}]}, "fallbacks: names a region twice"),
        ({"externalId": "x1"}, "externalId: goes with roleArn, the role it is shown to"),
        ({"roleArn": "reader"}, "roleArn: must be the ARN of a role"),
        (
            {"fips": True, "endpoint": "https://x.example"},
            "fips: chooses among AWS's own endpoints; leave it out where you name one",
        ),
        (
            {"endpoint": "http://x.example"},
            "endpoint: must be https; plain http is for loopback only",
        ),
        (
            {"endpoint": "https://user@x.example"},
            "endpoint: must be https://HOST[:PORT][/BASE] without user, query or fragment",
        ),
        (
            {
                "auth": {
                    "keys": {
                        "accessKeyId": SECRET,
                        "secretAccessKey": {"configMapRef": {"name": "aws", "key": "k"}},
                    }
                }
            },
            "auth.keys.secretAccessKey: must come from a Secret: a ConfigMap is no place for a key",
        ),
    ],
)
def test_a_wrong_field_is_named(aws, problem):
    """One mistake, one sentence, with its place."""
    assert problems(**aws) == [f"spec.awsSecretsManager.{problem}"]


_SM = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/db-AbCdEf"
_SSM = "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/db"


@pytest.mark.parametrize(
    ("kind", "path", "version"),
    [
        (KINDS[0], "shop/db", None),
        (KINDS[0], "/shop/d+b=a@b._-", "AWSPREVIOUS"),
        (KINDS[0], "shop/", None),
        (KINDS[0], "/shop/db/", "AWSPREVIOUS"),
        (KINDS[0], "db", "01234567-89ab-cdef-0123-456789abcdef"),
        (KINDS[0], _SM, None),
        (KINDS[1], "/shop/db", "3"),
        (KINDS[1], "plain.name_-", "stable"),
        (KINDS[1], "/shop/*", None),
        (KINDS[1], _SSM, None),
        (KINDS[1], "/" + "/".join("abcdefghijklmno"), None),
    ],
)
def test_paths_that_aws_can_have(kind, path, version):
    """Names, ARNs, trees and versions in AWS's own forms."""
    assert parsed(kind).spec.path_problem(path, None, version) is None


@pytest.mark.parametrize(
    ("kind", "path", "version"),
    [
        (KINDS[0], "shop/../db", None),
        (KINDS[0], "shop db", None),
        (KINDS[0], "shop//", None),
        (KINDS[1], "/shop/db/", None),
        (KINDS[0], "shop/*", None),
        (KINDS[0], "x" * 513, None),
        (KINDS[0], "ünïcödé", None),
        (KINDS[0], "db", "a b"),
        (KINDS[0], _SM.replace("eu-central-1", "eu-west-1"), None),
        (KINDS[0], _SSM, None),
        (KINDS[1], "/shop/db:3", None),
        (KINDS[1], "/shop/db", "0"),
        (KINDS[1], "/shop/*", "3"),
        (KINDS[1], "shop/*", None),
        (KINDS[1], "/*", None),
        (KINDS[1], "/shop/*/db", None),
        (KINDS[1], "/shop/**", None),
        (KINDS[1], "/" + "/".join("abcdefghijklmnop"), None),
        (KINDS[1], _SM, None),
    ],
)
def test_paths_that_cannot_be_are_refused_before_anything_is_sent(kind, path, version):
    """Never cleaned up, always a sentence."""
    assert parsed(kind).spec.path_problem(path, None, version)


def test_an_arn_of_another_region_names_both_regions():
    """The commonest copy-and-paste mistake."""
    arn = _SM.replace("eu-central-1", "eu-west-1")

    assert parsed(KINDS[0]).spec.path_problem(arn, None, None) == (
        "the ARN is of region eu-west-1, and this store reads eu-central-1"
    )
