"""Google Secret Manager, by its REST API.

https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access. One
login per session, then one request for each version, four at a time: the API has no batch.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from functools import partial

from injector import rest
from injector.connection import Unanswered
from injector.core import claims, errors
from injector.core.plan import Read
from injector.core.record import replace
from injector.core.secret import Failure, Json, LoginFailed, Secret
from injector.core.stores import Store
from injector.core.stores.address import Server
from injector.core.stores.gcp import FederatedLogin, GcpSecretManager
from injector.deadline import Deadline
from injector.http_session import HttpSession
from injector.providers import Access
from injector.providers.gcp import answers, login
from injector.providers.gcp.crc32c import crc32c


def open_session(store: Store, access: Access) -> GcpSession:
    """Return a session that has logged in; raises LoginFailed."""
    spec = store.spec
    if not isinstance(spec, GcpSecretManager):
        raise TypeError(store.provider)

    connect = rest.connector(store, access, spec.ca_bundle)
    proof = rest.credential(access, spec.proof(store.name, store.audience))
    who = ""
    try:
        match spec.login:
            case FederatedLogin() as federated:
                who = _principal(federated, proof, access)
                token = _federated(spec, federated, proof, principal=who, connect=connect)
                who = federated.impersonate or who
            case _:
                key = login.read_key(proof)
                who = rest.text(key, "client_email")
                token = login.sign(key, now_s=time.time())
    except Unanswered as error:
        raise LoginFailed(replace(error.failure, identity=who)) from None
    http = connect(spec.place.address, partial(answers.refusal, who))
    return GcpSession(spec, http, identity=who, token=token)


def servers(store: Store) -> tuple[Server, ...]:
    """Return the servers of the login, if it has any, and Secret Manager's."""
    spec = store.spec
    if not isinstance(spec, GcpSecretManager):
        raise TypeError(store.provider)
    found = [spec.place.address]
    if isinstance(spec.login, FederatedLogin):
        found = [spec.sts, *([spec.iam_credentials] if spec.login.impersonate else []), *found]
    return rest.servers(spec.ca_bundle, *found)


class GcpSession:
    """Secret Manager, entered; threads of `read` share the connections."""

    def __init__(
        self, spec: GcpSecretManager, http: HttpSession, *, identity: str, token: str
    ) -> None:
        """Keep the token, which outlives the session."""
        self.identity = identity
        self._spec, self._http = spec, http
        self._headers = {"Authorization": f"Bearer {token}"}

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """See `providers.Session`."""
        self._http.deadline = deadline
        found = rest.gather(reads, self._read)
        return {
            read: replace(got, identity=self.identity) if isinstance(got, Failure) else got
            for read, got in found.items()
        }

    def close(self) -> None:
        """Drop the connections and the token."""
        self._headers = {}
        self._http.close()

    def _read(self, read: Read) -> Secret | Failure:
        name = self._spec.resource(read.path, read.version)
        url = f"{self._spec.place.address.url()}/v1/{name}:access"
        return to_secret(self._http.request("GET", url, headers=self._headers).json())


def to_secret(document: Json) -> Secret | Failure:
    """Return the payload of an AccessSecretVersionResponse, its checksum verified."""
    payload = rest.member(document, "payload")
    try:
        data = base64.b64decode(rest.text(payload, "data"), validate=True)
    except ValueError:
        return Failure(code=errors.CONTENT, what="the payload is not in base64")
    if "data" not in payload:
        return Failure(code=errors.CONTENT, what="the answer holds no payload")
    checksum = rest.text(payload, "dataCrc32c")
    if checksum and checksum != str(crc32c(data)):
        what = "the payload came damaged: its CRC32C differs"
        return Failure(code=errors.DOWN, what=what, hint="if it stays: add the version anew")
    return Secret(data, version=rest.text(document, "name").rpartition("/")[2] or None)


def _federated(
    spec: GcpSecretManager,
    federated: FederatedLogin,
    proof: str,
    *,
    principal: str,
    connect: rest.Connect,
) -> str:
    sts = connect(spec.sts, partial(answers.exchange_refusal, claims.parse(proof)))
    try:
        token = login.exchange(sts, spec.sts.url(), federated, proof)
    finally:
        sts.close()
    account = federated.impersonate
    if account is None:
        return token
    iam = connect(spec.iam_credentials, partial(answers.impersonation_refusal, account, principal))
    try:
        return login.impersonate(iam, spec.iam_credentials.url(), account, token)
    finally:
        iam.close()


def _principal(federated: FederatedLogin, proof: str, access: Access) -> str:
    """Return who we are as one writes it in an IAM binding, for the usual attribute mapping."""
    pool, is_pool, _ = federated.audience.partition("/providers/")
    if is_pool:
        subject = claims.parse(proof).subject
        return f"principal:{pool}/subject/{subject}"
    return f"serviceAccount:{federated.token_audience}[{access.namespace}/{access.service_account}]"
