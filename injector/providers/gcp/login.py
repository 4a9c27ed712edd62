"""From the pod's identity to a Google access token.

Federation is an exchange at https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
and, to act as a service account, generateAccessToken of the Service Account Credentials API. A
service account's key signs a token of its own, which the API takes as it is: https://google.aip.dev/auth/4111.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from injector import rest
from injector.connection import Unanswered
from injector.core import errors, secret
from injector.core.secret import Failure, Json, NotJson
from injector.core.stores.gcp import FederatedLogin
from injector.http_session import HttpSession

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE = "https://secretmanager.googleapis.com/"
LIFETIME_S = 900
"""Longer than any session is used, and no longer."""

_JWT = "urn:ietf:params:oauth:token-type:jwt"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def exchange(sts: HttpSession, url: str, login: FederatedLogin, token: str) -> str:
    """Return a federated access token for the pod's token (RFC 8693); raises Unanswered."""
    form = {
        "grant_type": _EXCHANGE,
        "audience": login.audience,
        "scope": SCOPE,
        "requested_token_type": _ACCESS_TOKEN,
        "subject_token_type": _JWT,
        "subject_token": token,
    }
    document = sts.request("POST", f"{url}/v1/token", data=form).json()
    return _token(document, "access_token", "the token service")


def impersonate(iam: HttpSession, url: str, account: str, token: str) -> str:
    """Return an access token of the service account; raises Unanswered."""
    document = iam.request(
        "POST",
        f"{url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken",
        json={"scope": [SCOPE], "lifetime": f"{LIFETIME_S}s"},
        headers={"Authorization": f"Bearer {token}"},
    ).json()
    return _token(document, "accessToken", "IAM")


def sign(key: Mapping[str, Json], *, now_s: float) -> str:
    """Return a token that the service account's key has signed; raises Unanswered.

    The key's own `token_uri` is not used: it comes from a Secret, and addresses do not.
    """
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    email = rest.text(key, "client_email")
    head = {"alg": "RS256", "typ": "JWT", "kid": rest.text(key, "private_key_id")}
    body = {
        "iss": email,
        "sub": email,
        "aud": AUDIENCE,
        "iat": int(now_s),
        "exp": int(now_s) + LIFETIME_S,
    }
    try:
        private = load_pem_private_key(rest.text(key, "private_key").encode(), None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, RSAPrivateKey):
        raise Unanswered(_bad_key("its private_key is no RSA key in PEM"))
    unsigned = f"{_segment(json.dumps(head).encode())}.{_segment(json.dumps(body).encode())}"
    return f"{unsigned}.{_segment(private.sign(unsigned.encode(), PKCS1v15(), SHA256()))}"


def read_key(text: str) -> Mapping[str, Json]:
    """Return a key file's document, checked for what we use of it; raises Unanswered."""
    try:
        found = secret.parse_json(text.encode())
    except NotJson as error:
        raise Unanswered(_bad_key(str(error))) from None
    if not isinstance(found, Mapping) or found.get("type") != "service_account":
        raise Unanswered(_bad_key('it is not of type "service_account"'))
    missing = [name for name in ("client_email", "private_key") if not rest.text(found, name)]
    if missing:
        raise Unanswered(_bad_key(f"it has no {missing[0]}"))
    return found


def _token(document: Json, name: str, who: str) -> str:
    found = rest.text(document, name)
    if not found:
        raise Unanswered(Failure(code=errors.CONTENT, what=f"{who} answers without a token"))
    return found


def _bad_key(why: str) -> Failure:
    what = f"the service account's key cannot be used: {why}"
    hint = "store the JSON file as Google handed it out"
    return Failure(code=errors.UNAUTHENTICATED, what=what, hint=hint)


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
