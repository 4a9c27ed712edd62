"""What is written down about the serving certificate: the Secret's pair and the caBundles, read.

The webhook and the certificates process both look here; only the latter writes (`issuer.py`).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import msgspec

from webhook import certificates
from webhook.api import Api
from webhook.certificates import Pair

ADMISSION = "/apis/admissionregistration.k8s.io/v1/"
EAGER_S = 1.0
"""Time between rounds while something is not as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the webhook is to the API server, and where that is written down.

    `configurations` are paths below `ADMISSION`, such as `mutatingwebhookconfigurations/NAME`.
    """

    namespace: str
    service: str
    secret: str
    configurations: tuple[str, ...]

    @property
    def host(self) -> str:
        """The name that the API server verifies."""
        return f"{self.service}.{self.namespace}.svc"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a client may call the webhook by."""
        return (self.host, f"{self.service}.{self.namespace}", f"{self.host}.cluster.local")

    @property
    def secret_path(self) -> str:
        """The Secret's path at the API server."""
        return f"/api/v1/namespaces/{self.namespace}/secrets/{self.secret}"


def configurations(mutating: str, validating: str) -> tuple[str, ...]:
    """Return the paths of webhook configurations whose names are given, separated by commas."""
    kinds = (
        ("mutatingwebhookconfigurations", mutating),
        ("validatingwebhookconfigurations", validating),
    )
    return tuple(
        f"{kind}/{name.strip()}"
        for kind, names in kinds
        for name in names.split(",")
        if name.strip()
    )


async def configuration(api: Api, path: str) -> dict[str, Any]:
    """Return a webhook configuration; raises ApiFailure."""
    document: dict[str, Any] = msgspec.json.decode(await api.get(ADMISSION + path))
    return document


def bundles(document: dict[str, Any]) -> list[bytes]:
    """Return the caBundle of each webhook of a configuration, in its order; empty when unset."""
    webhooks = document.get("webhooks") or ()
    return [_from_base64((each.get("clientConfig") or {}).get("caBundle")) for each in webhooks]


def pair_of(secret: dict[str, Any]) -> Pair | None:
    """Return the pair in a Secret with the authority that signed it; None without a usable one."""
    data = secret.get("data") or {}
    try:
        pair = certificates.read(
            _from_base64(data.get("tls.crt")),
            _from_base64(data.get("tls.key")),
            _from_base64(data.get("ca.crt")),
        )
    except ValueError:
        return None
    return pair if pair.ca else None


def _from_base64(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError):
        return b""
