"""Addresses of stores: one strict form, so that no two readers of one text can disagree.

Only cluster-scoped objects hold addresses; this check is the second line behind that. A name may
still resolve to a forbidden place, so `is_forbidden_peer` is asked again once connected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from injector.core.fields import Fields

_FORM = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[-A-Za-z0-9.]{0,251}[A-Za-z0-9])?)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?P<base>(?:/[-A-Za-z0-9._~]+)*)/?"
)
_LOOPBACK = ("localhost", "127.", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to connect: `host` without brackets, `base` a path prefix without a trailing slash."""

    scheme: str
    host: str
    port: int
    base: str

    def url(self) -> str:
        """Return the address as one writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.base}"


def take(fields: Fields, name: str, *, default: str | None = None) -> Address:
    """Take an address; plain http is for loopback only. A wrong one is a problem and reads as loopback."""
    text = fields.text(
        name,
        default=default,
        form="an address such as https://vault.example.org:8200",
        longest=512,
    )
    nowhere = Address(scheme="https", host="127.0.0.1", port=1, base="")
    if not text:
        return nowhere
    found = _FORM.fullmatch(text)
    if found is None or any(segment in (".", "..") for segment in found["base"].split("/")):
        fields.problem(name, "must be https://HOST[:PORT][/BASE] without user, query or fragment")
        return nowhere
    host = found["host"].lower()
    if problem := host_problem(host):
        fields.problem(name, problem)
        return nowhere
    if found["scheme"] == "http" and not host.startswith(_LOOPBACK):
        fields.problem(name, "must be https; plain http is for loopback only")
        return nowhere
    port = int(found["port"] or (443 if found["scheme"] == "https" else 80))
    if port > 65_535:
        fields.problem(name, "has a port above 65535")
        return nowhere
    return Address(scheme=found["scheme"], host=host.strip("[]"), port=port, base=found["base"])


def take_ca_bundle(fields: Fields) -> str | None:
    """Take the PEM certificates that a store's own is checked against; None is the image's bundle."""
    return fields.optional(
        "caBundle",
        pattern=r"(?s)\s*-----BEGIN CERTIFICATE-----.+",
        form="PEM certificates",
        longest=65_536,
    )


def is_loopback(address: Address) -> bool:
    """Say whether the address is of the machine itself: an emulator, or a proxy in the same pod."""
    return address.host.startswith(("127.", "localhost")) or address.host == "::1"


def host_problem(host: str) -> str | None:
    """Return why a host may not be a store's, or None; brackets mark an IPv6 address."""
    import ipaddress

    is_v6 = host.startswith("[")
    if not is_v6 and not re.fullmatch(r"[0-9.]+|.*\.(?:0x[0-9a-f]+|[0-9]+)|0x[0-9a-f]+", host):
        return None
    try:
        ip = ipaddress.IPv6Address(host.strip("[]")) if is_v6 else ipaddress.IPv4Address(host)
    except ValueError:
        return "is an IP address in a form that programs read differently"
    if is_forbidden_peer(str(ip)):
        return "is a link-local, multicast or unspecified address"
    return None


def is_forbidden_peer(ip: str) -> bool:
    """Say whether an IP address can never be a store: metadata services live on link-local ones."""
    import ipaddress

    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address == ipaddress.IPv6Address("fd00:ec2::254"):
            return True
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is not None:
            return is_forbidden_peer(str(embedded))
    return address.is_link_local or address.is_multicast or address.is_unspecified
