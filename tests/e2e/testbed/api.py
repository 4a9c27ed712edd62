"""A client of the Kubernetes API on the standard library: one request, one answer, any kind."""

import http.client
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""


class ApiError(Exception):
    """The API server refused a request.

    `status` is the HTTP status, `reason` and `message` are those of the Status object, such as
    "Invalid" and the text of a denied admission.
    """

    def __init__(self, status: int, body: bytes) -> None:
        try:
            parsed: Object = json.loads(body)
        except ValueError:
            parsed = {"message": body.decode(errors="replace")}
        self.status = status
        self.reason: str = parsed.get("reason", "")
        self.message: str = parsed.get("message", "")
        super().__init__(f"{status} {self.reason}: {self.message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the API server answered: the body and the admission warnings, in their order."""

    body: bytes
    warnings: tuple[str, ...]

    def json(self) -> Object:
        """Return the body as an object."""
        parsed: Object = json.loads(self.body)
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of the API: where it lives and whether it has namespaces."""

    api_version: str
    kind: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the path of an object, or of the collection without *name*."""
        root = "/api/v1" if self.api_version == "v1" else f"/apis/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.is_namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Api:
    """Requests to one API server; safe to use from several threads."""

    def __init__(self, server: str, tls: ssl.SSLContext | None) -> None:
        self._address = urlsplit(server)
        self._tls = tls
        self._resources: dict[str, Resource] = {}

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        user: str | None = None,
        groups: tuple[str, ...] = (),
        timeout_s: float = 60,
    ) -> Answer:
        """Send one request, as *user* with *groups* when given. Raises ApiError for a refusal."""
        host, port = self._address.hostname or "", self._address.port
        connection: http.client.HTTPConnection
        if self._tls:
            connection = http.client.HTTPSConnection(
                host, port, context=self._tls, timeout=timeout_s
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        try:
            url = path + (f"?{urlencode(query)}" if query else "")
            connection.putrequest(method, url)
            connection.putheader("Accept", accept)
            if user:
                connection.putheader("Impersonate-User", user)
            for group in groups:
                connection.putheader("Impersonate-Group", group)
            data = b"" if body is None else json.dumps(body).encode()
            if data:
                connection.putheader("Content-Type", content_type)
            connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            response = connection.getresponse()
            content = response.read()
            warnings = response.headers.get_all("Warning") or []
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise ApiError(response.status, content)
        texts = (text for header in warnings for text in _WARNING.findall(header))
        return Answer(body=content, warnings=tuple(re.sub(r"\\(.)", r"\1", t) for t in texts))

    def resource(self, kind: str, api_version: str | None = None) -> Resource:
        """Return the resource for a kind, plural, singular or short name in any case.

        Names are also taken with their group: `deployments.apps`. Raises KeyError for a kind
        that the server does not know, also after asking it again.
        """
        key = f"{api_version or ''} {kind.lower()}"
        if key not in self._resources:
            self._discover()
        return self._resources[key]

    def resources(self) -> tuple[Resource, ...]:
        """Return every kind that the server knows, each once for each version of it."""
        self._discover()
        return tuple(dict.fromkeys(self._resources.values()))

    def _discover(self) -> None:
        found: dict[str, Resource] = {}
        for root in ("/api", "/apis"):
            for group in self.request("GET", root, accept=_DISCOVERY).json()["items"]:
                group_name = group["metadata"].get("name", "")
                for version in group["versions"]:
                    api_version = f"{group_name}/{version['version']}".removeprefix("/")
                    for entry in version.get("resources", []):
                        resource = Resource(
                            api_version=api_version,
                            kind=entry["responseKind"]["kind"],
                            plural=entry["resource"],
                            is_namespaced=entry["scope"] == "Namespaced",
                        )
                        singular = entry.get("singularResource", "")
                        names = {entry["resource"], resource.kind, singular}
                        names.update(entry.get("shortNames", []))
                        for name in filter(None, names):
                            found.setdefault(f"{api_version} {name.lower()}", resource)
                            found.setdefault(f" {name.lower()}", resource)
                            found.setdefault(f" {name.lower()}.{group_name}", resource)
        self._resources = found


def condition(item: Object, name: str) -> str | None:
    """Return the status of a condition, such as True for Ready, or None where there is none."""
    conditions: list[Object] = item.get("status", {}).get("conditions", [])
    return next((str(c["status"]) for c in conditions if c["type"] == name), None)
