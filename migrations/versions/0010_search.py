"""What runs are looked for by: tags and params in tables of their own, errors of runs that are over, and indexes.

Revision ID: 0010
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0010"
down_revision: str | None = "0009"
branch_labels: str | None = None
depends_on: str | None = None

INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLES = ("run_errors", "run_params", "run_tags")
_INDEXES = (
    "ix_runs_trigger",
    "ix_runs_actor",
    "ix_runs_revision",
    "ix_runs_root",
    "ix_runs_root_name",
    "ix_runs_child",
)
_CREATED_AT: list[str | sa.TextClause] = [sa.text("created_at DESC"), "run_id"]
_BATCH = 5_000
_LONGEST, _HEAD, _MOST_ERROR = 200, 100, 8_000  # as app.db.lookup had them at this revision


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0009"):
        _create_tables()
        for batch in _batches(op.get_bind()):
            _fill(op.get_bind(), batch)
        _index_tables()
        _index_runs()


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0009"):
        for name in _INDEXES:
            op.drop_index(name, "runs")
        for table in _TABLES:
            op.drop_table(table)
        op.create_index("ix_runs_created_at", "runs", _CREATED_AT)
        op.create_index("ix_runs_dag_name", "runs", ["dag_name", sa.text("created_at DESC")])


def _create_tables() -> None:
    _create("run_tags", ["tag"], sa.Column("tag", sa.Text(), nullable=False), sqlite_with_rowid=False)
    _create(
        "run_params",
        ["position"],
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    _create("run_errors", [], sa.Column("text", sa.Text(), nullable=False))


def _create(name: str, keys: list[str], *columns: sa.Column[Any], **options: Any) -> None:
    op.create_table(
        name,
        sa.Column("run_id", KEY, autoincrement=False, nullable=False),
        *columns,
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f(f"fk_{name}_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", *keys, name=op.f(f"pk_{name}")),
        **options,
    )


def _index_tables() -> None:
    op.create_index("ix_run_tags_tag", "run_tags", ["tag", "created_at", "run_id"])
    op.create_index("ix_run_params_name", "run_params", ["name", "value", "created_at", "run_id"])
    op.create_index("ix_run_errors_created_at", "run_errors", ["created_at", "run_id"])


def _index_runs() -> None:
    """Keep root runs, which lists show, apart from those that they have called, which may be very many."""
    op.drop_index("ix_runs_created_at", "runs")
    op.drop_index("ix_runs_dag_name", "runs")
    _create_partial("ix_runs_root", _CREATED_AT, "root_id IS NULL")
    _create_partial("ix_runs_root_name", ["dag_name", "created_at"], "root_id IS NULL")
    _create_partial("ix_runs_child", ["created_at"], "root_id IS NOT NULL")
    op.create_index("ix_runs_trigger", "runs", ["trigger", "created_at"])
    _create_partial("ix_runs_actor", ["actor", "created_at"], "actor IS NOT NULL")
    _create_partial("ix_runs_revision", ["dag_name", "dag_revision", "created_at"], "dag_revision IS NOT NULL")


def _create_partial(name: str, columns: list[Any], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "runs", columns, sqlite_where=where, postgresql_where=where)


def _batches(connection: sa.Connection) -> Iterator[list[sa.Row[Any]]]:
    """Give all runs, some at a time: there may be millions."""
    statement = sa.text(
        "SELECT id, attempt, tags, params, created_at, error, finished_at FROM runs "
        "WHERE id > :last ORDER BY id LIMIT :most"
    )
    last = -(2**62)
    while batch := list(connection.execute(statement, {"last": last, "most": _BATCH})):
        yield batch
        last = batch[-1].id


def _fill(connection: sa.Connection, batch: list[sa.Row[Any]]) -> None:
    tags = [
        {"run_id": run.id, "tag": tag, "created_at": run.created_at}
        for run in batch
        for tag in dict.fromkeys(_as_key(tag) for tag in json.loads(run.tags))
    ]
    params = [
        {
            "run_id": run.id,
            "position": place,
            "name": _as_key(name),
            "value": _as_key(text),
            "created_at": run.created_at,
        }
        for run in batch
        for place, (name, text) in enumerate(json.loads(run.params))
    ]
    texts = {run.id: _error_text(run, found) for run, found in _errors(connection, batch)}
    errors = [
        {"run_id": run.id, "text": texts[run.id], "created_at": run.created_at} for run in batch if texts.get(run.id)
    ]
    for name, rows in (("run_tags", tags), ("run_params", params), ("run_errors", errors)):
        if rows:
            columns = ", ".join(rows[0])
            values = ", ".join(f":{column}" for column in rows[0])
            connection.execute(sa.text(f"INSERT INTO {name} ({columns}) VALUES ({values})"), rows)  # noqa: S608


def _errors(connection: sa.Connection, batch: list[sa.Row[Any]]) -> Iterator[tuple[sa.Row[Any], list[str]]]:
    """Give those of the runs that are over, with the errors of the nodes of their last attempts."""
    statement = sa.text(
        "SELECT run_id, attempt, error FROM nodes WHERE run_id BETWEEN :first AND :last AND error <> '' "
        "ORDER BY run_id, position"
    )
    found: dict[tuple[int, int], list[str]] = {}
    for row in connection.execute(statement, {"first": batch[0].id, "last": batch[-1].id}):
        found.setdefault((row.run_id, row.attempt), []).append(row.error)
    for run in batch:
        if run.finished_at is not None:
            yield run, found.get((run.id, run.attempt), [])


def _error_text(run: sa.Row[Any], nodes: list[str]) -> str:
    return "\n".join(dict.fromkeys(error for error in (run.error, *nodes) if error))[:_MOST_ERROR]


def _as_key(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_HEAD]}…{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"
