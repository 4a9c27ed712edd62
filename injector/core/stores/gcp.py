"""The definition of a Google Secret Manager store."""

from __future__ import annotations

import re

from injector.core.fields import Fields
from injector.core.record import Record
from injector.core.stores import address, source
from injector.core.stores.address import Address
from injector.core.stores.source import ConfigMapSource, LocalFile, SecretSource, Source

_PROJECT = r"(?:[a-z0-9][-a-z0-9.]{0,61}:)?[a-z][-a-z0-9]{4,28}[a-z0-9]"
_LOCATION = r"[a-z]+(?:-[a-z0-9]+)+"
_SECRET = r"[0-9A-Za-z_-]{1,255}"
_FULL = re.compile(
    rf"projects/(?P<project>{_PROJECT})(?:/locations/(?P<location>{_LOCATION}))?"
    rf"/secrets/(?P<secret>{_SECRET})"
)
_VERSION = re.compile(r"[1-9][0-9]{0,9}|[A-Za-z][0-9A-Za-z_-]{0,62}")
_POOL_PROVIDER = (
    r"projects/[1-9][0-9]{0,18}/locations/global/workloadIdentityPools/[-a-z0-9]{4,32}"
    r"/providers/[-a-z0-9]{4,32}"
)
_FLEET = re.compile(
    rf"identitynamespace:(?P<pool>{_PROJECT}[.]svc[.]id[.]goog):(?P<provider>https://[-A-Za-z0-9./_]+)"
)
_ACCOUNT = r"[a-z0-9][-a-z0-9.]{0,62}@[a-z0-9][-a-z0-9.]{0,189}"


class FederatedLogin(Record):
    """Exchange the pod's ServiceAccount token at a workload identity pool.

    `audience` names the pool's provider to the Security Token Service; `token_audience` is what the
    pod's token is issued for unless the store says otherwise; `impersonate` is a service account
    to act as.
    """

    audience: str
    token_audience: str
    impersonate: str | None


class KeyLogin(Record):
    """Sign as a service account with its key, a JSON file as Google hands it out."""

    key: SecretSource | ConfigMapSource | LocalFile


class GcpSecretManager(Record):
    """Secret Manager in one project, or several; `location` is that of regional secrets.

    `ca_bundle` is PEM text for all three servers, None is the image's own bundle.
    """

    project: str | None
    location: str | None
    address: Address
    sts: Address
    iam_credentials: Address
    ca_bundle: str | None
    login: FederatedLogin | KeyLogin

    def sources(self, store: str, audience: str | None) -> tuple[Source, ...]:
        """Return the token or the key that the login needs."""
        proof = self.proof(store, audience)
        return () if isinstance(proof, LocalFile) else (proof,)

    def proof(self, store: str, audience: str | None) -> Source | LocalFile:
        """Return where the token or the key is."""
        match self.login:
            case FederatedLogin(token_audience=usual):
                return source.token(store, audience or usual)
            case KeyLogin(key=ref):
                return ref

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """A path is NAME, or projects/P/secrets/NAME elsewhere; one secret has one path."""
        del field
        if version is not None and not _VERSION.fullmatch(version):
            return "a version is a whole number, latest or an alias, such as @3"
        if re.fullmatch(_SECRET, path):
            if self.project is None:
                return "the store has no project; write projects/PROJECT/secrets/NAME"
            return None
        found = _FULL.fullmatch(path)
        if found is None:
            return "a path is NAME or projects/PROJECT/secrets/NAME, the project by its id"
        if found["project"] == self.project:
            return f'in the store\'s own project the path is just "{found["secret"]}"'
        if found["location"] != self.location:
            where = f"/locations/{self.location}" if self.location else " without a location"
            return f"the store reads secrets of projects/PROJECT{where}"
        return None

    def resource(self, path: str, version: str | None) -> str:
        """Return the name of the version that a path (which `path_problem` has passed) means."""
        if "/" not in path:
            where = f"/locations/{self.location}" if self.location else ""
            path = f"projects/{self.project}{where}/secrets/{path}"
        return f"{path}/versions/{version or 'latest'}"


def parse(fields: Fields, *, in_cluster: bool) -> GcpSecretManager:
    """Return the definition; problems go to the fields."""
    location = fields.optional(
        "location", pattern=_LOCATION, form="a location such as europe-west3"
    )
    region = f".{location}.rep" if location else ""
    endpoints = fields.child("endpoints")
    parsed = GcpSecretManager(
        project=fields.optional(
            "project", pattern=_PROJECT, form="a project's id (not its number)"
        ),
        location=location,
        address=address.take(
            endpoints, "secretManager", default=f"https://secretmanager{region}.googleapis.com"
        ),
        sts=address.take(endpoints, "sts", default="https://sts.googleapis.com"),
        iam_credentials=address.take(
            endpoints, "iamCredentials", default="https://iamcredentials.googleapis.com"
        ),
        ca_bundle=address.take_ca_bundle(fields),
        login=_login(fields.child("auth"), in_cluster=in_cluster),
    )
    endpoints.finish()
    fields.finish()
    return parsed


def _login(auth: Fields, *, in_cluster: bool) -> FederatedLogin | KeyLogin:
    method = auth.one_of(("workloadIdentity", "serviceAccountKey"))
    login: FederatedLogin | KeyLogin = FederatedLogin(
        audience="", token_audience="", impersonate=None
    )
    if method == "workloadIdentity":
        child = auth.child(method)
        audience, token_audience = _audiences(child)
        login = FederatedLogin(
            audience=audience,
            token_audience=token_audience,
            impersonate=child.optional(
                "serviceAccount", pattern=_ACCOUNT, form="the email address of a service account"
            ),
        )
        child.finish()
    elif method == "serviceAccountKey":
        child = auth.child(method)
        key = source.take(child, "key", in_cluster=in_cluster)
        if isinstance(key, ConfigMapSource):
            child.problem("key", "must come from a Secret: a ConfigMap is no place for a key")
        child.finish()
        if key is not None:
            login = KeyLogin(key=key)
    auth.finish()
    return login


def _audiences(fields: Fields) -> tuple[str, str]:
    """Take the identity provider; return its name for the token service, and for our token."""
    provider = fields.text(
        "provider",
        pattern=f"{_POOL_PROVIDER}|{_FLEET.pattern}",
        form="projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER"
        " or identitynamespace:PROJECT.svc.id.goog:CLUSTER",
    )
    if fleet := _FLEET.fullmatch(provider):
        return provider, fleet["pool"]
    return f"//iam.googleapis.com/{provider}", f"https://iam.googleapis.com/{provider}"
