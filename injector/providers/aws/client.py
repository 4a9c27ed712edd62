"""aiobotocore's clients, without what a pod would wait for and does not need.

A stock session reads configuration files and a dozen environment variables, looks into the folders
of 400 services, parses 1.2 MB of endpoints and registers handlers for all services. Each of these
has a seam of botocore's own: `register_component`, the loader's search path, `AioConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.configprovider import ConfigValueStore, ConstantProvider
from botocore.loaders import Loader

from injector.core.record import Record, hidden
from injector.core.stores.aws import Place
from injector.providers.aws.transport import Open, Transport

SECRETS_MANAGER, PARAMETER_STORE, STS, KMS = "secretsmanager", "ssm", "sts", "kms"
SERVICES = {"awsSecretsManager": SECRETS_MANAGER, "awsParameterStore": PARAMETER_STORE}
"""Kind of store → what botocore calls its service."""
MAX_CONNECTIONS = 8

_ALL = [KMS, PARAMETER_STORE, SECRETS_MANAGER, STS]


class Credentials(Record):
    """What signs a request; never printed."""

    access_key_id: str = hidden()
    secret_access_key: str = hidden()
    session_token: str | None = hidden()


class OwnLoader(Loader):  # type: ignore[misc]  # botocore is untyped
    """botocore's data of our services alone; the list of endpoints is derived from the partitions.

    The rule sets of the services decide about endpoints; the old list is only asked for defaults.
    """

    def __init__(self) -> None:
        """Look into botocore's own folder only."""
        super().__init__([self.BUILTIN_DATA_PATH], include_default_search_paths=False)

    def list_available_services(self, type_name: str) -> list[str]:
        """Return our services, without looking."""
        del type_name
        return _ALL

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Return the data of a file and where it is from."""
        if name != "endpoints":
            return super().load_data_with_path(name)  # type: ignore[no-any-return]  # untyped
        partitions, path = super().load_data_with_path("partitions")
        return {"version": 3, "partitions": [_old_form(p) for p in partitions["partitions"]]}, path


class OwnSession(AioSession):  # type: ignore[misc]  # aiobotocore is untyped
    """A session that reads neither environment nor files."""

    def __init__(self) -> None:
        """Take botocore's default for every setting; user-agent words stay."""
        super().__init__(include_builtin_handlers=False)
        defaults = {
            name: ConstantProvider(value=row[2]) for name, row in self.SESSION_VARIABLES.items()
        }
        self.register_component("config_store", ConfigValueStore(mapping=defaults))
        self.register_component("data_loader", OwnLoader())
        self.register("choose-signer.sts.AssumeRoleWithWebIdentity", _without_signature)
        # Dates stay as AWS writes them; botocore's own parser loads dateutil, 7 ms.
        parsers = self.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=lambda written: written)

    @property
    def full_config(self) -> Mapping[str, Any]:
        """No configuration file is read."""
        return {"profiles": {}}


def open_client(
    session: OwnSession,
    service: str,
    place: Place,
    *,
    credentials: Credentials | None,
    fips: bool,
    enter: Open,
) -> Any:
    """Return the context manager of a client; without credentials its requests are not signed."""
    at = place.sts_endpoint if service == STS else place.endpoint
    config = AioConfig(
        http_session_cls=partial(Transport, enter),
        defaults_mode="legacy",
        ignore_configured_endpoint_urls=True,
        max_pool_connections=MAX_CONNECTIONS,
        parameter_validation=False,  # paths are judged by the store, and are AWS's to refuse
        proxies={},
        retries={"mode": "standard", "total_max_attempts": 1},  # retrying is `fetch`'s
        signature_version=UNSIGNED if credentials is None else "v4",
        use_fips_endpoint=fips,
        user_agent_appid="secret-injector",
    )
    keys: dict[str, str | None] = {}
    if credentials is not None:
        keys = {
            "aws_access_key_id": credentials.access_key_id,
            "aws_secret_access_key": credentials.secret_access_key,
            "aws_session_token": credentials.session_token,
        }
    return session.create_client(
        service,
        region_name=place.region,
        endpoint_url=None if at is None else at.url(),
        verify=True,
        config=config,
        **keys,
    )


def _without_signature(**_: object) -> object:
    return UNSIGNED


def _old_form(partition: Mapping[str, Any]) -> Mapping[str, Any]:
    outputs = partition["outputs"]
    return {
        "partition": partition["id"],
        "dnsSuffix": outputs["dnsSuffix"],
        "regionRegex": partition["regionRegex"],
        "regions": {},
        "services": {},
        "defaults": {
            "hostname": "{service}.{region}.{dnsSuffix}",
            "protocols": ["https"],
            "signatureVersions": ["v4"],
            "variants": [
                {
                    "tags": ["fips"],
                    "hostname": "{service}-fips.{region}.{dnsSuffix}",
                    "dnsSuffix": outputs["dnsSuffix"],
                }
            ],
        },
    }
