"""The certificates process: the only part that may change the webhook configurations.

It listens on no port and serves nobody: it holds a lease, keeps the Secret with the serving
certificate, and keeps each `caBundle` in step (`webhook/issuer.py`). It needs no probe: without an
answer of the API server it tries again, a fault of its own ends it, and an alarm of the kernel ends
it when it has not come round for `HANG_S`; the kubelet then starts it anew. While it is down
nothing is renewed, for which a third of the certificate's life is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import structlog

from injector.core import errors
from injector.core.errors import OK, Problem, Refused
from webhook import api, logs, published, settings
from webhook.api import ApiFailure
from webhook.issuer import Issuer
from webhook.lease import Lease
from webhook.published import EAGER_S, Identity
from webhook.settings import setting

log = structlog.get_logger()

HOLD_S = 5.0
"""Time between renewals of the lease, a third of its duration."""
HANG_S = 300
"""A process that has not come round for so long is ended; a round's requests take 30 s at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationSettings:
    """Settings of the certificates process; durations are in seconds."""

    kubeconfig: Path | None = setting(
        None, "kubeconfig to reach the cluster with; unset, the pod's own ServiceAccount"
    )
    namespace: str = setting("", "the namespace of the webhook and of this process")
    service: str = setting("secret-injector", "name of the Service the API server calls")
    tls_secret: str = setting("secret-injector-tls", "Secret that holds the certificate")
    mutating_configuration: str = setting(
        "", "MutatingWebhookConfigurations whose caBundles are kept, with commas; empty is none"
    )
    validating_configuration: str = setting(
        "", "ValidatingWebhookConfigurations whose caBundles are kept, with commas; empty is none"
    )
    lease: str = setting(
        "secret-injector-certificates", "Lease of the namespace that elects which replica works"
    )
    pod_name: str = setting("", "name of this replica; empty is the host's name")
    certificate_life_s: float = setting(
        90 * 86400, "validity of a certificate; it is renewed at two thirds"
    )
    tls_check_s: float = setting(15, "how often Secret and caBundles are looked at")
    log_level: str = setting("info", "debug, info, warning or error")


def main(argv: Sequence[str] | None = None) -> int:
    """Keep the certificate until told to stop; return the exit status."""
    try:
        chosen = parse(sys.argv[1:] if argv is None else argv, os.environ)
        logs.set_up(chosen.log_level)
        asyncio.run(keep(chosen))
    except Refused as refused:
        sys.stderr.write("\n".join(problem.render() for problem in refused.problems) + "\n")
        return refused.exit_status
    except Exception as fault:  # noqa: BLE001  # told with its place; the kubelet starts us again
        log.error(  # noqa: TRY400  # a message or a local may quote an object
            "certificates process failed", fault=type(fault).__name__, at=logs.place(fault)
        )
        return errors.INTERNAL
    return OK


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> RotationSettings:
    """Return the settings; raises Refused (SI-201) with everything that is wrong."""
    chosen, problems = settings.read(
        RotationSettings,
        argv,
        environ,
        command="certificates",
        purpose="Keep the webhook's serving certificate and the caBundles that trust it.",
    )
    wrong = settings.not_above_zero(chosen, ("_check_s", "_life_s"))
    wrong += [
        f"--{name} is needed"
        for name in ("namespace", "service", "lease")
        if not getattr(chosen, name)
    ]
    if chosen.log_level not in settings.LEVELS:
        wrong.append("--log-level must be debug, info, warning or error")
    problems += [Problem(code=errors.ARGUMENT, what=what) for what in wrong]
    if problems:
        raise Refused(problems)
    return chosen


async def keep(chosen: RotationSettings) -> None:
    """Hold the lease and do rounds until SIGTERM or SIGINT. Raises Refused without a cluster."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    async with await api.reach(chosen.kubeconfig) as server:
        lease = Lease(
            server,
            namespace=chosen.namespace,
            name=chosen.lease,
            identity=f"{chosen.pod_name or socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        )
        identity = Identity(
            namespace=chosen.namespace,
            service=chosen.service,
            secret=chosen.tls_secret,
            configurations=published.configurations(
                chosen.mutating_configuration, chosen.validating_configuration
            ),
        )
        keeper = Keeper(lease, Issuer(server, identity, life_s=chosen.certificate_life_s))
        log.info("certificates process started", configurations=list(identity.configurations))
        while not stop.is_set():
            signal.alarm(HANG_S)
            pause_s = await keeper.turn(loop.time(), every_s=chosen.tls_check_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)
        signal.alarm(0)
    log.info("certificates process stopped")


class Keeper:
    """Rounds of the issuer while the lease is held; `is_leading` is the last turn's finding."""

    def __init__(self, lease: Lease, keeper: Issuer) -> None:
        self.is_leading = False
        self._lease = lease
        self._issuer = keeper
        self._done_s = float("-inf")

    async def turn(self, now_s: float, *, every_s: float) -> float:
        """Renew the lease and do a round if one is due; return the time until the next turn."""
        try:
            is_held = await self._lease.try_hold()
            if is_held != self.is_leading:
                self.is_leading = is_held
                log.info("leading" if is_held else "not leading")
            if is_held and now_s - self._done_s >= every_s:
                await self._issuer.round()
                self._done_s = now_s
        except ApiFailure as failure:
            if failure.status != HTTPStatus.CONFLICT:
                log.warning("certificate not kept", status=failure.status, cause=failure.reason)
            return EAGER_S
        return min(HOLD_S, every_s)
