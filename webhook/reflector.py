"""One kind of object, followed: list, then watch, as the API server's clients are asked to.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ (efficient detection of
changes, bookmarks, 410 Gone, resourceVersion). In one table:

    seen                                         done
    list answered                                replace all, watch from the list's version
    event                                        apply it, remember its version
    BOOKMARK                                     remember its version
    the server ends the watch, nothing heard     watch again from the last version
    reset, 429, 5xx, other ERROR events          wait (jitter, Retry-After), watch again from there
    410 as status or as ERROR event              wait, list again; what is known stays until then
    404 of an optional kind, never listed        it is not installed: empty, look again later
    404 of an optional kind, listed before       once, it may be the server starting: as 5xx;
                                                 twice in a row, it was removed: empty
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
import structlog

from webhook.api import Api, ApiFailure, TooLarge

log = structlog.get_logger()

PAGE = 500
PAGE_BYTES = 8 * 2**20
"""A page of ordinary objects is a tenth of it; of the largest, 500 would be 750 MB."""
WATCH_S = (240, 300)
"""The server ends a watch after a time between these; all clients at once would be a herd."""
SILENCE_S = 120
"""Bookmarks come about every minute: a watch silent for longer is taken for a dead connection."""
BACKOFF_S = (0.5, 30.0)
ABSENT_S = 20
"""An optional kind that is not installed is looked for so often."""
LIVELY_S = 10
"""A watch that lived so long was a success even without an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What to follow: `form` is decoded from the wire, so unread fields cost nothing.

    `as_metadata` asks for PartialObjectMetadata; an optional kind may be missing in the cluster.
    """

    kind: str
    path: str
    form: Any = dict[str, Any]
    as_metadata: bool = False
    is_optional: bool = False


class Sink(Protocol):
    """Who is told. Objects are in their resource's form."""

    def prepare(self, resource: Resource, item: Any) -> Any:
        """Return what `replace` gets of an object of a list, as soon as its page is there."""

    def replace(self, resource: Resource, objects: Iterable[Any]) -> None:
        """These, as prepared, are all there are."""

    def apply(self, resource: Resource, item: Any) -> None:
        """The object is new or changed."""

    def remove(self, resource: Resource, item: Any) -> None:
        """The object is gone."""


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Version(msgspec.Struct, rename="camel"):
    metadata: _ListMeta


class _Status(msgspec.Struct):
    code: int = 0
    reason: str = ""


_PAGE = msgspec.json.Decoder(_Page)
_EVENT = msgspec.json.Decoder(_Event)
_VERSION = msgspec.json.Decoder(_Version)
_STATUS = msgspec.json.Decoder(_Status)


class Reflector:
    """Follows one resource for ever.

    `is_synced` after the first full list; `heard_at_s` is monotonic.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource,
        sink: Sink,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resource = resource
        self.is_synced = False
        self.heard_at_s: float | None = None
        self._api = api
        self._sink = sink
        self._pause = pause
        self._chance = chance
        self._clock = clock
        self._failures = 0
        self._absences = 0
        self._version = ""
        self._item: msgspec.json.Decoder[Any] = msgspec.json.Decoder(resource.form)

    async def run(self) -> None:
        """List and watch until cancelled. Raises only what is a fault of our own."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except ApiFailure as failure:
                await self._pause(self._wait_s(failure))
            except msgspec.DecodeError:
                self._version = ""
                await self._pause(self._wait_s(ApiFailure(0, "an answer of another form")))

    async def _list(self) -> None:
        """List in pages; one that is too large is asked for again in smaller ones."""
        limit = PAGE
        query: dict[str, str] = {}
        prepared: list[Any] = []
        while True:
            try:
                body = await self._api.get(
                    self.resource.path,
                    {**query, "limit": str(limit)},
                    accept=self._accept("PartialObjectMetadataList"),
                    most_bytes=PAGE_BYTES if limit > 1 else None,
                )
            except TooLarge as large:
                limit = max(1, min(limit * 7 // 8, large.objects - 1))
                continue
            if len(body) < PAGE_BYTES // 4:
                limit = min(PAGE, limit * 2)
            page = _PAGE.decode(body)
            for raw in page.items or ():
                prepared.append(self._sink.prepare(self.resource, self._item.decode(raw)))
                await asyncio.sleep(0)
            if not page.metadata.continue_:
                break
            query["continue"] = page.metadata.continue_
        self._sink.replace(self.resource, prepared)
        self._version = page.metadata.resource_version
        self._heard()
        self._absences = 0
        self.is_synced = True

    async def _watch(self) -> None:
        began = self._clock()
        low, high = WATCH_S
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(int(low + (high - low) * self._chance())),
        }
        lines = self._api.lines(
            self.resource.path,
            query,
            accept=self._accept("PartialObjectMetadata"),
            silence_s=SILENCE_S,
        )
        try:
            async for line in lines:
                self._heard()
                if line:
                    self._take(_EVENT.decode(line))
                    self._failures = 0
        finally:
            await lines.aclose()  # type: ignore[attr-defined]  # it is a generator
            if self._clock() - began >= LIVELY_S:
                self._failures = 0
        if self._clock() - began < LIVELY_S:
            raise ApiFailure(0, "the watch ended early")

    def _take(self, event: _Event) -> None:
        match event.type:
            case "ADDED" | "MODIFIED":
                self._sink.apply(self.resource, self._item.decode(event.object))
            case "DELETED":
                self._sink.remove(self.resource, self._item.decode(event.object))
            case "ERROR":
                status = _STATUS.decode(event.object)
                raise ApiFailure(status.code or 500, status.reason)
            case _:
                pass
        self._version = _VERSION.decode(event.object).metadata.resource_version or self._version

    def _wait_s(self, failure: ApiFailure) -> float:
        """Note the failure, and return how long to wait: full jitter below a doubling limit."""
        if failure.status == HTTPStatus.GONE:
            self._version = ""
        if failure.status == HTTPStatus.NOT_FOUND:
            self._version = ""
            self._absences += 1
            if self.resource.is_optional and (not self.is_synced or self._absences > 1):
                self._sink.replace(self.resource, ())
                self._heard()
                self.is_synced = True
                return ABSENT_S * (0.5 + self._chance())
        self._failures += 1
        if self._failures > 1 or failure.status not in (0, HTTPStatus.GONE):
            log.warning(
                "the API server is not followed",
                kind=self.resource.kind,
                status=failure.status,
                cause=failure.reason,
                failures=self._failures,
            )
        first, last = BACKOFF_S
        limit = min(last, first * 2.0 ** min(self._failures, 10))
        return max(limit * self._chance(), failure.retry_after_s)

    def _heard(self) -> None:
        self.heard_at_s = self._clock()

    def _accept(self, form: str) -> str:
        if not self.resource.as_metadata:
            return "application/json"
        return f"application/json;as={form};g=meta.k8s.io;v=v1"
