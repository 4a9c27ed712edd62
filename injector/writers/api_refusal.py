"""What an API server would not do with a Secret, in our words: its own may quote the object.

Follows https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self

from injector.core import errors
from injector.core.secret import Failure

CONFLICT, NOT_FOUND = 409, 404
_FIELD = re.compile(r"[-._a-zA-Z0-9\[\]]{1,300}")


class ApiRefusal(Exception):
    """The API server did not do it: `status` is HTTP's, `fields` are those that it finds wrong."""

    def __init__(self, status: int, fields: tuple[str, ...] = ()) -> None:
        """Keep what holds no value."""
        self.status, self.fields = status, fields
        super().__init__(str(status))

    @classmethod
    def of(cls, status: int, answer: Mapping[str, object]) -> Self:
        """Return the refusal that a Status object states."""
        details = answer.get("details")
        causes = details.get("causes") if isinstance(details, Mapping) else None
        named = [
            str(cause.get("field"))
            for cause in (causes if isinstance(causes, list) else ())
            if isinstance(cause, Mapping)
        ]
        return cls(status, tuple(dict.fromkeys(filter(_FIELD.fullmatch, named))))

    def failure(self, verb: str, namespace: str) -> Failure:
        """Return what it means for who asked to do this to a Secret of the namespace."""
        match self.status:
            case 401:
                what = "the API server does not accept who we are"
                hint = "kubectl auth whoami shows whom it takes you for"
                return Failure(code=errors.UNAUTHENTICATED, what=what, hint=hint)
            case 403:
                what = f"the API server does not let us {verb} it"
                can_i = f"kubectl auth can-i {verb} secrets -n {namespace}"
                hint = f"{can_i}; if it says yes, a quota or an admission controller refused it"
                return Failure(code=errors.FORBIDDEN, what=what, hint=hint)
            case 404 if verb == "create":
                what = f"there is no namespace {namespace}"
                hint = "kubectl get namespaces lists them; -n names another"
                return Failure(code=errors.MISSING, what=what, hint=hint)
            case 413:
                what = "the Secret is larger than the API server takes"
                return Failure(code=errors.TOO_LARGE, what=what, hint="make two Secrets of it")
            case 422:
                wrong = f": {', '.join(self.fields)}" if self.fields else ""
                what = f"Kubernetes finds the Secret wrong{wrong}"
                hint = "its type says which keys it must have and of which form"
                return Failure(code=errors.RESOURCE, what=what, hint=hint)
            case 429:
                return Failure(code=errors.THROTTLED, what="the API server asks us to slow down")
            case status if status >= 500:
                what = f"the API server fails with {status}"
                return Failure(
                    code=errors.DOWN, what=what, hint="kubectl get --raw /readyz?verbose"
                )
            case status:
                what = f"the API server refuses the request with {status}"
                hint = "kubectl config view --minify shows the server that is asked"
                return Failure(code=errors.CONTENT, what=what, hint=hint)
