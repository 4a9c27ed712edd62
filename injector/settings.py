"""What the pod's programs are told by their environment, which the webhook writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from injector.core import errors
from injector.core.errors import Problem, Refused
from injector.core.record import Record
from injector.logs import LEVELS

PREFIX = "SECRET_INJECTOR_"


class FetchSettings(Record):
    """Settings of `fetch`; the defaults are the mounts and files of the pod and of our image."""

    plan: str
    """The encoded plan."""

    volume_dir: Path = Path("/secret-injector/volume")
    """The memory volume that app containers mount parts of."""

    env_dir: Path = Path("/secret-injector/env")
    """The memory volume that only the kubelet reads."""

    sources_dir: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Projected tokens, keys and files that stores need."""

    secrets_dir: Path = Path("/secret-injector/secrets")
    """Secrets that are read whole, each a folder."""

    launcher: Path = Path("/usr/lib/secret-injector/hand-over/launcher")
    """The static binary to hand to containers."""

    termination_log: Path = Path("/dev/termination-log")
    """Where the kubelet looks for the reason of a failure."""

    log_level: str = "info"
    """The least that is logged: one of `logs.LEVELS`."""

    pod_name: str = ""
    """For the log."""


def fetch_settings(environ: Mapping[str, str]) -> FetchSettings:
    """Return the settings of `fetch`; raises Refused with everything that is wrong."""
    problems = []
    plan = environ.get(PREFIX + "PLAN", "")
    if not plan:
        what = f"{PREFIX}PLAN is not set"
        hint = "the webhook sets it in the containers that it adds; there is nothing to run by hand"
        problems.append(Problem(code=errors.ARGUMENT, what=what, hint=hint))
    log_level = environ.get(PREFIX + "LOG_LEVEL") or "info"
    if log_level not in LEVELS:
        what = f"{PREFIX}LOG_LEVEL is none of {', '.join(LEVELS)}"
        problems.append(Problem(code=errors.ARGUMENT, what=what))
    if problems:
        raise Refused(problems)
    paths = {
        name: Path(environ[PREFIX + name.upper()])
        for name in (
            "volume_dir",
            "env_dir",
            "sources_dir",
            "secrets_dir",
            "launcher",
            "termination_log",
        )
        if environ.get(PREFIX + name.upper())
    }
    pod_name = environ.get("POD_NAME", "")
    return FetchSettings(plan=plan, log_level=log_level, pod_name=pod_name, **paths)
