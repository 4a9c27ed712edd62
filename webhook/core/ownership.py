"""Programs that refuse a file which is not their user's own, or which others can read.

Where no user is known the files belong to the fetcher and a group reads them. That is enough for
nearly every program; the rows below are of those that look at owner or mode before they read. They
say so in their own log, if at all: `lint` says it before, and what to set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from injector.core import budget, errors
from injector.core.errors import Problem
from injector.core.plan import FileItem, Plan
from webhook.core import pod as pods
from webhook.core import sidecars
from webhook.core.globs import any_matches
from webhook.core.our_container import GROUP
from webhook.core.pod import Container

_HINT = "say the user of the image in secret-injector.io/run-as, or set runAsUser"
_MODE_HINT = f'{_HINT}; then the mode is 0400, or say mode: "0400"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Particular:
    """A program, patterns for its files' names and for its image (none: any), and what it asks."""

    program: str
    files: tuple[str, ...]
    images: tuple[str, ...] = ()
    is_owner_asked: bool = False
    is_mode_asked: bool = True

    @property
    def demand(self) -> str:
        """What it asks of a file, in words for people."""
        owner = "owned by its user" if self.is_owner_asked else ""
        mode = "closed to group and others" if self.is_mode_asked else ""
        return ", ".join(filter(None, (owner, mode)))


def _row(
    program: str, files: str, images: str = "", *, owner: bool = False, mode: bool = True
) -> Particular:
    return Particular(
        program=program,
        files=tuple(files.split()),
        images=tuple(images.split()),
        is_owner_asked=owner,
        is_mode_asked=mode,
    )


PARTICULARS = (
    _row(
        "PostgreSQL (TLS key)",
        "*.key",
        "*postgres* *postgis* *timescaledb* *pgvector* spilo* *pgbouncer* *pgpool*",
        owner=True,
    ),
    _row("psql and libpq (passwords)", ".pgpass pgpass pgpass.conf"),
    _row("OpenSSH server", "authorized_keys*", owner=True, mode=False),
    _row("MongoDB (key file)", "*keyfile* *.key", "*mongo*"),
    _row("RabbitMQ and Erlang (cookie)", ".erlang.cookie", owner=True),
    _row("CockroachDB (keys)", "*.key", "*cockroach*"),
    _row("Java JMX (passwords)", "jmxremote.password", owner=True),
    _row("MySQL clients (login path)", ".mylogin.cnf"),
    _row("MUNGE (key)", "munge.key", owner=True),
    _row("fetchmail and msmtp", ".fetchmailrc .msmtprc msmtprc", owner=True),
    _row("ftp and Python (netrc)", ".netrc", owner=True),
)


def findings(pod: Mapping[str, Any], plan: Plan) -> Iterator[Problem]:
    """Yield a warning for each file of the plan that the program which reads it may refuse."""
    parts = {part.name: part for part in plan.containers}
    for container in pods.containers(pod):
        part = parts.get(container.name)
        for file in part.files if part is not None else ():
            for row in PARTICULARS:
                budget.spend()
                if _is_of(row, container, file) and (what := _why(row, pod, plan, container, file)):
                    yield Problem(
                        code=errors.OWNERSHIP,
                        what=f"{row.program} asks for a file {row.demand}: {what}",
                        source=f"container {container.name}",
                        target=f"file {file.path}",
                        hint=_MODE_HINT if row.is_mode_asked else _HINT,
                    )
                    break


def _is_of(row: Particular, container: Container, file: FileItem) -> bool:
    if not any_matches(file.path.rpartition("/")[2], row.files):
        return False
    image = sidecars.repository_of(str(container.raw.get("image") or ""))
    return not row.images or any(any_matches(part, row.images) for part in image.split("/"))


def _why(
    row: Particular, pod: Mapping[str, Any], plan: Plan, container: Container, file: FileItem
) -> str:
    """Return what the program will not like about the file, or nothing."""
    is_own = plan.group is None or container.user(pod) == GROUP
    mode = file.mode if file.mode is not None else (0o400 if plan.group is None else 0o440)
    found = []
    if row.is_owner_asked and not is_own:
        found.append(f"its owner is {GROUP}")
    if row.is_mode_asked and mode & 0o077:
        found.append(f"its mode is {mode:04o}")
    return ", ".join(found)
