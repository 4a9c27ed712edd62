"""What a ServiceAccount token says of itself, unverified: for hints that name what is compared."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from injector.core import secret
from injector.core.record import Record
from injector.core.secret import Json, NotJson, Number


class Claims(Record):
    """The three claims that identity providers match; none of them is secret. Empty when absent."""

    issuer: str = ""
    subject: str = ""
    audience: str = ""

    def __str__(self) -> str:
        """Return the claims as one enters them at an identity provider."""
        return f'issuer "{self.issuer}", subject "{self.subject}", audience "{self.audience}"'


def parse(token: str) -> Claims:
    """Return the claims of a JWT (RFC 7519); of anything else, empty ones."""
    try:
        payload = token.split(".")[1]
        found = secret.parse_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, NotJson):
        return Claims()
    if not isinstance(found, Mapping):
        return Claims()
    audience = found.get("aud")
    first = audience[0] if isinstance(audience, list) and audience else audience
    return Claims(
        issuer=_text(found.get("iss")), subject=_text(found.get("sub")), audience=_text(first)
    )


def _text(value: Json) -> str:
    is_text = isinstance(value, str) and not isinstance(value, Number)
    return str(value)[:512] if is_text else ""
