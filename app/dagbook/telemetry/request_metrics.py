"""HTTP request metrics: number of requests by status, and time to the first byte of the response."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

# Label for methods and routes that the server does not have, so that clients cannot create any number of labels.
UNKNOWN = "(none)"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_MAX_UNCOUNTED = 100  # a fifth of a millisecond


class RequestMetrics(Collector):
    """Counters of the requests since the process started."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route", "status")
        self._requests = Counter("dagbook_http_requests", "HTTP requests.", labels, registry=None)
        self._seconds = Histogram(
            "dagbook_http_request_duration_seconds",
            "Seconds from a request to the start of its response.",
            labels[:2],
            buckets=_SECONDS,
            registry=None,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._uncounted: list[tuple[str, str, int, float]] = []  # counting many at once costs a fraction
        registry.register(self)

    def record(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record a request; ``route`` is the path template, or ``UNKNOWN``."""
        self._uncounted.append((method, route, status, seconds))
        if len(self._uncounted) >= _MAX_UNCOUNTED:
            self._count()

    def collect(self) -> Iterator[Metric]:
        """Return the metrics, including requests that are not counted yet."""
        self._count()
        yield from self._requests.collect()
        yield from self._seconds.collect()

    def _count(self) -> None:
        pending, self._uncounted = self._uncounted, []
        for method, route, status, seconds in pending:
            key = (method if method in _METHODS else UNKNOWN, route, status)
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = self._requests.labels(*key), self._seconds.labels(*key[:2])
            found[0].inc()
            found[1].observe(seconds)
