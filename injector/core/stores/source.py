"""Sources: what our containers mount to prove who they are or to open an encrypted file.

Each becomes one entry of a projected volume that only our containers mount; `path` is where it
stands below that volume's mount point.
"""

from __future__ import annotations

import re

from injector.core.fields import Fields
from injector.core.record import Record

NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
DATA_KEY = re.compile(r"(?!\.\.)(?!\.\Z)[-._a-zA-Z0-9]{1,253}")


class TokenSource(Record):
    """A token of the pod's own ServiceAccount for one audience, renewed by the kubelet."""

    audience: str
    path: str


class SecretSource(Record):
    """One key of a Secret of the pod's namespace; `key` None is all of them, `path` a folder."""

    name: str
    key: str | None
    path: str


class ConfigMapSource(Record):
    """One key of a ConfigMap of the pod's namespace."""

    name: str
    key: str
    path: str


class LocalFile(Record):
    """A file of the machine the command runs on: laptops only."""

    path: str


class ImageFile(Record):
    """A file of the image that our container runs: of one built on ours, with the file in it."""

    path: str


Source = TokenSource | SecretSource | ConfigMapSource
Credential = SecretSource | ConfigMapSource | LocalFile
FileSource = SecretSource | ConfigMapSource | LocalFile | ImageFile
"""Where an encrypted file may be: in the image, too, where no key may be."""

NOT_IN_IMAGE = "the chart's image must be one built with the file, readable by everybody"
"""What to do about an `ImageFile` that cannot be read; waiting brings nothing into an image."""

_MOUNTED = r"/(?:dev|proc|run|secret-injector|sys|var/run)"
_IMAGE_PATH = re.compile(rf"(?!{_MOUNTED}(?:/|\Z))(?:/(?!\.\.?(?:/|\Z))[-A-Za-z0-9._]+)+")


def secret(name: str, key: str | None) -> SecretSource:
    """Return the source for a key of a Secret, at the one place where everybody looks for it."""
    return SecretSource(
        name=name, key=key, path=f"secrets/{name}" + (f"/{key}" if key is not None else "")
    )


def config_map(name: str, key: str) -> ConfigMapSource:
    """Return the source for a key of a ConfigMap, at the one place where everybody looks for it."""
    return ConfigMapSource(name=name, key=key, path=f"configmaps/{name}/{key}")


def token(store: str, audience: str) -> TokenSource:
    """Return the source for the token with which a store is entered."""
    return TokenSource(audience=audience, path=f"tokens/{store}")


def mounted(*sources: Source | FileSource) -> tuple[Source, ...]:
    """Return those that must be mounted: the others are where our program is."""
    return tuple(each for each in sources if not isinstance(each, LocalFile | ImageFile))


def place(source: FileSource) -> str:
    """Return where a file or its key comes from, as messages of its store say it."""
    match source:
        case SecretSource(name=name, key=key):
            return f"Secret {name}, key {key}"
        case ConfigMapSource(name=name, key=key):
            return f"ConfigMap {name}, key {key}"
        case LocalFile(path=path):
            return path
        case ImageFile(path=path):
            return f"{path} of the injector's image"


def take(fields: Fields, name: str, *, in_cluster: bool) -> Credential | None:
    """Take a reference to a credential; None after a problem.

    It is `{secretRef: {name, key}}`, `{configMapRef: {name, key}}` or, on a laptop, `{file: PATH}`.
    """
    found = _take(fields, name, () if in_cluster else ("file",))
    return None if isinstance(found, ImageFile) else found


def take_file(fields: Fields, name: str, *, in_cluster: bool) -> FileSource | None:
    """Take a reference to an encrypted file; in a cluster it may also be `{imagePath: PATH}`."""
    return _take(fields, name, ("imagePath",) if in_cluster else ("file",))


def _take(fields: Fields, name: str, further: tuple[str, ...]) -> FileSource | None:
    child = fields.child(name)
    member = child.one_of(("secretRef", "configMapRef", *further))
    found: FileSource | None = None
    if member == "file":
        found = LocalFile(path=child.text("file"))
    elif member == "imagePath":
        form = "a path such as /secrets/all.yaml, outside of what is mounted"
        path = child.text("imagePath", pattern=_IMAGE_PATH, form=form, longest=1024)
        found = ImageFile(path=path) if path else None
    elif member is not None:
        ref = child.child(member)
        object_name = ref.text("name", pattern=NAME, form="the name of an object")
        key = ref.text("key", pattern=DATA_KEY, form="a key of its data")
        ref.finish()
        found = secret(object_name, key) if member == "secretRef" else config_map(object_name, key)
    child.finish()
    return found
