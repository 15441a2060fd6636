"""How long the runs of a DAG take, and how they end. Pure."""

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


def statistics(dag_name: str, ended: Sequence[FinishedRunRow], zone: tzinfo, *, more: bool) -> DAGStatistics:
    """Sum up runs that are over, newest first; percentiles are those of runs that succeeded, partly too.

    ``more`` says that there are more runs than these.
    """
    counts = Counter(RunStatus(run.status) for run in ended)
    good = sorted(run.seconds for run in ended if run.status in _SUCCESSFUL and run.seconds is not None)
    return DAGStatistics(
        dag_name=dag_name,
        runs=len(ended),
        truncated=more,
        succeeded=counts[RunStatus.SUCCEEDED],
        partially_succeeded=counts[RunStatus.PARTIALLY_SUCCEEDED],
        failed=counts[RunStatus.FAILED],
        aborted=counts[RunStatus.ABORTED],
        p50_seconds=percentile(good, 0.50),
        p95_seconds=percentile(good, 0.95),
        last_runs=[_shown(run, zone) for run in ended[:_SHOWN]],
    )


def percentile(rising: Sequence[float], part: float) -> float | UnsetType:
    """Give the smallest value that at least this part of the values does not exceed (nearest rank)."""
    return round(rising[math.ceil(part * len(rising)) - 1], 3) if rising else UNSET


def _shown(run: FinishedRunRow, zone: tzinfo) -> EndedRun:
    status = RunStatus(run.status)
    return EndedRun(
        dag_run_id=run.run_id,
        status=status,
        status_label=status.label,  # type: ignore[arg-type]  # the labels are the contract's words
        started_at=time_text(run.started_at, zone),
        duration_seconds=UNSET if run.seconds is None else round(run.seconds, 3),
    )
