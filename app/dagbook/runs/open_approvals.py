"""What runs wait for, with what a person needs to decide: what ran before, what happens next, and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from dagbook.db.database import ReadConnection
from dagbook.db.repositories import approvals
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.repositories.approvals import OpenApproval
from dagbook.db.repositories.runs import run_history
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.engine.plan import find_step
from dagbook.engine.status import NodeStatus
from dagbook.runs.queries import dags_of
from dagbook.spec.model import Dag
from dagbook.spec.reading.definition_cache import DefinitionCache


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that a run waits for, the run, and its root, which says who started them.

    ``before`` are the steps that the asking one depends on, ``next`` those that depend on it alone or also.
    """

    approval: OpenApproval
    run: RunRow
    root: RunRow
    before: Mapping[str, NodeStatus] = {}
    next: Sequence[str] = ()
    on_failure: str = ""
    deadline: datetime | None = None


def read_questions(
    connection: ReadConnection, library: DefinitionCache, visibility: Visibility, most: int
) -> list[Question]:
    """Return the visible approvals that runs wait for, the oldest first."""
    found = approvals.find_open(connection, visibility, most)
    if not found:
        return []
    runs = run_history.find_summaries(connection, {key for row in found for key in (row.run, row.root) if key})
    asking = [runs[row.run] for row in found]
    definitions = dags_of(connection, library, asking)
    dags = {run.id: definitions[run.dag_name, run.definition_hash] for run in asking}
    depends = {name for row in found for name in _depends(dags[row.run], row.position)}
    statuses = run_history.find_statuses(connection, {row.run for row in found}, depends)
    return [_question(row, runs, dags[row.run], statuses) for row in found]


def _question(
    row: OpenApproval, runs: Mapping[int, RunRow], dag: Dag, statuses: Mapping[tuple[int, str], NodeStatus]
) -> Question:
    step, failure = find_step(dag, row.position), dag.handlers.failure
    before = {name: statuses[row.run, name] for name in _depends(dag, row.position) if (row.run, name) in statuses}
    limit = step.timeout_seconds if step is not None else 0
    return Question(
        approval=row,
        run=runs[row.run],
        root=runs[row.root or row.run],
        before=before,
        next=[] if step is None else [other.name for other in dag.steps if step.name in other.depends],
        on_failure="" if failure is None else failure.name,
        deadline=row.asked_at + timedelta(seconds=limit) if limit > 0 else None,
    )


def _depends(dag: Dag, position: int) -> Sequence[str]:
    step = find_step(dag, position)
    return () if step is None else step.depends
