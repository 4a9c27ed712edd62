"""Certificates that a definition trusts, read when the definition is: no damage waits for a pod.

People paste what their tools print: text around the certificates, lines that end as on Windows,
base64 of it all as in a webhook configuration. What comes out is the certificates alone.
"""

from __future__ import annotations

import re

MAX_BYTES = 65_536
"""The longest text of certificates that a definition holds."""

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_OTHER_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")


class Damaged(ValueError):
    """The text holds no certificates that can be used; the message says what is wrong."""


def certificates(text: str) -> str:
    """Return the certificates of a text in PEM, each as OpenSSL takes it, without the text around.

    Base64 of such a text counts as the text. Raises Damaged.
    """
    if "-----BEGIN" not in text:
        text = _decoded(text)
    for kind in _OTHER_BEGIN.findall(text):
        if kind != "CERTIFICATE":
            message = f"holds a {kind}; only certificates (BEGIN CERTIFICATE) are read"
            raise Damaged(message)
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found = []
    _, *blocks = text.split(_BEGIN)
    for number, block in enumerate(blocks, start=1):
        body, end, _ = block.partition(_END)
        if not end:
            message = f"certificate {number} has no line {_END}"
            raise Damaged(message)
        found.append(f"{_BEGIN}\n" + "\n".join(body.split()) + f"\n{_END}\n")
        try:
            context.load_verify_locations(cadata=found[-1])
        except (ssl.SSLError, ValueError):
            message = f"certificate {number} is damaged: it cannot be read"
            raise Damaged(message) from None
    if not found:
        message = "holds no certificate (BEGIN CERTIFICATE)"
        raise Damaged(message)
    return "".join(found)


def _decoded(text: str) -> str:
    """Return the text inside base64; raises Damaged where there is none."""
    import base64

    message = "must be PEM certificates (BEGIN CERTIFICATE)"
    if not _BASE64.fullmatch(text):
        raise Damaged(message)
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise Damaged(message) from None
    found = data.decode("utf-8", "replace")
    if "-----BEGIN" not in found:
        # A certificate in DER begins with the tag and the length of a long sequence (X.690, 8.1.3).
        if data.startswith(b"\x30\x82"):
            message = "is a certificate in DER; convert it: openssl x509 -inform der -outform pem"
        raise Damaged(message)
    return found
