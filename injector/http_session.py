"""HTTP to one store, on the standard library's `http.client`: a few kept connections, strict rules.

It has what providers need and nothing to switch off: TLS of at least 1.2, always verified; no
proxies from the environment; no redirect followed; the peer's IP address judged before a byte is
sent; every try bounded in time, however slowly bytes trickle in; no body read beyond the limit. It
looks enough like a `requests.Session` for hvac to work on it, and costs a fraction of the imports.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from injector.connection import Connection, Connector, Unanswered
from injector.core import errors, secret
from injector.core.secret import Failure, Json, NotJson
from injector.core.stores.address import Server
from injector.deadline import Deadline

MAX_CONNECTIONS = 4


class Answer:
    """A response read to its end; its body never prints. Has what hvac asks of a response."""

    __slots__ = ("_body", "headers", "status_code")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Keep the three; header names are in lower case."""
        self.status_code, self.headers, self._body = status, headers, body

    @property
    def ok(self) -> bool:
        """Say whether the status is one of success."""
        return http.client.OK <= self.status_code < http.client.MULTIPLE_CHOICES

    @property
    def is_redirect(self) -> bool:
        """Say whether the server sends us elsewhere (RFC 9110, 15.4)."""
        return http.client.MULTIPLE_CHOICES <= self.status_code < http.client.BAD_REQUEST

    @property
    def is_empty(self) -> bool:
        """Say whether there is no body."""
        return not self._body

    def json(self) -> Json:
        """Return the body, which must be declared as JSON and be it; raises Unanswered."""
        media = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json":
            what = f"the answer is {media[:60] or 'of no stated type'}, not JSON"
            raise Unanswered(Failure(code=errors.CONTENT, what=what))
        try:
            return secret.parse_json(self._body)
        except NotJson as error:
            what = f"the answer cannot be read: {error}"
            raise Unanswered(Failure(code=errors.CONTENT, what=what)) from None

    def content(self) -> bytes:
        """Return the body as it came, for who parses it; it may hold values."""
        return self._body

    def mentions(self, phrase: str) -> bool:
        """Say whether a known phrase, in lower case, occurs in the body: to tell errors apart."""
        return phrase.encode() in self._body.lower()

    @property
    def retry_after_s(self) -> float | None:
        """The wait that the server asks for; see `retry_after_s`."""
        return retry_after_s(self.headers)

    def __repr__(self) -> str:
        """The status alone."""
        return f"<Answer {self.status_code}>"


def retry_after_s(headers: Mapping[str, object]) -> float | None:
    """Return the wait that Retry-After asks for, in seconds or as a date; None without one.

    Header names are in lower case (RFC 9110, 10.2.3).
    """
    wait = str(headers.get("retry-after", "")).strip()[:64]
    if wait.isascii() and wait.isdecimal():
        return float(wait[:9])
    if not wait:
        return None
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(wait).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


class Pool:
    """Kept connections to one server; threads may share it.

    `timeout_s` bounds one try; `deadline` is set by whoever asks next.
    """

    def __init__(
        self, server: Server, *, timeout_s: float, deadline: Deadline, is_judged: bool = True
    ) -> None:
        """Prepare; connections are made when needed. `is_judged` is as for `Connector`."""
        self._timeout_s, self.deadline = timeout_s, deadline
        self._connector = Connector(server, timeout_s=timeout_s, is_judged=is_judged)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections that are idle; one in use is closed by its user's return."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.wire.shut()

    def exchange(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """Return the answer to one question, whatever its status; raises Unanswered.

        `target` is sent as it is.
        """
        connection = self._kept()
        until = Deadline.after(self.deadline.bound_s(self._timeout_s))
        try:
            if connection is not None:
                try:
                    return self._exchange(connection, until, method, target, headers, body)
                except (ConnectionError, ssl.SSLEOFError):
                    # Most likely the server closes kept connections just now: ask once on a new
                    # one, unless the question must not be asked twice.
                    if method != "GET":
                        raise
            connection = self._connector.connect(until)
            return self._exchange(connection, until, method, target, headers, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unanswered(self._connector.explained(error)) from None

    def _kept(self) -> Connection | None:
        """Return an idle connection that the server has not closed meanwhile, if there is one."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or not connection.wire.is_stale():
                return connection
            connection.wire.shut()

    def _exchange(
        self,
        connection: Connection,
        until: Deadline,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        """Ask and read the whole answer; the connection is kept, or closed after any trouble."""
        is_kept = False
        try:
            connection.wire.until = until
            connection.request(method, target, body=body, headers=dict(headers))
            response = connection.getresponse()
            data = response.read(secret.MAX_DOCUMENT_BYTES + 1)
            if len(data) > secret.MAX_DOCUMENT_BYTES:
                raise Unanswered(Failure(code=errors.BODY, what="the answer is larger than 8 MiB"))
            if response.length:
                raise http.client.IncompleteRead(b"")
            is_kept = response.isclosed() and not response.will_close
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, data)
        finally:
            if is_kept:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.wire.shut()


class HttpSession(Pool):
    """Requests to one server. Each has a successful answer, or Unanswered.

    `judge` says in the provider's words why an answer (4xx, 5xx) is no success.
    """

    verify = cert = proxies = None
    """What hvac looks for in a session; TLS is set up here, and nowhere else."""

    def __init__(
        self,
        server: Server,
        *,
        timeout_s: float,
        deadline: Deadline,
        judge: Callable[[Answer], Failure],
    ) -> None:
        """Prepare; connections are made when needed."""
        super().__init__(server, timeout_s=timeout_s, deadline=deadline)
        self.judge = judge

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        data: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        **unused: Any,
    ) -> Answer:
        """Return the answer to one request below the address; raises Unanswered.

        The path of `url` is sent as it is; `params` hold plain words only; `data` is a form's.
        """
        del unused  # hvac passes on what it would tell requests about TLS, proxies and redirects
        target = url.partition("://")[2].partition("/")[2]
        query = "&".join(f"{name}={value}" for name, value in (params or {}).items())
        answer = self.exchange(
            method.upper(),
            f"/{target}" + (f"?{query}" if query else ""),
            headers={"Accept": "application/json", **_content(json, data), **(headers or {})},
            body=_encode(json, data),
        )
        if answer.is_redirect:
            host = answer.headers.get("location", "").partition("://")[2].partition("/")[0]
            what = (
                f"it redirects to {host.rpartition('@')[2][:120] or 'another path'}, not followed"
            )
            hint = "give the address that answers itself"
            raise Unanswered(Failure(code=errors.DOWN, what=what, hint=hint))
        if not answer.ok:
            raise Unanswered(self.judge(answer))
        return answer


def _content(document: object, form: Mapping[str, str] | None) -> dict[str, str]:
    if form is not None:
        return {"Content-Type": "application/x-www-form-urlencoded"}
    return {} if document is None else {"Content-Type": "application/json"}


def _encode(document: object, form: Mapping[str, str] | None) -> bytes | None:
    if form is not None:
        return urlencode(form).encode()
    return None if document is None else json.dumps(document).encode()
