"""The page of metrics (api-behaviour op 49): the contract's names, and those of this process."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping

import msgspec
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4"


class MetricValues(msgspec.Struct, frozen=True, kw_only=True):
    """What the page tells; None where it could not be counted, which leaves its series out."""

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
    """Writes the page; figures of the process are gathered at the moment of writing."""

    def __init__(self, own: CollectorRegistry) -> None:
        """``own`` holds what the parts of this process count themselves; that of the process goes with it."""
        self._own = own
        for kind in (ProcessCollector, PlatformCollector, GCCollector):
            kind(registry=self._own)

    def write(self, figures: MetricValues) -> bytes:
        """Write the page in text format 0.0.4."""
        page = CollectorRegistry(auto_describe=False)
        page.register(_Collector(figures))
        page.register(self._own)
        return generate_latest(page)


class _Collector(Collector):
    def __init__(self, figures: MetricValues) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        info = GaugeMetricFamily("dagu_info", "The server's version.", labels=["version", "go_version"])
        info.add_metric([figures.version, platform.python_version()], 1)
        yield info
        yield _gauge("dagu_uptime_seconds", "Seconds since the server started.", figures.uptime_seconds)
        yield _counter("dagbook_retention_removed_runs", "Runs that this server has removed.", figures.removed_runs)
        meaning = "Bytes of logs that this server has removed."
        yield _counter("dagbook_retention_removed_log_bytes", meaning, figures.removed_log_bytes)
        if figures.running is not None:
            yield _gauge("dagu_dag_runs_currently_running", "Runs that are under way.", figures.running)
        if figures.queued is not None:
            yield _gauge("dagu_dag_runs_queued_total", "Runs that wait in queues.", figures.queued)
        if figures.runs is not None:
            yield _by_status(figures.runs)
        if figures.dags is not None:
            yield _gauge("dagu_dags_total", "Stored DAGs.", figures.dags)
        if figures.schedulers is not None:
            running = int(figures.schedulers > 0)
            yield _gauge("dagu_scheduler_running", "Whether a scheduler is active.", running)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(name, meaning, value)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value)


def _by_status(runs: Mapping[str, int]) -> Metric:
    meaning = "Runs by their status, those that others called left out."
    family = CounterMetricFamily("dagu_dag_runs", meaning, labels=["status"])
    for status, count in runs.items():
        family.add_metric([status], count)
    return family
