"""Azure Key Vault, by its REST API: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret.

One login per session, then one request for each secret and version, four at a time: the API has no
batch. Certificates are read as the secrets that hold them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from functools import partial

from injector import rest
from injector.connection import Unanswered
from injector.core import claims, errors
from injector.core.claims import Claims
from injector.core.plan import Read
from injector.core.record import replace
from injector.core.secret import Failure, Json, LoginFailed, Number, Secret
from injector.core.stores import Store
from injector.core.stores import azure as definition
from injector.core.stores.address import Server
from injector.core.stores.azure import AzureKeyVault, FederatedLogin
from injector.deadline import Deadline
from injector.http_session import Answer, HttpSession
from injector.providers import Access
from injector.providers.azure import login

API_VERSION = "7.4"
"""Generally available in every cloud since 2023; nothing newer is needed to get a secret."""

_CHALLENGED_TENANT = re.compile(r'authorization="https://[^/"]+/(?P<tenant>[-0-9A-Za-z.]{1,64})"')


def open_session(store: Store, access: Access) -> AzureSession:
    """Return a session that has logged in; raises LoginFailed."""
    spec = store.spec
    if not isinstance(spec, AzureKeyVault):
        raise TypeError(store.provider)

    connect = rest.connector(store, access, spec.ca_bundle)
    session = AzureSession(spec, connect(spec.address, partial(refusal, spec)))
    proof = rest.credential(access, spec.proof(store.name, store.audience))
    about = claims.parse(proof) if isinstance(spec.login, FederatedLogin) else Claims()
    authority = connect(spec.authority, partial(login.refusal, spec, about))
    try:
        session.enter(login.access_token(authority, spec, proof))
    except Unanswered as error:
        raise LoginFailed(replace(error.failure, identity=session.identity)) from None
    finally:
        authority.close()
    return session


def servers(store: Store) -> tuple[Server, ...]:
    """Return the authority and the vault; see `providers.servers`."""
    if not isinstance(store.spec, AzureKeyVault):
        raise TypeError(store.provider)
    return rest.servers(store.spec.ca_bundle, store.spec.authority, store.spec.address)


class AzureSession:
    """A key vault, entered; threads of `read` share the connections."""

    def __init__(self, spec: AzureKeyVault, http: HttpSession) -> None:
        """Prepare; `http` is a session with the vault."""
        self.identity = f"application {spec.login.client_id} of tenant {spec.tenant_id}"
        self._spec, self._http = spec, http
        self._headers: dict[str, str] = {}

    def enter(self, token: str) -> None:
        """Use the token from now on."""
        self._headers = {"Authorization": f"Bearer {token}"}

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """See `providers.Session`; all parts of a certificate come from one answer."""
        self._http.deadline = deadline
        wanted = {read: (definition.place(read.path).name, read.version) for read in reads}
        found = rest.gather(wanted.values(), self._get)
        return {read: self._secret(read, found[key]) for read, key in wanted.items()}

    def close(self) -> None:
        """Drop the connections and the token."""
        self._headers = {}
        self._http.close()

    def _get(self, key: tuple[str, str | None]) -> Json:
        name, version = key
        url = f"{self._spec.address.url()}/secrets/{name}/{version or ''}".removesuffix("/")
        params = {"api-version": API_VERSION}
        return self._http.request("GET", url, params=params, headers=self._headers).json()

    def _secret(self, read: Read, found: Json | Failure) -> Secret | Failure:
        if isinstance(found, Failure):
            return replace(found, identity=self.identity)
        value = rest.text(found, "value")
        if not isinstance(found, Mapping) or found.get("value") != value:
            return Failure(code=errors.CONTENT, what="the answer holds no secret")
        if not self._spec.allow_expired:
            failure = untimely(rest.member(found, "attributes"), now_s=time.time())
            if failure is not None:
                return failure
        version = rest.text(found, "id").rpartition("/")[2]
        part = definition.place(read.path).part
        if part is None:
            return Secret(value.encode(), version=version)
        pem = _certificate(value, rest.text(found, "contentType"), part)
        return pem if isinstance(pem, Failure) else Secret(pem, version=version)


def untimely(attributes: Mapping[str, Json], *, now_s: float) -> Failure | None:
    """Return a failure when the secret's own dates (seconds since 1970) say not to use it now.

    Key Vault keeps the dates and does not enforce them on a get.
    """
    hint = "set a new version or new dates, or the store's allowExpired: true"
    expires, begins = attributes.get("exp"), attributes.get("nbf")
    if isinstance(expires, Number) and float(expires) <= now_s:
        what = f"the secret expired on {_day(expires)} by its own attributes"
        return Failure(code=errors.EXPIRED_VALUE, what=what, hint=hint)
    if isinstance(begins, Number) and float(begins) > now_s:
        what = f"the secret is not valid before {_day(begins)} by its own attributes"
        return Failure(code=errors.EXPIRED_VALUE, what=what, hint=hint)
    return None


def refusal(spec: AzureKeyVault, answer: Answer) -> Failure:
    """Return why the vault gives no secret, by the codes of its error document."""
    client = spec.login.client_id
    if failure := rest.passing(answer, spec.address.host):
        return failure
    error = rest.member(rest.error_document(answer), "error")
    inner = rest.word(rest.member(error, "innererror"), "code")
    code = rest.word(error, "code")
    if answer.status_code == 401:
        return _unauthorized(spec, answer.headers.get("www-authenticate", ""))
    if answer.status_code == 404:
        what = "no such secret, or no such version of it"
        return Failure(code=errors.MISSING, what=what)
    if answer.status_code == 403:
        what, hint = _FORBIDDEN.get(inner, (f"the vault refuses: {inner or code}".rstrip(": "), ""))
        return Failure(code=errors.FORBIDDEN, what=what, hint=hint.format(client=client))
    what = f"the vault answers {answer.status_code} {code}".rstrip()
    return Failure(code=errors.CONTENT, what=what, hint="check the store's address")


def _unauthorized(spec: AzureKeyVault, challenge: str) -> Failure:
    found = _CHALLENGED_TENANT.search(challenge)
    is_id = len(spec.tenant_id) == 36 and spec.tenant_id.count("-") == 4
    if found and is_id and found["tenant"].lower() != spec.tenant_id.lower():
        what = f"the vault belongs to tenant {found['tenant']}, the login is of {spec.tenant_id}"
        hint = "set the vault's tenant as tenantId, with an application known there"
        return Failure(code=errors.UNAUTHENTICATED, what=what, hint=hint)
    what = "the vault does not accept the login any more"
    hint = "if it comes again: check the clock, and that vaultSuffix is of the vault's cloud"
    return Failure(code=errors.EXPIRED, what=what, hint=hint)


def _certificate(value: str, content_type: str, part: str) -> bytes | Failure:
    from injector.providers.azure import certificate

    if content_type not in (certificate.PKCS12, certificate.PEM):
        what = "the secret is not a certificate's"
        hint = "read it by its plain name, without certificates/"
        return Failure(code=errors.CONTENT, what=what, hint=hint)
    try:
        return certificate.to_pem(value, content_type, part)
    except certificate.NotCertificate as error:
        return Failure(code=errors.CONTENT, what=str(error))
    except certificate.NoKey as error:
        hint = "its policy must say that the key is exportable; /chain reads without one"
        return Failure(code=errors.MISSING, what=str(error), hint=hint)


def _day(seconds: Number) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(min(float(seconds), 253_402_300_799)))


_NO_NETWORK = (
    "add the cluster's egress to the vault's firewall, or a private endpoint to its network"
)

_FORBIDDEN = {
    "ForbiddenByRbac": (
        "no role assignment lets the identity read this secret",
        'give application {client} the role "Key Vault Secrets User" on the vault or the secret',
    ),
    "ForbiddenByPolicy": (
        "no access policy of the vault lets the identity get secrets",
        "az keyvault set-policy --spn {client} --secret-permissions get",
    ),
    "AccessDenied": (
        "no access policy of the vault lets the identity get secrets",
        "az keyvault set-policy --spn {client} --secret-permissions get",
    ),
    "ForbiddenByFirewall": ("the vault's firewall does not let the cluster in", _NO_NETWORK),
    "ForbiddenByConnection": ("the vault is closed to public networks", _NO_NETWORK),
    "SecretDisabled": (
        "the version of the secret is disabled",
        "enable it, or pin another version with @",
    ),
}
