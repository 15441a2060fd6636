"""Many finished runs with all their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import func, insert, select, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models import Definition, LogChunk, Node, Run, RunAttempt, RunEvent, RunInput
from dagbook.db.repositories.definitions import DefinitionRow
from dagbook.db.types import Base
from tests.db.rows import table_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
_TELLING = {"changes", "audit"}
SPEC = "steps:\n  - echo hello\n"


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A run: when it ended, what each of its two steps wrote, in so many chunks, and who called it."""

    key: int
    name: str = "etl"
    days_ago: float = 1
    log_bytes: int = 0
    chunks: int = 1
    spec: str = SPEC
    root: int | None = None
    status: int = 4
    now: datetime = NOW

    @property
    def at(self) -> datetime:
        return self.now - self.days_ago * DAY

    @property
    def hash(self) -> str:
        return DefinitionRow.of(self.spec, "", NOW).hash


def add_past(connection: WriteConnection, runs: Sequence[Past]) -> None:
    """Store runs with everything that belongs to them."""
    specs = {run.spec for run in runs}
    known = set(connection.execute(select(Definition.hash)).scalars())
    rows = [DefinitionRow.of(spec, "", NOW) for spec in specs]
    _insert(connection, Definition, [msgspec.structs.asdict(row) for row in rows if row.hash not in known])
    _insert(connection, Run, [_run(run) for run in runs])
    _insert(connection, RunAttempt, [_attempt(run) for run in runs])
    _insert(connection, RunInput, [_inputs(run) for run in runs])
    _insert(connection, Node, [_node(run, position) for run in runs for position in range(2)])
    _insert(connection, RunEvent, [event for run in runs for event in _events(run)])
    _insert(connection, LogChunk, [chunk for run in runs for chunk in _chunks(run)])
    _settle(connection, runs)


def _settle(connection: WriteConnection, runs: Sequence[Past]) -> None:
    keys = [run.key for run in runs]
    connection.execute(update(Node).where(Node.run_id.in_(keys)).values(status=1))
    connection.execute(update(Run).where(Run.id.in_(keys)).values(status=1))
    for run in runs:
        if run.status == 1:
            continue
        connection.execute(update(Node).where(Node.run_id == run.key).values(status=4, finished_at=run.at))
        connection.execute(update(Run).where(Run.id == run.key).values(status=run.status, finished_at=run.at))


def _insert(connection: WriteConnection, model: type[Base], rows: Iterable[dict[str, Any]]) -> None:
    if found := list(rows):
        connection.execute(insert(table_of(model)), found)


def _run(run: Past) -> dict[str, Any]:
    return {
        "id": run.key,
        "dag_name": run.name,
        "run_id": f"r{run.key}",
        "definition_hash": run.hash,
        "queue": run.name,
        "root_id": run.root,
        "parent_id": run.root,
        "trigger": "api",
        "params": [],
        "params_text": "",
        "tags": [],
        "status": 0,
        "attempt": 1,
        "created_at": run.at,
        "started_at": run.at,
        "max_active_runs": 1,
    }


def _attempt(run: Past) -> dict[str, Any]:
    closed = None if run.status == 1 else run.at
    return {
        "run_id": run.key,
        "number": 1,
        "status": run.status,
        "token": 1,
        "opened_at": run.at,
        "closed_at": closed,
    }


def _inputs(run: Past) -> dict[str, Any]:
    return {"run_id": run.key, "params": [], "env": [], "dotenv": [], "work_dir": "/", "keep_dir": True}


def _node(run: Past, position: int) -> dict[str, Any]:
    row = {"run_id": run.key, "attempt": 1, "position": position, "name": f"s{position}", "handler": False}
    return row | {"status": 0, "execution": 1, "started_at": run.at}


def _events(run: Past) -> Iterable[dict[str, Any]]:
    told: list[tuple[int | None, dict[str, Any]]] = [
        (None, {"accepted": "api"}),
        (0, {"status": 4}),
        (1, {"status": 4}),
    ]
    if run.status != 1:
        told.append((None, {"phase": "closed", "status": run.status}))
    for seq, (position, data) in enumerate(told, 1):
        yield {"run_id": run.key, "seq": seq, "attempt": 1, "at": run.at, "position": position, "data": data}


def _chunks(run: Past) -> Iterable[dict[str, Any]]:
    if not run.log_bytes:
        return
    size = run.log_bytes // run.chunks
    for position in range(2):
        for seq in range(run.chunks):
            yield {
                "run_id": run.key,
                "attempt": 1,
                "position": position,
                "stream": 1 + seq % 2,
                "seq": seq // 2,
                "ordinal": seq,
                "execution": 1,
                "received_at": run.at,
                "first_line": 1,
                "line_count": 0,
                "byte_offset": size * (seq // 2),
                "byte_count": size,
                "text": "x" * size,
            }


def left(connection: ReadConnection) -> list[int]:
    """Return the keys of the runs that are there."""
    return sorted(connection.execute(select(Run.id)).scalars())


def count_rows(connection: ReadConnection) -> dict[str, int]:
    """Count the rows of every table that has any, but for those that tell of changes."""
    counts = {
        str(table.name): connection.scalar(select(func.count()).select_from(table)) or 0
        for table in Base.metadata.sorted_tables
        if table.name not in _TELLING
    }
    return {name: count for name, count in counts.items() if count}
