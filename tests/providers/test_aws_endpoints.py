"""Without an endpoint of one's own, requests go to the addresses that AWS publishes."""

import asyncio

import pytest

from injector.connection import Unanswered
from injector.core import errors
from injector.core.secret import Failure
from injector.core.stores.aws import Place
from injector.providers.aws import client
from injector.providers.aws.client import Credentials
from injector.providers.aws.failures import CallFailed

KEYS = Credentials(access_key_id="AKIA", secret_access_key="s", session_token="CANARY-TOKEN")


class Caught:
    """Connections to a server that keep what would be sent."""

    def __init__(self):
        self.seen = []

    def open(self, at):
        self.at = at
        return self

    def exchange(self, method, target, *, headers, body):
        self.seen.append((f"{self.at.scheme}://{self.at.host}{target}", headers))
        raise Unanswered(Failure(code=errors.DOWN, what="caught"))

    def close(self):
        """Nothing is open."""


def asked(service, operation, region, *, fips, credentials=KEYS):
    """Return URL and headers of one request, which is caught before it leaves."""
    caught = Caught()

    async def call():
        opening = client.open_client(
            client.OwnSession(),
            service,
            Place(region=region),
            credentials=credentials,
            fips=fips,
            enter=caught.open,
        )
        async with opening as opened:
            await getattr(opened, operation)()

    with pytest.raises(CallFailed):
        asyncio.run(call())
    (request,) = caught.seen
    return request


@pytest.mark.parametrize(
    ("service", "operation", "region", "fips", "url"),
    [
        ("secretsmanager", "get_secret_value", "eu-central-1", False,
         "https://secretsmanager.eu-central-1.amazonaws.com/"),
        ("secretsmanager", "get_secret_value", "us-east-1", True,
         "https://secretsmanager-fips.us-east-1.amazonaws.com/"),
        ("secretsmanager", "get_secret_value", "cn-north-1", False,
         "https://secretsmanager.cn-north-1.amazonaws.com.cn/"),
        ("ssm", "get_parameters", "eu-west-1", False, "https://ssm.eu-west-1.amazonaws.com/"),
        ("ssm", "get_parameters", "us-gov-west-1", True, "https://ssm.us-gov-west-1.amazonaws.com/"),
        ("sts", "assume_role", "eu-central-1", False, "https://sts.eu-central-1.amazonaws.com/"),
        ("sts", "assume_role", "us-east-2", True, "https://sts-fips.us-east-2.amazonaws.com/"),
    ],
)  # fmt: skip
def test_each_region_has_its_published_endpoint(service, operation, region, fips, url):
    """Regional, FIPS and other partitions; the signature's scope is the region's."""
    found, headers = asked(service, operation, region, fips=fips)

    assert found == url
    assert f"/{region}/{service}/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "CANARY-TOKEN"


def test_the_first_login_is_not_signed():
    """A web identity has no keys yet; none are looked for."""
    _, headers = asked(
        "sts",
        "assume_role_with_web_identity",
        "eu-central-1",
        fips=False,
        credentials=None,
    )

    assert "Authorization" not in headers
