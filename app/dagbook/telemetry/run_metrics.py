"""Run metrics since the process started: durations of runs and their waiting times in queues.

They are not computed from rows: there is no index by finishing time, and one would cost every run. After a restart the
counters start at zero, as ``rate()`` and ``increase()`` expect. A server counts the runs that it finished and those
that it started from queues itself; the total is the sum over all servers.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram

# DAG names are unbounded, and each label costs a dozen series for the life of the process.
MAX_NAMES = 100
OTHERS = "(others)"
_DURATION = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)
_WAIT = (1, 5, 10, 30, 60, 120, 300, 600)


class RunMetrics:
    """Histograms of root runs by DAG name: one for each of the first hundred names, and one for all others."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = _histogram(
            registry, "dagu_dag_run_duration_seconds", "Durations of runs in seconds.", _DURATION
        )
        self._waits = _histogram(registry, "dagu_queue_wait_seconds", "Waiting times in queues in seconds.", _WAIT)
        self._names: set[str] = set()

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
