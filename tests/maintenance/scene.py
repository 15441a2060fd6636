"""A healthy database with rows in every table, and ways to break it past its constraints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, text, update

from dagbook.db.database import WriteConnection
from dagbook.db.models import (
    Alert,
    AlertChannel,
    AlertDelivery,
    AlertEvent,
    AlertRule,
    Dag,
    Node,
    QueueEntry,
    Run,
    RunAttempt,
    RunEvent,
    RunInput,
    RunRequest,
    Service,
    Trigger,
    TriggerEvent,
)
from tests.db.rows import (
    NOW,
    add,
    add_attempt,
    add_chunk,
    add_dag,
    add_definition,
    add_node,
    add_revision,
    add_run,
    add_user,
    stored,
    table_of,
)
from tests.db.test_alert_constraints import ALERT, CHANNEL, DELIVERY, EVENT, RULE
from tests.db.test_batch_constraints import add_items
from tests.db.test_trigger_constraints import EVENT as EVENT_OF_TRIGGER
from tests.db.test_trigger_constraints import TRIGGER

MINUTE = timedelta(minutes=1)
LATER = NOW + timedelta(hours=2)  # when the doctor looks
OVER, WAITS, RUNS, RETRIED, CALLED = 1, 2, 3, 4, 5
SERVER = "server"
MOMENTS = {"long_ago": NOW - timedelta(days=8), "early": NOW - MINUTE, "late": LATER + MINUTE}


def furnish(connection: WriteConnection) -> None:
    """Store runs of every kind, a failure that a rule has reported, a trigger that is paused, and such a batch."""
    furnish_runs(connection)
    _tell_of_failure(connection)
    _receive(connection)
    add_items(connection, {"state": "done", "run_id": OVER}, {}, paused_at=NOW, paused_by="ann")


def furnish_runs(connection: WriteConnection) -> None:
    """Store runs of every kind: over, waiting, running with one that it called, and retried with a step kept.

    Their tables are older than those of alerts.
    """
    add_definition(connection)
    add_revision(connection, add_dag(connection), 1)
    add_user(connection)
    add_server(connection)
    _add(connection, OVER, "over")
    begin(connection, OVER)
    add_chunk(connection, OVER, 0)
    add_chunk(connection, OVER, 1)
    add_chunk(connection, OVER, 0, stream=2, ordinal=2)
    end(connection, OVER)
    _add(connection, WAITS, "waits", status=5)
    add(connection, QueueEntry, run_id=WAITS, queue="etl", priority=1, queued_at=NOW)
    _add(connection, RUNS, "runs")
    begin(connection, RUNS)
    _add(connection, CALLED, "called", root_id=RUNS, parent_id=RUNS)
    begin(connection, CALLED)
    _add(connection, RETRIED, "retried")
    begin(connection, RETRIED)
    add_chunk(connection, RETRIED, 0)
    end(connection, RETRIED, status=2)
    _retry(connection)


def add_server(connection: WriteConnection) -> None:
    """Store a server that has lived since the beginning and lives when the doctor looks."""
    row = {"id": SERVER, "kind": "server", "host": "here", "boot_id": "boot", "pid_namespace": "1", "pid": 1}
    times = {"started_at": NOW, "heartbeat_at": LATER, "lease_until": LATER + MINUTE}
    add(connection, Service, **row, **times, pid_started=1, address="http://127.0.0.1", version="0")


def _add(connection: WriteConnection, key: int, run_id: str, **values: Any) -> None:
    add_run(connection, id=key, run_id=run_id, **values)
    queued = values.get("status") == 5
    add_attempt(connection, key, status=values.get("status", 0), owner=None if queued else SERVER)
    for position, name in enumerate(("first", "second")):
        add_node(connection, key, position=position, name=name)
    add(connection, RunInput, run_id=key, params=[], env=[], dotenv=[], work_dir="/", keep_dir=True)
    tell(connection, key, 1, data={"accepted": "api"})


def tell(connection: WriteConnection, key: int, seq: int, **values: Any) -> None:
    """Append an event."""
    row = {"run_id": key, "seq": seq, "attempt": 1, "at": NOW, "position": None, "data": {}} | values
    connection.execute(insert(RunEvent), [row])


def _change(connection: WriteConnection, model: Any, where: Any, **values: Any) -> None:
    connection.execute(update(table_of(model)).where(where).values(**values))


def begin(connection: WriteConnection, key: int) -> None:
    """Let a run and its first step begin."""
    _change(connection, Run, Run.id == key, status=1, started_at=NOW)
    _change(connection, RunAttempt, RunAttempt.run_id == key, status=1)
    first = (Node.run_id == key) & (Node.position == 0)
    _change(connection, Node, first, status=1, execution=1, started_at=NOW)
    tell(connection, key, 2, position=0, data={"status": 1})


def end(connection: WriteConnection, key: int, status: int = 4) -> None:
    """Let the first step succeed, the second one be skipped, and the run end."""
    at = NOW + MINUTE
    of_run = Node.run_id == key
    _change(connection, Node, of_run & (Node.position == 0), status=4, finished_at=at)
    _change(connection, Node, of_run & (Node.position == 1), status=5)
    tell(connection, key, 3, position=0, data={"status": 4})
    tell(connection, key, 4, data={"phase": "closed", "status": status})
    _change(connection, Run, Run.id == key, status=status, finished_at=at)
    _change(connection, RunAttempt, RunAttempt.run_id == key, status=status, closed_at=at)


def _retry(connection: WriteConnection) -> None:
    at = NOW + 2 * MINUTE
    _change(connection, Run, Run.id == RETRIED, status=0, attempt=2, started_at=None, finished_at=None)
    add_attempt(connection, RETRIED, number=2, owner=SERVER)
    kept = {"status": 4, "execution": 1, "started_at": NOW, "finished_at": NOW + MINUTE}
    add_node(connection, RETRIED, attempt=2, log_attempt=1, **kept)
    add_node(connection, RETRIED, attempt=2, position=1, name="second")
    tell(connection, RETRIED, 5, attempt=2, data={"accepted": "retry"})
    _change(connection, Run, Run.id == RETRIED, status=1, started_at=at)
    _change(connection, Run, Run.id == RETRIED, status=4, finished_at=at)
    second = (Node.run_id == RETRIED) & (Node.attempt == 2) & (Node.position == 1)
    _change(connection, Node, second, status=5)
    last = (RunAttempt.run_id == RETRIED) & (RunAttempt.number == 2)
    _change(connection, RunAttempt, last, status=4, closed_at=at)
    tell(connection, RETRIED, 6, attempt=2, data={"phase": "closed", "status": 4})
    # Somebody sets a step by hand afterwards, which is lawful.
    _change(connection, Node, second, status=0, edited_at=LATER, edited_by="ann")
    tell(connection, RETRIED, 7, attempt=2, position=1, data={"status": 0, "edited_by": "ann"})


def _tell_of_failure(connection: WriteConnection) -> None:
    """Store a rule, and that the first attempt of the run that was retried was told."""
    add(connection, AlertRule, **RULE)
    at, channel = NOW + MINUTE, add(connection, AlertChannel, **CHANNEL)
    routed = {"key": f"run/{RETRIED}/1", "at": at, "routed_at": at, "outcome": "opened"}
    add(connection, AlertEvent, **(EVENT | routed), run_id=RETRIED, attempt=1)
    times = {"opened_at": at, "last_at": at, "closed_at": at + MINUTE, "closed_by": "succeeded"}
    alert = add(connection, Alert, **(ALERT | times), last_run_id=RETRIED)
    sent = {"status": "sent", "sent_at": at, "tries": 1, "attempts": [{"at": str(at), "ms": 1, "code": 200}]}
    add(connection, AlertDelivery, **(DELIVERY | sent), alert_id=alert, channel_id=channel, run_id=RETRIED)


def _receive(connection: WriteConnection) -> None:
    """Store a trigger with an event that has started a run, and one that waits."""
    paused = {"name": "hook", "dag_id": connection.scalar(select(Dag.id)), "paused_at": NOW, "paused_by": "ann"}
    trigger = add(connection, Trigger, **(TRIGGER | paused))
    started = {"id": "over", "key": "k2", "state": "started", "settled_at": NOW, "run_id": OVER}
    for values in ({"id": "waits"}, started):
        add(connection, TriggerEvent, **(EVENT_OF_TRIGGER | values), trigger_id=trigger)


def request_stop(connection: WriteConnection, key: int, after: timedelta) -> None:
    """Ask a run to stop, so long after the beginning, and answer nothing."""
    add(connection, RunRequest, run_id=key, kind="stop", asked_at=NOW + after)


@contextmanager
def without_guards(connection: WriteConnection) -> Iterator[None]:
    """Let every statement through: no trigger, no reference, no check and no unique index of ours stands in the way."""
    plain: Connection = connection
    for index in ("uq_run_attempts_open", "uq_alerts_open"):
        plain.exec_driver_sql(f"DROP INDEX {index}")
    if connection.dialect.name == "postgresql":
        plain.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table, name in plain.exec_driver_sql(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint "
            "WHERE contype = 'c' AND connamespace = current_schema()::regnamespace"
        ).all():
            plain.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        yield
        return
    for (name,) in plain.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all():
        plain.exec_driver_sql(f"DROP TRIGGER {name}")
    plain.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    plain.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    try:
        yield
    finally:
        plain.exec_driver_sql("PRAGMA ignore_check_constraints = OFF")


def run_lawlessly(connection: WriteConnection, statement: str) -> None:
    """Run a statement as somebody would type it.

    It may name the runs, and with ``:early`` and ``:late`` instants before and after all others, and ``:long_ago``.
    """
    clause = text(statement)
    known = {"over": OVER, "waits": WAITS, "runs": RUNS, "retried": RETRIED, "called": CALLED}
    known |= {name: stored(connection, at) for name, at in MOMENTS.items()}
    connection.execute(clause, {name: known[name] for name in clause.compile().params})
