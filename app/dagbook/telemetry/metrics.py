"""Metrics in the Prometheus text format (api-behaviour op 49): of the API, of requests, of runs, and of the process."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4"
# DAG names are unbounded, and each label costs a dozen series for the life of the process.
MAX_NAMES = 100
OTHERS = "(others)"
_DURATION = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)
_WAIT = (1, 5, 10, 30, 60, 120, 300, 600)
# Label for methods and routes that the server does not have, so that clients cannot create any number of labels.
UNKNOWN = "(none)"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_MAX_UNCOUNTED = 100  # a fifth of a millisecond


class MetricValues(msgspec.Struct, frozen=True, kw_only=True):
    """Values read when the metrics are requested; None if a value is not available, and its series is left out."""

    version: str
    uptime_seconds: float
    running: int | None = None
    queued: int | None = None
    runs: Mapping[str, int] | None = None  # by the label of the status
    dags: int | None = None
    schedulers: int | None = None
    removed_runs: int = 0
    removed_log_bytes: int = 0
    audit_copy_works: bool | None = None
    oldest_alert_due_seconds: float | None = None
    oldest_event_seconds: float | None = None
    paused: bool | None = None


class MetricsPage:
    """Renders all metrics; those of the process are collected at that time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """``registry`` has the metrics counted by this process; the process's own metrics are added to it."""
        self._registry = registry
        for kind in (ProcessCollector, PlatformCollector, GCCollector):
            kind(registry=registry)

    def write(self, values: MetricValues) -> bytes:
        """Render all metrics in text format 0.0.4."""
        page = CollectorRegistry(auto_describe=False)
        page.register(_Collector(values))
        page.register(self._registry)
        return generate_latest(page)


class _Collector(Collector):
    def __init__(self, values: MetricValues) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        values = self._values
        info = GaugeMetricFamily("dagu_info", "The server's version.", labels=["version", "go_version"])
        info.add_metric([values.version, platform.python_version()], 1)
        yield info
        yield GaugeMetricFamily("dagu_uptime_seconds", "Seconds since the server started.", values.uptime_seconds)
        yield CounterMetricFamily("dagbook_retention_removed_runs", "Runs deleted by this server.", values.removed_runs)
        meaning = "Bytes of logs deleted by this server."
        yield CounterMetricFamily("dagbook_retention_removed_log_bytes", meaning, values.removed_log_bytes)
        if values.audit_copy_works is not None:
            meaning = "Whether the last entries of the audit are in its copy."
            yield GaugeMetricFamily("dagbook_audit_copy_up", meaning, int(values.audit_copy_works))
        if (due := values.oldest_alert_due_seconds) is not None:
            meaning = "Seconds since the oldest message of alerts became due that was not sent; 0 if none is due."
            yield GaugeMetricFamily("dagbook_alert_oldest_due_seconds", meaning, due)
        if (waits := values.oldest_event_seconds) is not None:
            meaning = "Seconds since the oldest event of a trigger came that waits; 0 if none waits."
            yield GaugeMetricFamily("dagbook_trigger_oldest_waiting_seconds", meaning, waits)
        if values.paused is not None:
            yield GaugeMetricFamily("dagbook_paused", "Whether everything is paused.", int(values.paused))
        if values.running is not None:
            yield GaugeMetricFamily("dagu_dag_runs_currently_running", "Active root runs.", values.running)
        if values.queued is not None:
            yield GaugeMetricFamily("dagu_dag_runs_queued_total", "Queued root runs.", values.queued)
        if values.runs is not None:
            yield _by_status(values.runs)
        if values.dags is not None:
            yield GaugeMetricFamily("dagu_dags_total", "Stored DAGs.", values.dags)
        if values.schedulers is not None:
            running = int(values.schedulers > 0)
            yield GaugeMetricFamily("dagu_scheduler_running", "Whether a scheduler is active.", running)


def _by_status(runs: Mapping[str, int]) -> Metric:
    meaning = "Root runs by status."
    family = CounterMetricFamily("dagu_dag_runs", meaning, labels=["status"])
    for status, count in runs.items():
        family.add_metric([status], count)
    return family


class RunMetrics:
    """Histograms of root runs by DAG name: one for each of the first hundred names, and one for all others.

    Messages about them are counted, too, and events of triggers.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = _histogram(
            registry, "dagu_dag_run_duration_seconds", "Durations of runs in seconds.", _DURATION
        )
        self._waits = _histogram(registry, "dagu_queue_wait_seconds", "Waiting times in queues in seconds.", _WAIT)
        meaning = "Messages of alerts, mails of definitions, and traces: sent, tried again, or given up as failed."
        self._messages = Counter("dagbook_alert_deliveries", meaning, ("type", "outcome"), registry=registry)
        meaning = "Events of triggers, by the state that they have come to in this server."
        self._events = Counter("dagbook_trigger_events", meaning, ("state",), registry=registry)
        self._names: set[str] = set()

    def count_events(self, state: str, count: int = 1) -> None:
        """Count events of triggers that have come to a state."""
        self._events.labels(state).inc(count)

    def count_message(self, channel_type: str, outcome: str) -> None:
        """Count a message; ``outcome`` is sent, retried or failed."""
        self._messages.labels(channel_type, outcome).inc()

    def observe_duration(self, dag_name: str, seconds: float) -> None:
        """Record the duration of a finished run."""
        self._durations.labels(self._label(dag_name)).observe(seconds)

    def observe_wait(self, dag_name: str, seconds: float) -> None:
        """Record the waiting time of a run that leaves its queue."""
        self._waits.labels(self._label(dag_name)).observe(seconds)

    def _label(self, dag_name: str) -> str:
        if dag_name not in self._names:
            if len(self._names) >= MAX_NAMES:
                return OTHERS
            self._names.add(dag_name)
        return dag_name


def _histogram(registry: CollectorRegistry, name: str, meaning: str, bounds: tuple[float, ...]) -> Histogram:
    return Histogram(name, meaning, ("dag",), buckets=bounds, registry=registry)


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
