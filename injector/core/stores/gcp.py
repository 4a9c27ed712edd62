"""The definition of a Google Secret Manager store."""

from __future__ import annotations

import re

from injector.core.fields import Fields
from injector.core.record import Record, replace
from injector.core.stores import Site, Spec, address, source
from injector.core.stores.address import Address
from injector.core.stores.source import ConfigMapSource, Credential, Source

_PROJECT = re.compile(r"(?:[a-z0-9][-a-z0-9.]{0,61}:)?[a-z][-a-z0-9]{4,28}[a-z0-9]")
_LOCATION = re.compile(r"[a-z]+(?:-[a-z0-9]+)+")
_LOCATION_FORM = "a location such as europe-west3"
_SECRET = re.compile(r"[0-9A-Za-z_-]{1,255}")
_FULL = re.compile(
    rf"projects/(?P<project>{_PROJECT.pattern})(?:/locations/(?P<location>{_LOCATION.pattern}))?"
    rf"/secrets/(?P<secret>{_SECRET.pattern})"
)
_VERSION = re.compile(r"[1-9][0-9]{0,9}|[A-Za-z][0-9A-Za-z_-]{0,62}")
_POOL_PROVIDER = (
    r"projects/[1-9][0-9]{0,18}/locations/global/workloadIdentityPools/[-a-z0-9]{4,32}"
    r"/providers/[-a-z0-9]{4,32}"
)
_FLEET = re.compile(
    rf"identitynamespace:(?P<pool>{_PROJECT.pattern}[.]svc[.]id[.]goog)"
    r":(?P<provider>https://[-A-Za-z0-9./_]+)"
)
_PROVIDER = re.compile(f"{_POOL_PROVIDER}|{_FLEET.pattern}")
_ACCOUNT = re.compile(r"[a-z0-9][-a-z0-9.]{0,62}@[a-z0-9][-a-z0-9.]{0,189}")


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

    key: Credential


class Place(Record):
    """Where secrets are: `location` is that of regional ones, None is the global service."""

    location: str | None
    address: Address


class GcpSecretManager(Spec):
    """Secret Manager in one project, or several; paths are written for the location `home`.

    `ca_bundle` is PEM text for all servers, None is the image's own bundle.
    """

    project: str | None
    home: str | None
    place: Place
    fallbacks: tuple[Place, ...]
    sts: Address
    iam_credentials: Address
    ca_bundle: str | None
    login: FederatedLogin | KeyLogin

    def sources(self, store: str, audience: str | None) -> tuple[Source, ...]:
        """Return the token or the key that the login needs."""
        return source.mounted(self.proof(store, audience))

    def proof(self, store: str, audience: str | None) -> Source | Credential:
        """Return where the token or the key is."""
        match self.login:
            case FederatedLogin(token_audience=usual):
                return source.token(store, audience or usual)
            case KeyLogin(key=ref):
                return ref

    def sites(self) -> tuple[Site, ...]:
        """Return a site for each location."""
        return tuple(
            Site(name=each.location or "global", spec=replace(self, place=each, fallbacks=()))
            for each in (self.place, *self.fallbacks)
        )

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """A path is NAME, or projects/P/secrets/NAME elsewhere; one secret has one path."""
        del field
        if version is not None and not _VERSION.fullmatch(version):
            return "a version is a whole number, latest or an alias, such as @3"
        if _SECRET.fullmatch(path):
            if self.project is None:
                return "the store has no project; write projects/PROJECT/secrets/NAME"
            return None
        found = _FULL.fullmatch(path)
        if found is None:
            return "a path is NAME or projects/PROJECT/secrets/NAME, the project by its id"
        if found["project"] == self.project:
            return f'in the store\'s own project the path is just "{found["secret"]}"'
        if found["location"] != self.home:
            where = f"/locations/{self.home}" if self.home else " without a location"
            return f"the store reads secrets of projects/PROJECT{where}"
        return None

    def resource(self, path: str, version: str | None) -> str:
        """Return the name of the version that a path (which `path_problem` has passed) means.

        In a fallback that is the secret of the same name in its own location.
        """
        found = _FULL.fullmatch(path)
        project, name = (found["project"], found["secret"]) if found else (self.project, path)
        where = f"/locations/{self.place.location}" if self.place.location else ""
        return f"projects/{project}{where}/secrets/{name}/versions/{version or 'latest'}"


def parse(fields: Fields, *, in_cluster: bool) -> GcpSecretManager:
    """Return the definition; problems go to the fields."""
    location = fields.optional("location", pattern=_LOCATION, form=_LOCATION_FORM)
    endpoints = fields.child("endpoints")
    home = Place(location=location, address=_secret_manager(endpoints, "secretManager", location))
    fallbacks = _fallbacks(fields, location)
    parsed = GcpSecretManager(
        project=fields.optional(
            "project", pattern=_PROJECT, form="a project's id (not its number)"
        ),
        home=location,
        place=home,
        fallbacks=fallbacks,
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


def _fallbacks(fields: Fields, home: str | None) -> tuple[Place, ...]:
    found = []
    for child in fields.children("fallbacks", most=4):
        location = child.text("location", pattern=_LOCATION, form=_LOCATION_FORM)
        at = _secret_manager(child, "endpoint", location)
        child.finish()
        found.append(Place(location=location, address=at))
    locations = [home, *(place.location for place in found)]
    if found and home is None:
        what = "goes with location: the global service answers from several places by itself"
        fields.problem("fallbacks", what)
    elif len(set(locations)) != len(locations):
        fields.problem("fallbacks", "names a location twice")
    return tuple(found)


def _secret_manager(fields: Fields, name: str, location: str | None) -> Address:
    region = f".{location}.rep" if location else ""
    return address.take(fields, name, default=f"https://secretmanager{region}.googleapis.com")


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
        pattern=_PROVIDER,
        form="projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER"
        " or identitynamespace:PROJECT.svc.id.goog:CLUSTER",
    )
    if fleet := _FLEET.fullmatch(provider):
        return provider, fleet["pool"]
    return f"//iam.googleapis.com/{provider}", f"https://iam.googleapis.com/{provider}"
