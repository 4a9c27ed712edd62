"""The webhook process: settings in, parts put together, served until SIGTERM.

Three listeners: reviews over TLS for the API server; health for the kubelet and metrics for
Prometheus in plain HTTP on ports of their own, so that a network policy can tell the three callers
apart, and no probe needs the certificate whose state it reports. Health and metrics have a thread
of their own, and so has what follows the cluster: neither waits for a decision (ADR 13).

On SIGTERM: not ready at once, then a grace in which reviews are still answered, each with
`Connection: close`, while the cluster stops sending; then no new connections, the last answers,
exit 0. A second signal cuts the grace short.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path

import structlog

from injector.core import errors
from injector.core.errors import OK, Problem, Refused
from webhook import beside, connections, garbage, logs, offline, readiness, settings
from webhook.beside import Beside, Pulse
from webhook.callers import FOUND, Callers
from webhook.connections import Server
from webhook.core import final_state, workloads
from webhook.core.catalog import Catalog
from webhook.core.decide import decide
from webhook.core.recent import Recent
from webhook.core.review import Outcome, Request
from webhook.core.validate import validate
from webhook.crowd import Network
from webhook.listener import ContextFor
from webhook.metrics import CONTENT_TYPE, Metrics
from webhook.namespaces import Arrivals
from webhook.server import Admission, pages
from webhook.settings import Settings
from webhook.tls import ClientCa, Files, ServingCertificate

log = structlog.get_logger()

RESTART_S = 2.0
"""Pause before a part that failed by a fault of our own is started again."""
SPARE_DESCRIPTORS = 64
"""Descriptors that are not for connections: listeners, watches, files."""
ROLLOUT_S = 600.0
"""Time after the start in which replicas of another release may still be there: a Deployment's own
limit for progress."""
CLOSE_S = 1.0
"""Time for the last answers when the grace is over, beyond what a request may take to arrive."""

Part = Callable[[], Awaitable[None]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the webhook until it is told to stop; return the exit status."""
    try:
        chosen = settings.parse(sys.argv[1:] if argv is None else argv, os.environ)
        logs.set_up(chosen.log_level)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(chosen))
    except Refused as refused:
        sys.stderr.write("\n".join(problem.render() for problem in refused.problems) + "\n")
        return refused.exit_status
    return OK


async def serve(chosen: Settings) -> None:
    """Serve until SIGTERM or SIGINT, and drain. Raises Refused when it cannot begin."""
    stop = asyncio.Queue[None]()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.put_nowait, None)

    beside.share_fairly()
    metrics = Metrics()
    serving = ServingCertificate()
    pulse = Pulse()
    parts: dict[str, Part] = {}
    checks: dict[str, readiness.Check] = {}
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(garbage.in_rounds())
        probes = stack.enter_context(Beside("probes", _loop_factory()))
        arrivals, recent = Arrivals(), Recent(time.monotonic)
        catalog = await _sources(chosen, metrics, serving, parts, checks, stack, arrivals, recent)
        callers = _callers(chosen, metrics, serving, parts)
        admission = Admission(
            _decisions(chosen, recent),
            catalog,
            metrics,
            max_body_bytes=chosen.max_body_bytes,
            request_timeout_s=chosen.request_timeout_s,
            callers=callers,
            arrivals=arrivals,
        )
        checks["certificate dates"] = lambda: (
            "" if serving.is_valid(datetime.now(UTC)) else "no certificate that is valid now"
        )
        checks["serving"] = lambda: (
            "draining" if admission.is_draining else pulse.trouble(beside.LATE_S)
        )
        parts["pulse"] = pulse.run
        parts["garbage"] = partial(garbage.run, admission.deciding.between)
        stack.callback(admission.deciding.close)
        _watch(metrics, serving)
        metrics.gauge("reviews_waiting", "Reviews that wait for their turn.").set_function(
            lambda: admission.deciding.waiting
        )

        server = _server(chosen, admission, without_share=chosen.api_server_cidrs)
        checks["connections"] = lambda: server.crowd.why_full
        metrics.gauge("requests_in_flight", "Requests being answered.").set_function(
            lambda: server.in_flight
        )
        parts["sweep"] = server.sweep
        side = _sides(metrics, checks, pulse)
        distrust = partial(_distrust, chosen, serving, callers)
        port = _listen(server, chosen.host, chosen.port, serving.context_for, distrust)
        ports = {"reviews": port}
        metrics.watch_connections("reviews", server.crowd)
        others = [
            await probes.run(_probing(chosen, metrics, "health", chosen.health_port, side)),
            await probes.run(_probing(chosen, metrics, "metrics", chosen.metrics_port, side)),
        ]
        ports |= {other.name: other.port for other in others}
        tasks = [loop.create_task(_kept(n, p, metrics), name=n) for n, p in parts.items()]
        log.info("webhook started", **ports)
        # What lives from here on lives for ever: later collections need not look at it.
        gc.collect()
        gc.freeze()

        await stop.get()
        admission.is_draining = True
        log.info("webhook draining", grace_s=chosen.drain_grace_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.get(), chosen.drain_grace_s)
        server.close()
        await server.drain(chosen.request_timeout_s + CLOSE_S)
        for other in others:
            await probes.run(other.close())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    log.info("webhook stopped")


def _decisions(
    chosen: Settings, recent: Recent
) -> Mapping[str, Callable[[Request, Catalog], Outcome]]:
    injection, images = chosen.injection(), chosen.images()
    is_enforced = chosen.final_state == "deny"
    started_s = time.monotonic()

    def validated(asked: Request, catalog: Catalog) -> Outcome:
        # Pods come here, too, and not to a path of their own: replicas of a release that did not
        # judge them let them pass while an upgrade goes on, instead of answering 404.
        if workloads.is_workload(asked):
            return workloads.judge(asked, catalog, injection)
        if asked.kind.kind != "Pod":
            return validate(asked, catalog)
        snapshots = (catalog, *recent.before())
        is_new = time.monotonic() - started_s < ROLLOUT_S
        return final_state.judge(
            asked, snapshots, injection, images, is_enforced=is_enforced, is_new=is_new
        )

    return {
        "/mutate": lambda asked, catalog: decide(asked, catalog, injection),
        "/validate": validated,
    }


async def _sources(
    chosen: Settings,
    metrics: Metrics,
    serving: ServingCertificate,
    parts: dict[str, Part],
    checks: dict[str, readiness.Check],
    stack: contextlib.AsyncExitStack,
    arrivals: Arrivals,
    recent: Recent,
) -> Callable[[], Catalog]:
    """Connect catalog and certificate to where they come from; return how to get the snapshot."""
    if chosen.tls_cert is not None and chosen.tls_key is not None:
        files = Files(serving, chosen.tls_cert, chosen.tls_key)
        _read_now(files, chosen.tls_cert)
        parts["certificate files"] = partial(files.follow, every_s=chosen.tls_poll_s)
    if chosen.catalog is not None:
        fixed = offline.load(chosen.catalog)
        return lambda: fixed

    from webhook import inside  # loads the Kubernetes client, which offline use has no need of

    following = stack.enter_context(Beside("cluster", _loop_factory()))
    return await inside.connect(
        chosen,
        metrics,
        serving,
        parts,
        checks,
        stack,
        following,
        arrivals,
        on_replaced=recent.replaced,
    )


def _callers(
    chosen: Settings, metrics: Metrics, serving: ServingCertificate, parts: dict[str, Part]
) -> Callers | None:
    """Begin to ask for client certificates, if they are wanted; return who judges their names."""
    if chosen.client_ca is None:
        return None
    ca = ClientCa(serving, chosen.client_ca)
    _read_now(ca, chosen.client_ca)
    parts["client CA"] = partial(ca.follow, every_s=chosen.tls_poll_s)
    for found in FOUND:
        metrics.called(found, 0)
    return Callers(
        frozenset(chosen.client_names),
        is_required=chosen.client_mode == "require",
        count=metrics.called,
    )


def _distrust(
    chosen: Settings, serving: ServingCertificate, callers: Callers | None, peer: str
) -> None:
    """Count a certificate that failed its handshake; in mode report, let the peer in next time."""
    if callers is not None:
        callers.distrust(peer)
        if chosen.client_mode == "report":
            serving.be_lenient_to(peer)


def _read_now(files: Files | ClientCa, path: Path) -> None:
    """Load at the start. Raises Refused when that cannot be."""
    try:
        files.load()
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        problem = Problem(code=errors.ARGUMENT, what=what or "unreadable", source=str(path))
        raise Refused([problem]) from None


def _sides(
    metrics: Metrics, checks: Mapping[str, readiness.Check], pulse: Pulse
) -> Mapping[str, connections.Handler]:
    return {
        "health": pages(
            {
                "/healthz": lambda: readiness.alive(pulse.trouble(beside.HUNG_S)),
                "/readyz": lambda: readiness.ready(checks),
            }
        ),
        "metrics": pages({"/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE, metrics.render())}),
    }


def _server(
    chosen: Settings, handler: connections.Handler, without_share: Sequence[Network] = ()
) -> Server:
    return Server(
        handler,
        head_timeout_s=chosen.head_timeout_s,
        idle_timeout_s=chosen.idle_timeout_s,
        max_connections=min(chosen.max_connections, _descriptors() - SPARE_DESCRIPTORS),
        max_body_bytes=chosen.max_body_bytes,
        without_share=without_share,
    )


def _descriptors() -> int:
    """Return how many descriptors the process may open, having asked for all it can get."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else sys.maxsize


def _listen(
    server: Server,
    host: str,
    port: int,
    context_for: ContextFor | None = None,
    on_distrust: Callable[[str], None] = lambda _peer: None,
) -> int:
    try:
        return server.listen(host, port, context_for, on_distrust)[0]
    except OSError as error:
        where = f"{host or '*'}:{port}"
        what = error.strerror or "cannot listen"
        raise Refused([Problem(code=errors.ARGUMENT, what=what, source=where)]) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probed:
    """A server that lives in the probes' loop."""

    name: str
    port: int
    server: Server
    sweeping: asyncio.Task[None]

    async def close(self) -> None:
        self.server.close()
        self.sweeping.cancel()


async def _probing(
    chosen: Settings,
    metrics: Metrics,
    name: str,
    port: int,
    handlers: Mapping[str, connections.Handler],
) -> _Probed:
    server = _server(chosen, handlers[name])
    found = _listen(server, chosen.host, port)
    metrics.watch_connections(name, server.crowd)
    sweeping = asyncio.create_task(_kept(f"sweep of {name}", server.sweep, metrics))
    return _Probed(name=name, port=found, server=server, sweeping=sweeping)


async def _kept(name: str, part: Part, metrics: Metrics) -> None:
    """Run a part for ever: a fault of our own in one must not end the others."""
    while True:
        try:
            await part()
        except Exception as fault:  # noqa: BLE001  # reported with its place, then begun again
            metrics.fault(name)
            first: BaseException = fault
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            log.error(  # noqa: TRY400  # a message or a local may quote an object
                "a part failed", part=name, fault=type(first).__name__, at=logs.place(first)
            )
        await asyncio.sleep(RESTART_S)


def _watch(metrics: Metrics, serving: ServingCertificate) -> None:
    metrics.gauge(
        "certificate_expiry_timestamp_seconds", "When the served certificate expires."
    ).set_function(lambda: serving.pair.not_after.timestamp() if serving.pair is not None else 0)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
