"""`secret-injector doctor`: reach a store step by step, and say at which step it ends and why."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence

import click

from injector import providers
from injector.commands import stores_here
from injector.commands.calling import call, tell
from injector.connection import Connector, Unanswered
from injector.core import errors
from injector.core.errors import FetchFailed, Problem
from injector.core.plan import Read
from injector.core.record import Record
from injector.core.secret import Failure, LoginFailed
from injector.core.stores import Store
from injector.core.stores.address import Address
from injector.deadline import Deadline
from injector.providers import Access, Session

EXAMPLES = """\b
Examples:
  secret-injector doctor vault --path secret/shop/db
  secret-injector doctor local --stores stores.yaml -o json
"""


class Step(Record):
    """One step: what was tried, whether it went well, what is known of it, and how long it took."""

    name: str
    failure: Failure | None
    note: str
    ms: float


class _Failed(Exception):
    """A step did not go well."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.what)


@click.command("doctor", epilog=EXAMPLES)
@click.argument("store")
@click.option("--path", metavar="PATH", help="A secret to read; its keys are shown, no values.")
@click.option(
    "--stores",
    "stores_file",
    metavar="FILE",
    help="Definitions of stores; .secret-injector/stores.yaml if it is there.",
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def _command(store: str, path: str | None, stores_file: str | None, output: str) -> int:
    """Resolve, connect, verify TLS, log in and read, each with its time.

    The exit status is that of the problem: 5 for a login, 6 for what is missing, 7 for a store
    that cannot be reached.
    """
    chosen = stores_here.named(store, stores_here.defined(stores_file))
    steps = []
    for step in _steps(chosen, path):
        steps.append(step)
        if output == "table":
            mark = "ok  " if step.failure is None else "FAIL"
            note = errors.printable(step.note)
            click.echo(f"{mark}  {step.name:<8} {step.ms:>8.1f} ms  {note}"[:100].rstrip())
    if output == "json":
        listed = [
            {"step": s.name, "ok": s.failure is None, "ms": s.ms, "note": s.note} for s in steps
        ]
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    failure = steps[-1].failure
    if failure is None:
        if path is None:
            tell("no path was read: --path PATH tries that too")
        return errors.OK
    problem = Problem(
        code=failure.code,
        what=failure.what,
        source=f"store {store}",
        identity=failure.identity,
        hint=failure.hint,
    )
    raise FetchFailed([problem])


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return call(_command, argv, "doctor")


def _steps(store: Store, path: str | None) -> Iterator[Step]:
    """Yield each step as it is done; the first that fails is the last."""
    access = stores_here.access()
    spec = store.spec
    at = getattr(spec, "address", None)
    done: list[Step] = []

    def step(name: str, work: Callable[[], str]) -> Step:
        began_s = time.perf_counter()
        failure, note = None, ""
        try:
            note = work()
        except _Failed as failed:
            failure, note = failed.failure, failed.failure.what
        ms = round((time.perf_counter() - began_s) * 1000, 1)
        done.append(Step(name=name, failure=failure, note=note, ms=ms))
        return done[-1]

    if isinstance(at, Address):
        connector = Connector(
            at,
            ca_bundle=getattr(spec, "ca_bundle", None),
            server_name=getattr(spec, "server_name", None),
            timeout_s=store.timeout_s,
        )
        until = Deadline.after(access.deadline.bound_s(store.timeout_s))
        for name, work in (
            ("resolve", lambda: _resolve(at)),
            ("connect", lambda: _connect(at, connector, store.timeout_s)),
            ("tls", lambda: _tls(at, connector, until)),
        ):
            yield step(name, work)
            if done[-1].failure is not None:
                return
    with contextlib.ExitStack() as cleanup:
        sessions: list[Session] = []

        def log_in() -> str:
            sessions.append(_log_in(store, access))
            cleanup.callback(sessions[0].close)
            return sessions[0].identity or "opened"

        yield step("log in", log_in)
        if done[-1].failure is None and path is not None:
            yield step("read", lambda: _read(store, sessions[0], path, access.deadline))


def _resolve(at: Address) -> str:
    try:
        found = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)
    except OSError as error:
        what = f"{at.host} has no address: {error.strerror or 'unknown'}".lower()
        hint = "check the name in the address, and this machine's DNS"
        raise _Failed(Failure(code=errors.DOWN, what=what, hint=hint)) from None
    return ", ".join(dict.fromkeys(str(where[0]) for *_, where in found))


def _connect(at: Address, connector: Connector, timeout_s: float) -> str:
    try:
        socket.create_connection((at.host, at.port), timeout=timeout_s).close()
    except OSError as error:
        raise _Failed(connector.explained(error)) from None
    return f"{at.host}:{at.port}"


def _tls(at: Address, connector: Connector, until: Deadline) -> str:
    if at.scheme != "https":
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
        what = f"provider {store.provider} is not part of this installation"
        failure = Failure(code=errors.NOT_SUPPORTED, what=what, hint="install secret-injector[all]")
        raise _Failed(failure) from None


def _read(store: Store, session: Session, path: str, deadline: Deadline) -> str:
    if problem := store.spec.path_problem(path, None, None):
        raise _Failed(Failure(code=errors.REFERENCE, what=problem))
    read = Read(store=0, path=path)
    answer = session.read([read], deadline)[read]
    if isinstance(answer, Failure):
        raise _Failed(answer)
    data = answer.reveal()
    keys = "one value" if isinstance(data, bytes) else f"keys {', '.join(sorted(data))}"
    return keys + (f", version {answer.version}" if answer.version else "")
