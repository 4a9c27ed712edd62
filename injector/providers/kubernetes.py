"""The Secrets of the pod's own namespace, as the kubelet mounted them for us: no API, no RBAC.

Each Secret is a folder `secrets/NAME` with a file per key; only keys that the plan names are there.
The kubelet leaves out what does not exist (the sources are optional), so that we can say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from injector.core import errors, secret
from injector.core.plan import Read
from injector.core.secret import Failure, LoginFailed, Secret
from injector.core.stores import Store
from injector.deadline import Deadline
from injector.providers import Access


def open_session(store: Store, access: Access) -> KubernetesSession:
    """Return a session on the mounted Secrets; raises LoginFailed on a laptop."""
    del store
    if access.sources_dir is None:
        what = "Secrets can be read in a pod only"
        hint = "map the store k8s to local or dotenv on a laptop"
        raise LoginFailed(Failure(code=errors.NOT_SUPPORTED, what=what, hint=hint))
    folders = [access.sources_dir / "secrets"]
    if access.secrets_dir is not None:
        folders.insert(0, access.secrets_dir)
    return KubernetesSession(folders, access.namespace)


class KubernetesSession:
    """See `providers.Session`."""

    def __init__(self, folders: Sequence[Path], namespace: str) -> None:
        """Look for Secrets in the folders, the first one that has it wins."""
        self._folders, self._namespace = folders, namespace
        self.identity = f"the pod in namespace {namespace}"

    def read(self, reads: Sequence[Read], deadline: Deadline) -> Mapping[Read, Secret | Failure]:
        """Read the files; nothing here waits for anybody."""
        del deadline
        return {read: self._one(read.path) for read in reads}

    def close(self) -> None:
        """Nothing is open."""

    def _one(self, name: str) -> Secret | Failure:
        found: dict[str, secret.Json | bytes] = {}
        try:
            # The kubelet's own entries start with two dots; no key of a Secret does.
            folder = next((f / name for f in self._folders if (f / name).is_dir()), None)
            for path in sorted(folder.iterdir()) if folder is not None else ():
                if path.name.startswith(".."):
                    continue
                found[path.name] = secret.text_or_bytes(path.read_bytes())
        except OSError as error:
            return Failure(code=errors.DOWN, what=f"the mounted Secret: {error.strerror}".lower())
        if not found:
            what = f"no such Secret in namespace {self._namespace}, or it lacks the key"
            hint = f"kubectl -n {self._namespace} describe secret {name} lists its keys"
            return Failure(code=errors.MISSING, what=what, hint=hint)
        return Secret(found)
