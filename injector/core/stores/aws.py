"""The definitions of the two AWS stores: Secrets Manager and Systems Manager Parameter Store.

They differ in what a path and a version are; where they are and how one logs in is the same.
"""

from __future__ import annotations

import re
from typing import TypeVar

from injector.core import reference
from injector.core.fields import Fields
from injector.core.record import Record, replace
from injector.core.stores import Site, Spec, address, source
from injector.core.stores.address import Address
from injector.core.stores.source import ConfigMapSource, Credential, LocalFile, Source

STS_AUDIENCE = "sts.amazonaws.com"
POD_IDENTITY_AUDIENCE = "pods.eks.amazonaws.com"
TREE = "/*"
"""How a path ends that means every parameter one level below."""

_REGION = re.compile(r"[a-z]{2,5}(?:-[a-z]{2,10}){1,2}-[0-9]{1,2}")
_ROLE_NAME = r"(?:[-A-Za-z0-9+=,.@_/]|\{namespace\}|\{serviceAccount\}){1,512}"
_ROLE_ARN = re.compile(rf"arn:aws[-a-z]*:iam::[0-9]{{12}}:role/{_ROLE_NAME}")
_EXTERNAL_ID = re.compile(r"[-A-Za-z0-9_+=,.@:/]{2,1224}")
_SECRET_NAME = re.compile(r"[-A-Za-z0-9/_+=.@]{1,512}")
_SECRET_ARN = re.compile(
    rf"arn:aws[-a-z]*:secretsmanager:(?P<region>{_REGION.pattern}):[0-9]{{12}}:secret:[-A-Za-z0-9/_+=.@]{{1,519}}"
)
_STAGE = re.compile(r"[-A-Za-z0-9_+=.@]{1,256}")
_PARAMETER_NAME = re.compile(r"/?[-A-Za-z0-9_.]+(?:/[-A-Za-z0-9_.]+){0,14}")
_PARAMETER_ARN = re.compile(
    rf"arn:aws[-a-z]*:ssm:(?P<region>{_REGION.pattern}):[0-9]{{12}}:parameter(?:/[-A-Za-z0-9_.]+){{1,15}}"
)
_NUMBER_OR_LABEL = re.compile(r"[1-9][0-9]{0,9}|[-A-Za-z_.][-A-Za-z0-9_.]{0,99}")


class WebIdentity(Record):
    """Change the pod's ServiceAccount token for a role at STS (IRSA)."""

    role_arn: str


class PodIdentity(Record):
    """Ask the node's EKS Pod Identity agent for the role associated with the ServiceAccount."""


class Keys(Record):
    """Use an access key that somebody else made."""

    access_key_id: Credential
    secret_access_key: Credential
    session_token: Credential | None


class Ambient(Record):
    """Use what the AWS CLI on this machine would use: laptops only."""


Login = WebIdentity | PodIdentity | Keys | Ambient


class Place(Record):
    """A region, and its endpoints where they are not the ones AWS publishes."""

    region: str
    endpoint: Address | None = None
    sts_endpoint: Address | None = None


class Aws(Spec):
    """What both stores have in common; ARNs are written for the region `home`.

    `role_arn` is a further role, often of another account, taken on after the login.
    """

    home: str
    place: Place
    fallbacks: tuple[Place, ...]
    fips: bool
    ca_bundle: str | None
    role_arn: str | None
    external_id: str | None
    login: Login

    def sources(self, store: str, audience: str | None) -> tuple[Source, ...]:
        """Return the token or the keys that the login method needs."""
        match self.login:
            case WebIdentity():
                return (source.token(store, audience or STS_AUDIENCE),)
            case PodIdentity():
                return (source.token(store, audience or POD_IDENTITY_AUDIENCE),)
            case Keys(access_key_id=key, secret_access_key=secret, session_token=token):
                return source.mounted(*(ref for ref in (key, secret, token) if ref))
            case Ambient():
                return ()

    def sites(self) -> tuple[Site, ...]:
        """Return a site for each region."""
        return tuple(
            Site(name=each.region, spec=replace(self, place=each, fallbacks=()))
            for each in (self.place, *self.fallbacks)
        )

    def arn_problem(self, path: str, arn: re.Pattern[str], form: str) -> str | None:
        """Return why an ARN cannot be read here, or None; in a fallback its replica is meant."""
        found = arn.fullmatch(path)
        if found is None:
            return f"an ARN is {form}"
        if found["region"] != self.home:
            return f"the ARN is of region {found['region']}, and this store reads {self.home}"
        return None


class SecretsManager(Aws):
    """AWS Secrets Manager."""

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """A path is a secret's name or ARN; a version its id or a staging label."""
        del field
        if version is not None and not _STAGE.fullmatch(version):
            return "a version is a version id or a staging label, such as @AWSPREVIOUS"
        if problem := reference.written_problem(path, is_quoted=False):
            return problem
        if path.startswith("arn:"):
            return self.arn_problem(
                path, _SECRET_ARN, "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"
            )
        if not _SECRET_NAME.fullmatch(path):
            return "a secret's name has at most 512 letters, digits and /_+=.@-"
        return None


class ParameterStore(Aws):
    """AWS Systems Manager Parameter Store; values come decrypted, always."""

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """A path is a parameter's name or ARN, or `/NAME/*`; a version a number or a label."""
        del field
        if version is not None and not _NUMBER_OR_LABEL.fullmatch(version):
            return "a version is a whole number or a label, such as @3 or @prod"
        if problem := reference.path_problem(path):
            return problem
        if path.startswith("arn:"):
            return self.arn_problem(
                path, _PARAMETER_ARN, "arn:aws:ssm:REGION:ACCOUNT:parameter/NAME"
            )
        if path.endswith(TREE):
            if version is not None:
                return "the parameters below a path have no version in common to pin"
            if not path.startswith("/") or path == TREE:
                return "the path of a tree is /NAME/*, with a slash in front"
        if len(path) > 1011 or not _PARAMETER_NAME.fullmatch(path.removesuffix(TREE)):
            return "a parameter's name has letters, digits and _.- in up to 15 parts with / between"
        return None


_Kind = TypeVar("_Kind", bound=Aws)


def parse_secrets_manager(fields: Fields, *, in_cluster: bool) -> SecretsManager:
    """Return the definition of an `awsSecretsManager` store; problems go to the fields."""
    return _parse(SecretsManager, fields, in_cluster=in_cluster)


def parse_parameter_store(fields: Fields, *, in_cluster: bool) -> ParameterStore:
    """Return the definition of an `awsParameterStore` store; problems go to the fields."""
    return _parse(ParameterStore, fields, in_cluster=in_cluster)


def parse_key_service(fields: Fields, *, in_cluster: bool) -> Aws:
    """Return how AWS KMS is reached and entered; problems go to the fields."""
    return _parse(Aws, fields, in_cluster=in_cluster)


def _parse(kind: type[_Kind], fields: Fields, *, in_cluster: bool) -> _Kind:
    home = _place(fields)
    fallbacks = tuple(map(_fallback, fields.children("fallbacks", most=4)))
    if len({home.region, *(place.region for place in fallbacks)}) <= len(fallbacks):
        fields.problem("fallbacks", "names a region twice")
    parsed = kind(
        home=home.region,
        place=home,
        fallbacks=fallbacks,
        fips=fields.flag("fips", default=False),
        ca_bundle=address.take_ca_bundle(fields),
        role_arn=fields.optional("roleArn", pattern=_ROLE_ARN, form="the ARN of a role"),
        external_id=fields.optional("externalId", pattern=_EXTERNAL_ID, form="an external id"),
        login=_login(fields.child("auth"), in_cluster=in_cluster),
    )
    if parsed.external_id is not None and parsed.role_arn is None:
        fields.problem("externalId", "goes with roleArn, the role it is shown to")
    if parsed.fips and any(place.endpoint or place.sts_endpoint for place in (home, *fallbacks)):
        fields.problem("fips", "chooses among AWS's own endpoints; leave it out where you name one")
    fields.finish()
    return parsed


def _fallback(fields: Fields) -> Place:
    place = _place(fields)
    fields.finish()
    return place


def _place(fields: Fields) -> Place:
    return Place(
        region=fields.text("region", pattern=_REGION, form="a region, such as eu-central-1"),
        endpoint=address.take_optional(fields, "endpoint"),
        sts_endpoint=address.take_optional(fields, "stsEndpoint"),
    )


def _login(auth: Fields, *, in_cluster: bool) -> Login:
    members = ("webIdentity", "podIdentity", "keys")
    method = auth.one_of(members if in_cluster else (*members, "ambient"))
    login: Login = Ambient()
    if method is not None:
        child = auth.child(method)
        if method == "webIdentity":
            login = WebIdentity(
                role_arn=child.text("roleArn", pattern=_ROLE_ARN, form="the ARN of a role")
            )
        elif method == "podIdentity":
            login = PodIdentity()
        elif method == "keys":
            login = _keys(child, in_cluster=in_cluster)
        child.finish()
    auth.finish()
    return login


def _keys(fields: Fields, *, in_cluster: bool) -> Keys:
    nowhere = LocalFile(path="")
    key = source.take(fields, "accessKeyId", in_cluster=in_cluster)
    secret = source.take(fields, "secretAccessKey", in_cluster=in_cluster)
    token = None
    if fields.has("sessionToken"):
        token = source.take(fields, "sessionToken", in_cluster=in_cluster)
    for name, ref in (("secretAccessKey", secret), ("sessionToken", token)):
        if isinstance(ref, ConfigMapSource):
            fields.problem(name, "must come from a Secret: a ConfigMap is no place for a key")
    return Keys(
        access_key_id=key or nowhere, secret_access_key=secret or nowhere, session_token=token
    )
