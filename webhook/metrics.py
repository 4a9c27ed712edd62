"""What Prometheus sees: every name and label of the process in one place.

Labels are bounded: endpoints and kinds are ours, outcomes are four, and reasons beyond the first
`MAX_REASONS` count as "other".
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from injector import __version__
from webhook.crowd import Crowd, Stage

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
MAX_REASONS = 100

_BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1, 5)
_PREFIX = "secret_injector_webhook_"


class Metrics:
    """The process's metrics; one registry of its own, so tests may have many."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reviews = self._counter(
            "reviews", "Reviews answered.", "endpoint", "outcome", "reason"
        )
        self._duration = Histogram(
            _PREFIX + "review_duration_seconds",
            "Time from a review's head to its answer.",
            ("endpoint",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._rejected = self._counter(
            "requests_rejected", "Requests that were no review.", "status"
        )
        self._malformed = self._counter(
            "malformed_reviews", "Requests to review that were malformed: nobody's fault of ours."
        )
        self._calls = self._counter(
            "calls",
            "Calls by the client certificate they brought; only with a client CA.",
            "certificate",
        )
        self._audits = self._counter("policy_audits", "What policies with action Audit found.")
        self._over_budget = self._counter(
            "budget_exceeded", "Reviews and objects that took more work than they may.", "what"
        )
        self._faults = self._counter("faults", "Faults of our own, answered or survived.", "part")
        self._connections = self.gauge(
            "connections",
            "Connections: arrived, unproven (no success yet), proven (idle), busy.",
            "port",
            "stage",
        )
        self._limit = self.gauge("connections_limit", "Connections that a port allows.", "port")
        self._full = self.gauge(
            "connections_full", "1 while a port has no place for a newcomer.", "port"
        )
        self._displaced = self._counter(
            "connections_displaced",
            "Connections closed for others: the port was full, or the peer had its share.",
            "port",
            "reason",
        )
        self._observed: dict[str, Callable[[float], None]] = {}
        self._counted: dict[tuple[str, str, str], Callable[[], None]] = {}
        self._reasons: set[str] = set()
        build = self.gauge("build_info", "The version that runs.", "version", "python")
        build.labels(__version__, platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)

    def answered(self, endpoint: str, outcome: str, reason: str, took_s: float) -> None:
        """Count one review."""
        key = (endpoint, outcome, reason)
        count = self._counted.get(key)
        if count is None:
            if reason not in self._reasons and len(self._reasons) >= MAX_REASONS:
                key = (endpoint, outcome, "other")
            self._reasons.add(key[2])
            count = self._counted[key] = self._reviews.labels(*key).inc
        count()
        observe = self._observed.get(endpoint)
        if observe is None:
            observe = self._observed[endpoint] = self._duration.labels(endpoint).observe
        observe(took_s)

    def rejected(self, status: int) -> None:
        """Count one request that got an HTTP error instead of an answer."""
        self._rejected.labels(str(status)).inc()

    def malformed(self) -> None:
        """Count one request that was no review, or of no object that an API server sends."""
        self._malformed.inc()

    def called(self, certificate: str, count: int = 1) -> None:
        """Count calls by what their client certificate was: one of `callers.FOUND`."""
        self._calls.labels(certificate).inc(count)

    def audited(self, count: int) -> None:
        """Count what policies with the action Audit found in one review; the log has the lines."""
        self._audits.inc(count)

    def over_budget(self, what: str) -> None:
        """Count a review, or an object by its kind, that exceeded its budget."""
        self._over_budget.labels(what).inc()

    def fault(self, part: str) -> None:
        """Count one fault of our own; parts are names in the code."""
        self._faults.labels(part).inc()

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        """Return a new gauge; whoever knows its value sets it or gives it a function."""
        return Gauge(_PREFIX + name, meaning, labels, registry=self.registry)

    def watch_connections(self, port: str, crowd: Crowd) -> None:
        """Show the connections of one port from now on."""
        for stage in Stage:
            gauge = self._connections.labels(port, stage.name.lower())
            gauge.set_function(partial(crowd.count_of, stage))
        self._limit.labels(port).set(crowd.limit)
        self._full.labels(port).set_function(lambda: float(bool(crowd.why_full)))
        crowd.on_gone = lambda reason: self._displaced.labels(port, reason).inc()

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, meaning, labels, registry=self.registry)
