"""Rows to begin with, and a way to try things on a database that all tests share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from sqlalchemy import Table, insert, text

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.db.models import (
    AuditEntry,
    AuditSeal,
    Dag,
    DagRevision,
    Definition,
    LogChunk,
    Node,
    Run,
    RunAttempt,
    RunEvent,
    RunRequest,
    ScheduleSlot,
    Service,
    Session,
    Token,
    User,
)
from dagbook.db.repositories import changes
from dagbook.db.repositories.runs import run_list
from dagbook.db.repositories.runs.run_filter import Page, RunFilter
from dagbook.db.repositories.runs.run_list import RunListRow
from dagbook.db.types import Base, UtcDateTime
from dagbook.engine.status import NodeStatus, RunStatus

Cell = TypeVar("Cell", bound=Hashable)
NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


class _RolledBack(Exception):  # noqa: N818  # it is what the caller wants
    pass


def find_runs(connection: ReadConnection, run_filter: RunFilter) -> Sequence[RunListRow]:
    """Return the first page of a list of runs."""
    return run_list.find_page(connection, run_filter, Page()).runs


async def rehearse(database: Database, work: Callable[[WriteConnection], Any]) -> None:
    """Do the work and take it back; an error of the database passes."""

    def whole(connection: WriteConnection) -> None:
        work(connection)
        raise _RolledBack

    with pytest.raises(_RolledBack):
        await database.write(whole)


async def accepted(
    database: Database, works: Mapping[Cell, Callable[[WriteConnection], Any]], refusal: str
) -> set[Cell]:
    """Return the cells of a table whose work the database does; it refuses the others with this message."""
    done: set[Cell] = set()
    for cell, work in works.items():
        try:
            await rehearse(database, work)
            done.add(cell)
        except Conflict as error:
            if refusal not in str(error):
                raise
    return done


def table_of(model: type[Base]) -> Table:
    assert isinstance(model.__table__, Table)
    return model.__table__


def add(connection: WriteConnection, model: type[Base], **values: Any) -> Any:
    """Insert a row and return its whole primary key, or its only column."""
    key = connection.execute(insert(table_of(model)).values(**values)).inserted_primary_key
    assert key is not None
    return key[0]


def run_sql(connection: WriteConnection, statement: str, **values: Any) -> None:
    """Run a statement as somebody would type it."""
    connection.execute(text(statement), values)


def add_definition(connection: WriteConnection, **values: Any) -> str:
    row = {"hash": "a" * 64, "spec": "steps: []", "base": "env: []", "created_at": NOW} | values
    add(connection, Definition, **row)
    return str(row["hash"])


def add_dag(connection: WriteConnection, **values: Any) -> int:
    row = {
        "file_name": "etl",
        "dag_name": "etl",
        "definition_hash": "a" * 64,
        "revision": 1,
        "suspended": False,
        "tags": ["x"],
        "created_at": NOW,
        "updated_at": NOW,
    }
    return int(add(connection, Dag, **(row | values)))


def add_revision(connection: WriteConnection, dag_id: int, number: int, **values: Any) -> None:
    row = {"dag_id": dag_id, "number": number, "definition_hash": "a" * 64, "saved_at": NOW}
    add(connection, DagRevision, **(row | values))


def add_run(connection: WriteConnection, **values: Any) -> int:
    """Insert a run; it needs the definition of ``add_definition``."""
    row = {
        "dag_name": "etl",
        "run_id": "one",
        "definition_hash": "a" * 64,
        "queue": "etl",
        "trigger": "manual",
        "params": [["B", "1"], ["A", "2"]],
        "params_text": "B=1 A=2",
        "tags": [],
        "status": 0,
        "attempt": 1,
        "created_at": NOW,
        "max_active_runs": 1,
    }
    return int(add(connection, Run, **(row | values)))


def add_attempt(connection: WriteConnection, run_id: int, **values: Any) -> None:
    row = {"run_id": run_id, "number": 1, "status": 0, "token": 1, "opened_at": NOW}
    add(connection, RunAttempt, **(row | values))


def add_node(connection: WriteConnection, run_id: int, **values: Any) -> None:
    row = {"run_id": run_id, "attempt": 1, "position": 0, "name": "first", "handler": False, "status": 0}
    add(connection, Node, **(row | values))


def add_event(connection: WriteConnection, run_id: int, seq: int) -> None:
    add(connection, RunEvent, run_id=run_id, seq=seq, attempt=1, at=NOW, data={"type": "Begin"})


def add_request(connection: WriteConnection, run_id: int) -> None:
    add(connection, RunRequest, run_id=run_id, kind="stop", asked_at=NOW)


def add_chunk(connection: WriteConnection, run_id: int, seq: int, **values: Any) -> None:
    """Insert a chunk of one line and six bytes that follows ``seq`` others of this kind."""
    row = {
        "run_id": run_id,
        "attempt": 1,
        "position": 0,
        "stream": 1,
        "seq": seq,
        "ordinal": seq,
        "execution": 1,
        "received_at": NOW,
        "first_line": 1 + seq,
        "line_count": 1,
        "byte_offset": 6 * seq,
        "byte_count": 6,
        "text": "hello\n",
    }
    add(connection, LogChunk, **(row | values))


def add_service(connection: WriteConnection, service_id: str) -> None:
    add(
        connection,
        Service,
        id=service_id,
        kind="server",
        host="here",
        boot_id="boot",
        pid_namespace="4026531836",
        pid=100,
        pid_started=2**40,
        address="http://127.0.0.1:8080",
        version="0",
        started_at=NOW,
        heartbeat_at=NOW,
        lease_until=NOW,
    )


def add_user(connection: WriteConnection, **values: Any) -> str:
    row = {
        "id": "u1",
        "username": "ann",
        "role": "admin",
        "password_hash": "$2b$04$",
        "generation": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return str(add(connection, User, **(row | values)))


def add_session(connection: WriteConnection, **values: Any) -> str:
    """Insert a session; it needs the user of ``add_user``."""
    row = {"id": "s1", "user_id": "u1", "is_browser": True, "address": "192.0.2.1", "agent": "curl/8"}
    row |= {"created_at": NOW, "last_used_at": NOW, "expires_at": NOW}
    return str(add(connection, Session, **(row | values)))


def add_token(connection: WriteConnection, **values: Any) -> str:
    """Insert a token; it needs the user of ``add_user``."""
    row = {"id": "t1", "user_id": "u1", "name": "ci", "hash": "a" * 64, "role": "viewer", "created_at": NOW}
    return str(add(connection, Token, **(row | values)))


def add_entry(connection: WriteConnection, **values: Any) -> int:
    row = {
        "at": NOW,
        "actor": "ann",
        "via": "login",
        "address": "192.0.2.1",
        "request_id": "q1",
        "action": "dag.create",
        "kind": "dag",
        "name": "etl",
        "after": {"revision": 1},
        "outcome": "done",
    }
    return int(add(connection, AuditEntry, **(row | values)))


def add_seal(connection: WriteConnection, number: int, first: int, last: int, **values: Any) -> None:
    row = {
        "number": number,
        "first_id": first,
        "last_id": last,
        "entries": last - first + 1,
        "digest": "d" * 64,
        "hash": "e" * 64,
        "signature": b"signed",
        "marks": b"marks",
        "sealed_at": NOW,
    }
    add(connection, AuditSeal, **(row | values))


def add_slot(connection: WriteConnection, dag_id: int, **values: Any) -> None:
    row = {
        "dag_id": dag_id,
        "kind": "start",
        "minute": NOW.replace(second=0, microsecond=0),
        "file_name": "etl",
        "outcome": "started",
        "made_up": False,
        "settled_at": NOW,
    }
    add(connection, ScheduleSlot, **(row | values))


def add_whole_run(connection: WriteConnection, **values: Any) -> int:
    """Insert a definition, a running run, its attempt and its node."""
    add_definition(connection)
    run_id = add_run(connection, **values)
    add_attempt(connection, run_id)
    add_node(connection, run_id)
    bring_run_to(connection, run_id, RunStatus.RUNNING)
    return run_id


_PATHS_OF_RUNS: dict[RunStatus, tuple[int, ...]] = {
    RunStatus.NOT_STARTED: (),
    RunStatus.QUEUED: (),
    RunStatus.RUNNING: (1,),
    RunStatus.FAILED: (2,),
    RunStatus.ABORTED: (3,),
    RunStatus.SUCCEEDED: (1, 4),
    RunStatus.PARTIALLY_SUCCEEDED: (1, 6),
}
_PATHS_OF_NODES: dict[NodeStatus, tuple[int, ...]] = {
    NodeStatus.NOT_STARTED: (),
    NodeStatus.RUNNING: (1,),
    NodeStatus.FAILED: (1, 2),
    NodeStatus.ABORTED: (1, 3),
    NodeStatus.SUCCEEDED: (1, 4),
    NodeStatus.SKIPPED: (5,),
    NodeStatus.PARTIALLY_SUCCEEDED: (1, 6),
}


def bring_run_to(connection: WriteConnection, run_id: int, status: RunStatus) -> None:
    """Lead a run that has just been inserted to a status on a lawful way."""
    for after in _PATHS_OF_RUNS[status]:
        run_sql(connection, "UPDATE runs SET status = :after WHERE id = :id", after=after, id=run_id)


def add_run_in(connection: WriteConnection, status: RunStatus) -> int:
    """Insert a definition and a run, and lead the run to a status."""
    add_definition(connection)
    run_id = add_run(connection, status=5 if status is RunStatus.QUEUED else 0)
    bring_run_to(connection, run_id, status)
    return run_id


def bring_node_to(connection: WriteConnection, run_id: int, status: NodeStatus) -> None:
    """Lead the first node of a run, just inserted, to a status on a lawful way."""
    for after in _PATHS_OF_NODES[status]:
        run_sql(connection, "UPDATE nodes SET status = :after WHERE run_id = :id", after=after, id=run_id)


def stored(connection: WriteConnection, instant: datetime) -> Any:
    """Return an instant as the engine keeps it, for statements written by hand."""
    return UtcDateTime().process_bind_param(instant, connection.dialect)


def fill(connection: WriteConnection) -> None:
    """Insert one row into each of the tables of ``FILLED``."""
    run_id = add_whole_run(connection)
    add_event(connection, run_id, 1)
    add_chunk(connection, run_id, 0)
    add_user(connection)
    add_token(connection)
    entry = add_entry(connection)
    add_seal(connection, 1, entry, entry)
    changes.add_run_changes(connection, [run_id])


FILLED = {
    "definitions",
    "runs",
    "run_attempts",
    "nodes",
    "run_events",
    "log_chunks",
    "users",
    "tokens",
    "audit",
    "audit_seals",
    "changes",
}
