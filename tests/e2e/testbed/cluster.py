"""What the tests hold: a Kubernetes cluster, through its API and kubectl."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from tests.e2e.testbed import cache
from tests.e2e.testbed.api import Answer, Api, ApiError, Object, Resource
from tests.e2e.testbed.api import condition as status_of
from tests.e2e.testbed.process import TooLateError, run, until

FIELD_MANAGER = "e2e"
_GONE = 404

Manifest = str | Object | Iterable[Object]
"""YAML with any number of documents, one object, or several."""


class Cluster:
    """A cluster, however it was started.

    Objects are plain dicts. *kind* is a kind, plural or short name, with its group when that is
    needed: `Pod`, `svcsec`, `deployments.apps`. A refused request raises ApiError, something that
    does not come in time TooLateError with the object's status and events. Waits poll.

    `server` and `ca_pem` are the API server's address and authority as seen from the node,
    `node_ip` is where Vault listens, `host_ip` where servers of the tests listen for pods.
    """

    server: str
    ca_pem: str
    node_ip: str
    host_ip: str

    def __init__(self, api: Api, kubeconfig: Path) -> None:
        self.api = api
        self.kubeconfig = kubeconfig

    @property
    def env(self) -> dict[str, str]:
        """The environment for programs that find the cluster by KUBECONFIG."""
        path = f"{cache.bin_dir()}{os.pathsep}{os.environ.get('PATH', '')}"
        return {"KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002
        """Run kubectl and return its standard output; CommandFailedError holds both outputs."""
        return run(self._kubectl, *arguments, input=input, env=self.env, check=check).decode()

    # --- objects ---------------------------------------------------------------------------

    def apply(self, manifest: Manifest, namespace: str | None = None) -> list[Object]:
        """Create or change objects by server-side apply and return them as stored.

        *namespace* is for objects that name none.
        """
        return [
            self._send("PATCH", item, namespace, dry_run=False).json() for item in _parse(manifest)
        ]

    def create(
        self, manifest: Manifest, namespace: str | None = None, *, dry_run: bool = False
    ) -> Answer:
        """Create exactly one object; the answer also holds the admission warnings."""
        (item,) = _parse(manifest)
        return self._send("POST", item, namespace, dry_run=dry_run)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """Return one object; ApiError with status 404 when there is none."""
        return self.api.request("GET", self.api.resource(kind).path(namespace, name)).json()

    def find(self, kind: str, namespace: str | None = None, *, selector: str = "") -> list[Object]:
        """Return the objects of a kind, in *namespace* or everywhere, that match a selector."""
        query = {"labelSelector": selector}
        path = self.api.resource(kind).path(namespace)
        items: list[Object] = self.api.request("GET", path, query=query).json()["items"]
        return items

    def patch(self, kind: str, name: str, changes: Object, namespace: str | None = None) -> Answer:
        """Change an object by a JSON merge patch."""
        path = self.api.resource(kind).path(namespace, name)
        merge = "application/merge-patch+json"
        return self.api.request("PATCH", path, changes, content_type=merge)

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        grace_s: int | None = None,
        timeout_s: float = 60,
    ) -> None:
        """Delete an object and wait until it is gone; an absent one is fine."""
        path = self.api.resource(kind).path(namespace, name)
        options = {"propagationPolicy": "Background"}
        if grace_s is not None:
            options |= {"gracePeriodSeconds": grace_s}  # type: ignore[dict-item]
        if not self._exists(path):
            return
        self.api.request("DELETE", path, options)
        until(lambda: not self._exists(path), what=f"{path} is gone", timeout_s=timeout_s)

    # --- waiting ---------------------------------------------------------------------------

    def wait(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        until_true: Callable[[Object], object],
        what: str = "the condition",
        timeout_s: float = 60,
    ) -> Object:
        """Return the object once *until_true* of it is true; an absent object is "not yet"."""

        def attempt() -> Object | None:
            item = self.get(kind, name, namespace)
            return item if until_true(item) else None

        return until(
            attempt,
            what=f"{what} for {kind} {namespace or ''}/{name}",
            timeout_s=timeout_s,
            retry_on=(ApiError, OSError),
            explain=lambda: self.explain(kind, name, namespace),
        )

    def wait_condition(
        self,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        condition: str = "Ready",
        timeout_s: float = 60,
    ) -> Object:
        """Return the object once its status has *condition* with the status True."""
        return self.wait(
            kind,
            name,
            namespace,
            until_true=lambda item: status_of(item, condition) == "True",
            what=f"condition {condition}",
            timeout_s=timeout_s,
        )

    def wait_finished(self, pod: str, namespace: str, *, timeout_s: float = 60) -> Object:
        """Return the pod once its phase is Succeeded or Failed; assert on which one yourself."""
        return self.wait(
            "Pod",
            pod,
            namespace,
            until_true=lambda item: item["status"].get("phase") in {"Succeeded", "Failed"},
            what="the end",
            timeout_s=timeout_s,
        )

    def explain(self, kind: str, name: str, namespace: str | None = None) -> str:
        """Return an object's status and events as text, for error messages."""
        try:
            status = self.get(kind, name, namespace).get("status", {})
            events = self.events(name, namespace) if namespace else []
        except (ApiError, OSError) as error:
            return str(error)
        lines = [f"{event['reason']}: {event['message']}" for event in events]
        return "\n".join([json.dumps(status, indent=1), *lines])

    # --- pods ------------------------------------------------------------------------------

    def exec(self, pod: str, container: str, *command: str, namespace: str) -> bytes:
        """Run a command in a container and return its output as bytes."""
        target = ("--namespace", namespace, pod, "--container", container)
        return run(self._kubectl, "exec", *target, "--", *command, env=self.env)

    def logs(self, pod: str, container: str, namespace: str, *, previous: bool = False) -> bytes:
        """Return what a container, or its previous run, wrote to stdout and stderr."""
        path = self.api.resource("Pod").path(namespace, pod) + "/log"
        query = {"container": container, "previous": str(previous).lower()}
        return self.api.request("GET", path, query=query, accept="*/*").body

    def events(self, name: str, namespace: str) -> list[Object]:
        """Return the events about an object, oldest first."""
        path = self.api.resource("Event", "v1").path(namespace)
        query = {"fieldSelector": f"involvedObject.name={name}"}
        items: list[Object] = self.api.request("GET", path, query=query).json()["items"]
        return sorted(items, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    def token(
        self, service_account: str, namespace: str, *, audience: str = "", seconds: int = 3600
    ) -> str:
        """Return a token of a ServiceAccount for *audience* (default: the API server)."""
        path = self.api.resource("ServiceAccount").path(namespace, service_account) + "/token"
        spec: Object = {"expirationSeconds": seconds, "audiences": [audience] if audience else []}
        answer = self.api.request("POST", path, {"spec": spec})
        token: str = answer.json()["status"]["token"]
        return token

    # --- inside ----------------------------------------------------------------------------

    @property
    def _kubectl(self) -> str:
        own = cache.bin_dir() / "kubectl"
        return str(own) if own.exists() else shutil.which("kubectl") or "kubectl"

    def _exists(self, path: str) -> bool:
        try:
            self.api.request("GET", path)
        except ApiError as error:
            if error.status == _GONE:
                return False
            raise
        return True

    def _send(self, method: str, item: Object, namespace: str | None, *, dry_run: bool) -> Answer:
        resource = self._resource_of(item)
        metadata: Mapping[str, Any] = item["metadata"]
        place = metadata.get("namespace") or namespace or "default"
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        if method == "POST":
            return self.api.request("POST", resource.path(place), item, query=query)
        path = resource.path(place, quote(metadata["name"]))
        apply = "application/apply-patch+yaml"
        return self.api.request(
            method, path, item, query=query | {"force": "true"}, content_type=apply
        )

    def _resource_of(self, item: Object) -> Resource:
        """Find an object's resource; a kind whose definition was just applied may take a moment."""
        return until(
            lambda: self.api.resource(item["kind"], item["apiVersion"]),
            what=f"the API serves {item['apiVersion']} {item['kind']}",
            timeout_s=10,
            retry_on=(KeyError,),
        )


def _parse(manifest: Manifest) -> list[Object]:
    if isinstance(manifest, str):
        return [item for item in yaml.safe_load_all(manifest) if item]
    return [manifest] if isinstance(manifest, dict) else list(manifest)


__all__ = ["Answer", "ApiError", "Cluster", "Manifest", "Object", "TooLateError"]
