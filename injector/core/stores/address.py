"""Addresses of stores: one strict form, so that no two readers of one text can disagree.

Only cluster-scoped objects hold addresses; this check is the second line behind that. A name may
still resolve to a forbidden place, so `is_forbidden_peer` is asked again once connected.
"""

from __future__ import annotations

import re

from injector.core.fields import Fields
from injector.core.record import Record
from injector.core.stores import trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipaddress import IPv6Address

_LABEL = r"[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_FORM = re.compile(
    rf"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|{_LABEL}(?:\.{_LABEL}){{0,63}})"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?P<base>(?:/[-A-Za-z0-9._~]+)*)/?"
)
# What inet_aton or a browser takes for an IPv4 address: the last label is a number.
_NUMERIC = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|[0-9]+)")
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "metadata"})
_METADATA_IPS = frozenset(
    {
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's wire server
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
    }
)


class Address(Record):
    """Where to connect: `host` without brackets, `base` a path prefix without a trailing slash."""

    scheme: str
    host: str
    port: int
    base: str

    def url(self) -> str:
        """Return the address as one writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.base}"

    def site(self) -> str:
        """Return what people call the place: without the scheme, and without the port if 443."""
        return (self.host if self.port == 443 else f"{self.host}:{self.port}") + self.base


class Server(Record):
    """A server and how it is known: `ca_bundle` is PEM text, None the image's own bundle.

    `name` is the one in its certificate where that is not the host.
    """

    address: Address
    ca_bundle: str | None
    name: str | None = None
    has_name_field: bool = False
    """Whether the store's definition may say `tlsServerName`, for hints."""


NOWHERE = Address(scheme="https", host="127.0.0.1", port=1, base="")
"""What stands for an address that is a problem."""


def take(fields: Fields, name: str, *, default: str | None = None) -> Address:
    """Take an address; plain http is for loopback only. A wrong one is a problem and NOWHERE."""
    text = fields.text(
        name,
        default=default,
        form="an address such as https://vault.example.org:8200",
        longest=512,
    )
    if not text:
        return NOWHERE
    found = _FORM.fullmatch(text)
    if found is None or any(segment in (".", "..") for segment in found["base"].split("/")):
        fields.problem(name, "must be https://HOST[:PORT][/BASE] without user, query or fragment")
        return NOWHERE
    host = found["host"].lower()
    if problem := host_problem(host):
        fields.problem(name, problem)
        return NOWHERE
    host = host.strip("[]")
    if found["scheme"] == "http" and not _is_loopback_host(host):
        fields.problem(name, "must be https; plain http is for loopback only")
        return NOWHERE
    port = int(found["port"] or (443 if found["scheme"] == "https" else 80))
    if port > 65_535:
        fields.problem(name, "has a port above 65535")
        return NOWHERE
    return Address(scheme=found["scheme"], host=host, port=port, base=found["base"])


def take_optional(fields: Fields, name: str) -> Address | None:
    """Take an address that may be absent."""
    return take(fields, name) if fields.has(name) else None


def take_fallbacks(fields: Fields, home: Address) -> list[tuple[Fields, Address]]:
    """Take up to four `fallbacks`, each a mapping with an `address` of its own.

    The caller takes what else they have, and finishes them.
    """
    found = [(child, take(child, "address")) for child in fields.children("fallbacks", most=4)]
    good = [at for at in (home, *(at for _, at in found)) if at is not NOWHERE]
    if len(set(good)) != len(good):
        fields.problem("fallbacks", "names an address twice")
    return found


def take_ca_bundle(fields: Fields) -> str | None:
    """Take the PEM certificates to check a store's own against; None is the image's bundle.

    Each is read here, so that a damaged one is a problem of the definition and not of every pod.
    """
    text = fields.optional("caBundle", form="PEM certificates", longest=trust.MAX_BYTES)
    if text is None:
        return None
    try:
        return trust.certificates(text)
    except trust.Damaged as damaged:
        fields.problem("caBundle", str(damaged))
        return None


def is_loopback(address: Address) -> bool:
    """Say whether the address is of the machine itself: an emulator, or a proxy in the same pod."""
    return _is_loopback_host(address.host)


def host_problem(host: str) -> str | None:
    """Return why a host may not be a store's, or None; brackets mark an IPv6 address."""
    import ipaddress

    if host in _METADATA_NAMES:
        return "is a cloud's metadata service"
    is_v6 = host.startswith("[")
    if not is_v6 and not _NUMERIC.fullmatch(host):
        return None
    try:
        ip = ipaddress.IPv6Address(host.strip("[]")) if is_v6 else ipaddress.IPv4Address(host)
    except ValueError:
        return "is an IP address in a form that programs read differently"
    if is_forbidden_peer(str(ip)):
        return "is a link-local, multicast, reserved or metadata address"
    return None


def is_forbidden_peer(ip: str) -> bool:
    """Say whether an IP address can never be a store: metadata services live on link-local ones.

    IPv6 forms that carry an IPv4 address are judged by that. Raises ValueError for no address.
    """
    import ipaddress

    address = ipaddress.ip_address(ip.partition("%")[0])
    if str(address) in _METADATA_IPS:
        return True
    if isinstance(address, ipaddress.IPv6Address):
        return any(is_forbidden_peer(inner) for inner in _embedded(address)) or (
            address.is_link_local or address.is_multicast or address.is_unspecified
        )
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.packed[0] == 0
    )


def _embedded(address: IPv6Address) -> list[str]:
    """Return the IPv4 addresses inside: mapped, 6to4, Teredo, NAT64 (RFC 6052), compatible."""
    import ipaddress

    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    upper, lower = divmod(int(address), 2**32)
    if upper == 0x64_FF9B << 64 or (upper == 0 and lower > 0xFFFF):
        found.append(ipaddress.IPv4Address(lower))
    return [str(inner) for inner in found if inner is not None]


def _is_loopback_host(host: str) -> bool:
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
