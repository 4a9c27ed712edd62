"""Answering: bytes of a review in, bytes of an answer out; and pages for probes and metrics.

Nothing here waits but for the request's own bytes, for word of a namespace that is a moment old
(`namespaces.py`) and for its turn, and nothing connects anywhere. A request passes (1) method, path
and type, (2) size, (3) arrival within the deadline, (4) the decision on one snapshot, in its turn
and within a budget, (5) one log line and two metrics.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from time import perf_counter

import structlog
from aiohttp import web
from aiohttp.streams import StreamReader
from multidict import CIMultiDict

from injector.core import errors
from injector.core.budget import OverBudget
from injector.core.errors import Problem, Refused
from webhook import logs
from webhook.bulk import Bulk
from webhook.callers import Callers
from webhook.core import audit, review, shapes, workloads
from webhook.core.catalog import Catalog
from webhook.core.review import Outcome, Request
from webhook.deciding import Deciding, TooLate, TooMany
from webhook.metrics import Metrics
from webhook.namespaces import Arrivals

log = structlog.get_logger()

Decide = Callable[[Request, Catalog], Outcome]
Page = Callable[[], tuple[HTTPStatus, str, bytes]]
"""Status, content type and body of a plain page."""

JSON = CIMultiDict({"Content-Type": "application/json"})
TEXT = "text/plain; charset=utf-8"
BULKY_BYTES = 128 * 1024
"""Bodies from this size on wait for a place; a review of a pod is an order smaller."""
MAX_COMMAS = 65_536
"""Of a large body: about as many values. 128 containers of 40 variables and 40 mounts have 26,000.

Walking through more takes tens of milliseconds in one piece, in which nobody else is served.
"""
FIRST_BYTES = 4096
"""So much of a large body is read before its turn, to see whose it is."""
MARGIN_S = 0.25
"""An answer must leave so long before the API server's own deadline."""
MAX_ROUTES = 64
MAX_REFUSAL = 1024
"""Characters of an answer to what is no review."""
NEWS_S = 1.0
"""So long a review may wait for what another replica has heard already."""
MINOR_NEWS_S = 0.25
"""So long a workload may wait for what was stored just before it."""
NEWS_POLL_S = 0.02
MOST_NEWS = 3
"""So often a decision is made again: a catalog may change all the time."""

_NAMESPACE = re.compile(rb'"namespace":"([-a-z0-9]{1,63})"')


class Admission:
    """The handler of /mutate and /validate; when `is_draining`, it closes after each answer."""

    def __init__(
        self,
        decisions: Mapping[str, Decide],
        catalog: Callable[[], Catalog],
        metrics: Metrics,
        *,
        max_body_bytes: int,
        request_timeout_s: float,
        deciding: Deciding | None = None,
        callers: Callers | None = None,
        arrivals: Arrivals | None = None,
    ) -> None:
        """Answer each path of the decisions; `catalog` gives the snapshot of the moment.

        With `callers`, those without an allowed certificate get no answer.
        """
        self._callers = callers
        self.is_draining = False
        self.deciding = deciding or Deciding()
        self._arrivals = arrivals or Arrivals()
        self._bulk = Bulk()
        self._decisions = decisions
        self._catalog = catalog
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._request_timeout_s = request_timeout_s
        self._routes: dict[str, tuple[str, float]] = {}

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; never raises but when cancelled."""
        began_s = perf_counter()
        try:
            endpoint, timeout_s = self._route(request)
            self._admit(request)
            until_s = began_s + timeout_s
            if (request.content_length or 0) > self._max_body_bytes:
                raise self._too_large()
            if request.content.is_eof():
                body = request.content.read_nowait()
                answer = await self._answer(endpoint, body, request, began_s, until_s)
            else:
                async with self._arrived(request, timeout_s) as body:
                    answer = await self._answer(endpoint, body, request, began_s, until_s)
            response = web.Response(body=answer, headers=JSON)
        except _Rejection as rejection:
            response = self._rejected(rejection.status, rejection.problem.line())
        except Refused as refused:
            response = self._rejected(HTTPStatus.BAD_REQUEST, str(refused))
        if self.is_draining:
            response.force_close()
        return response

    def _route(self, request: web.BaseRequest) -> tuple[str, float]:
        """Return endpoint and time limit of a request that may be a review (1)."""
        raw = request.raw_path
        route = self._routes.get(raw)
        if route is None:
            path, _, query = raw.partition("?")
            if path not in self._decisions:
                raise _Rejection(HTTPStatus.NOT_FOUND, "no such page; reviews go to /mutate")
            route = (path, min(self._request_timeout_s, _timeout_s(query)))
            if len(self._routes) < MAX_ROUTES:
                self._routes[raw] = route
        if request.method != "POST":
            raise _Rejection(HTTPStatus.METHOD_NOT_ALLOWED, "a review is sent with POST")
        headers = request.headers
        kind = headers.get("Content-Type", "")
        if kind != "application/json" and kind.partition(";")[0].strip() != "application/json":
            raise _Rejection(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a review is application/json")
        if headers.get("Content-Encoding", "identity") != "identity":
            raise _Rejection(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a review is sent uncompressed")
        return route

    def _admit(self, request: web.BaseRequest) -> None:
        """Refuse a caller whose certificate is not allowed, before its body is read."""
        if self._callers is not None:
            certificate = request.get_extra_info("peercert")
            why = self._callers.refusal(certificate, request.get_extra_info("peername"))
            if why:
                raise _Rejection(HTTPStatus.FORBIDDEN, why, errors.CALLER)

    @contextlib.asynccontextmanager
    async def _arrived(self, request: web.BaseRequest, timeout_s: float) -> AsyncIterator[bytes]:
        """Yield the whole body, within size (2) and time (3).

        A large one waits for a place, in its namespace's turn and with all but its first bytes
        unread, and keeps the place until it is answered.
        """
        content, expected = request.content, request.content_length
        until = asyncio.timeout(timeout_s)
        try:
            async with contextlib.AsyncExitStack() as stack, until:
                first = await self._read(content, FIRST_BYTES)
                if expected is None or expected >= BULKY_BYTES:
                    await stack.enter_async_context(self._bulk.place(_hint(first)))
                body = first + await self._rest(content, first)
                until.reschedule(None)  # what follows knows its time by itself
                yield body
        except TooMany:
            what = "too many large reviews of one namespace wait"
            raise _Rejection(HTTPStatus.TOO_MANY_REQUESTS, what, errors.QUEUE_FULL) from None
        except TimeoutError:
            what = f"the review did not arrive within {timeout_s:g} s"
            raise _Rejection(HTTPStatus.REQUEST_TIMEOUT, what) from None
        except (web.RequestPayloadError, ConnectionError):
            raise _Rejection(HTTPStatus.BAD_REQUEST, "the body broke off") from None

    async def _rest(self, content: StreamReader, first: bytes) -> bytes:
        """Return what follows the first bytes; what is too large or too much is not read on."""
        parts, count, commas = [], len(first), first.count(b",")
        while part := await content.readany():
            parts.append(part)
            count += len(part)
            commas += part.count(b",")
            if count > self._max_body_bytes:
                raise self._too_large()
            if commas > MAX_COMMAS and count >= BULKY_BYTES:
                self._metrics.over_budget("review")
                what = f"the review has more than {MAX_COMMAS} values"
                raise _Rejection(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, what, errors.WORK)
        return b"".join(parts)

    @staticmethod
    async def _read(content: StreamReader, least: int) -> bytes:
        """Return so many bytes of the body or somewhat more; fewer when it ends before."""
        parts, count = [], 0
        while count < least and (part := await content.readany()):
            parts.append(part)
            count += len(part)
        return b"".join(parts)

    async def _answer(
        self,
        endpoint: str,
        body: bytes,
        request: web.BaseRequest,
        began_s: float,
        until_s: float,
    ) -> bytes:
        """Decide (4) and report (5). A fault of our own is a denial: nothing starts without.

        Workloads are only warned about: whatever happens here lets them pass.
        """
        head = review.head(body)
        asked: Request | None = None
        is_minor = workloads.is_workload(head)
        answer = b""

        def decided() -> tuple[Request, Outcome, bytes]:
            asked = review.parse(body)
            outcome = self._decided(endpoint, asked)
            return asked, outcome, review.answer(asked, outcome, audit.notes(outcome))

        def is_over() -> bool:
            return perf_counter() > until_s or request.transport is None

        within_s = until_s - perf_counter() - MARGIN_S
        await self._arrivals.settle(head, self._catalog, within_s=within_s)
        try:
            asked, outcome, answer = await self._with_news(
                partial(
                    self.deciding.decide,
                    head.namespace,
                    decided,
                    is_over=is_over,
                    is_long=len(body) >= BULKY_BYTES,
                    is_minor=is_minor,
                ),
                min(until_s, began_s + (MINOR_NEWS_S if is_minor else NEWS_S)),
            )
        except (TooMany, TooLate) as busy:
            outcome = QUEUE_FULL if isinstance(busy, TooMany) else LATE
        except OverBudget as over:
            self._metrics.over_budget("review")
            outcome = DELETED if head.operation == "DELETE" else _over(over)
        except Refused:
            raise
        except Exception as fault:  # noqa: BLE001  # the client gets a code, the log the place
            self._metrics.fault("decide")
            log.error(  # noqa: TRY400  # a message or a local may quote the pod
                "a decision failed",
                uid=head.uid[:64],
                fault=type(fault).__name__,
                at=logs.place(fault),
            )
            outcome = FAULT
        if is_minor and outcome.kind == "deny":
            outcome = workloads.passed(outcome)
        answer = answer or review.answer(head, outcome, audit.notes(outcome))
        took_s = perf_counter() - began_s
        self._metrics.answered(endpoint, outcome.kind, outcome.reason, took_s)
        audits = outcome.facts.get("audits")
        if isinstance(audits, list):
            self._metrics.audited(len(audits))
        log.info(
            "review answered",
            **audit.fields(asked or head, outcome),
            endpoint=endpoint,
            took_ms=round(took_s * 1000, 3),
        )
        return answer

    def _decided(self, endpoint: str, asked: Request) -> Outcome:
        """Decide. Raises Refused (SI-114) for an object that no API server sends."""
        try:
            return self._decisions[endpoint](asked, self._catalog())
        except (OverBudget, Refused):
            raise
        except Exception:
            what = shapes.mistake(asked.kind.kind, asked.object, asked.old_object)
            if not what:
                raise  # a fault of our own
            raise Refused([Problem(code=errors.REVIEW, what=what)]) from None

    async def _with_news(
        self, decide: Callable[[], Awaitable[tuple[Request, Outcome, bytes]]], until_s: float
    ) -> tuple[Request, Outcome, bytes]:
        """Decide, and decide again when news come that the decision awaits; off the turns."""
        for _ in range(MOST_NEWS):
            catalog = self._catalog()
            found = await decide()
            if not found[1].awaits_news:
                return found
            while self._catalog() is catalog:
                if perf_counter() > until_s:
                    return found
                await asyncio.sleep(NEWS_POLL_S)
        return await decide()

    def _rejected(self, status: HTTPStatus, text: str) -> web.Response:
        self._metrics.rejected(status)
        if status == HTTPStatus.BAD_REQUEST:
            self._metrics.malformed()
        # Whatever a stranger sent is not sent back at length.
        response = web.Response(status=status, text=text[:MAX_REFUSAL] + "\n")
        response.force_close()
        return response

    def _too_large(self) -> _Rejection:
        what = f"the review is larger than {self._max_body_bytes} bytes"
        return _Rejection(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, what)


FAULT = Outcome(
    kind="deny",
    reason="fault",
    problems=(
        Problem(
            code=errors.INTERNAL_ERROR,
            what="the webhook failed to decide about this object",
            hint="its log has a line with the request's uid; please report it with that line",
        ),
    ),
)


DELETED = Outcome(
    kind="allow",
    reason="over_budget",
    warnings=("secret-injector: to work out who refers to this object exceeds the budget",),
    facts={"codes": [errors.WORK.id]},
)
"""What cannot be worked out about a deletion does not prevent it: it may be the way out."""
QUEUE_FULL = Outcome(
    kind="deny",
    reason="queue_full",
    problems=(
        Problem(code=errors.QUEUE_FULL, what="too many reviews of this namespace wait already"),
    ),
    facts={"codes": [errors.QUEUE_FULL.id]},
)
LATE = Outcome(
    kind="deny",
    reason="too_late",
    problems=(
        Problem(code=errors.TOO_LATE, what="the time for this review was over before its turn"),
    ),
    facts={"codes": [errors.TOO_LATE.id]},
)


class _Rejection(Exception):
    """A request that is not answered as a review: a code, mostly SI-114, with an HTTP status."""

    def __init__(self, status: HTTPStatus, what: str, code: errors.Code = errors.REVIEW) -> None:
        super().__init__(what)
        self.status = status
        self.problem = Problem(code=code, what=what)


def _over(over: OverBudget) -> Outcome:
    return Outcome(
        kind="deny",
        reason="over_budget",
        problems=over.problems,
        facts={"codes": [errors.WORK.id]},
    )


def _hint(first: bytes) -> str:
    """Return the namespace that the first bytes name: who waits for a place, and nothing else."""
    found = _NAMESPACE.search(first[:FIRST_BYTES])
    return found[1].decode() if found else ""


def pages(table: Mapping[str, Page]) -> Callable[[web.BaseRequest], Awaitable[web.Response]]:
    """Return a handler of plain pages by path, for GET and HEAD."""

    async def handle(request: web.BaseRequest) -> web.Response:
        page = table.get(request.raw_path.partition("?")[0])
        if page is None:
            return web.Response(status=HTTPStatus.NOT_FOUND, text="no such page\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED, text="GET only\n")
        status, kind, body = page()
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    return handle


def _timeout_s(query: str) -> float:
    """Return the time that the API server's `timeout=5s` leaves us; without one, any."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name == "timeout" and value.endswith("s") and value[:-1].isdigit():
            return max(0.1, int(value[:-1]) - MARGIN_S)
    return float("inf")
