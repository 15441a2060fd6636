"""Statistics of the durations and outcomes of a DAG's runs. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo

from msgspec import UNSET, UnsetType

from dagbook.api.presenters.present import time_text
from dagbook.api.schemas.dags import DAGStatistics, EndedRun
from dagbook.db.repositories.runs.run_history import FinishedRunRow
from dagbook.engine.status import RunStatus

_SUCCESSFUL = frozenset({RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED})
_SHOWN = 20


def statistics(dag_name: str, finished: Sequence[FinishedRunRow], zone: tzinfo, *, more: bool) -> DAGStatistics:
    """Sum up finished runs, given newest first; percentiles are of runs that succeeded, also partially.

    ``more`` says that there are more runs than these.
    """
    counts = Counter(RunStatus(run.status) for run in finished)
    durations = sorted(run.seconds for run in finished if run.status in _SUCCESSFUL and run.seconds is not None)
    return DAGStatistics(
        dag_name=dag_name,
        runs=len(finished),
        truncated=more,
        succeeded=counts[RunStatus.SUCCEEDED],
        partially_succeeded=counts[RunStatus.PARTIALLY_SUCCEEDED],
        failed=counts[RunStatus.FAILED],
        aborted=counts[RunStatus.ABORTED],
        p50_seconds=percentile(durations, 0.50),
        p95_seconds=percentile(durations, 0.95),
        last_runs=[_finished_run(run, zone) for run in finished[:_SHOWN]],
    )


def percentile(ascending: Sequence[float], part: float) -> float | UnsetType:
    """Return the smallest value that at least this part of the sorted values does not exceed (nearest rank)."""
    return round(ascending[math.ceil(part * len(ascending)) - 1], 3) if ascending else UNSET


def _finished_run(run: FinishedRunRow, zone: tzinfo) -> EndedRun:
    status = RunStatus(run.status)
    return EndedRun(
        dag_run_id=run.run_id,
        status=status,
        status_label=status.label,  # type: ignore[arg-type]  # the contract lists all labels
        started_at=time_text(run.started_at, zone),
        duration_seconds=UNSET if run.seconds is None else round(run.seconds, 3),
    )
