"""A small API server on loopback: what a client of lists, watches and single objects can meet.

It follows https://kubernetes.io/docs/reference/using-api/api-concepts/: lists with resourceVersion,
`limit` and `continue`; watches with bookmarks, 410 as status and as ERROR event; updates under a
resourceVersion (409), JSON Patch whose `test` fails (422). The e2e suite uses the real one.
"""

import asyncio
import base64
import contextlib
import json
from collections import deque

import jsonpatch
from aiohttp import web

from webhook import api

STORES = "/apis/secret-injector.io/v1alpha1/clustersecretstores"
PIECE_BYTES = 256 * 1024
"""Of a list: what is larger is not put together first."""
NAMESPACES = "/api/v1/namespaces"
NODES = "/api/v1/nodes"


class ApiServer:
    """Objects by path, the events that made them, and faults to answer with.

    `faults` holds (verb, answer) pairs, used up in order by the next requests of that verb: "list",
    "watch", "get", "put", "patch"; an answer is an async function of the request. `seen` are the
    requests as (verb, path). `collections` exist; any other list is 404.
    """

    def __init__(self):
        self.collections = {STORES, NAMESPACES, NODES}
        self.objects = {}
        self._texts = {}
        self.version = 100
        self.oldest = 0
        self.events = []
        self.faults = deque()
        self.seen = []
        self.queries = []
        self.accepts = []
        self.watches = []
        self._changed = asyncio.Condition()

    async def __aenter__(self):
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        await self.end_watches()
        await self._runner.cleanup()

    async def connect(self):
        """Return a client of this server."""
        return await api.connect(None, f"http://127.0.0.1:{self.port}")

    async def put(self, path, name, **fields):
        """Store an object of a collection as anybody in the cluster would."""
        key = f"{path}/{name}"
        kind = "MODIFIED" if key in self.objects else "ADDED"
        metadata = {"name": name, **fields.pop("metadata", {})}
        item = json.loads(json.dumps({"metadata": metadata, **fields}))  # no part is shared
        await self._store(kind, path, key, item)

    async def delete(self, path, name):
        """Delete an object."""
        item = self.objects.pop(f"{path}/{name}")
        await self._store("DELETED", path, f"{path}/{name}", item)

    async def bookmark(self, path):
        """Move every watch of a collection to the newest version without an object."""
        self.version += 1
        item = {"metadata": {"resourceVersion": str(self.version)}}
        await self.emit(path, "BOOKMARK", item)

    async def emit(self, path, kind, item):
        """Send any event to the watches of a collection."""
        async with self._changed:
            self.events.append((self.version, path, kind, json.loads(json.dumps(item))))
            self._changed.notify_all()

    def compact(self):
        """Forget all history: watches from before now are 410."""
        self.oldest = self.version

    async def end_watches(self):
        """End every watch as the server does when its time is over."""
        await self._end(lambda _: None)

    async def reset_watches(self):
        """Break every watch in the middle."""
        await self._end(lambda request: request.transport.abort())

    async def _end(self, how):
        async with self._changed:
            for request in self.watches:
                how(request)
            self.watches.clear()
            self._changed.notify_all()

    async def _store(self, kind, path, key, item):
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        if kind != "DELETED":
            self.objects[key] = item
        await self.emit(path, kind, item)

    async def _handle(self, request):
        path = request.path
        is_collection = request.method == "GET" and path not in self.objects
        verb = request.method.lower()
        if is_collection:
            verb = "watch" if request.query.get("watch") else "list"
        self.seen.append((verb, path))
        self.queries.append(dict(request.query))
        self.accepts.append((verb, path, request.headers["Accept"]))
        for fault in self.faults:
            if fault[0] == verb:
                self.faults.remove(fault)
                return await fault[1](request)
        if is_collection:
            if path not in self.collections:
                return status(404, "NotFound")
            return await (self._watch(request) if verb == "watch" else self._list(request))
        if path not in self.objects:
            return status(404, "NotFound")
        return await self._single(request, path)

    async def _list(self, request):
        items = [v for k, v in sorted(self.objects.items()) if k.rpartition("/")[0] == request.path]
        begin = int(request.query.get("continue", 0))
        end = begin + int(request.query["limit"])
        metadata = {"resourceVersion": str(self.version)}
        if end < len(items):
            metadata["continue"] = str(end)
        texts = [self._encoded(item) for item in items[begin:end]]
        head = b'{"metadata":%b,"items":' % json.dumps(metadata).encode()
        if sum(map(len, texts)) < PIECE_BYTES:
            # Go writes an empty list of a missing slice as null.
            body = head + (b"[%b]" % b",".join(texts) if texts else b"null") + b"}"
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # it may be more than was wanted
            await response.write(head + b"[" + texts[0])
            for text in texts[1:]:
                await response.write(b"," + text)
            await response.write_eof(b"]}")
        return response

    def _encoded(self, item):
        """Return an object as JSON, made once: a real server answers lists from bytes, too."""
        known = self._texts.get(id(item))
        if known is None or known[0] is not item:
            known = self._texts[id(item)] = (item, json.dumps(item).encode())
        return known[1]

    async def _watch(self, request):
        since = int(request.query["resourceVersion"])
        if since < self.oldest:
            return status(410, "Expired")
        response = web.StreamResponse()
        await response.prepare(request)
        self.watches.append(request)
        position = 0
        while request in self.watches:
            fresh, position = self.events[position:], len(self.events)
            for version, path, kind, item in fresh:
                if path == request.path and version > since:
                    line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
                    half = len(line) // 2  # lines come in pieces
                    await response.write(line[:half])
                    await asyncio.sleep(0)
                    await response.write(line[half:])
            async with self._changed:
                while request in self.watches and len(self.events) == position:
                    await self._changed.wait()
        return response

    async def _single(self, request, path):
        item = self.objects[path]
        collection, _, _ = path.rpartition("/")
        if request.method == "PUT":
            new = await request.json()
            if new["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                return status(409, "Conflict")
            await self._store("MODIFIED", collection, path, new)
        elif request.method == "PATCH":
            try:
                new = jsonpatch.apply_patch(item, await request.json())
            except jsonpatch.JsonPatchTestFailed:
                return status(422, "Invalid")
            await self._store("MODIFIED", collection, path, new)
        return web.json_response(self.objects[path])


def status(code, reason, **headers):
    """Return an error as the API server words it; its message must never be shown."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": "canary-of-a-message"}
    return web.json_response(body, status=code, headers=headers)


def answer(code, reason, **headers):
    """Return a fault that answers with an error."""

    async def fault(_request):
        return status(code, reason, **headers)

    return fault


def decoded(text):
    """Return the bytes of a Secret's or caBundle's text."""
    return base64.b64decode(text)


async def until(claim, limit_s=5):
    """Wait until the claim holds; fail when it does not in time."""
    async with asyncio.timeout(limit_s):
        while not claim():  # noqa: ASYNC110  # what is awaited belongs to others
            await asyncio.sleep(0.005)
