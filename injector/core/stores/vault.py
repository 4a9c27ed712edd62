"""The definition of a Vault or OpenBao store."""

from __future__ import annotations

import re

from injector.core import reference
from injector.core.fields import Fields
from injector.core.record import Record, replace
from injector.core.stores import Site, Spec, address, source
from injector.core.stores.address import Address, Server
from injector.core.stores.source import Credential, Source

_STEP = r"(?!\.\.?(?:/|\Z))[-A-Za-z0-9_.]+"
MOUNT = re.compile(rf"{_STEP}(?:/{_STEP})*/?")
ROLE = re.compile(r"(?=.{1,128}\Z)(?:[-A-Za-z0-9_.@]|\{namespace\}|\{serviceAccount\})+")
_NAMESPACE = MOUNT
_DNS_NAME = re.compile(r"[-A-Za-z0-9.]{1,253}")
_ROLE_ID = re.compile(r"[-A-Za-z0-9_.]{1,128}")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_VERSION = re.compile(r"[1-9][0-9]{0,9}")

SYSTEM = ("auth", "sys", "identity")
"""What a server answers about itself, its logins and their owners; no engine is mounted there."""
_SYSTEM_PATH = re.compile(r"(?:auth|sys|identity)(?:/(?!\.\.?(?:/|\Z))[-A-Za-z0-9_.]+)+")
LEASED = re.compile(r"(?=.{1,256}\Z)[-A-Za-z0-9_.*]+(?:/[-A-Za-z0-9_.*]+)+")
LEASED_FORM = "a pattern of paths, such as ssh-ca/sign/* (** crosses slashes)"
MAX_LEASED = 32


class TokenLogin(Record):
    """Log in with the pod's ServiceAccount token: `method` is kubernetes or jwt."""

    method: str
    mount: str
    role: str


class AppRoleLogin(Record):
    """Log in with a role id and a secret id."""

    mount: str
    role_id: str
    secret_id: Credential


class StaticToken(Record):
    """Use a token that somebody else obtained; `is_wrapped` unwraps it once first."""

    token: Credential
    is_wrapped: bool


class Vault(Spec):
    """A Vault or OpenBao server, and others that hold the same secrets."""

    server: Server
    fallbacks: tuple[Server, ...]
    namespace: str | None
    login: TokenLogin | AppRoleLogin | StaticToken
    system_paths: tuple[str, ...] = ()
    leased: tuple[str, ...] = ()
    """Patterns of paths that give leases, beside those that Vault's own engines have."""

    def sources(self, store: str, audience: str | None) -> tuple[Source, ...]:
        """Return the token or the credential that the login method needs."""
        match self.login:
            case TokenLogin():
                return (source.token(store, audience or "vault"),)
            case AppRoleLogin(secret_id=ref) | StaticToken(token=ref):
                return source.mounted(ref)

    def sites(self) -> tuple[Site, ...]:
        """Return a site for each server."""
        return tuple(
            Site(name=each.address.site(), spec=replace(self, server=each, fallbacks=()))
            for each in (self.server, *self.fallbacks)
        )

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """Vault paths are MOUNT/NAME; versions are whole numbers."""
        del field
        if path.startswith("/") or "/" not in path:
            return "a Vault path is MOUNT/NAME, such as secret/shop/db"
        if problem := self.system_problem(path):
            return problem
        if version is not None and not _VERSION.fullmatch(version):
            return "a Vault version is a whole number, such as @3"
        if path.endswith("/"):
            return "a Vault path does not end with a slash"
        return reference.written_problem(path, is_quoted=True)

    def system_problem(self, path: str) -> str | None:
        """Return why a path of the server's own is not read; those the store lists are."""
        # Nothing of ours decodes an escape, but a proxy before the server might.
        head = _ESCAPE.sub(lambda each: chr(int(each[1], 16)), path.partition("/")[0]).casefold()
        if head not in SYSTEM or any(
            path == allowed or path.startswith(f"{allowed}/") for allowed in self.system_paths
        ):
            return None
        return f"paths under {head}/ are the server's own; the store allows them by systemPaths"


def parse(fields: Fields, *, in_cluster: bool) -> Vault:
    """Return the definition; problems go to the fields."""
    home = _server(fields, address.take(fields, "address"))
    fallbacks = []
    for fallback, at in address.take_fallbacks(fields, home.address):
        server = _server(fallback, at)
        fallback.finish()
        fallbacks.append(replace(server, ca_bundle=server.ca_bundle or home.ca_bundle))
    parsed = Vault(
        server=home,
        fallbacks=tuple(fallbacks),
        namespace=fields.optional("namespace", pattern=_NAMESPACE, form="a Vault namespace"),
        login=_login(fields.child("auth"), in_cluster=in_cluster),
        system_paths=fields.texts(
            "systemPaths",
            pattern=_SYSTEM_PATH,
            form="a path under auth/, sys/ or identity/, such as identity/oidc/token/app",
            most=32,
        ),
        leased=fields.texts("leased", pattern=LEASED, form=LEASED_FORM, most=MAX_LEASED),
    )
    fields.finish()
    return parsed


def _server(fields: Fields, at: Address) -> Server:
    return Server(
        address=at,
        ca_bundle=address.take_ca_bundle(fields),
        name=fields.optional("tlsServerName", pattern=_DNS_NAME, form="a DNS name"),
        has_name_field=True,
    )


def _login(auth: Fields, *, in_cluster: bool) -> TokenLogin | AppRoleLogin | StaticToken:
    method = auth.one_of(("kubernetes", "jwt", "appRole", "token"))
    login: TokenLogin | AppRoleLogin | StaticToken = TokenLogin(
        method="kubernetes", mount="", role=""
    )
    if method in ("kubernetes", "jwt"):
        child = auth.child(method)
        mount = child.text(
            "mountPath", default=method, pattern=MOUNT, form="the path of an auth method"
        )
        login = TokenLogin(
            method=method,
            mount=mount.removesuffix("/"),
            role=child.text(
                "role",
                pattern=ROLE,
                form="a role; its variables are {namespace} and {serviceAccount}",
            ),
        )
        child.finish()
    elif method == "appRole":
        child = auth.child(method)
        mount = child.text(
            "mountPath", default="approle", pattern=MOUNT, form="the path of an auth method"
        )
        role_id = child.text("roleId", pattern=_ROLE_ID, form="a role id")
        secret_id = source.take(child, "secretId", in_cluster=in_cluster)
        child.finish()
        if secret_id is not None:
            login = AppRoleLogin(
                mount=mount.removesuffix("/"), role_id=role_id, secret_id=secret_id
            )
    elif method == "token":
        child = auth.child(method)
        token = source.take(child, "token", in_cluster=in_cluster)
        is_wrapped = child.flag("wrapped", default=False)
        child.finish()
        if token is not None:
            login = StaticToken(token=token, is_wrapped=is_wrapped)
    auth.finish()
    return login
