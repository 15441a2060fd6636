"""Statistics of a DAG's runs, and the status of each step in several runs (api-behaviour op 19). Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import tzinfo

from msgspec import UNSET, UnsetType

from dagbook.api.presenters.present import time_text
from dagbook.api.schemas.dags import DAGGridItem, DAGStatistics, EndedRun
from dagbook.db.repositories.runs.run_history import FinishedRunRow, HistoryNode
from dagbook.engine.event import ABORT, EXIT, FAILURE, SUCCESS
from dagbook.engine.status import NodeStatus, RunStatus

_SUCCESSFUL = frozenset({RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED})
_SHOWN = 20


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
        status_label=run.status.label,  # type: ignore[arg-type]  # the contract lists all labels
        started_at=time_text(run.started_at, zone),
        duration_seconds=UNSET if run.seconds is None else round(run.seconds, 3),
    )


_HANDLERS = (SUCCESS, FAILURE, ABORT, EXIT)
_Key = tuple[int, str]  # sort key of a line: steps before handlers in their own order, then the name


def grid(runs: Sequence[Iterable[HistoryNode]]) -> list[DAGGridItem]:
    """Make a line for each step and handler that any of the runs has, its statuses in the order of the runs."""
    lines: dict[_Key, list[NodeStatus]] = {}
    for number, nodes in enumerate(runs):
        for node in nodes:
            if (key := _key(node)) is not None:
                line = lines.setdefault(key, [NodeStatus.NOT_STARTED] * len(runs))
                line[number] = node.status
    return [DAGGridItem(name=name, history=lines[rank, name]) for rank, name in sorted(lines)]


def _key(node: HistoryNode) -> _Key | None:
    position = node.position
    if position >= 0:
        return (0, node.name)
    return (1 + _HANDLERS.index(position), node.name) if position in _HANDLERS else None
