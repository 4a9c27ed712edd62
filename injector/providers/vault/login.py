"""From the pod's identity to a Vault token; every method reads its credential fresh."""

from __future__ import annotations

import re
from collections.abc import Mapping

from injector.connection import Unanswered
from injector.core import errors
from injector.core.secret import Failure, LoginFailed
from injector.core.stores.source import (
    ConfigMapSource,
    Credential,
    LocalFile,
    SecretSource,
    TokenSource,
)
from injector.core.stores.vault import AppRoleLogin, StaticToken, TokenLogin, Vault
from injector.providers import Access
from injector.providers.vault.answers import below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hvac.adapters import JSONAdapter

_CREDENTIAL = re.compile(r"[!-~]+")


def identity(spec: Vault) -> str:
    """Return who we are, in words: `role "shop" by kubernetes auth (namespace team-a)`."""
    within = f" (namespace {spec.namespace})" if spec.namespace else ""
    match spec.login:
        case TokenLogin(method=method, mount=mount, role=role):
            where = f" at {mount}" if mount != method else ""
            return f'role "{role}" by {method} auth{where}{within}'
        case AppRoleLogin(mount=mount):
            return "an AppRole" + (f" at {mount}" if mount != "approle" else "") + within
        case StaticToken(is_wrapped=is_wrapped):
            return ("a wrapped token" if is_wrapped else "a given token") + within


def words(spec: Vault, access: Access, audience: str | None) -> tuple[str, Mapping[str, str]]:
    """Return the method, and what the sentences about its refusals name (`answers.login_judge`)."""
    who = {"account": access.service_account, "namespace": access.namespace}
    match spec.login:
        case TokenLogin(method=method, mount=mount, role=role):
            about = {"mount": mount, "role": role, "audience": audience or "vault", **who}
            return method, about
        case AppRoleLogin(mount=mount):
            return "appRole", {"mount": mount, "role": "", "audience": "", **who}
        case StaticToken():
            return "token", {"mount": "token", "role": "", "audience": "", **who}


def log_in(adapter: JSONAdapter, spec: Vault, *, store: str, access: Access) -> bool:
    """Give the adapter its token, and say whether we must revoke it.

    Raises LoginFailed, Unanswered. A token that was given to us is not ours to revoke, and a batch
    token cannot be revoked.
    """
    if isinstance(spec.login, StaticToken):
        adapter.token = _credential(spec.login.token, access)
        if not spec.login.is_wrapped:
            return False
    answer = _answer(adapter, spec, store=store, access=access)
    token = below(answer, "auth", "client_token") or below(answer, "data", "token")
    if not isinstance(token, str) or not _CREDENTIAL.fullmatch(token):
        raise Unanswered(Failure(code=errors.CONTENT, what="the login's answer holds no token"))
    adapter.token = token
    is_ours = not isinstance(spec.login, StaticToken)
    return is_ours and below(answer, "auth", "token_type") != "batch"


def _answer(adapter: JSONAdapter, spec: Vault, *, store: str, access: Access) -> object:
    """Return what the server says to our credential."""
    if isinstance(spec.login, StaticToken):
        # The wrapping token is the adapter's own already; it must not stand in the body as well.
        return adapter.post("/v1/sys/wrapping/unwrap")
    if isinstance(spec.login, TokenLogin):
        jwt = _credential(spec.sources(store, None)[0], access)
        document = {"role": spec.login.role, "jwt": jwt}
    else:
        secret_id = _credential(spec.login.secret_id, access)
        document = {"role_id": spec.login.role_id, "secret_id": secret_id}
    return adapter.login(f"/v1/auth/{spec.login.mount}/login", use_token=False, json=document)


def _credential(source: Credential | TokenSource, access: Access) -> str:
    """Return the text of a credential without the line break around it."""
    try:
        text = access.read_source(source).decode().strip()
    except FileNotFoundError:
        raise LoginFailed(_unusable(source, "is not there")) from None
    except (OSError, UnicodeDecodeError):
        raise LoginFailed(_unusable(source, "cannot be read as text")) from None
    if not _CREDENTIAL.fullmatch(text):
        raise LoginFailed(_unusable(source, "is empty or has blanks in it"))
    return text


def _unusable(source: Credential | TokenSource, why: str) -> Failure:
    return Failure(code=errors.UNAUTHENTICATED, what=f"{_place(source)} {why}")


def _place(source: Credential | TokenSource) -> str:
    match source:
        case TokenSource(audience=audience):
            return f"the ServiceAccount token for audience {audience}"
        case SecretSource(name=name, key=key):
            return f"the credential in Secret {name}, key {key},"
        case ConfigMapSource(name=name, key=key):
            return f"the credential in ConfigMap {name}, key {key},"
        case LocalFile(path=path):
            return f"the credential in {path}"
