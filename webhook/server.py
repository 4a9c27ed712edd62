"""Answering: bytes of a review in, bytes of an answer out; and pages for probes and metrics.

Nothing here waits but for the request's own bytes, and nothing connects anywhere. A request passes
(1) method, path and type, (2) size, (3) arrival within the deadline, (4) the decision on one
snapshot, (5) one log line and two metrics.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from time import perf_counter

import structlog
from aiohttp import web
from multidict import CIMultiDict

from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook.core import audit, review
from webhook.core.catalog import Catalog
from webhook.core.review import Outcome, Request
from webhook.metrics import Metrics

log = structlog.get_logger()

Decide = Callable[[Request, Catalog], Outcome]
Page = Callable[[], tuple[HTTPStatus, str, bytes]]
"""Status, content type and body of a plain page."""

JSON = CIMultiDict({"Content-Type": "application/json"})
TEXT = "text/plain; charset=utf-8"
BULKY_BYTES = 256 * 1024
MAX_BULK_BYTES = 48 * 2**20
"""Bulky bodies that may be in memory at once; a review of a pod is two orders smaller."""
MARGIN_S = 0.25
"""An answer must leave so long before the API server's own deadline."""
MAX_ROUTES = 64


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
    ) -> None:
        """Answer each path of the decisions; `catalog` gives the snapshot of the moment."""
        self.is_draining = False
        self._decisions = decisions
        self._catalog = catalog
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._request_timeout_s = request_timeout_s
        self._routes: dict[str, tuple[str, float]] = {}
        self._bulk_bytes = 0

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; never raises but when cancelled."""
        began_s = perf_counter()
        try:
            endpoint, timeout_s = self._route(request)
            body = await self._body(request, timeout_s)
            asked = review.parse(body)
        except _Rejection as rejection:
            response = self._rejected(rejection.status, rejection.problem.line())
        except Refused as refused:
            response = self._rejected(HTTPStatus.BAD_REQUEST, str(refused))
        else:
            response = web.Response(body=self._answer(endpoint, asked, began_s), headers=JSON)
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

    async def _body(self, request: web.BaseRequest, timeout_s: float) -> bytes:
        """Return the whole body, within size (2) and time (3)."""
        content = request.content
        expected = request.content_length
        if expected is not None and expected > self._max_body_bytes:
            raise self._too_large()
        if content.is_eof():
            return content.read_nowait()
        bulk = self._max_body_bytes if expected is None else expected
        if bulk < BULKY_BYTES:
            bulk = 0
        if self._bulk_bytes + bulk > MAX_BULK_BYTES:
            raise _Rejection(HTTPStatus.SERVICE_UNAVAILABLE, "too many large requests at once")
        self._bulk_bytes += bulk
        try:
            async with asyncio.timeout(timeout_s):
                return await request.read()
        except TimeoutError:
            what = f"the review did not arrive within {timeout_s:g} s"
            raise _Rejection(HTTPStatus.REQUEST_TIMEOUT, what) from None
        except web.HTTPRequestEntityTooLarge:
            raise self._too_large() from None
        except (web.RequestPayloadError, ConnectionError):
            raise _Rejection(HTTPStatus.BAD_REQUEST, "the body broke off") from None
        finally:
            self._bulk_bytes -= bulk

    def _answer(self, endpoint: str, asked: Request, began_s: float) -> bytes:
        """Decide (4) and report (5). A fault of our own is a denial: nothing starts without."""
        try:
            outcome = self._decisions[endpoint](asked, self._catalog())
            answer = review.answer(asked, outcome, audit.notes(outcome))
        except Exception as fault:  # noqa: BLE001  # the client gets a code, the log the place
            self._metrics.fault("decide")
            log.error(  # noqa: TRY400  # a message or a local may quote the pod
                "a decision failed", uid=asked.uid[:64], fault=type(fault).__name__, at=place(fault)
            )
            outcome = FAULT
            answer = review.answer(asked, outcome, audit.notes(outcome))
        took_s = perf_counter() - began_s
        self._metrics.answered(endpoint, outcome.kind, outcome.reason, took_s)
        audits = outcome.facts.get("audits")
        if isinstance(audits, list):
            self._metrics.audited(len(audits))
        log.info(
            "review answered",
            **audit.fields(asked, outcome),
            endpoint=endpoint,
            took_ms=round(took_s * 1000, 3),
        )
        return answer

    def _rejected(self, status: HTTPStatus, text: str) -> web.Response:
        self._metrics.rejected(status)
        response = web.Response(status=status, text=text + "\n")
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


class _Rejection(Exception):
    """A request that is not answered as a review: SI-114 with an HTTP status."""

    def __init__(self, status: HTTPStatus, what: str) -> None:
        super().__init__(what)
        self.status = status
        self.problem = Problem(code=errors.REVIEW, what=what)


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


def place(fault: BaseException) -> list[str]:
    """Return the frames of a fault as `file:line function`: code only, none of its values."""
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(fault.__traceback__)
    ]


def _timeout_s(query: str) -> float:
    """Return the time that the API server's `timeout=5s` leaves us; without one, any."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name == "timeout" and value.endswith("s") and value[:-1].isdigit():
            return max(0.1, int(value[:-1]) - MARGIN_S)
    return float("inf")
