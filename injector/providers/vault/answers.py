"""What Vault's answers mean: a status code and a few known phrases become a failure in our words.

The status codes are those of the HTTP API's overview page. Nothing of a body is ever quoted: an
error text may hold anything, so it is only searched for the phrases of a table.
"""

from __future__ import annotations

from collections.abc import Mapping

from injector.connection import Unanswered
from injector.core import errors
from injector.core.errors import Code
from injector.core.secret import Failure
from injector.http_session import Answer

# Status → (code, phrase in the body, our words); an empty phrase always fits, the first one counts.
_MEANINGS: Mapping[int, tuple[tuple[Code, str, str], ...]] = {
    400: (
        (errors.MISSING, "unknown role", "the engine has no such role"),
        (errors.EXPIRED, "missing client token", "it got no token from us"),
        (errors.CONTENT, "", "it calls the request malformed (400)"),
    ),
    401: ((errors.UNAUTHENTICATED, "", "it does not accept the token (401)"),),
    403: (
        (errors.EXPIRED, "invalid token", "the token has expired or was revoked"),
        (errors.EXPIRED, "bad token", "the token has expired or was revoked"),
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
        (errors.DOWN, "is sealed", "it is sealed"),
        (errors.DOWN, "", "it is sealed or in maintenance (503)"),
    ),
}

_LOGIN_REFUSALS = (
    ("invalid role name", "there is no such role"),
    ("could not be found", "there is no such role"),
    ("invalid audience", "the token is for another audience than the role wants"),
    ("service account name not authorized", "the role does not list this ServiceAccount"),
    ("namespace not authorized", "the role does not list this namespace"),
    ("token is expired", "the token has expired; are both clocks right?"),
    ("token not yet valid", "the token is not valid yet; are both clocks right?"),
    ("no handler for route", "no auth method is mounted there"),
    ("invalid role or secret id", "role id or secret id is wrong"),
    ("invalid role id", "the role id is wrong"),
    ("invalid secret id", "the secret id is wrong, used up or expired"),
    ("wrapping token is not valid", "the wrapping token was used before, or has expired"),
)


def judge(answer: Answer) -> Failure:
    """Return why a read has no success, without saying as whom."""
    if answer.status_code == 404 and (gone := _gone(answer)):
        return Failure(code=errors.MISSING, what=gone)
    meanings = _MEANINGS.get(answer.status_code, ())
    for code, phrase, what in meanings:
        if answer.mentions(phrase):
            return Failure(code=code, what=what, retry_after_s=_retry_after_s(answer))
    if answer.status_code >= 500:
        what = f"it has trouble of its own ({answer.status_code})"
        return Failure(code=errors.DOWN, what=what, retry_after_s=_retry_after_s(answer))
    return Failure(code=errors.CONTENT, what=f"it answers with status {answer.status_code}")


def judge_login(answer: Answer) -> Failure:
    """Return why a login has no success: most 4xx mean that we are not who the role wants."""
    if answer.status_code not in (400, 401, 403, 404):
        return judge(answer)
    for phrase, what in _LOGIN_REFUSALS:
        if answer.mentions(phrase):
            return Failure(code=errors.UNAUTHENTICATED, what=f"login refused: {what}")
    return Failure(
        code=errors.UNAUTHENTICATED, what=f"login refused with status {answer.status_code}"
    )


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


def _retry_after_s(answer: Answer) -> float | None:
    """Return the seconds of a Retry-After header; a date (RFC 9110, 10.2.3) is left alone."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None
