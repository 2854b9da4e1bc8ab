"""What the gateway counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)


class Metrics:
    """The gateway's counters, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._verdicts = Counter(
            "plum_sandbox_executions",
            "Executions that reached a verdict",
            ["language", "verdict"],
            registry=self._registry,
        )
        self._errors = Counter(
            "plum_sandbox_errors",
            "Requests that were not carried out",
            ["language", "code"],
            registry=self._registry,
        )
        self._restarts = Counter(
            "plum_sandbox_worker_losses",
            "Workers that were lost",
            ["language"],
            registry=self._registry,
        )
        self._queued_seconds = self._histogram("queue_seconds", "Time a request waited for a slot")
        self._running_seconds = self._histogram("slot_seconds", "Time a request held a slot")

    def _histogram(self, name: str, help_text: str) -> Histogram:
        return Histogram(
            f"plum_sandbox_{name}", help_text, buckets=_SECONDS, registry=self._registry
        )

    def watch(self, queued: Callable[[], int], running: Callable[[], int]) -> None:
        """Reads the two gauges from these whenever they are asked for."""
        for name, help_text, value in (
            ("queue_depth", "Requests that wait for a slot", queued),
            ("in_flight", "Requests that hold a slot", running),
        ):
            gauge = Gauge(f"plum_sandbox_{name}", help_text, registry=self._registry)
            gauge.set_function(value)

    def verdict(self, language: str, verdict: str) -> None:
        """Counts an execution that reached `verdict`."""
        self._verdicts.labels(language, verdict).inc()

    def error(self, language: str, code: str) -> None:
        """Counts a request that ended with the gRPC status called `code`."""
        self._errors.labels(language, code).inc()

    def worker_lost(self, language: str) -> None:
        """Counts a worker that ended unasked."""
        self._restarts.labels(language).inc()

    def timed(self, queued_s: float, running_s: float) -> None:
        """Notes how long a request waited and how long it held its slot."""
        self._queued_seconds.observe(queued_s)
        self._running_seconds.observe(running_s)

    def serve(self, port: int) -> None:
        """Answers scrapes on `port` of every interface, in a thread of its own.

        Raises:
            OSError: the port cannot be had.
        """
        start_http_server(port, registry=self._registry)
