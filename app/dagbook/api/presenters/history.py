"""Statistics of a DAG's runs, and the status of each step in several runs (api-behaviour op 19). Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta, tzinfo

from msgspec import UNSET, UnsetType

from dagbook.api.presenters.fields import time_text
from dagbook.api.schemas.dags import DAGDay, DAGDays, DAGGridItem, DAGStatistics, EndedRun, StatusCount
from dagbook.db.repositories.runs.run_history import QUARTER_SECONDS, CountedRuns, FinishedRunRow, HistoryNode
from dagbook.engine.event import ABORT, EXIT, FAILURE, SUCCESS
from dagbook.engine.status import NodeStatus, RunStatus

_SUCCESSFUL = frozenset({RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED})
_SHOWN = 20
_HANDLER_RANKS = {position: rank for rank, position in enumerate((SUCCESS, FAILURE, ABORT, EXIT), 1)}


def statistics(dag_name: str, finished: Sequence[FinishedRunRow], zone: tzinfo, *, more: bool) -> DAGStatistics:
    """Sum up finished runs, given newest first; percentiles are of runs that succeeded, also partially.

    ``more`` says that there are more runs than these.
    """
    counts = Counter(run.status for run in finished)
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
    return EndedRun(
        dag_run_id=run.run_id,
        status=run.status,
        status_label=run.status.label,
        started_at=time_text(run.started_at, zone),
        duration_seconds=UNSET if run.seconds is None else round(run.seconds, 3),
    )


def day_starts(now: datetime, days: int, zone: tzinfo) -> list[datetime]:
    """Return the first instants of the last days in a time zone, oldest first, today and tomorrow included."""
    today = now.astimezone(zone).date()
    dates = (today + timedelta(days=offset) for offset in range(1 - days, 2))
    return [datetime.combine(date, time(), zone) for date in dates]


def days_of(dag_name: str, counted: Sequence[CountedRuns], starts: Sequence[datetime], most: int) -> DAGDays:
    """Add counts up to days, which begin at ``starts``; the last one is the end.

    When as many as ``most`` runs were counted, the days before the oldest of them are left out.
    """
    begins = [int(start.timestamp()) for start in starts]
    counts: list[Counter[RunStatus]] = [Counter() for _ in begins]
    for quarter, status, runs in counted:
        counts[bisect_right(begins, quarter * QUARTER_SECONDS) - 1][RunStatus(status)] += runs
    truncated = sum(row.runs for row in counted) >= most
    first = next((day for day, found in enumerate(counts) if found), 0) if truncated else 0
    days = [
        DAGDay(
            date=starts[day].date().isoformat(),
            from_date=begins[day],
            to_date=begins[day + 1],
            counts=[
                StatusCount(status=status, status_label=status.label, count=count)
                for status, count in sorted(counts[day].items())
            ],
        )
        for day in range(first, len(begins) - 1)
    ]
    return DAGDays(dag_name=dag_name, zone=str(starts[0].tzinfo), truncated=truncated, days=days)


def grid(runs: Sequence[Iterable[HistoryNode]]) -> list[DAGGridItem]:
    """Make a line for each step and handler that any of the runs has, its statuses in the order of the runs."""
    lines: dict[tuple[int, str], list[NodeStatus]] = {}  # by rank and name: steps before handlers in their own order
    for number, nodes in enumerate(runs):
        for node in nodes:
            rank = 0 if node.position >= 0 else _HANDLER_RANKS.get(node.position)
            if rank is not None:
                line = lines.setdefault((rank, node.name), [NodeStatus.NOT_STARTED] * len(runs))
                line[number] = node.status
    return [DAGGridItem(name=name, history=lines[rank, name]) for rank, name in sorted(lines)]
