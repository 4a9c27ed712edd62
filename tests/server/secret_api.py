"""The small API server with Secrets in namespaces, as a person's commands meet them.

It follows https://kubernetes.io/docs/reference/using-api/api-concepts/ (tables, `limit` and
`continue`, updates under a resourceVersion) and
https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/: 404 for
a namespace, 409 for a name that is taken, a resourceVersion or precondition that no longer holds,
422 for what is immutable or lacks its type's keys. The e2e suite uses the real one.
"""

import asyncio
import base64
import json
import re
import threading

from aiohttp import web

from tests.server.apiserver import NAMESPACES, ApiServer

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
_PATH = re.compile(r"/api/v1/namespaces/([^/]+)/secrets(?:/([^/]+))?")
_NAMESPACED = re.compile(r"(.+)/namespaces/([^/]+)/([^/]+)")
_OF_TYPE = {"kubernetes.io/tls": ("tls.crt", "tls.key")}


class SecretApi(ApiServer):
    """Secrets at `/api/v1/namespaces/NS/secrets/NAME`, and collections in one namespace.

    A fault that answers None lets the request be served. `forbidden` are paths that are 403.
    """

    def __init__(self):
        super().__init__()
        self.headers = []
        self.forbidden = set()

    async def put_secret(self, namespace, name, data, **fields):
        """Store a Secret as anybody in the cluster would."""
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
        path = f"/api/v1/namespaces/{namespace}/secrets"
        old = self.objects.get(f"{path}/{name}", {"metadata": {}})["metadata"]
        metadata = {**self._identity(namespace), **old, **fields.pop("metadata", {})}
        whole = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": encoded, **fields}
        await self.put(path, name, metadata=metadata, **whole)

    async def _handle(self, request):
        self.headers.append(dict(request.headers))
        if request.path in self.forbidden:
            return refusal(403, "Forbidden")
        if found := _PATH.fullmatch(request.path):
            return await self._secrets(request, *found.groups())
        inside = _NAMESPACED.fullmatch(request.path)
        if inside is not None and request.path not in self.objects:
            return self._within(request, *inside.groups())
        return await super()._handle(request)

    def _within(self, request, group, namespace, plural):
        """Return the objects of a collection that are in a namespace."""
        self.seen.append(("list", request.path))
        items = [
            item
            for path, item in sorted(self.objects.items())
            if path.rpartition("/")[0] == f"{group}/{plural}"
            and item["metadata"].get("namespace") == namespace
        ]
        return web.json_response({"metadata": {}, "items": items})

    async def _secrets(self, request, namespace, name):
        is_list = request.method == "GET" and name is None
        verb = "list" if is_list else request.method.lower()
        self.seen.append((verb, request.path))
        self.queries.append(dict(request.query))
        for fault in self.faults:
            if fault[0] == verb:
                self.faults.remove(fault)
                answered = await fault[1](request)
                if answered is not None:
                    return answered
                break
        if is_list:
            return self._table(request)
        if name is None:
            return await self._create(namespace, await request.json())
        return await self._one(request, name)

    async def _one(self, request, name):
        if request.path not in self.objects:
            return refusal(404, "NotFound", kind="secrets", name=name)
        if request.method == "PUT":
            return await self._replace(request.path, await request.json())
        if request.method == "DELETE":
            return await self._remove(request.path, await request.json())
        return web.json_response(self.objects[request.path])

    def _table(self, request):
        """Return rows of name and type; `includeObject` says what else is in each of them."""
        assert request.headers["Accept"] == TABLE
        below = [v for k, v in sorted(self.objects.items()) if k.rpartition("/")[0] == request.path]
        begin = int(request.query.get("continue", 0))
        end = begin + int(request.query["limit"])
        rows = [
            {
                "cells": [item["metadata"]["name"], item["type"]],
                "object": self._shown(request, item),
            }
            for item in below[begin:end]
        ]
        columns = [{"name": "Name", "format": "name"}, {"name": "Type", "format": ""}]
        metadata = {"continue": str(end)} if end < len(below) else {}
        table = {"kind": "Table", "metadata": metadata, "columnDefinitions": columns, "rows": rows}
        return web.json_response(table)

    def _shown(self, request, item):
        shown = request.query.get("includeObject", "Metadata")
        return {"None": None, "Metadata": {"metadata": item["metadata"]}, "Object": item}[shown]

    async def _create(self, namespace, item):
        name = item["metadata"]["name"]
        path = f"/api/v1/namespaces/{namespace}/secrets"
        if f"{NAMESPACES}/{namespace}" not in self.objects:
            return refusal(404, "NotFound", kind="namespaces", name=namespace)
        if f"{path}/{name}" in self.objects:
            return refusal(409, "AlreadyExists", kind="secrets", name=name)
        if wrong := _wrong(item):
            return refusal(422, "Invalid", kind="Secret", name=name, fields=wrong)
        item["metadata"] |= self._identity(namespace)
        await self._store("ADDED", path, f"{path}/{name}", item)
        return web.json_response(item, status=201)

    async def _replace(self, path, new):
        old = self.objects[path]
        name = old["metadata"]["name"]
        if new["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
            return refusal(409, "Conflict", kind="secrets", name=name)
        wrong = [*_wrong(new), *(["type"] if new["type"] != old["type"] else [])]
        if old.get("immutable") and new["data"] != old["data"]:
            wrong.append("data")
        if wrong:
            return refusal(422, "Invalid", kind="Secret", name=name, fields=wrong)
        await self._store("MODIFIED", path.rpartition("/")[0], path, new)
        return web.json_response(new)

    async def _remove(self, path, options):
        metadata = self.objects[path]["metadata"]
        for each, wanted in options.get("preconditions", {}).items():
            if metadata[each] != wanted:
                return refusal(409, "Conflict", kind="secrets", name=metadata["name"])
        await self.delete(*path.rsplit("/", 1))
        return web.json_response({"kind": "Status", "status": "Success"})

    def _identity(self, namespace):
        return {
            "namespace": namespace,
            "uid": f"uid-{self.version}",
            "creationTimestamp": "2026-01-31T12:00:00Z",
        }


class Threaded:
    """The server in a thread of its own, for tests that run commands one after the other."""

    def __init__(self, make=SecretApi):
        self.loop = asyncio.new_event_loop()
        self.api = make()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.do(self.api.__aenter__())

    def do(self, work):
        """Return what a coroutine on the server's loop returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def secret(self, namespace, name):
        """Return a Secret as it is stored, or None."""
        item = self.api.objects.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return json.loads(json.dumps(item))

    def close(self):
        self.do(self.api.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def refusal(code, reason, *, kind="", name="", fields=()):
    """Return an error as the API server words it; its messages must never be shown."""
    message = "c4n4ry-of-a-message"
    causes = [{"reason": "FieldValueInvalid", "message": message, "field": f} for f in fields]
    details = {"name": name, "kind": kind, **({"causes": causes} if causes else {})}
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason}
    return web.json_response({**body, "message": message, "details": details}, status=code)


def _wrong(item):
    missing = [k for k in _OF_TYPE.get(item["type"], ()) if k not in item["data"]]
    return [f"data[{key}]" for key in missing]
