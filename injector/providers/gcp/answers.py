"""What Google's refusals mean: the status and the reason of an error document, in our own words.

https://cloud.google.com/apis/design/errors (google.rpc.Status, ErrorInfo, RetryInfo), and for the
token service RFC 6749, 5.2. Messages are searched for known phrases and never quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from injector import rest
from injector.core import errors
from injector.core.claims import Claims
from injector.core.record import replace
from injector.core.secret import Failure, Json
from injector.http_session import Answer

_DELAY = re.compile(r"([0-9]{1,6}(?:[.][0-9]{1,9})?)s")


def exchange_refusal(token: Claims, answer: Answer) -> Failure:
    """Return why the token service exchanges nothing."""
    error = rest.word(rest.error_document(answer), "error")
    if not error:
        return _status_refusal("the token service", answer)
    for wanted, phrase, what, hint in EXCHANGE:
        if wanted == error and answer.mentions(phrase):
            return Failure(code=errors.UNAUTHENTICATED, what=what, hint=hint.format(claims=token))
    if failure := rest.passing(answer, "the token service"):
        return failure
    what = f"the token service refuses the pod's token: {error}"
    return Failure(code=errors.UNAUTHENTICATED, what=what, hint=f"the token has {token}")


def impersonation_refusal(account: str, principal: str, answer: Answer) -> Failure:
    """Return why IAM does not let us act as the service account."""
    failure = _status_refusal("IAM", answer)
    if failure.code is errors.FORBIDDEN and "IAM_PERMISSION" in _reason(answer):
        what = f"we may not act as service account {account}, or there is none"
        hint = f"grant roles/iam.workloadIdentityUser on it to {principal}"
        return replace(failure, what=what, hint=hint)
    if failure.code is errors.MISSING:
        what = f"there is no service account {account}"
        return Failure(code=errors.UNAUTHENTICATED, what=what, hint="check auth.serviceAccount")
    return failure


def refusal(principal: str, answer: Answer) -> Failure:
    """Return why Secret Manager gives no payload."""
    failure = _status_refusal("Secret Manager", answer)
    if failure.code is errors.FORBIDDEN and not failure.hint:
        return replace(failure, hint=f"grant roles/secretmanager.secretAccessor to {principal}")
    return failure


def _status_refusal(who: str, answer: Answer) -> Failure:
    if failure := rest.passing(answer, who):
        if failure.retry_after_s is None:
            return replace(failure, retry_after_s=_retry_delay_s(answer))
        return failure
    error = rest.member(rest.error_document(answer), "error")
    status, reason = rest.word(error, "status"), _reason(answer)
    if known := _REASONS.get(reason):
        what, hint = known
        return Failure(code=errors.FORBIDDEN, what=what, hint=hint)
    for wanted, phrase, failure in STATUSES:
        if wanted == status and answer.mentions(phrase):
            return failure
    what = f"{who} answers {answer.status_code} {status}".rstrip()
    return Failure(code=errors.CONTENT, what=what, hint="check the store's endpoints")


def _details(answer: Answer, kind: str) -> Mapping[str, Json]:
    """Return the first detail of a google.rpc type."""
    details = rest.member(rest.error_document(answer), "error").get("details")
    for detail in details if isinstance(details, list) else []:
        if rest.text(detail, "@type") == f"type.googleapis.com/google.rpc.{kind}":
            return detail if isinstance(detail, Mapping) else {}
    return {}


def _reason(answer: Answer) -> str:
    return rest.word(_details(answer, "ErrorInfo"), "reason")


def _retry_delay_s(answer: Answer) -> float | None:
    """Return the wait of a RetryInfo, a duration such as 1.500s."""
    delay = _DELAY.fullmatch(rest.text(_details(answer, "RetryInfo"), "retryDelay"))
    return float(delay[1]) if delay else None


# The reasons are those of google.api.ErrorReason (googleapis, google/api/error_reason.proto).
_REASONS = {
    "SERVICE_DISABLED": (
        "the API is not enabled in the project",
        "gcloud services enable secretmanager.googleapis.com iamcredentials.googleapis.com",
    ),
    "BILLING_DISABLED": ("billing is disabled in the project", "link a billing account"),
    "SECURITY_POLICY_VIOLATED": (
        "a VPC Service Controls perimeter keeps us out",
        "allow the identity, or the cluster's network, in an ingress rule of the perimeter",
    ),
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": ("the login has too small a scope", "report this"),
    "CONSUMER_INVALID": ("there is no such project", "check the project's id"),
}

# status, phrase in the message, the failure: the first fit counts.
STATUSES = (
    (
        "UNAUTHENTICATED",
        "",
        Failure(
            code=errors.EXPIRED,
            what="Google does not accept the login any more",
            hint="if it comes again: the key is deleted, the account disabled, or a clock off",
        ),
    ),
    (
        "PERMISSION_DENIED",
        "",
        Failure(
            code=errors.FORBIDDEN,
            what="no role lets the identity read this, or there is no such secret",
        ),
    ),
    (
        "NOT_FOUND",
        "",
        Failure(code=errors.MISSING, what="no such secret, or no such version of it"),
    ),
    (
        "FAILED_PRECONDITION",
        "in destroyed state",
        Failure(code=errors.MISSING, what="the version was destroyed"),
    ),
    (
        "FAILED_PRECONDITION",
        "",
        Failure(
            code=errors.FORBIDDEN,
            what="the version is disabled, or the KMS key that it is sealed with",
            hint="enable it, or pin another version with @",
        ),
    ),
)

_TRUST = "set up the pool's provider for {claims}"

# error, phrase in the description, what we say, hint: the first fit counts.
EXCHANGE = (
    (
        "invalid_grant",
        "the audience in",
        "the identity provider does not accept the token's audience",
        "the token has {claims}; set the store's audience, or add it to the provider's audiences",
    ),
    (
        "invalid_grant",
        "issuer",
        "the identity provider is for another issuer, or cannot reach its keys",
        _TRUST,
    ),
    ("invalid_grant", "", "the identity provider does not accept the pod's token", _TRUST),
    (
        "unauthorized_client",
        "",
        "the identity provider's attribute condition rejects the pod's token",
        "the token has {claims}; compare with the condition",
    ),
    (
        "invalid_target",
        "",
        "there is no such identity pool or provider, or it is disabled",
        "check auth.workloadIdentity.provider: it wants the project's number, not its id",
    ),
)
