"""The page of the metrics, from what a server answers at /metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from dagbook.telemetry.metrics import MAX_NAMES, OTHERS, MetricsPage, MetricValues, RequestMetrics, RunMetrics
from scripts.documentation.pages.markdown import code, escape, head, table

INTRO = f"""\
Every metric of `GET /api/v2/metrics`, which answers in the Prometheus text format.
[operations.md](../how-to/operations.md#metrics) says who may read them. Names that start with `dagu_` are those of the
contract.

Numbers of runs, queued runs and DAGs, `dagbook_paused`, `dagbook_alert_oldest_due_seconds` and
`dagbook_trigger_oldest_waiting_seconds` are read from the database, so they are the same at every server of it; the
finished runs are counted again after a while. Histograms and `dagbook_…` counters count in the process since its start,
as `rate()` and `increase()` expect: with several servers, add them up. A server counts the runs that it executed until
they finished, but not those finished by hand or given up. A value that cannot be read within five seconds is left out,
and so is `dagbook_audit_copy_up` without `audit_copy`. A histogram has the series `_bucket`, `_sum` and `_count`.

`dag` is the name for the first {MAX_NAMES} DAGs, and `{OTHERS}` for the rest; `route` is the template of the path, so
clients cannot create additional series. A `status` of 0 stands for a client that disconnected before the response.
`go_version` is the version of Python."""
LABELS_OF_SERIES = {"le", "quantile"}


def make() -> str:
    """Return the page of the metrics."""
    lines = [*head("Metrics", "the metrics that a server registers", INTRO), ""]
    return "\n".join([*lines, *table("metric type labels meaning", map(_row, list_metrics())), ""])


def list_metrics() -> Iterator[Metric]:
    """List what a server answers that has counted a run and a request, by name, ours before those of the process."""
    registry = CollectorRegistry()
    runs, requests = RunMetrics(registry), RequestMetrics(registry)
    runs.observe_duration("etl", 1)
    runs.observe_wait("etl", 1)
    runs.count_message("webhook", "sent")
    runs.count_events("started")
    requests.record("GET", "/health", 200, 1)
    values = MetricValues(
        version="0",
        uptime_seconds=1,
        running=0,
        queued=0,
        runs={"succeeded": 1},
        dags=0,
        schedulers=1,
        audit_copy_works=True,
        oldest_alert_due_seconds=0,
        oldest_event_seconds=0,
        paused=False,
    )
    text = MetricsPage(registry).write(values).decode()
    families = [family for family in text_string_to_metric_families(text) if not family.name.endswith("_created")]
    yield from sorted(families, key=lambda family: (not family.name.startswith(("dagu_", "dagbook_")), family.name))


def _row(metric: Metric) -> tuple[str, ...]:
    labels = {label for sample in metric.samples for label in sample.labels} - LABELS_OF_SERIES
    meaning = metric.documentation.rstrip(".") + "."
    name = metric.name + "_total" * (metric.type == "counter")
    return code(name), metric.type, ", ".join(map(code, sorted(labels))), escape(meaning)
