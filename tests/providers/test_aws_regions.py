"""What regions mean to AWS alone; how a fallback comes into use is in `test_fallbacks`."""

import pytest

from injector.core import errors
from tests.providers.aws_rigs import SecretsManagerRig
from tests.providers.fallbacks import WEST, AwsFallback
from tests.providers.fault_proxy import Status

AWAY = Status(503)


@pytest.fixture
def rig(tmp_path):
    """Secrets Manager in eu-central-1, which is away."""
    made = SecretsManagerRig(tmp_path)
    made.put("db", {"from": "central"})
    made.proxy.faults = [AWAY] * 9
    yield made
    made.close()


@pytest.fixture
def west(rig):
    """The replica in eu-west-1."""
    made = AwsFallback(rig)
    made.put("db", {"from": "west"})
    yield made
    made.close()


def test_the_arn_of_a_replica_differs_in_the_region(rig, west):
    """A read by ARN asks the fallback for the same secret there, which has the same suffix."""
    arn = rig.setup.describe_secret(SecretId="db")["ARN"]

    rig.read(arn, document=west.document())

    assert [asked["SecretId"] for action, asked in rig.aws.asked if action == "GetSecretValue"] == [
        arn.replace("eu-central-1", WEST)
    ]


def test_the_region_is_told_once(rig, west):
    """Who we were says where, and what was away."""
    rig.aws.refusals["GetSecretValue"] = (400, "AccessDeniedException", "CANARY")

    (answer,) = rig.read("db", document=west.document())

    assert (answer.code, answer.identity) == (
        errors.FORBIDDEN,
        (
            'role "arn:aws:iam::123456789012:role/shop" by web identity in eu-west-1'
            " (eu-central-1 is unavailable)"
        ),
    )
