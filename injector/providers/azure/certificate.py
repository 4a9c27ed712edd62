"""Certificates as Key Vault keeps them in secrets, to PEM: the private key, then leaf to root.

Key Vault stores a certificate under the content type its policy chose, PKCS#12 or PEM, and does not
promise an order of the chain; TLS servers want the leaf first (RFC 8446, 4.4.2).
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict, deque

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import Certificate, Name, load_pem_x509_certificates

PKCS12 = "application/x-pkcs12"
PEM = "application/x-pem-file"
KEY, CHAIN = "key", "chain"

_KEY_KINDS = (b"", b"RSA ", b"EC ", b"DSA ", b"ENCRYPTED ", b"OPENSSH ")
"""What stands before PRIVATE KEY in the lines around a key (RFC 7468, and OpenSSL's own)."""

MAX_CERTIFICATES = 100


class NotCertificate(Exception):
    """The secret is no certificate that we can read; the message quotes nothing of it."""


class NoKey(Exception):
    """The certificate is there without its private key."""


def to_pem(value: str, content_type: str, part: str) -> bytes:
    """Return the part asked for (`KEY`, `CHAIN`, "" for both) of a certificate's secret as PEM.

    Raises NotCertificate, NoKey.
    """
    try:
        key, public, chain = (_from_pkcs12 if content_type == PKCS12 else _from_pem)(value)
    except (ValueError, TypeError, binascii.Error):
        raise NotCertificate("it cannot be read as a certificate") from None
    if len(chain) > MAX_CERTIFICATES:
        raise NotCertificate(f"it holds more than {MAX_CERTIFICATES} certificates")
    if not chain:
        raise NotCertificate("it holds no certificate")
    if not key and part != CHAIN:
        raise NoKey("the certificate is kept without its private key")
    blocks = [] if part == CHAIN else [key]
    if part != KEY:
        blocks += [entry.public_bytes(Encoding.PEM) for entry in ordered(chain, public)]
    return b"".join(block.strip() + b"\n" for block in blocks)


def ordered(chain: list[Certificate], public: bytes) -> list[Certificate]:
    """Return the certificates from the leaf to the root; those that belong to no issuer come last.

    The leaf is the one for the public key (DER), or, without a key, the one that issued no other.
    """
    issuers = {entry.issuer for entry in chain if entry.issuer != entry.subject}
    leaf = next(
        (entry for entry in chain if _public(entry) == public),
        next((entry for entry in chain if entry.subject not in issuers), chain[0]),
    )
    rest: dict[Name, deque[Certificate]] = defaultdict(deque)
    for entry in chain:
        if entry is not leaf:
            rest[entry.subject].append(entry)
    found = [leaf]
    while issuers_of_last := rest.get(found[-1].issuer):
        found.append(issuers_of_last.popleft())
    placed = {id(entry) for entry in found}
    return found + [entry for entry in chain if id(entry) not in placed]


def _from_pkcs12(value: str) -> tuple[bytes, bytes, list[Certificate]]:
    bundle = pkcs12.load_pkcs12(base64.b64decode(value, validate=True), None)
    chain = [entry.certificate for entry in bundle.additional_certs]
    if bundle.cert is not None:
        chain.insert(0, bundle.cert.certificate)
    if bundle.key is None:
        return b"", b"", chain
    pem = bundle.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, _der(bundle.key.public_key()), chain


def _from_pem(value: str) -> tuple[bytes, bytes, list[Certificate]]:
    data = value.encode()
    chain = load_pem_x509_certificates(data)
    block = _key_block(data)
    if not block:
        return b"", b"", chain
    return block, _der(load_pem_private_key(block, None).public_key()), chain


def _key_block(data: bytes) -> bytes:
    """Return the first private key with the lines around it, or nothing.

    Each kind is looked for once: where its first begin has no end, no later one has.
    """
    found: list[tuple[int, int]] = []
    for kind in _KEY_KINDS:
        begin, end = (b"-----%s %sPRIVATE KEY-----" % (word, kind) for word in (b"BEGIN", b"END"))
        start = data.find(begin)
        stop = data.find(end, start + len(begin)) if start >= 0 else -1
        if stop >= 0:
            found.append((start, stop + len(end)))
    start, stop = min(found, default=(0, 0))
    return data[start:stop]


def _public(certificate: Certificate) -> bytes:
    return _der(certificate.public_key())


def _der(public: object) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]  # every kind of key has it, but no common type says so
