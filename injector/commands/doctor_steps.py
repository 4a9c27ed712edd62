"""The steps of `doctor`: reach each server of a store, log in, read; each ends well or says why."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

from injector import providers
from injector.connection import Connector, Unanswered
from injector.core import errors, spellings
from injector.core.plan import Read
from injector.core.record import Record, replace
from injector.core.secret import Failure, LoginFailed
from injector.core.stores import Store
from injector.core.stores.address import Server
from injector.deadline import Deadline
from injector.leaving import Leaving
from injector.providers import Access, Session


class Step(Record):
    """One step: where, what was tried, why it failed if it did, what is known, how long it took.

    `site` is the region or server of a store that has several; files have none.
    """

    site: str
    name: str
    failure: Failure | None
    note: str
    ms: float


class _Failed(Exception):
    """A step did not go well."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.what)


def steps(store: Store, path: str | None, access: Access) -> Iterator[Step]:
    """Yield each step as it is done, of all sites in their order; a failed one is its site's last.

    What reaches the servers is asked of each of them: of that of the login, too, where it is apart.
    """
    for site in store.sites():
        for step in _of_site(replace(store, spec=site.spec), path, access):
            yield replace(step, site=site.name)
            if step.failure is not None:
                break


def _of_site(store: Store, path: str | None, access: Access) -> Iterator[Step]:
    try:
        servers = providers.servers(store)
    except ImportError:
        servers = ()  # the login says so
    for server in servers:
        connector = Connector(server, timeout_s=store.timeout_s)
        until = Deadline.after(access.deadline.bound_s(store.timeout_s))
        yield _step("resolve", _resolve, server)
        yield _step("connect", _connect, server, connector, store.timeout_s)
        yield _step("tls", _tls, server, connector, until)
    leaving = Leaving()
    access = replace(access, leaving=leaving)
    with contextlib.ExitStack() as cleanup:
        sessions: list[Session] = []
        cleanup.callback(leaving.leave, is_lost=True)  # nobody uses what is read here

        def log_in() -> str:
            sessions.append(_log_in(store, access))
            cleanup.callback(sessions[0].close)
            return sessions[0].identity or "opened"

        yield _step("log in", log_in)
        if path is not None:
            yield _step("read", _read, store, sessions[0], path, access.deadline)


def _step(name: str, work: Callable[..., str], *given: object) -> Step:
    began_s = time.perf_counter()
    failure, note = None, ""
    try:
        note = work(*given)
    except _Failed as failed:
        failure, note = failed.failure, failed.failure.what
    ms = round((time.perf_counter() - began_s) * 1000, 1)
    return Step(site="", name=name, failure=failure, note=note, ms=ms)


def _resolve(server: Server) -> str:
    host = server.address.host
    try:
        found = socket.getaddrinfo(host, server.address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        what = f"{host} has no address: {error.strerror or 'unknown'}".lower()
        hint = "check the name in the address, and this machine's DNS"
        raise _Failed(Failure(code=errors.DOWN, what=what, hint=hint)) from None
    return f"{host} is {', '.join(dict.fromkeys(str(where[0]) for *_, where in found))}"


def _connect(server: Server, connector: Connector, timeout_s: float) -> str:
    at = server.address
    try:
        socket.create_connection((at.host, at.port), timeout=timeout_s).close()
    except OSError as error:
        raise _Failed(connector.explained(error)) from None
    return f"{at.host}:{at.port}"


def _tls(server: Server, connector: Connector, until: Deadline) -> str:
    if server.address.scheme != "https":
        return "none: the address is plain http"
    try:
        connection = connector.connect(until)
    except Unanswered as unanswered:
        raise _Failed(unanswered.failure) from None
    except (OSError, ValueError) as error:
        raise _Failed(connector.explained(error)) from None
    connection.wire.shut()
    return "the certificate is trusted and for this name"


def _log_in(store: Store, access: Access) -> Session:
    try:
        return providers.open_session(store, access)
    except LoginFailed as failed:
        raise _Failed(failed.failure) from None
    except ImportError:
        raise _Failed(providers.not_installed(store)) from None


def _read(store: Store, session: Session, path: str, deadline: Deadline) -> str:
    if problem := store.spec.path_problem(path, None, None):
        hint = spellings.of_path(path, store.provider)
        raise _Failed(Failure(code=errors.REFERENCE, what=problem, hint=hint))
    read = Read(store=0, path=path)
    answer = session.read([read], deadline)[read]
    if isinstance(answer, Failure):
        raise _Failed(answer)
    data = answer.reveal()
    keys = "one value" if isinstance(data, bytes) else f"keys {', '.join(sorted(data))}"
    return keys + (f", version {answer.version}" if answer.version else "")
