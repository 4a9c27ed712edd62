"""The definition of an Azure Key Vault store."""

from __future__ import annotations

import re

from injector.core.fields import Fields
from injector.core.record import Record, replace
from injector.core.stores import Site, Spec, address, source
from injector.core.stores.address import Address
from injector.core.stores.source import ConfigMapSource, Credential, Source

PUBLIC_AUTHORITY = "https://login.microsoftonline.com"
PUBLIC_SUFFIX = "vault.azure.net"
TOKEN_AUDIENCE = "api://AzureADTokenExchange"

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TENANT = re.compile(rf"{_UUID.pattern}|[A-Za-z0-9](?:[-A-Za-z0-9.]{{0,251}}[A-Za-z0-9])?")
_SUFFIX = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_CERTIFICATE = re.compile(rf"certificates/(?P<name>{_NAME.pattern})(?:/(?P<part>key|chain))?")
_VERSION = re.compile(r"[0-9a-f]{32}")


class FederatedLogin(Record):
    """Exchange the pod's ServiceAccount token for one of an application or a managed identity."""

    client_id: str


class ClientSecretLogin(Record):
    """Log in as an application with a secret of its own."""

    client_id: str
    client_secret: Credential


class AzureKeyVault(Spec):
    """A key vault, others that hold the same secrets, and the Entra tenant that guards them.

    `suffix` is the DNS suffix of the cloud's vaults: tokens are asked for it, and go to hosts under
    it alone. `ca_bundle` is PEM text for all servers, None is the image's own bundle.
    """

    address: Address
    fallbacks: tuple[Address, ...]
    suffix: str
    authority: Address
    tenant_id: str
    ca_bundle: str | None
    allow_expired: bool
    login: FederatedLogin | ClientSecretLogin

    def sources(self, store: str, audience: str | None) -> tuple[Source, ...]:
        """Return the token or the credential that the login needs."""
        return source.mounted(self.proof(store, audience))

    def proof(self, store: str, audience: str | None) -> Source | Credential:
        """Return where the token or the client secret is."""
        match self.login:
            case FederatedLogin():
                return source.token(store, audience or TOKEN_AUDIENCE)
            case ClientSecretLogin(client_secret=ref):
                return ref

    def sites(self) -> tuple[Site, ...]:
        """Return a site for each vault."""
        return tuple(
            Site(name=each.site(), spec=replace(self, address=each, fallbacks=()))
            for each in (self.address, *self.fallbacks)
        )

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """A path is NAME or certificates/NAME[/key|/chain]; versions are 32 hexadecimal digits."""
        is_secret = _NAME.fullmatch(path) is not None
        if not is_secret and not _CERTIFICATE.fullmatch(path):
            return "a Key Vault path is NAME, certificates/NAME, or that with /key or /chain"
        if field is not None and not is_secret:
            return "a certificate is PEM text without fields; /key and /chain are its parts"
        if version is not None and not _VERSION.fullmatch(version):
            return "a Key Vault version is the 32 hexadecimal digits at the end of its identifier"
        return None


class Place(Record):
    """A path, taken apart: `part` is None for a plain secret, "" for a whole certificate."""

    name: str
    part: str | None


def place(path: str) -> Place:
    """Return what a path that `path_problem` has passed means.

    Key Vault keeps a certificate with its private key as the secret of the same name.
    """
    found = _CERTIFICATE.fullmatch(path)
    return (
        Place(name=found["name"], part=found["part"] or "")
        if found
        else Place(name=path, part=None)
    )


def parse(fields: Fields, *, in_cluster: bool) -> AzureKeyVault:
    """Return the definition; problems go to the fields."""
    home = address.take(fields, "address")
    fallbacks = address.take_fallbacks(fields, home)
    parsed = AzureKeyVault(
        address=home,
        fallbacks=tuple(at for _, at in fallbacks),
        suffix=fields.text(
            "vaultSuffix",
            default=PUBLIC_SUFFIX,
            pattern=_SUFFIX,
            form="the DNS suffix of a cloud's vaults, such as vault.azure.cn",
        ),
        authority=address.take(fields, "authorityHost", default=PUBLIC_AUTHORITY),
        tenant_id=fields.text("tenantId", pattern=_TENANT, form="a tenant's id or domain"),
        ca_bundle=address.take_ca_bundle(fields),
        allow_expired=fields.flag("allowExpired", default=False),
        login=_login(fields.child("auth"), in_cluster=in_cluster),
    )
    for where, at in ((fields, home), *fallbacks):
        if not address.is_loopback(at) and not f".{at.host}".endswith(f".{parsed.suffix}"):
            where.problem(
                "address",
                f'must be a host under "{parsed.suffix}": the login is for vaults there',
                "a vault of another cloud also needs its vaultSuffix and authorityHost",
            )
        where.finish()
    return parsed


def _login(auth: Fields, *, in_cluster: bool) -> FederatedLogin | ClientSecretLogin:
    method = auth.one_of(("workloadIdentity", "clientSecret"))
    login: FederatedLogin | ClientSecretLogin = FederatedLogin(client_id="")
    if method is not None:
        child = auth.child(method)
        client_id = child.text("clientId", pattern=_UUID, form="the id of an application")
        login = FederatedLogin(client_id=client_id)
        if method == "clientSecret":
            client_secret = source.take(child, "secret", in_cluster=in_cluster)
            if isinstance(client_secret, ConfigMapSource):
                child.problem("secret", "must come from a Secret: a ConfigMap is no place for it")
            if client_secret is not None:
                login = ClientSecretLogin(client_id=client_id, client_secret=client_secret)
        child.finish()
    auth.finish()
    return login
