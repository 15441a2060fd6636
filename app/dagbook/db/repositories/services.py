"""Processes on the database and their leases: one row each, renewed with one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import bindparam, func, insert, or_, select, text, update
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.run import Run, RunAttempt
from dagbook.db.models.service import Service
from dagbook.db.statements import all_rows, columns, first_row
from dagbook.db.types import UtcDateTime

SERVER, SCHEDULER, WORKER = "server", "scheduler", "worker"
_EXPIRED = timedelta(seconds=30)  # api-behaviour ops 11, 47 and 48


class ServiceProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process, server, worker or command, with the data from which others can tell whether it is alive."""

    id: str
    kind: str
    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    pid_started: int
    address: str
    version: str
    name: str | None = None  # of a worker; None for servers, as are the next two
    labels: dict[str, str] | None = None
    capacity: int | None = None  # the most runs that the worker executes at a time
    spool_id: str | None = None
    spool_dir: str | None = None


class ServiceRow(ServiceProcess, frozen=True, kw_only=True):
    """A process and its lease."""

    started_at: datetime
    heartbeat_at: datetime
    lease_until: datetime
    stopped_at: datetime | None = None


class LocalWorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A worker of one machine, and whether its lease is valid by the database's clock."""

    name: str | None
    pid: int
    pid_started: int
    heartbeat_at: datetime
    is_leased: bool


_find = (
    select(*Service.__table__.columns)
    .where(Service.kind == bindparam("kind"), Service.stopped_at.is_(None), Service.heartbeat_at >= bindparam("since"))
    .order_by(Service.id)
)
# By the database's clock, because those of the machines may differ.
_find_labels = select(Service.labels).where(
    Service.kind == WORKER, Service.stopped_at.is_(None), Service.lease_until >= func.now()
)
_find_local_workers = select(
    *columns(Service, LocalWorkerRow), (Service.lease_until >= func.now()).label("is_leased")
).where(
    Service.kind == WORKER,
    Service.stopped_at.is_(None),
    Service.host == bindparam("host"),
    Service.boot_id == bindparam("boot_id"),
    Service.pid_namespace == bindparam("pid_namespace"),
)
_expired_since = select(Service.heartbeat_at.label("since"), Service.stopped_at.is_not(None).label("stopped")).where(
    Service.id == bindparam("service"),
    or_(Service.stopped_at.is_not(None), Service.lease_until < bindparam("now", type_=UtcDateTime)),
)
_root, _parent = aliased(Run), aliased(Run)
_find_active_runs = (
    select(
        RunAttempt.owner,
        RunAttempt.opened_at,
        Run.run_id,
        Run.dag_name,
        _root.dag_name.label("root_name"),
        _root.run_id.label("root_run_id"),
        _parent.dag_name.label("parent_name"),
        _parent.run_id.label("parent_run_id"),
    )
    .join(Run, Run.id == RunAttempt.run_id)
    .outerjoin(_root, _root.id == Run.root_id)
    .outerjoin(_parent, _parent.id == Run.parent_id)
    .where(RunAttempt.owner.in_(bindparam("owners", expanding=True)), RunAttempt.closed_at.is_(None))
    .order_by(Run.id)
)

# PostgreSQL's idle timeout only applies between two statements, not while it waits for the rest of one.
_terminate_stuck_sessions = text(
    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
    AND application_name = current_setting('application_name')
    AND xact_start IS NOT NULL AND wait_event = 'ClientRead'
    AND state_change < clock_timestamp() - make_interval(secs => :seconds)"""
)


def add(connection: WriteConnection, row: ServiceRow) -> None:
    """Register a process."""
    connection.execute(insert(Service).values(msgspec.structs.asdict(row)))


def terminate_stuck_sessions(connection: WriteConnection, seconds: float = 5) -> None:
    """Terminate sessions of servers that were suspended inside a transaction, whose locks block other servers.

    Only sessions of connection pools: those without time limits have another application name.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_terminate_stuck_sessions, {"seconds": seconds})


def renew(connection: WriteConnection, service: str, at: datetime, lease_until: datetime) -> None:
    """Renew the lease of a process."""
    connection.execute(update(Service).where(Service.id == service).values(heartbeat_at=at, lease_until=lease_until))


def stop(connection: WriteConnection, service: str, at: datetime, lease_until: datetime) -> None:
    """Mark a process as stopped; its lease covers the steps that continue without it."""
    connection.execute(
        update(Service).where(Service.id == service).values(stopped_at=at, heartbeat_at=at, lease_until=lease_until)
    )


class OwnedRunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run that a process owns, with names and ids of root and parent."""

    owner: str
    opened_at: datetime
    run_id: str
    dag_name: str
    root_name: str | None
    root_run_id: str | None
    parent_name: str | None
    parent_run_id: str | None


def find(connection: ReadConnection, kind: str, now: datetime) -> Sequence[ServiceRow]:
    """Return the processes of a kind that are not stopped and sent a heartbeat in the last 30 seconds, by id."""
    return all_rows(connection, ServiceRow, _find, kind=kind, since=now - _EXPIRED)


def find_local_workers(
    connection: ReadConnection, host: str, boot_id: str, pid_namespace: str
) -> Sequence[LocalWorkerRow]:
    """Return the workers of one machine that are not marked as stopped, which includes killed ones."""
    return all_rows(
        connection, LocalWorkerRow, _find_local_workers, host=host, boot_id=boot_id, pid_namespace=pid_namespace
    )


class ExpiredLease(msgspec.Struct, frozen=True):
    """Time of the last heartbeat of a process without a lease, and whether it was stopped normally."""

    since: datetime
    stopped: bool


def expired_since(connection: ReadConnection, service: str, now: datetime) -> ExpiredLease | None:
    """Return the last heartbeat of a process that stopped or whose lease expired; None while it holds its lease."""
    return first_row(connection, ExpiredLease, _expired_since, service=service, now=now)


def find_active_runs(connection: ReadConnection, owners: Iterable[str]) -> Sequence[OwnedRunRow]:
    """Return the runs that processes own, with names and ids of root and parent."""
    return all_rows(connection, OwnedRunRow, _find_active_runs, owners=list(owners))


def find_worker_labels(connection: ReadConnection) -> list[dict[str, str]]:
    """Return the labels of all workers with a lease."""
    return [labels or {} for labels in connection.scalars(_find_labels)]
