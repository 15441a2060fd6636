"""How long runs took and how long they waited, since this process began.

Neither is counted from rows: no index leads to the ends of millions of runs, and one would cost every run. So after a
restart the counts begin at nought, as those of the process do; that is what ``rate()`` and ``increase()`` expect of
counters. A server counts the runs that it drove to their ends and those it took out of queues itself; the sum over
several servers is the whole.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram

# A DAG may have any name, and each label costs a dozen series for as long as the process lives.
MAX_NAMES = 100
OTHERS = "(others)"
_DURATION = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)
_WAIT = (1, 5, 10, 30, 60, 120, 300, 600)


class RunMetrics:
    """Histograms of root runs by the name of their DAG: those of the first hundred names, and of all others as one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = _histogram(registry, "dagu_dag_run_duration_seconds", "Seconds that runs took.", _DURATION)
        self._waits = _histogram(registry, "dagu_queue_wait_seconds", "Seconds that runs waited in queues.", _WAIT)
        self._names: set[str] = set()

    def observe_duration(self, dag_name: str, seconds: float) -> None:
        """Count a run that is over."""
        self._durations.labels(self._label(dag_name)).observe(seconds)

    def observe_wait(self, dag_name: str, seconds: float) -> None:
        """Count a run whose turn has come."""
        self._waits.labels(self._label(dag_name)).observe(seconds)

    def _label(self, dag_name: str) -> str:
        if dag_name not in self._names:
            if len(self._names) >= MAX_NAMES:
                return OTHERS
            self._names.add(dag_name)
        return dag_name


def _histogram(registry: CollectorRegistry, name: str, meaning: str, bounds: tuple[float, ...]) -> Histogram:
    return Histogram(name, meaning, ("dag",), buckets=bounds, registry=registry)
