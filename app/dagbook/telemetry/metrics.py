"""Metrics in the Prometheus text format (api-behaviour op 49): those of the API and those of the process."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping

import msgspec
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4"


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
        yield _gauge("dagu_uptime_seconds", "Seconds since the server started.", values.uptime_seconds)
        yield _counter("dagbook_retention_removed_runs", "Runs deleted by this server.", values.removed_runs)
        meaning = "Bytes of logs deleted by this server."
        yield _counter("dagbook_retention_removed_log_bytes", meaning, values.removed_log_bytes)
        if values.running is not None:
            yield _gauge("dagu_dag_runs_currently_running", "Active root runs.", values.running)
        if values.queued is not None:
            yield _gauge("dagu_dag_runs_queued_total", "Queued root runs.", values.queued)
        if values.runs is not None:
            yield _by_status(values.runs)
        if values.dags is not None:
            yield _gauge("dagu_dags_total", "Stored DAGs.", values.dags)
        if values.schedulers is not None:
            running = int(values.schedulers > 0)
            yield _gauge("dagu_scheduler_running", "Whether a scheduler is active.", running)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(name, meaning, value)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value)


def _by_status(runs: Mapping[str, int]) -> Metric:
    meaning = "Root runs by status."
    family = CounterMetricFamily("dagu_dag_runs", meaning, labels=["status"])
    for status, count in runs.items():
        family.add_metric([status], count)
    return family
