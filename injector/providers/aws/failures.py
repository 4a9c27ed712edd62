"""What AWS answers and what the network does, in our codes and words.

AWS names errors by a code (`AccessDeniedException`); its messages may quote what they are about and
are never repeated. Codes: the "Common errors" and each action's "Errors" in the API references of
Secrets Manager, Systems Manager and STS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from injector.core import errors
from injector.core.errors import Code
from injector.core.record import replace
from injector.core.secret import Failure
from injector.http_session import retry_after_s


class CallFailed(Exception):
    """A call gave no answer that we take: `failure` says why, `name` is AWS's code, if any."""

    def __init__(self, failure: Failure, name: str = "") -> None:
        """Keep both."""
        self.failure, self.name = failure, name
        super().__init__(failure.what)

    @property
    def is_of_all(self) -> bool:
        """Say whether the failure is the whole call's, whatever it asks for.

        Anything else may be about one of its members, or about the kind of call: then each member
        is asked for alone, and only what is answered to that counts for it.
        """
        return self.failure.code in _OF_ALL and self.name not in _NO_SUCH_CALL


_OF_ALL = (errors.DOWN, errors.THROTTLED, errors.TLS, errors.EXPIRED, errors.UNAUTHENTICATED)

NOT_IMPLEMENTED = "NotImplemented"
"""How a call is named that was answered with HTTP 501, whatever the body says."""

_NO_SUCH_CALL = (
    NOT_IMPLEMENTED,
    "InvalidAction",
    "NotImplementedException",
    "UnknownOperation",
    "UnknownOperationException",
    "UnsupportedOperation",
)
"""What AWS's servers and stand-ins for them say to a call that they do not know."""

_Meaning = tuple[Code, str, str]

_KMS_HINT = "allow kms:Decrypt on the key, in the role's policy and in the key's"
_CLOCK = (
    errors.UNAUTHENTICATED,
    "AWS refuses the time in the request: this node's clock is wrong",
    "synchronise the node's clock; AWS tolerates five minutes",
)
_DENIED = (errors.FORBIDDEN, "AWS does not let this identity read it", "")
_NOT_KNOWN = (errors.UNAUTHENTICATED, "AWS does not know these credentials", "")
_EXPIRED = (errors.EXPIRED, "the credentials have expired", "")
_BAD_SIGNATURE = (
    errors.UNAUTHENTICATED,
    "AWS finds the signature wrong: the secret key does not belong to the access key",
    "copy both halves of the access key again, without blanks or line ends",
)
_MISSING = (errors.MISSING, "no such secret", "")
_KMS = (errors.FORBIDDEN, "the KMS key does not decrypt it for this identity", _KMS_HINT)
_KMS_STATE = (errors.FORBIDDEN, "the KMS key is disabled, deleted or not there", _KMS_HINT)
_SEALED = (
    errors.CONTENT,
    "KMS finds the sealed key damaged, or bound to another key or context",
    "",
)
_BUSY = (errors.THROTTLED, "AWS asked us to slow down", "")
_DOWN = (errors.DOWN, "AWS has a fault of its own", "")
_FORM = (
    errors.REFERENCE,
    "AWS does not take the name or version as written",
    "the store's page in docs/stores/ shows the forms of both",
)

_MEANINGS: Mapping[str, _Meaning] = {
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "DecryptionFailure": _KMS,
    "DisabledException": _KMS_STATE,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "IDPCommunicationError": (errors.DOWN, "AWS cannot reach the cluster's OIDC issuer", ""),
    "IncompleteSignature": _BAD_SIGNATURE,
    "IncorrectKeyException": _SEALED,
    "InternalFailure": _DOWN,
    "InternalServerError": _DOWN,
    "InternalServiceError": _DOWN,
    "InvalidCiphertextException": _SEALED,
    "InvalidClientTokenId": _NOT_KNOWN,
    "InvalidIdentityToken": (
        errors.UNAUTHENTICATED,
        "AWS does not accept the pod's ServiceAccount token",
        "register the cluster's OIDC issuer in IAM with the store's audience as its client id",
    ),
    "InvalidKeyId": _KMS,
    "InvalidParameterException": _FORM,
    "InvalidRequestException": (
        errors.MISSING,
        "the secret is marked for deletion or has no value yet",
        "aws secretsmanager restore-secret brings a deleted one back",
    ),
    "InvalidSignatureException": _BAD_SIGNATURE,
    "KMSInternalException": _DOWN,
    "KMSInvalidStateException": _KMS_STATE,
    "KeyUnavailableException": _DOWN,
    "MissingAuthenticationToken": _NOT_KNOWN,
    "NotFoundException": _KMS_STATE,
    "OptInRequired": (errors.UNAUTHENTICATED, "the account has not enabled this region", ""),
    "ParameterNotFound": (errors.MISSING, "no such parameter", ""),
    "ParameterVersionLabelLimitExceeded": _FORM,
    "ParameterVersionNotFound": (errors.MISSING, "no such version", ""),
    "RegionDisabledException": (
        errors.UNAUTHENTICATED,
        "STS is not enabled in this region for the account",
        "enable the region under account settings in IAM",
    ),
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "ResourceNotFoundException": _MISSING,
    "ServiceUnavailable": _DOWN,
    "ServiceUnavailableException": _DOWN,
    "SignatureDoesNotMatch": _BAD_SIGNATURE,
    "UnrecognizedClientException": _NOT_KNOWN,
    "ValidationError": _FORM,
    "ValidationException": _FORM,
}
_OF_KMS = re.compile(
    r"kms:[A-Z]|Access to KMS|customer master key|KMS key|\(Service: AWS ?KMS|AWS ?KMS;"
)
_DENIED_BY = re.compile(
    r"explicit deny in (?:an? )?(?P<kind>identity-based|resource-based|service control|session"
    r"|resource control|VPC endpoint|permissions boundary)"
)
_WORD = re.compile(r"[A-Za-z.]{1,64}")
_THROTTLING = re.compile(
    r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|PriorRequestNotComplete"
    r"|ProvisionedThroughputExceeded|LimitExceededException"
)
_NOT_A_TIME = ("Signature expired", "Signature not yet current")


def of_answer(response: Mapping[str, object], *, is_temporary: bool) -> CallFailed:
    """Return what an error response of AWS means, as botocore parsed it.

    `is_temporary` says that the credentials came from a login: then "not known" is "revoked", and a
    new login may help.
    """
    error, meta = _mapping(response, "Error"), _mapping(response, "ResponseMetadata")
    status = meta.get("HTTPStatusCode")
    status = status if isinstance(status, int) else 0
    name = str(error.get("Code", ""))
    failure = of_code(name, str(error.get("Message", "")), status=status, is_temporary=is_temporary)
    wait_s = retry_after_s(_mapping(meta, "HTTPHeaders"))
    if wait_s is not None and failure.is_passing:
        failure = Failure(
            code=failure.code, what=failure.what, hint=failure.hint, retry_after_s=wait_s
        )
    return CallFailed(failure, name)


def of_code(name: str, message: str, *, status: int = 400, is_temporary: bool = False) -> Failure:
    """Return what an error code of AWS means; the message only tells meanings of a code apart."""
    code, what, hint = _MEANINGS.get(name) or _unnamed(name, status)
    if message.startswith(_NOT_A_TIME):
        code, what, hint = _CLOCK
    elif code in (errors.FORBIDDEN, errors.REFERENCE) and _OF_KMS.search(message):
        if (code, what, hint) != _KMS_STATE:
            code, what, hint = _KMS
    elif (code, what, hint) == _DENIED and (denied := _DENIED_BY.search(message)):
        kind = denied["kind"]
        policy = kind if kind == "permissions boundary" else f"{kind} policy"
        hint = f"a {policy} denies it explicitly, whatever other policies allow".replace(
            "a identity", "an identity"
        )
    elif (code, what, hint) == _NOT_KNOWN and is_temporary:
        code, what = errors.EXPIRED, "AWS no longer knows these credentials"
    return Failure(code=code, what=what, hint=hint)


def denied(failure: Failure, *, action: str, path: str, whom: str) -> Failure:
    """Return a denied read with what was refused to whom; any other failure as it is."""
    if (failure.code, failure.what) != _DENIED[:2]:
        return failure
    what = f'AWS refuses {action} on "{path}" to {whom}'
    hint = failure.hint or (
        "allow it in a policy of the role (and kms:Decrypt for a key of your own)"
    )
    return replace(failure, what=what, hint=hint)


def of_status(status: int, headers: Mapping[str, str]) -> Failure | None:
    """Return what an HTTP status means whatever the body says, or None when the body decides."""
    if 300 <= status < 400:  # RFC 9110, 15.4
        host = headers.get("location", "").partition("://")[2].partition("/")[0]
        what = f"it redirects to {host.rpartition('@')[2][:120] or 'another path'}, not followed"
        return Failure(code=errors.DOWN, what=what, hint="endpoint must be the one that answers")
    if status == 429:  # RFC 6585, 4
        return Failure(code=errors.THROTTLED, what=_BUSY[1], retry_after_s=retry_after_s(headers))
    if status >= 500:  # RFC 9110, 15.6
        what = f"{_DOWN[1]} (HTTP {status})"
        return Failure(code=errors.DOWN, what=what, retry_after_s=retry_after_s(headers))
    return None


def _unnamed(name: str, status: int) -> _Meaning:
    if _THROTTLING.search(name):
        return _BUSY
    shown = name if _WORD.fullmatch(name) else f"HTTP {status}"
    if status in (401, 403):
        return (errors.FORBIDDEN, f"AWS refuses the request ({shown})", "")
    return (errors.CONTENT, f"AWS answers with an error we do not know ({shown})", "")


def _mapping(parent: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = parent.get(name)
    return found if isinstance(found, Mapping) else {}
