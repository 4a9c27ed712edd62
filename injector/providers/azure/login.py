"""Logging in to Microsoft Entra: client credentials, with a federated token or a client secret.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow. Entra says
what is wrong by number (AADSTS...); its prose is not passed on, since it quotes what it was given.
"""

from __future__ import annotations

from injector import rest
from injector.connection import Unanswered
from injector.core import errors
from injector.core.claims import Claims
from injector.core.errors import Code
from injector.core.secret import Failure
from injector.core.stores.azure import AzureKeyVault, ClientSecretLogin, FederatedLogin
from injector.http_session import Answer, HttpSession

_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def access_token(http: HttpSession, spec: AzureKeyVault, proof: str) -> str:
    """Return a token for the cloud's vaults; `proof` is the pod's token or the client secret.

    `http` is a session with the authority. Raises Unanswered.
    """
    form = {
        "grant_type": "client_credentials",
        "client_id": spec.login.client_id,
        "scope": f"https://{spec.suffix}/.default",
    }
    match spec.login:
        case FederatedLogin():
            form |= {"client_assertion_type": _JWT_BEARER, "client_assertion": proof}
        case ClientSecretLogin():
            form["client_secret"] = proof
    url = f"{spec.authority.url()}/{spec.tenant_id}/oauth2/v2.0/token"
    token = rest.text(http.request("POST", url, data=form).json(), "access_token")
    if not token:
        what = f"{spec.authority.host} answers without a token"
        raise Unanswered(Failure(code=errors.CONTENT, what=what))
    return token


def refusal(spec: AzureKeyVault, token: Claims, answer: Answer) -> Failure:
    """Return why Entra gives no token, by the number of its error."""
    document = rest.error_document(answer)
    numbers = document.get("error_codes")
    number = str(numbers[0]) if isinstance(numbers, list) and numbers else ""
    number = number if number.isdecimal() and len(number) <= 12 else ""
    if known := _KNOWN.get(number):
        code, what, hint = known
        names = {
            "client": spec.login.client_id,
            "tenant": spec.tenant_id,
            "suffix": spec.suffix,
            "claims": token,
        }
        return Failure(
            code=code,
            what=f"{what.format(**names)} (AADSTS{number})",
            hint=hint.format(**names),
            retry_after_s=answer.retry_after_s,
        )
    error = rest.word(document, "error")
    if failure := rest.passing(answer, spec.authority.host):
        return failure
    if error in ("temporarily_unavailable", "server_error"):
        return Failure(code=errors.DOWN, what=f"{spec.authority.host} answers {error}")
    if not number:
        what = f"{spec.authority.host} answers {answer.status_code} {error}".rstrip()
        code = errors.UNAUTHENTICATED if error else errors.CONTENT
        return Failure(code=code, what=what, hint="check authorityHost and tenantId")
    return Failure(
        code=errors.UNAUTHENTICATED,
        what=f"Microsoft Entra refuses the login: AADSTS{number} {error}".rstrip(),
        hint=f"https://login.microsoftonline.com/error?code={number} explains the number",
    )


_NOT_FEDERATED = (
    errors.UNAUTHENTICATED,
    "no federated credential of application {client} matches the pod's token",
    "give the application or managed identity one with {claims}; it takes minutes to work",
)
_UNAVAILABLE = (errors.DOWN, "Microsoft Entra is not available right now", "")
_THROTTLED = (errors.THROTTLED, "Microsoft Entra is throttling", "")

# https://learn.microsoft.com/entra/identity-platform/reference-error-codes, and for the federated
# ones what the token endpoint sends.
_KNOWN: dict[str, tuple[Code, str, str]] = {
    "70021": _NOT_FEDERATED,
    "70025": _NOT_FEDERATED,
    "700211": _NOT_FEDERATED,
    "700212": _NOT_FEDERATED,
    "700213": _NOT_FEDERATED,
    "7002138": _NOT_FEDERATED,
    "700016": (
        errors.UNAUTHENTICATED,
        "tenant {tenant} has no application {client}",
        "check tenantId and clientId; of a managed identity take the client id, not the object id",
    ),
    "7000229": (
        errors.UNAUTHENTICATED,
        "application {client} has no service principal in tenant {tenant}",
        "az ad sp create --id {client}",
    ),
    "7000112": (errors.UNAUTHENTICATED, "application {client} is disabled", "enable it in Entra"),
    "90002": (errors.UNAUTHENTICATED, "there is no tenant {tenant}", "check tenantId"),
    "900023": (errors.UNAUTHENTICATED, "there is no tenant {tenant}", "check tenantId"),
    "7000215": (
        errors.UNAUTHENTICATED,
        "the client secret of application {client} is wrong",
        "store the secret's value, not its id",
    ),
    "7000222": (
        errors.UNAUTHENTICATED,
        "the client secret of application {client} has expired",
        "make a new one, or use workloadIdentity, which has none",
    ),
    "700024": (
        errors.UNAUTHENTICATED,
        "the pod's token is not within its time",
        "check the clocks of the nodes and of the API server",
    ),
    "700027": (
        errors.UNAUTHENTICATED,
        "Entra cannot verify the signature of the pod's token",
        "the keys of {claims} must be public below its issuer (/.well-known/openid-configuration)",
    ),
    "50166": (
        errors.DOWN,
        "Entra cannot fetch the keys of the cluster's issuer",
        "the keys of {claims} must be public below its issuer (/.well-known/openid-configuration)",
    ),
    "500011": (
        errors.UNAUTHENTICATED,
        "tenant {tenant} does not know the resource https://{suffix}",
        "check vaultSuffix and authorityHost: both belong to one cloud",
    ),
    "70011": (
        errors.UNAUTHENTICATED,
        "the scope https://{suffix}/.default is not valid",
        "check vaultSuffix and authorityHost: both belong to one cloud",
    ),
    "53003": (
        errors.FORBIDDEN,
        "a Conditional Access policy blocks application {client}",
        "exclude the workload identity, or allow the cluster's egress addresses",
    ),
    "50196": _THROTTLED,
    "90055": _THROTTLED,
    "90024": _UNAVAILABLE,
    "90033": _UNAVAILABLE,
}
