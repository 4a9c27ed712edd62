"""Where in a container files of ours may lie: in a folder (`files-path`), or each by itself.

What is mounted at a path hides what the image has there, so both are refused where the system, the
kubelet or an identity of the pod keeps its own:

    at or below    the kernel's file systems, accounts, name resolution, the loader's settings,
                   trusted certificates, tokens of the cluster and of clouds, the launcher
    at or above    the same: a mount there would hide them
    at             folders without which no program starts

Paths are compared as the container has them: `/var/run` is a link to `/run` in nearly every image.
"""

from __future__ import annotations

from collections.abc import Iterator

from webhook.core.our_container import place_of

_IDENTITIES = (
    "/run/secrets/azure",
    "/run/secrets/eks.amazonaws.com",
    "/run/secrets/kubernetes.io",
    "/run/secrets/pods.eks.amazonaws.com",
)
_ACCOUNTS = ("/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow")
_BY_THE_KUBELET = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
_CERTIFICATES = ("/etc/pki/ca-trust", "/etc/ssl/cert.pem", "/etc/ssl/certs")
KEPT = (
    *("/dev", "/proc", "/sys", "/run/secret-injector"),
    *(*_ACCOUNTS, *_BY_THE_KUBELET, *_CERTIFICATES, *_IDENTITIES),
)
"""At, above and below each of these nothing of ours is mounted."""

_LOADER = ("/etc/ld.so.", "/etc/ld-musl-")
_FOLDERS_TEXT = """
    /bin /boot /etc /lib /lib32 /lib64 /libx32 /run /sbin /usr /usr/bin /usr/lib /usr/lib32
    /usr/lib64 /usr/libexec /usr/local /usr/local/bin /usr/local/lib /usr/local/sbin /usr/sbin
    /usr/share /var /var/cache /var/lib /var/log /var/spool
"""
_FOLDERS = frozenset(_FOLDERS_TEXT.split())
"""Folders of nearly every image that a program needs to start or to work."""

_PLAIN_FOLDERS_TEXT = "/home /media /mnt /opt /root /srv /tmp /var/tmp"
_PLAIN_FOLDERS = frozenset(_PLAIN_FOLDERS_TEXT.split())
"""Others, which may be hidden; no single file can be mounted at one of them either."""


def canonical(path: str) -> str:
    """Return the path as the container has it (`place_of`); the root is an empty text."""
    if path.startswith("/") and "//" not in path and "/." not in path:  # nearly every one
        bare = path.removesuffix("/")
        return bare[4:] if f"{bare}/".startswith("/var/run/") else bare
    return place_of(path).rstrip("/")


def above(path: str) -> Iterator[str]:
    """Yield the folders that a canonical path lies in, the root apart, nearest first."""
    at = path.rfind("/")
    while at > 0:
        path = path[:at]
        yield path
        at = path.rfind("/")


def refusal(path: str, *, is_folder: bool) -> str:
    """Return why nothing of ours may be mounted at the path, or an empty text."""
    place = canonical(path)
    if place in KEPT or not _KEPT.isdisjoint(above(place)) or place.startswith(_LOADER):
        return f'"{path}" lies where the system keeps its own files'
    if place in _ABOVE_KEPT or place in _FOLDERS:
        return f'"{path}" would hide folders that the container needs'
    if not is_folder and place in _PLAIN_FOLDERS:
        return f'"{path}" is a folder of the image'
    return ""


_KEPT = frozenset(KEPT)
_ABOVE_KEPT = frozenset(folder for path in KEPT for folder in above(path))
