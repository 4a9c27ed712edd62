"""The definition of a `sops` store: one file that SOPS encrypted, and what opens it."""

from __future__ import annotations

import re

from injector.core import reference
from injector.core.fields import Fields
from injector.core.stores import Spec, aws, source
from injector.core.stores.aws import Aws
from injector.core.stores.source import (
    ConfigMapSource,
    Credential,
    FileSource,
    ImageFile,
    LocalFile,
    Source,
)

FORMATS = ("yaml", "json", "dotenv", "ini", "binary")
_FORMAT = re.compile("|".join(FORMATS))
_SUFFIXES = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".env": "dotenv"}
_SUFFIXES |= {".ini": "ini"}


class Sops(Spec):
    """A file (ConfigMap, Secret, image, a path on a laptop), its format, and what opens it.

    Either `identity`, an age key, or `kms`, how AWS KMS is reached and entered; the other is None.
    """

    file: FileSource
    format: str
    identity: Credential | None
    kms: Aws | None = None

    def sources(self, store: str, audience: str | None) -> tuple[Source, ...]:
        """Return the file, and the key or the token, to mount."""
        needed = (self.file,) if self.identity is None else (self.file, self.identity)
        mounted = source.mounted(*needed)
        return mounted if self.kms is None else (*mounted, *self.kms.sources(store, audience))

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """A path is the keys from the top of the file down, with slashes between them.

        Entries of lists have numbers, and a slash within a key may be written `~1`.
        """
        del field
        if path.startswith("/"):
            return "the path in a file does not start with a slash"
        if path == "sops" or path.startswith("sops/"):
            return "the key sops holds SOPS's own data"
        if version is not None:
            return "a file has no versions to pin"
        return reference.written_problem(path, is_quoted=False)


def parse(fields: Fields, *, in_cluster: bool) -> Sops:
    """Return the definition; problems go to the fields."""
    nowhere = LocalFile(path="")
    file = source.take_file(fields, "file", in_cluster=in_cluster)
    form = fields.text("format", default="", pattern=_FORMAT, form=", ".join(FORMATS))
    if file is not None and not form:
        form = _by_suffix(file)
        if not form:
            what = "is required where the file's name has none of .yaml, .yml, .json, .env, .ini"
            fields.problem("format", what)
    identity, kms = None, None
    if fields.one_of(("identity", "kms")) == "kms":
        kms = aws.parse_key_service(fields.child("kms"), in_cluster=in_cluster)
    else:
        identity = source.take(fields, "identity", in_cluster=in_cluster) or nowhere
    if isinstance(identity, ConfigMapSource):
        fields.problem("identity", "must come from a Secret: a ConfigMap is no place for a key")
    fields.finish()
    return Sops(file=file or nowhere, format=form, identity=identity, kms=kms)


def _by_suffix(file: FileSource) -> str:
    name = file.path if isinstance(file, LocalFile | ImageFile) else file.key or ""
    return next((form for suffix, form in _SUFFIXES.items() if name.endswith(suffix)), "")
