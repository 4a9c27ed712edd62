"""A store with several regions: the next one answers for one that is not there, and only then."""

import json

import boto3
import pytest

from injector.core import errors
from injector.core.secret import Failure
from tests.providers.aws_rigs import SecretsManagerRig
from tests.providers.fault_proxy import Status

AWAY = Status(503)


@pytest.fixture
def rig(tmp_path):
    """Secrets Manager behind the proxy in eu-central-1, and without it in eu-west-1."""
    made = SecretsManagerRig(tmp_path)
    west = boto3.client(
        "secretsmanager",
        endpoint_url=made.aws.url,
        region_name="eu-west-1",
        aws_access_key_id="AKIASETUP",
        aws_secret_access_key="setup",
    )
    west.create_secret(Name="db", SecretString="west")
    made.put("db", "central")
    yield made
    west.close()
    made.close()


def document(rig):
    """The definition with its fallback."""
    at = rig.aws.url
    return rig.document(fallbacks=[{"region": "eu-west-1", "endpoint": at, "stsEndpoint": at}])


def test_the_first_region_is_used_while_it_is_there(rig):
    """The fallback is asked nothing."""
    (answer,) = rig.read("db", document=document(rig))

    assert json.loads(answer.reveal()) == "central"
    assert len(rig.proxy.seen) == 2


@pytest.mark.parametrize("is_login_away", [True, False])
def test_the_fallback_answers_for_a_region_that_is_away(rig, is_login_away):
    """Login and read move on by themselves, without a wait; the answer is the replica's."""
    rig.proxy.when = lambda request: is_login_away or not rig.is_login(request)
    rig.proxy.faults = [AWAY] * 9

    (answer,) = rig.read("db", document=document(rig))

    assert answer.reveal() == b"west"
    assert rig.waits == []


def test_a_closed_port_is_a_region_that_is_away(rig):
    """No connection at all counts like a 503."""
    rig.proxy.refuse()

    (answer,) = rig.read("db", document=document(rig))

    assert answer.reveal() == b"west"


def test_the_arn_of_a_replica_differs_in_the_region(rig):
    """A read by ARN asks the fallback for the same secret there, which has the same suffix."""
    arn = rig.setup.describe_secret(SecretId="db")["ARN"]
    rig.proxy.faults = [AWAY] * 9

    rig.read(arn, document=document(rig))

    assert [asked["SecretId"] for action, asked in rig.aws.asked if action == "GetSecretValue"] == [
        arn.replace("eu-central-1", "eu-west-1")
    ]


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ((400, "ResourceNotFoundException", "CANARY"), errors.MISSING),
        ((400, "AccessDeniedException", "CANARY"), errors.FORBIDDEN),
    ],
)
def test_a_refusal_is_no_unavailability(rig, refusal, code):
    """What the first region says is final; asking elsewhere would hide it."""
    rig.aws.refusals["GetSecretValue"] = refusal

    (answer,) = rig.read("db", document=document(rig))

    assert isinstance(answer, Failure)
    assert answer.code is code
    assert rig.aws.actions == ["AssumeRoleWithWebIdentity", "GetSecretValue"]


def test_the_region_is_told(rig):
    """Who we were says where, and what was away."""
    rig.proxy.faults = [AWAY] * 9
    rig.aws.refusals["GetSecretValue"] = (400, "AccessDeniedException", "CANARY")

    (answer,) = rig.read("db", document=document(rig))

    assert answer.identity == (
        'role "arn:aws:iam::123456789012:role/shop" by web identity in eu-west-1'
        " (eu-central-1 is unavailable)"
    )


def test_with_all_regions_away_the_first_one_is_told(rig):
    """Every try asks every region; the message is about the store's own."""
    rig.proxy.faults = [AWAY] * 9
    rig.proxy.when = lambda request: not rig.is_login(request)
    rig.aws.refusals["GetSecretValue"] = (503, "ServiceUnavailable", "CANARY")

    (answer,) = rig.read("db", document=document(rig))

    assert isinstance(answer, Failure)
    assert answer.code is errors.DOWN
    assert answer.what == "AWS has a fault of its own (HTTP 503) (3 tries)"
    assert rig.aws.actions.count("GetSecretValue") == 3
