"""Rows of every kind that the report views show, and the views read the same way on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models import QueueEntry, QueuePause, Source, SourceFile
from dagbook.engine.status import NodeStatus, RunStatus
from tests.db.rows import (
    NOW,
    add,
    add_attempt,
    add_dag,
    add_definition,
    add_entry,
    add_node,
    add_run,
    add_service,
    add_slot,
    run_sql,
    stored,
)

# Keys of the runs below; one is beyond the integers that a double has, as all real keys are.
DONE, RETRIED, RUNNING, WAITING, CHILD, LATE = (2**60 + 1, 102, 103, 104, 105, 106)


def at(days: int, seconds: float = 0.0) -> datetime:
    """Return a time of the scene."""
    return NOW + timedelta(days=days, seconds=seconds)


def fill_reports(connection: WriteConnection) -> None:
    """Insert runs with attempts, retries, a sub-run and a queue, slots, DAGs of a source, and audit entries."""
    add_definition(connection)
    add_service(connection, "server-1")
    connection.exec_driver_sql("UPDATE services SET name = 'gpu-1', kind = 'worker'")
    _add_dags(connection)
    _add_finished_runs(connection)
    _add_unfinished_runs(connection)
    _add_slots(connection)
    entries: tuple[dict[str, Any], ...] = (
        {"actor": "ann", "user_id": "u1", "token_name": "ci", "after": {"hash": "ab" * 32}},
        {"actor": "ann", "action": "dag.delete", "outcome": "refused"},
        {"actor": None, "action": "login.failure", "outcome": "failed", "kind": "user", "name": "eve"},
    )
    for number, entry in enumerate(entries):
        add_entry(connection, at=at(number), **entry)


def _add_dags(connection: WriteConnection) -> None:
    etl = add_dag(connection)
    add_dag(connection, file_name="reports/daily", dag_name="daily", suspended=True, tags=[], updated_at=at(1))
    row = {"kind": "directory", "place": "/dags", "path": "", "writable": False, "adopt": False, "configured": True}
    source = add(connection, Source, name="team", credentials="/key", created_at=NOW, **row)
    add(
        connection,
        SourceFile,
        source_id=source,
        path="etl.yaml",
        dag_id=etl,
        content="c",
        changed_at=NOW,
        resumes=False,
    )


def _add_finished_runs(connection: WriteConnection) -> None:
    add_run(connection, id=DONE, run_id="done", status=5, file_name="etl", dag_revision=3, actor="ann", queued_at=NOW)
    add_attempt(connection, DONE, status=5, owner="server-1")
    add_node(connection, DONE, retry_count=2)
    add_node(connection, DONE, position=1, name="call")
    add_node(connection, DONE, position=-2, name="onSuccess", handler=True)
    end(connection, DONE, RunStatus.SUCCEEDED, at(0, 5), at(0, 65.5))
    end_node(connection, (DONE, 0), NodeStatus.SUCCEEDED, at(0, 5), at(0, 15), done_count=3)
    end_node(connection, (DONE, 1), NodeStatus.SUCCEEDED, at(0, 15), at(0, 65.25))
    run_sql(connection, "UPDATE nodes SET status = 5 WHERE run_id = :key AND position = -2", key=DONE)

    child = {"dag_name": "low", "run_id": "child", "root_id": DONE, "parent_id": DONE, "trigger": "subdag"}
    add_run(connection, id=CHILD, created_at=at(0, 16), params=[], params_text="", **child)
    add_attempt(connection, CHILD)
    add_node(connection, CHILD)
    end(connection, CHILD, RunStatus.PARTIALLY_SUCCEEDED, at(0, 16), at(0, 20))
    end_node(connection, (CHILD, 0), NodeStatus.FAILED, at(0, 16), at(0, 20), exit_code=3, error="exit status 3")

    add_run(connection, id=RETRIED, run_id="retried", created_at=at(1), actor="bob", queued_at=at(1), status=5)
    add_attempt(connection, RETRIED, opened_at=at(1))
    add_node(connection, RETRIED)
    end(connection, RETRIED, RunStatus.FAILED, at(1, 1), at(1, 2))
    end_node(connection, (RETRIED, 0), NodeStatus.SUCCEEDED, at(1, 1), at(1, 2))
    add_attempt(connection, RETRIED, number=2, opened_at=at(1, 100))
    add_node(connection, RETRIED, attempt=2, log_attempt=1)
    end_node(connection, (RETRIED, 0), NodeStatus.SUCCEEDED, at(1, 1), at(1, 2), attempt=2)
    retried = "UPDATE runs SET attempt = 2, status = 0, started_at = NULL, finished_at = NULL WHERE id = :key"
    run_sql(connection, retried, key=RETRIED)
    end(connection, RETRIED, RunStatus.FAILED, at(1, 100), at(1, 130), attempt=2)
    run_sql(connection, "UPDATE runs SET error = 'broken' WHERE id = :key", key=RETRIED)

    scheduled = {"dag_name": "daily", "run_id": "late", "trigger": "schedule", "queue": "reports"}
    add_run(connection, id=LATE, created_at=at(2), file_name="reports/daily", params_text="", **scheduled)
    add_attempt(connection, LATE, opened_at=at(2))
    end(connection, LATE, RunStatus.ABORTED, at(2), at(2, 1.000001))
    stopped = {"at": stored(connection, at(2, 0.5)), "key": LATE}
    statement = "UPDATE runs SET stop_requested_at = :at, stop_requested_by = 'ann' WHERE id = :key"
    run_sql(connection, statement, **stopped)


def _add_unfinished_runs(connection: WriteConnection) -> None:
    add_run(connection, id=RUNNING, run_id="running", created_at=at(3), trigger="api")
    add_attempt(connection, RUNNING, opened_at=at(3), owner="server-1")
    add_node(connection, RUNNING)
    values = {"at": stored(connection, at(3)), "key": RUNNING}
    run_sql(connection, "UPDATE runs SET status = 1, started_at = :at WHERE id = :key", **values)
    run_sql(connection, "UPDATE run_attempts SET status = 1 WHERE run_id = :key", key=RUNNING)
    run_sql(connection, "UPDATE nodes SET status = 1, started_at = :at WHERE run_id = :key", **values)

    add_run(connection, id=WAITING, run_id="waiting", created_at=at(3, 1), status=5, queued_at=at(3, 1), trigger="api")
    add_attempt(connection, WAITING, status=5, opened_at=at(3, 1))
    entry = {"queue": "etl", "priority": 5, "queued_at": at(3, 1), "reason": "the queue is paused"}
    add(connection, QueueEntry, run_id=WAITING, selector={"gpu": "true"}, **entry)
    add(connection, QueuePause, queue="etl", paused_at=at(3), paused_by="ann")


def _add_slots(connection: WriteConnection) -> None:
    minute = NOW.replace(second=0, microsecond=0)
    add_slot(connection, 1, minute=minute, outcome="skipped", reason="the last run is not finished", settled_at=NOW)
    late = {"file_name": "reports/daily", "minute": at(2, -90), "settled_at": at(2), "run_id": LATE, "made_up": True}
    add_slot(connection, 2, outcome="started", **late)
    add_slot(connection, 2, minute=at(2, -30), kind="stop", outcome="stopped", file_name="reports/daily")


def end(
    connection: WriteConnection, key: int, status: RunStatus, started: datetime, finished: datetime, attempt: int = 1
) -> None:
    """Let a run that has just been inserted, and its attempt, begin and end."""
    values = {"began": stored(connection, started), "ended": stored(connection, finished), "key": key}
    run_sql(
        connection, "UPDATE runs SET status = 1, started_at = :began WHERE id = :key", began=values["began"], key=key
    )
    of_attempt = "WHERE run_id = :key AND number = :attempt"
    run_sql(connection, f"UPDATE run_attempts SET status = 1 {of_attempt}", key=key, attempt=attempt)
    after = {"status": int(status), "ended": stored(connection, finished), "key": key}
    run_sql(connection, "UPDATE runs SET status = :status, finished_at = :ended WHERE id = :key", **after)
    closed = f"UPDATE run_attempts SET status = :status, closed_at = :ended {of_attempt}"
    run_sql(connection, closed, **after, attempt=attempt)


def end_node(
    connection: WriteConnection,
    node: tuple[int, int],
    status: NodeStatus,
    started: datetime,
    finished: datetime,
    **values: Any,
) -> None:
    """Let a node that has just been inserted, known by run and position, begin and end, by default in attempt 1."""
    of_node = "WHERE run_id = :key AND attempt = :attempt AND position = :position"
    known = {"key": node[0], "attempt": values.pop("attempt", 1), "position": node[1]}
    began = {"began": stored(connection, started)}
    run_sql(connection, f"UPDATE nodes SET status = 1, started_at = :began {of_node}", **known, **began)
    after = {"status": int(status), "finished_at": stored(connection, finished), "done_count": 1, **values}
    changes = ", ".join(f"{name} = :{name}" for name in after)
    run_sql(connection, f"UPDATE nodes SET {changes} {of_node}", **known, **after)


def read_rows(connection: ReadConnection, statement: str) -> list[dict[str, Any]]:
    """Run a statement and return its rows with values that are equal on both databases."""
    found = connection.exec_driver_sql(statement)
    names = list(found.keys())
    return [dict(zip(names, map(_plain, row), strict=True)) for row in found.all()]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def text_of(instant: datetime) -> str:
    """Return a time as ``read_rows`` does, and as the views want to be asked."""
    return str(_plain(instant))


def columns(rows: Sequence[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def explain(connection: WriteConnection, statement: str) -> str:
    """Return how the database goes about a statement; on PostgreSQL by an index wherever there is one."""
    if connection.dialect.name == "sqlite":
        return "\n".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}"))
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # so few rows are cheapest to go through
    return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}"))


def add_old_rows(connection: WriteConnection) -> None:
    """Insert many rows from before the scene: PostgreSQL decides by how many of them a window has."""
    days = ", ".join(f"({number})" for number in range(1, 500))
    old = {"at": stored(connection, at(-30))}
    of_run = "definition_hash, queue, {0}, {0}, trigger, params, params_text, tags, 0, 1, :at, 1"
    for first, root in ((1000, "NULL"), (2000, str(DONE))):
        run_sql(
            connection,
            "INSERT INTO runs (id, dag_name, run_id, definition_hash, queue, root_id, parent_id, trigger, params, "
            "params_text, tags, status, attempt, created_at, max_active_runs) "
            f"SELECT {first} + days.column1, 'old', 'old-' || days.column1, {of_run.format(root)} "
            f"FROM (VALUES {days}) AS days CROSS JOIN runs WHERE id = {DONE}",
            **old,
        )
    for table, values in (
        ("run_attempts (run_id, number, status, token, opened_at)", "id, 1, 0, 1, created_at"),
        ("nodes (run_id, attempt, position, name, handler, status)", "id, 1, 0, 'a', FALSE, 0"),
        (
            "schedule_slots (dag_id, kind, minute, file_name, outcome, made_up, settled_at)",
            "id, 'start', created_at, 'old', 'missed', FALSE, created_at",
        ),
    ):
        run_sql(connection, f"INSERT INTO {table} SELECT {values} FROM runs WHERE dag_name = 'old'")
    run_sql(connection, "UPDATE runs SET status = 3 WHERE dag_name = 'old'")
    closed = "UPDATE run_attempts SET status = 3, closed_at = opened_at WHERE opened_at = :at"
    run_sql(connection, closed, **old)
    if connection.dialect.name == "postgresql":
        for table in ("runs", "nodes", "run_attempts", "schedule_slots", "audit", "dags"):
            connection.exec_driver_sql(f"ANALYZE {table}")
