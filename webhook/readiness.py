"""Whether this replica may be sent reviews, or must be restarted, and why: /readyz and /healthz."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

Check = Callable[[], str]
"""Returns why not, or nothing when all is well."""


def ready(checks: Mapping[str, Check]) -> tuple[HTTPStatus, str, bytes]:
    """Return the page: every check on a line, 503 when one of them says why not."""
    findings = {name: check() for name, check in checks.items()}
    status = HTTPStatus.SERVICE_UNAVAILABLE if any(findings.values()) else HTTPStatus.OK
    lines = [f"{name}: {why or 'ok'}\n" for name, why in findings.items()]
    return status, "text/plain; charset=utf-8", "".join(lines).encode()


def alive(trouble: str) -> tuple[HTTPStatus, str, bytes]:
    """Return the page that says whether the process must be restarted, and why."""
    status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
    return status, "text/plain; charset=utf-8", f"{trouble or 'ok'}\n".encode()


def staleness(unsynced: Iterable[str], ages_s: Mapping[str, float], limit_s: float) -> str:
    """Return why the catalog cannot be trusted: kinds never listed, or silent for too long."""
    missing = tuple(unsynced)
    if missing:
        return "not listed yet: " + ", ".join(missing)
    stale = [kind for kind, age_s in ages_s.items() if limit_s and age_s > limit_s]
    return f"nothing heard for {limit_s:g} s: " + ", ".join(stale) if stale else ""
