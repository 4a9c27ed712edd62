"""`secret-injector fetch`: the whole work of the init container.

plan → read every store → render → hand over. The log says what was read, then what was delivered.
Whatever goes wrong goes to the log as a block that people read, and to the termination message for
`kubectl describe pod`.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Sequence

from injector import account, faults, privacy, settings, termination
from injector.core import errors, plan_codec, record
from injector.core.errors import FetchFailed, Problem, Refused
from injector.core.plan import Plan
from injector.core.render import render
from injector.core.reporting import with_next_step
from injector.core.secret import Secret
from injector.deadline import Deadline
from injector.deliver import Volumes, deliver
from injector.fetch import fetch
from injector.leaving import Leaving
from injector.logs import Log
from injector.settings import FetchSettings

_HELP = """\
Usage: secret-injector fetch

Fetch the values of a pod's plan and hand them over. The webhook adds a container
that runs it; it takes no arguments, and its settings from the environment:

  SECRET_INJECTOR_PLAN             the plan, as the webhook encoded it
  SECRET_INJECTOR_VOLUME_DIR       where files and launcher go
  SECRET_INJECTOR_ENV_DIR          where the kubelet's env files go
  SECRET_INJECTOR_SOURCES_DIR      projected tokens, keys and files
  SECRET_INJECTOR_LAUNCHER         the launcher to hand over
  SECRET_INJECTOR_LOG_LEVEL        debug, info (the default), warning or error
  SECRET_INJECTOR_TERMINATION_LOG  where the kubelet looks for the reason of a failure"""


def main(argv: Sequence[str]) -> int:
    """Run the command; raises what went wrong after writing it to the termination message."""
    if list(argv) in (["--help"], ["-h"]):
        sys.stdout.write(_HELP + "\n")
        return errors.OK
    if argv:
        raise Refused([Problem(code=errors.ARGUMENT, what="fetch takes no arguments")])
    privacy.forbid_core_dumps()
    gc.disable()  # a process of milliseconds ends before its garbage is worth looking for
    chosen = settings.fetch_settings(os.environ)
    faults.silence_threads()
    try:
        _run(chosen, Log(sys.stderr, level=chosen.log_level, pod=chosen.pod_name))
    except Exception as error:
        termination.write(faults.problems_of(error), chosen.termination_log)
        raise
    return errors.OK


def _run(chosen: FetchSettings, log: Log) -> None:
    """Do the work, and leave the stores in the end, whatever the end is."""
    p = plan_codec.decode(chosen.plan)
    leaving, is_lost = Leaving(), True
    try:
        _hand_over(p, chosen, log, leaving)
        is_lost = False
    finally:
        leaving.leave(is_lost=is_lost)


def _hand_over(p: Plan, chosen: FetchSettings, log: Log, leaving: Leaving) -> None:
    """Do it in three phases, none of which begins before the one before is complete."""
    volumes = Volumes(volume=chosen.volume_dir, env=chosen.env_dir, launcher=chosen.launcher)
    deadline = Deadline.after(p.deadline_s)
    fetched = fetch(
        p,
        chosen.sources_dir,
        deadline,
        secrets_dir=chosen.secrets_dir,
        leaving=leaving,
        log=log,
    )
    fetched_s = time.monotonic()
    account.tell(log, p.namespace, fetched.reads)
    try:
        rendered = render(p, fetched.answers, today=time.strftime("%Y-%m-%d", time.gmtime()))
    except FetchFailed as failed:
        raise FetchFailed(_with_next_step(failed, p)) from failed
    rendered_s = time.monotonic()
    for container in rendered:
        account.tell_of_keys(log, p, container)
    done = deliver(p, rendered, volumes)
    done_s = time.monotonic()

    log.info(
        "values delivered",
        namespace=p.namespace,
        containers=len(p.containers),
        reads=len(p.reads),
        variables=done.variables,
        files=done.files,
        open_ms=max((store.open_ms for store in fetched.stores), default=0.0),
        read_ms=max((store.read_ms for store in fetched.stores), default=0.0),
        render_ms=_ms(rendered_s - fetched_s),
        deliver_ms=_ms(done_s - rendered_s),
        stores=[record.fields(store) for store in fetched.stores],
    )
    for read, answer in fetched.answers.items():
        if isinstance(answer, Secret) and answer.lease is not None:
            log.warning(
                "nothing renews a lease",
                store=p.stores[read.store].name,
                path=read.path,
                lease_s=answer.lease.duration_s,
                hint="in mode init its credentials end with it, unless the pod has ended before",
            )


def _with_next_step(failed: FetchFailed, p: Plan) -> list[Problem]:
    """Return the problems with what this pod does next, which its restartPolicy decides."""
    step = "the pod retries by itself"
    if not p.is_restarted:
        step = (
            "restartPolicy is Never, so this pod does not retry: what made it has to make another,"
            " or secret-injector.io/deadline lets it wait longer"
        )
    network = f"the pod is part of the mesh {p.mesh}: see docs/meshes.md" if p.mesh else ""
    return with_next_step(failed.problems, step, network=network)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
