"""Writing Secrets of one namespace of a cluster, as the person whom the kubeconfig names.

A change reads, computes and replaces under the resourceVersion that it read, so nobody else's is
lost. https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/
has the endpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from injector import kubeconfig
from injector.connection import Unanswered
from injector.core import errors, secret_object
from injector.core.errors import FetchFailed, Problem
from injector.core.secret import Failure
from injector.core.secret_object import Unreadable
from injector.core.stores import Store
from injector.providers import Access
from injector.writers import Change, Data, Held, OnMachine, Past, api_server, refused
from injector.writers.api_refusal import CONFLICT, NOT_FOUND, ApiRefusal
from injector.writers.api_server import ApiServer

_ATTEMPTS = 5
_PAGE = 500
_TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
_METHODS = {"get": "GET", "list": "GET", "create": "POST", "update": "PUT", "delete": "DELETE"}


def open_writer(store: Store, access: Access) -> KubernetesWriter:
    """Return a writer for the namespace named, or else that of the context; raises Refused."""
    if not isinstance(access, OnMachine):
        raise TypeError(store.name)
    chosen = kubeconfig.chosen(access.kubeconfig, access.context)
    namespace = chosen.namespace if access.cluster_namespace is None else access.cluster_namespace
    if problems := secret_object.namespace_problems(namespace):
        raise FetchFailed(problems)
    return KubernetesWriter(api_server.connect(chosen), store.name, namespace, access)


class KubernetesWriter:
    """See `writers.Writer` and `writers.OfNamespace`."""

    def __init__(self, server: ApiServer, name: str, namespace: str, access: OnMachine) -> None:
        """Write as whom the server takes us for."""
        self.namespace = namespace
        self._server, self._name, self._tell = server, name, access.tell

    def names(self, folder: str = "") -> Sequence[str]:
        """Return all names, from a table without objects.

        Metadata alone would not do: `kubectl apply` keeps a copy of the values in an annotation.
        """
        del folder
        query = {"limit": str(_PAGE), "includeObject": "None"}
        found: list[str] = []
        while True:
            table = self._asked("list", "", query=query, accept=_TABLE)
            formats = [column.get("format") for column in table.get("columnDefinitions") or ()]
            if "name" not in formats:
                failure = Failure(code=errors.CONTENT, what="the answer is no table with names")
                raise refused(failure, self._place(""))
            at = formats.index("name")
            found += [str(row["cells"][at]) for row in table.get("rows") or ()]
            following = (table.get("metadata") or {}).get("continue")
            if not following:
                return sorted(found)
            query["continue"] = following

    def read(self, name: str, version: str | None = None) -> Held | None:
        """Return the values; to ask for a version is refused."""
        if version is not None:
            what = "Kubernetes keeps no versions of a Secret, only what it holds now"
            hint = "a file for secret apply can hold what may be needed again"
            failure = Failure(code=errors.NOT_SUPPORTED, what=what, hint=hint)
            raise refused(failure, self._place(name))
        raw = self._found(name)
        return None if raw is None else Held(data=self._data(raw, name), version="")

    def history(self, name: str) -> Sequence[Past]:
        """Return the one state that there is."""
        raw = self._found(name)
        if raw is None:
            return []
        created = str((raw.get("metadata") or {}).get("creationTimestamp") or "")
        keys = tuple(sorted(self._data(raw, name)))
        return [Past(version="", created=created, state=secret_object.state(raw), keys=keys)]

    def change(self, name: str, change: Change) -> str:
        """Create, replace or delete the Secret as it was read; else begin again."""
        for _ in range(_ATTEMPTS):
            raw = self._found(name)
            before = None if raw is None else self._data(raw, name)
            after = change(before)
            if before is None and after is None:
                return ""
            if before is not None and after is not None and secret_object.is_same(before, after):
                return ""
            if self._wrote(name, raw, after):
                keeper = secret_object.keeper(raw or {})
                if keeper:
                    self._tell(f"warning: {self._place(name)}: {keeper}, and may undo this")
                return ""
        what = f"somebody else changed the Secret meanwhile, {_ATTEMPTS} times"
        raise refused(Failure(code=errors.DOWN, what=what), self._place(name))

    def close(self) -> None:
        """Leave."""
        self._server.close()

    def _wrote(self, name: str, raw: Mapping[str, Any] | None, after: Data | None) -> bool:
        """Write, unless the Secret is no longer the one that was read; say which it was.

        there   to be   request                      no longer the one
        no      yes     POST                         409 AlreadyExists
        yes     yes     PUT with resourceVersion     409 Conflict, 404
        yes     no      DELETE with preconditions    409 Conflict, 404
        """
        if after is not None:
            self._check(name, raw, after)
        verb = "create" if raw is None else "delete" if after is None else "update"
        body = _options(raw or {}) if after is None else secret_object.changed(raw, name, after)
        try:
            self._ask(verb, "" if raw is None else name, body=body)
        except ApiRefusal as refusal:
            if refusal.status == CONFLICT or (refusal.status == NOT_FOUND and raw is not None):
                return False
            raise self._refused(refusal, verb, name) from None
        return True

    def _check(self, name: str, raw: Mapping[str, Any] | None, after: Data) -> None:
        """Raise FetchFailed for all that Kubernetes would refuse."""
        problems = secret_object.problems(name, after)
        if raw is not None and secret_object.is_immutable(raw):
            what = "it is immutable: nobody can change its values"
            hint = "set one of another name and refer to that, or delete this one first"
            source = self._place(name)
            problems.append(Problem(code=errors.NOT_SUPPORTED, what=what, source=source, hint=hint))
        if problems:
            raise FetchFailed(problems)

    def _found(self, name: str) -> dict[str, Any] | None:
        if problems := secret_object.problems(name, {}):
            raise FetchFailed(problems)
        try:
            return self._ask("get", name)
        except ApiRefusal as refusal:
            if refusal.status == NOT_FOUND:
                return None
            raise self._refused(refusal, "get", name) from None

    def _data(self, raw: Mapping[str, Any], name: str) -> dict[str, str | bytes]:
        try:
            return secret_object.data_of(raw)
        except Unreadable as error:
            failure = Failure(code=errors.CONTENT, what=str(error))
            raise refused(failure, self._place(name)) from None

    def _asked(self, verb: str, name: str, **options: Any) -> dict[str, Any]:
        try:
            return self._ask(verb, name, **options)
        except ApiRefusal as refusal:
            raise self._refused(refusal, verb, name) from None

    def _ask(self, verb: str, name: str, **options: Any) -> dict[str, Any]:
        """Return the answer; raises ApiRefusal, and FetchFailed without one."""
        path = f"/api/v1/namespaces/{self.namespace}/secrets" + (f"/{name}" if name else "")
        try:
            return self._server.ask(_METHODS[verb], path, **options)
        except Unanswered as failed:
            raise refused(failed.failure, self._place(name)) from None

    def _refused(self, refusal: ApiRefusal, verb: str, name: str) -> FetchFailed:
        return refused(refusal.failure(verb, self.namespace), self._place(name))

    def _place(self, name: str) -> str:
        return f"{self._name} {self.namespace}/{name}"


def _options(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options by which only the Secret that was read is deleted."""
    metadata = raw.get("metadata") or {}
    only = {each: metadata[each] for each in ("uid", "resourceVersion") if each in metadata}
    return {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": only}
