"""The hold of a restored database, and the runs that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete, func, insert, or_, select, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.queue import QueueEntry
from dagbook.db.models.run import Run, RunAttempt
from dagbook.db.models.service import Hold, Service
from dagbook.db.statements import all_rows, first_row
from dagbook.engine.status import RunStatus

_ONLY = 1
_get = select(Hold.held_at, Hold.held_by, Hold.origin)
# What waits in a queue waits on; a sub-run that waits for a worker ends with the run that called it.
_is_unfinished = (
    RunAttempt.closed_at.is_(None),
    or_(RunAttempt.status != RunStatus.QUEUED, Run.root_id.is_not(None)),
)


class HoldRow(msgspec.Struct, frozen=True, kw_only=True):
    """Since when the database is held, by whose restore, and the name of the restored file."""

    held_at: datetime
    held_by: str | None
    origin: str


class UnfinishedRow(msgspec.Struct, frozen=True, kw_only=True):
    """An open attempt of a run that was started before the backup."""

    run: int
    number: int
    token: int
    queue: str
    is_queued: bool


def get(connection: ReadConnection) -> HoldRow | None:
    """Return the hold; None while there is none."""
    return first_row(connection, HoldRow, _get)


def add(connection: WriteConnection, row: HoldRow) -> None:
    """Hold the database; raises Conflict if it is held."""
    connection.execute(insert(Hold).values(id=_ONLY, **msgspec.structs.asdict(row)))


def remove(connection: WriteConnection) -> bool:
    """End the hold; False if there is none. Of two that end it at once, one gets True."""
    return connection.execute(delete(Hold).where(Hold.id == _ONLY).returning(Hold.id)).first() is not None


def count_runs(connection: ReadConnection) -> tuple[int, int]:
    """Count the runs that had not finished when the backup was taken, and those that wait in queues."""
    unfinished = (
        select(func.count()).select_from(RunAttempt).join(Run, Run.id == RunAttempt.run_id).where(*_is_unfinished)
    )
    queued = select(func.count()).select_from(QueueEntry).join(Run, Run.id == QueueEntry.run_id)
    return (
        connection.scalar(unfinished) or 0,
        connection.scalar(queued.where(Run.root_id.is_(None))) or 0,
    )


def lock_unfinished(connection: WriteConnection) -> Sequence[UnfinishedRow]:
    """Lock the open attempts of all started runs, give them the next token, and return them with it."""
    rows = all_rows(
        connection,
        UnfinishedRow,
        select(
            RunAttempt.run_id.label("run"),
            RunAttempt.number,
            (RunAttempt.token + 1).label("token"),
            Run.queue,
            (RunAttempt.status == RunStatus.QUEUED).label("is_queued"),
        )
        .join(Run, Run.id == RunAttempt.run_id)
        .where(*_is_unfinished)
        .order_by(RunAttempt.run_id)
        .with_for_update(of=RunAttempt),
    )
    for row in rows:
        owned = (RunAttempt.run_id == row.run, RunAttempt.number == row.number)
        connection.execute(update(RunAttempt).where(*owned).values(token=row.token))
    return rows


def stop_services(connection: WriteConnection) -> None:
    """Record that no process of the original works on this database: each stopped at its last heartbeat."""
    connection.execute(
        update(Service)
        .where(Service.stopped_at.is_(None))
        .values(stopped_at=Service.heartbeat_at, lease_until=Service.heartbeat_at)
    )
