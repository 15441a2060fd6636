"""Events of the triggers that follow a DAG, in the commit in which a root run of it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import func, select

from dagbook.db.database import TRIGGERS, WriteConnection, mark_changed
from dagbook.db.models.definition import Dag
from dagbook.db.models.run import Run
from dagbook.db.models.trigger import Trigger, TriggerEvent
from dagbook.db.repositories.runs.run_ends import KINDS, RunEnd
from dagbook.db.repositories.triggers.events import NewTriggerEvent
from dagbook.db.statements import all_rows, insert_into, is_one_of
from dagbook.identifiers import new_run_id

# A worker may read these columns of triggers and events alone.
_find = (
    select(
        Trigger.id.label("trigger_id"),
        Trigger.settings,
        Run.id.label("run"),
        Run.dag_name,
        Run.run_id,
        func.coalesce(TriggerEvent.depth, 0).label("depth"),
    )
    .join_from(Run, Dag, Dag.file_name == Run.file_name)
    .join(Trigger, Trigger.upstream_id == Dag.id)
    .outerjoin(TriggerEvent, TriggerEvent.run_id == Run.id)
    .where(is_one_of(Run.id, "runs"), Run.root_id.is_(None))
    .order_by(Trigger.id)
)


class UpstreamRun(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The run that an event follows; ``status`` is the kind of its end."""

    dag: str
    dag_run_id: str
    attempt: int
    status: str


class _Follower(msgspec.Struct, frozen=True, kw_only=True):
    trigger_id: int
    settings: Mapping[str, Sequence[str]]  # the kinds of ends, as "on"
    run: int
    dag_name: str
    run_id: str
    depth: int  # of the event that started the run


def add(connection: WriteConnection, ends: Sequence[RunEnd]) -> None:
    """Add an event for each end of a run, and each trigger that follows its DAG and such ends."""
    if not ends:
        return
    found = all_rows(connection, _Follower, _find, runs=[end.fence.run for end in ends])
    rows = [
        msgspec.structs.asdict(_event(follower, end))
        for end in ends
        for follower in found
        if follower.run == end.fence.run and KINDS[end.status] in follower.settings["on"]
    ]
    if rows:
        connection.execute(insert_into(TriggerEvent).on_conflict_do_nothing(), rows)
        mark_changed(connection, TRIGGERS)


def _event(follower: _Follower, end: RunEnd) -> NewTriggerEvent:
    attempt = end.fence.attempt
    run = UpstreamRun(dag=follower.dag_name, dag_run_id=follower.run_id, attempt=attempt, status=KINDS[end.status])
    return NewTriggerEvent(
        id=new_run_id(),
        trigger_id=follower.trigger_id,
        key=f"run/{follower.run}/{attempt}",
        received_at=end.at,
        headers={},
        item=msgspec.to_builtins(run),
        source=f"{run.dag}/{run.dag_run_id}",
        depth=follower.depth + 1,
    )
