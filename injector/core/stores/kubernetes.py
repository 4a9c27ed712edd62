"""The built-in store `k8s`: Secrets of the pod's own namespace, mounted for us alone."""

from __future__ import annotations

from injector.core.fields import Fields
from injector.core.stores import Spec, source
from injector.core.stores.source import Source


class Kubernetes(Spec):
    """Nothing to configure or to log in to: `read_source` says what each reference mounts."""

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """A path is the name of a Secret, a field one of its keys; there are no versions."""
        if not source.NAME.fullmatch(path):
            return "the path is the name of a Secret of the pod's namespace"
        if field is not None and not field.startswith("/") and not source.DATA_KEY.fullmatch(field):
            return "the field is a key of the Secret"
        if version is not None:
            return "Secrets have no versions to pin"
        return None


def parse(fields: Fields, *, in_cluster: bool) -> Kubernetes:
    """Return the definition; problems go to the fields."""
    del in_cluster
    fields.finish()
    return Kubernetes()


def read_source(path: str, field: str | None) -> Source:
    """Return what a reference to the Secret `path` mounts: one key, or all without a field."""
    return source.secret(path, None if field is None or field.startswith("/") else field)
