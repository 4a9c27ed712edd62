"""The servers that a store of AWS speaks to, by botocore's own rules: for `doctor`."""

from __future__ import annotations

import re

from botocore.endpoint_provider import EndpointProvider

from injector import rest
from injector.core.stores.address import Address, Server
from injector.core.stores.aws import Aws, WebIdentity
from injector.providers.aws.client import STS, OwnLoader

_URL = re.compile(r"https://(?P<host>[-a-z0-9.]+)")


def of(spec: Aws, service: str) -> tuple[Server, ...]:
    """Return STS, where the login asks it, and the service's endpoint."""
    asks_sts = isinstance(spec.login, WebIdentity) or spec.role_arn is not None
    found = [spec.place.sts_endpoint or _public(spec, STS)] if asks_sts else []
    found.append(spec.place.endpoint or _public(spec, service))
    return rest.servers(spec.ca_bundle, *found)


def _public(spec: Aws, service: str) -> Address:
    """Return the address that AWS publishes for the store's region."""
    loader = OwnLoader()
    rules = loader.load_service_model(service, "endpoint-rule-set-1")
    provider = EndpointProvider(rules, loader.load_data("partitions"))
    url = provider.resolve_endpoint(
        Region=spec.place.region, UseFIPS=spec.fips, UseDualStack=False
    ).url
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(url)
    return Address(scheme="https", host=found["host"], port=443, base="")
