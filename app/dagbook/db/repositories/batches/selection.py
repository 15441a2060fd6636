"""The runs that the filter of a batch selects: the filters of lists, and who was affected by what."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, false, func, not_, or_, select, tuple_
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection
from dagbook.db.models.batch import BatchItem
from dagbook.db.models.definition import Dag
from dagbook.db.models.node import Node
from dagbook.db.models.run import Run, RunAttempt, SecretUse
from dagbook.db.models.schedule import ScheduleSlot
from dagbook.db.models.service import Service
from dagbook.db.repositories.runs.replacements import IS_REPLACED
from dagbook.db.repositories.runs.run_filter import RunFilter, predicates
from dagbook.db.repositories.schedules import START
from dagbook.db.statements import all_rows
from dagbook.engine.status import NodeStatus, RunStatus

_Condition = ColumnElement[bool]
_had = aliased(Run)  # a run of the tree, which may be a sub-run
_root = func.coalesce(_had.root_id, _had.id)
# The open batch that has a run.
_holder = (
    select(func.min(BatchItem.batch_id))
    .where(BatchItem.source_run == Run.id, BatchItem.state.in_(["planned", "begun"]))
    .correlate(Run)
    .scalar_subquery()
)
_find = (
    select(
        *(Run.id, Run.dag_name, Run.run_id, Run.status, Run.dag_revision),
        Dag.id.label("dag_id"),
        Dag.file_name,
        Dag.revision.label("current"),
        ScheduleSlot.minute,
        _holder.label("batch"),
    )
    .outerjoin(Dag, Dag.file_name == Run.file_name)
    .outerjoin(
        ScheduleSlot,
        and_(ScheduleSlot.run_id == Run.id, ScheduleSlot.kind == START, ScheduleSlot.dag_id == Dag.id),
    )
    .where(Run.root_id.is_(None))
    .order_by(Run.created_at, Run.id)
)


class RunSelection(RunFilter, frozen=True, kw_only=True):
    """A filter of root runs; ``revisions`` are the first and the last one.

    ``secret`` is the key of one that an attempt of a run, or of its sub-runs, has had, maybe in this ``version``;
    ``worker`` the id or the name of a process that has had such an attempt; ``step`` one that was executed. ``picked``
    are single runs by their DAG names and ids.
    """

    revisions: tuple[int, int] | None = None
    secret: str | None = None
    version: int | None = None
    worker: str | None = None
    step: str | None = None
    picked: Sequence[tuple[str, str]] | None = None


class SelectedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was selected, with its stored DAG, the scheduled time that it holds, and the open batch that has it.

    ``current`` is the revision that its DAG has now.
    """

    id: int
    dag_name: str
    run_id: str
    status: RunStatus
    dag_revision: int | None
    dag_id: int | None
    file_name: str | None
    current: int | None
    minute: datetime | None
    batch: int | None


def find(
    connection: ReadConnection,
    selection: RunSelection,
    statuses: Collection[RunStatus],
    most: int,
    made_by: Sequence[int] | None = None,
) -> list[SelectedRun]:
    """Return the runs with one of these statuses that match, oldest first.

    With ``made_by`` without those that are done already: runs that were replaced, and those that these batches have
    made.
    """
    conditions = [*_of_filter(connection, selection), *_of_selection(connection, selection)]
    if made_by is not None:
        made = select(BatchItem.run_id).where(BatchItem.run_id == Run.id, BatchItem.batch_id.in_(made_by))
        conditions += [not_(IS_REPLACED), not_(made.correlate(Run).exists())]
    found = _find.where(Run.status.in_(sorted(statuses)), *conditions).limit(most)
    return all_rows(connection, SelectedRun, found)


def _of_filter(connection: ReadConnection, selection: RunSelection) -> Iterator[_Condition]:
    """Yield the conditions of a list's filter, in a form in which each index may be used."""
    for part in predicates(connection.dialect.name, selection):
        if part.path is not None and part.path.table is not Run:
            yield Run.id.in_(select(part.path.table.run_id).where(*part.path.conditions))
        else:
            yield part.plain
    if selection.since is not None:
        yield Run.created_at >= selection.since
    if selection.before is not None:
        yield Run.created_at < selection.before


def _of_selection(connection: ReadConnection, selection: RunSelection) -> Iterator[_Condition]:
    if selection.picked is not None:
        yield tuple_(Run.dag_name, Run.run_id).in_(selection.picked)
    if selection.revisions is not None:
        yield Run.dag_revision.between(*selection.revisions)
    if selection.secret is not None:
        used = select(_root).join_from(_had, SecretUse, SecretUse.run_id == _had.id)
        yield Run.id.in_(used.where(_is_secret(connection, selection.secret, selection.version)))
    if selection.worker is not None:
        of_process = RunAttempt.owner.in_(select(Service.id).where(_is_process(selection.worker)))
        yield Run.id.in_(select(_root).join_from(_had, RunAttempt, RunAttempt.run_id == _had.id).where(of_process))
    if selection.step is not None:
        executed = (Node.started_at.is_not(None), Node.status != NodeStatus.SKIPPED)
        of_step = select(Node.run_id).where(Node.run_id == Run.id, Node.name == selection.step, *executed)
        yield of_step.correlate(Run).exists()


def _is_secret(connection: ReadConnection, key: str, version: int | None) -> _Condition:
    """Return the condition of a key, which may have its provider before it: ``vault:crm/token``.

    The index begins with the provider, of which there are few: each is found by a look for the next one.
    """
    providers: list[str] = []
    following = select(func.min(SecretUse.provider)).where(SecretUse.provider > bindparam("last"))
    while (found := connection.scalar(following, {"last": providers[-1] if providers else ""})) is not None:
        providers.append(found)
    keys = [
        and_(SecretUse.provider == each, SecretUse.key.in_([key, key.removeprefix(f"{each}:")])) for each in providers
    ]
    wanted = or_(*keys) if keys else false()
    return wanted if version is None else and_(wanted, SecretUse.version == version)


def _is_process(name: str) -> _Condition:
    return or_(Service.id == name, Service.name == name)


class ProcessLease(msgspec.Struct, frozen=True, kw_only=True):
    """A process that may have had attempts, and until when its lease is valid if it was not stopped."""

    id: str
    lease_until: datetime
    stopped_at: datetime | None


def find_processes(connection: ReadConnection, name: str) -> list[ProcessLease]:
    """Return the processes with an id or a name, also those that have ended."""
    columns = (Service.id, Service.lease_until, Service.stopped_at)
    return all_rows(connection, ProcessLease, select(*columns).where(_is_process(name)))
