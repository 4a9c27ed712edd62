"""What Vault's answers mean: a status code and a few known phrases become a failure in our words.

The status codes are those of the HTTP API's overview page. Nothing of a body is ever quoted: an
error text may hold anything, so it is only searched for the phrases of a table. Each phrase stands
in a recording of a real server (`tests/providers/recordings`), which a test checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from injector.connection import Unanswered
from injector.core import errors
from injector.core.errors import Code
from injector.core.secret import Failure
from injector.http_session import Answer

_SEALED = "is sealed"

# Status → (code, phrase in the body, our words); an empty phrase always fits, the first one counts.
MEANINGS: Mapping[int, tuple[tuple[Code, str, str], ...]] = {
    400: (
        (errors.MISSING, "unknown role", "the engine has no such role"),
        (errors.CONTENT, "", "it calls the request malformed (400)"),
    ),
    401: ((errors.UNAUTHENTICATED, "", "it does not accept the token (401)"),),
    403: (
        (errors.EXPIRED, "invalid token", "the token has expired or was revoked"),
        (
            errors.FORBIDDEN,
            "preflight capability check",
            "no policy lets us into this mount, or there is no such mount",
        ),
        (errors.FORBIDDEN, "", "no policy lets us read this path"),
    ),
    404: (
        (errors.CONTENT, "unsupported path", "this path cannot be read"),
        (errors.MISSING, "no handler for route", "nothing is mounted at this path"),
        (errors.MISSING, "", "no such secret"),
    ),
    405: ((errors.CONTENT, "", "this path cannot be read"),),
    412: ((errors.DOWN, "", "it has not caught up with its primary yet (412)"),),
    429: ((errors.THROTTLED, "", "a rate limit is exceeded"),),
    472: ((errors.DOWN, "", "it is a standby that serves no reads (472)"),),
    473: ((errors.DOWN, "", "it is a standby that serves no reads (473)"),),
    501: ((errors.DOWN, "", "it is not initialized"),),
    503: (
        (errors.DOWN, _SEALED, "it is sealed"),
        (errors.DOWN, "", "it is sealed or in maintenance (503)"),
    ),
}

_ROLE = "vault read auth/{mount}/role/{role} shows whom the role lets in"
_ROLES = (
    "vault list auth/{mount}/role shows the roles; one of another method does not count",
    'there is no role "{role}" at auth/{mount}',
)
_AUDIENCE = (
    'the token is for "{audience}": name that as audience (kubernetes) or in bound_audiences (jwt)'
    ' of role "{role}", or the role\'s as audience of the store'
)
_CLOCKS = "compare the clocks of this node, of the API server and of Vault"
_SECRET_ID = "vault write -f auth/{mount}/role/ROLE/secret-id makes a new secret id"
_ISSUER = "the auth method at auth/{mount} wants another issuer than the token has"
_ISSUERS = (
    "set issuer (kubernetes) or bound_issuer (jwt) of auth/{mount}/config to the cluster's:"
    " kubectl get --raw /.well-known/openid-configuration shows it"
)
_KEYS = (
    "compare jwks_url, oidc_discovery_url or jwt_validation_pubkeys of auth/{mount}/config with the"
    " cluster's keys: kubectl get --raw /openid/v1/jwks"
)
_NO_CONFIG = "the auth method at auth/{mount} is not configured"
_JWT_CONFIG = (
    "vault write auth/{mount}/config jwks_url=... configures it, or oidc_discovery_url, or"
    " jwt_validation_pubkeys"
)
_CLAIMS = (
    'bound_claims of role "{role}" do not match the token of ServiceAccount {account} of namespace'
    " {namespace}"
)
_STOLEN = "if nobody of yours used it, somebody else did: revoke what it held, and make a new one"
_LISTED = "add it to {field} of the role, or use a role that lists it"

# Phrase in the body, our words, what to do; the words in braces are those of `login_judge`.
LOGIN_REFUSALS: tuple[tuple[str, str, str], ...] = (
    ("invalid role name", _ROLES[1], _ROLES[0]),
    ("could not be found", _ROLES[1], _ROLES[0]),
    (
        "no audiences bound to the role",
        'the role "{role}" has no bound_audiences, and the token has an audience',
        "set bound_audiences={audience} in the role",
    ),
    ("invalid audience", "the token is for another audience than the role wants", _AUDIENCE),
    (
        "service account name not authorized",
        'the role "{role}" does not list ServiceAccount {account} of namespace {namespace}',
        _LISTED.replace("{field}", "bound_service_account_names"),
    ),
    (
        "namespace not authorized",
        'the role "{role}" does not list namespace {namespace}',
        _LISTED.replace("{field}", "bound_service_account_namespaces"),
    ),
    ("token is expired", "the token has expired; are both clocks right?", _CLOCKS),
    ("token not yet valid", "the token is not valid yet; are both clocks right?", _CLOCKS),
    (
        "could not load backend configuration",
        _NO_CONFIG,
        "vault write auth/{mount}/config kubernetes_host=... configures it",
    ),
    ("could not load configuration", _NO_CONFIG, _JWT_CONFIG),
    ('claim \\"iss\\" is invalid', _ISSUER, _ISSUERS),
    ("invalid issuer", _ISSUER, _ISSUERS),
    (
        "error verifying token signature",
        "the keys of the auth method at auth/{mount} did not sign the token",
        _KEYS,
    ),
    (
        "invalid subject",
        'bound_subject of role "{role}" is not ServiceAccount {account} of namespace {namespace}',
        "it must be system:serviceaccount:{namespace}:{account}, or left out",
    ),
    (
        "error validating claims",
        _CLAIMS,
        f"its sub is system:serviceaccount:{{namespace}}:{{account}}; {_ROLE}",
    ),
    (
        "not found in token",
        'the token has no claim that user_claim of role "{role}" names',
        "set user_claim=sub in the role",
    ),
    ("invalid role or secret id", "role id or secret id is wrong, used up or expired", _SECRET_ID),
    (
        "wrapping token is not valid",
        "the wrapping token was used before, or has expired",
        _STOLEN,
    ),
)

# Vault says nothing but "permission denied" where no method is mounted, and where it could not have
# a token reviewed; older servers also where the role does not let the ServiceAccount in.
_MOUNTS = "vault auth list shows the mounts: compare mountPath and namespace of the store"
_NOBODY = (
    'nothing is mounted at auth/{mount}, or the role "{role}" does not bind ServiceAccount'
    " {account} of namespace {namespace}, or Vault could not have the token reviewed"
)
_REVIEW = (
    f"{_MOUNTS}; {_ROLE}; a review needs kubernetes_host, system:auth-delegator for the reviewer,"
    ' and an API server that takes audience "{audience}"; Vault\'s debug log tells which it is'
)
_NO_ENTRY = (
    'nothing is mounted at auth/{mount}, or the role "{role}" does not let ServiceAccount'
    " {account} of namespace {namespace} in"
)
_DENIED = {
    "kubernetes": (_NOBODY, _REVIEW),
    "jwt": (
        _NO_ENTRY,
        f"{_MOUNTS}; {_ROLE}; Vault's debug log tells which it is",
    ),
    "": ("nothing is mounted at auth/{mount}, or the credential is not accepted", _MOUNTS),
}
_PREFIX = "auth/"


def judge(answer: Answer) -> Failure:
    """Return why a read has no success, without saying as whom."""
    if answer.status_code == 404 and (gone := _gone(answer)):
        return Failure(code=errors.MISSING, what=gone)
    meanings = MEANINGS.get(answer.status_code, ())
    for code, phrase, what in meanings:
        if answer.mentions(phrase):
            is_away = answer.status_code == 501 or phrase == _SEALED
            return Failure(
                code=code, what=what, retry_after_s=answer.retry_after_s, is_away=is_away
            )
    if answer.status_code >= 500:
        what = f"it has trouble of its own ({answer.status_code})"
        return Failure(code=errors.DOWN, what=what, retry_after_s=answer.retry_after_s)
    return Failure(code=errors.CONTENT, what=f"it answers with status {answer.status_code}")


def absence(answer: Answer) -> Failure | None:
    """Return why a server is not in service, by its answer of sys/health, or None when it is.

    Whoever answers something else, such as a proxy that lets nobody ask, is there.
    """
    if answer.status_code == 503:
        return Failure(code=errors.DOWN, what="it is sealed", is_away=True)
    if answer.status_code >= 500 or answer.status_code in (429, 472, 473):
        return judge(answer)
    return None


def login_judge(method: str, words: Mapping[str, str]) -> Callable[[Answer], Failure]:
    """Return what says why a login has no success.

    `words` are what the sentences name: `mount`, `role`, `account`, `namespace` and `audience`.
    What a phrase of the table explains is final, whatever the status: a method that is not
    configured answers with 500, and does so again.
    """

    def judge_login(answer: Answer) -> Failure:
        if answer.status_code not in (400, 401, 403, 404, 500):
            return judge(answer)
        for phrase, what, hint in LOGIN_REFUSALS:
            if answer.mentions(phrase):
                return refused(what, hint)
        if answer.status_code == 500:
            return judge(answer)
        if answer.status_code == 403:
            return refused(*_DENIED.get(method, _DENIED[""]))
        return refused("status {status}", "", status=str(answer.status_code))

    def refused(what: str, hint: str, **more: str) -> Failure:
        named = {**words, **more}
        mount = words["mount"]
        if mount.startswith(_PREFIX):
            hint = f"mountPath is written without auth/: {mount.removeprefix(_PREFIX)}"
        what = f"login refused: {what.format_map(named)}"
        return Failure(code=errors.UNAUTHENTICATED, what=what, hint=hint.format_map(named))

    return judge_login


def policy_line(path: str, *capabilities: str) -> str:
    """Return the line of a policy that allows a path of the API: to paste."""
    listed = ", ".join(f'"{each}"' for each in capabilities)
    return f'path "{path}" {{ capabilities = [{listed}] }}'


def _gone(answer: Answer) -> str:
    """Return what happened to a version of KV v2 that a 404 still has metadata of."""
    try:
        metadata = below(answer.json(), "data", "metadata")
    except Unanswered:
        return ""
    if not isinstance(metadata, Mapping):
        return ""
    version = metadata.get("version")
    if metadata.get("destroyed") is True:
        return f"version {version} was destroyed"
    return f"version {version} was deleted" if metadata.get("deletion_time") else ""


def below(document: object, *names: str) -> object:
    """Return what stands below the names in nested mappings; None when there is nothing."""
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document
