"""Certificates as data: made, read, judged; no file, no network, no clock.

A self-signed pair is a certification authority and one leaf, made together. The authority's key is
dropped at once, so nothing more can ever be signed with it: what must be guarded is the leaf's key.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY = "secret-injector webhook CA"
RENEW_AT = 2 / 3
SKEW = timedelta(minutes=5)
"""A certificate is valid from a little before now: clocks differ."""
MAX_BUNDLE = 8
"""Authorities kept in a bundle; more were made only by a fault that renews too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A chain and its key as PEM, and the authority that a client must trust.

    `key` is not shown. `ca` is empty when somebody else issued the chain.
    """

    chain: bytes
    key: bytes
    ca: bytes
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime

    def __repr__(self) -> str:
        """Show whose certificate it is and until when."""
        return f"Pair({', '.join(self.names)}, until {self.not_after.isoformat()})"

    def is_due(self, now: datetime) -> bool:
        """Say whether to renew: past two thirds of the life."""
        return now >= self.not_before + (self.not_after - self.not_before) * RENEW_AT


def issue(names: Iterable[str], *, now: datetime, life: timedelta) -> Pair:
    """Return a new authority's only pair, valid for the DNS names; the first is the subject."""
    names = tuple(names)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY)])
    # A common name holds 64 characters; clients read the alternative names.
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])

    authority = (
        _begin(ca_name, ca_name, ca_key.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_identifier(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        _begin(leaf_name, ca_name, leaf_key.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False
        )
        .add_extension(_identifier(leaf_key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                _identifier(ca_key.public_key())
            ),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return Pair(
        chain=leaf.public_bytes(pem),
        key=leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
        ca=authority.public_bytes(pem),
        names=names,
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def read(chain: bytes, key: bytes, bundle: bytes = b"") -> Pair:
    """Return the pair of a chain and a key, with the authority in the bundle that signed it.

    Raises ValueError, without quoting anything, when they are unreadable or not of one pair.
    """
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
        private = serialization.load_pem_private_key(key, password=None)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names_of_hosts = tuple(names.get_values_for_type(x509.DNSName))
    except (ValueError, TypeError, x509.ExtensionNotFound):
        raise ValueError("certificate or key is not readable PEM, or has no host names") from None
    if private.public_key() != leaf.public_key():
        raise ValueError("the key is not the certificate's")
    return Pair(
        chain=chain,
        key=key,
        ca=next((_pem(ca) for ca in parse_bundle(bundle) if _signed(leaf, ca)), b""),
        names=names_of_hosts,
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def parse_bundle(bundle: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM bundle; none when it is empty or unreadable."""
    try:
        return tuple(x509.load_pem_x509_certificates(bundle))
    except ValueError:
        return ()


def extend(bundle: bytes, ca: bytes, *, now: datetime) -> bytes:
    """Return the bundle with the authority in it; the bundle itself when it needs no change.

    The newest stands first. Expired authorities leave; others stay, for replicas that still serve
    under them. So writers that act at once, on old news too, only ever add what each needs.
    """
    present = parse_bundle(bundle)
    wanted = [each for each in present if each.not_valid_after_utc > now]
    wanted += [each for each in parse_bundle(ca) if each not in wanted]
    wanted.sort(key=lambda each: each.not_valid_before_utc, reverse=True)
    kept = wanted[:MAX_BUNDLE]
    if present and len(kept) == len(present) and set(kept) == set(present):
        return bundle
    return b"".join(map(_pem, kept))


def holds(bundle: bytes, ca: bytes) -> bool:
    """Say whether the authority is in the bundle."""
    wanted = parse_bundle(ca)
    return bool(wanted) and set(wanted) <= set(parse_bundle(bundle))


def verifies(server: ssl.SSLContext, bundle: bytes, name: str) -> bool:
    """Say whether a client that trusts the bundle accepts what the context serves for the name.

    The judge is a TLS handshake in memory, so keys, names, dates and signatures all count.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= (
        ssl.VERIFY_X509_PARTIAL_CHAIN
    )  # as Go: whatever is in the bundle is a root
    try:
        client.load_verify_locations(cadata=bundle.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    pending = set(ends)
    for _ in range(10):
        for end in tuple(pending):
            try:
                end.do_handshake()
                pending.discard(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return not pending


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - min(SKEW, life / 10))
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _signed(leaf: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
