"""The definition of a `local` store: one age-encrypted file and the key that opens it."""

from __future__ import annotations

import re

from injector.core import reference
from injector.core.fields import Fields
from injector.core.stores import Spec, source
from injector.core.stores.source import (
    ConfigMapSource,
    Credential,
    FileSource,
    LocalFile,
    Source,
)

_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_RECIPIENT = re.compile(r"age1[0-9a-z]{58}")


class Local(Spec):
    """An age file (ConfigMap, image, a path on a laptop) and its identity (Secret, or a path).

    `recipients` are the other readers that a file is written for: laptops only.
    """

    file: FileSource
    identity: Credential
    recipients: tuple[str, ...] = ()

    def sources(self, store: str, audience: str | None) -> tuple[Source, ...]:
        """Return the file and the key to mount."""
        del store, audience
        return source.mounted(self.file, self.identity)

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """Names are plain paths; versions are whole numbers."""
        del field
        if path.startswith("/"):
            return "a name in a local store does not start with a slash"
        if version is not None and not _VERSION.fullmatch(version):
            return "a version is a whole number, such as @3"
        return reference.path_problem(path)


def parse(fields: Fields, *, in_cluster: bool) -> Local:
    """Return the definition; problems go to the fields."""
    nowhere = LocalFile(path="")
    file = source.take_file(fields, "file", in_cluster=in_cluster)
    identity = source.take(fields, "identity", in_cluster=in_cluster)
    if isinstance(identity, ConfigMapSource):
        fields.problem("identity", "must come from a Secret: a ConfigMap is no place for a key")
    recipients: tuple[str, ...] = ()
    if not in_cluster:
        recipients = fields.texts("recipients", pattern=_RECIPIENT, form="an age1... key")
    fields.finish()
    return Local(file=file or nowhere, identity=identity or nowhere, recipients=recipients)
