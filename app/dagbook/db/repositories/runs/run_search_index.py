"""Writes of the search tables: tags and params when a run is accepted, errors when it finishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Integer, Text, bindparam, delete, insert, select

from dagbook.db import search_keys
from dagbook.db.database import WriteConnection
from dagbook.db.models.node import Node
from dagbook.db.models.run import Run, RunError, RunParam, RunTag
from dagbook.db.prepared import Prepared

_run = bindparam("run", type_=BigInteger)
_created_at = Run.created_at


def _text(name: str) -> Any:
    return bindparam(name, type_=Text)


# The time is copied from the run's row, which determines the order of lists.
_add_tags = Prepared(
    insert(RunTag).from_select(
        ["run_id", "tag", "created_at"], select(Run.id, _text("tag"), _created_at).where(Run.id == _run)
    )
)
_add_params = Prepared(
    insert(RunParam).from_select(
        ["run_id", "position", "name", "value", "created_at"],
        select(Run.id, bindparam("position", type_=Integer), _text("name"), _text("value"), _created_at).where(
            Run.id == _run
        ),
    )
)
_add_errors = Prepared(
    insert(RunError).from_select(
        ["run_id", "created_at", "text"], select(Run.id, _created_at, _text("text")).where(Run.id == _run)
    )
)
_delete_params = Prepared(delete(RunParam).where(RunParam.run_id == _run))
_delete_errors = Prepared(delete(RunError).where(RunError.run_id == _run))


def add(connection: WriteConnection, runs: Sequence[Mapping[str, Any]]) -> None:
    """Index the tags and params of new runs, given by their rows."""
    _add_tags.execute_many(connection, [row for run in runs for row in search_keys.tag_rows(run["id"], run["tags"])])
    _add_params.execute_many(
        connection, [row for run in runs for row in search_keys.param_rows(run["id"], run["params"])]
    )


def update_params(connection: WriteConnection, params: Mapping[int, Sequence[Any]]) -> None:
    """Replace the indexed params of runs after a re-evaluation, which changes values but not names."""
    rows = [row for run, pairs in params.items() for row in search_keys.param_rows(run, pairs)]
    _delete_params.execute_many(connection, [{"run": run} for run, pairs in params.items() if pairs])
    _add_params.execute_many(connection, rows)


def add_errors(connection: WriteConnection, texts: Mapping[int, str]) -> None:
    """Index the errors of finished runs; empty texts are ignored."""
    _add_errors.execute_many(connection, search_keys.error_rows(texts))


def delete_errors(connection: WriteConnection, runs: Sequence[int]) -> None:
    """Delete the indexed errors of earlier attempts."""
    _delete_errors.execute_many(connection, [{"run": run} for run in runs])


def index_errors(connection: WriteConnection, run: int, attempt: int) -> None:
    """Index the errors of an attempt, read from its rows."""
    failed = select(Node.error).where(Node.run_id == run, Node.attempt == attempt, Node.error != "")
    own = connection.execute(select(Run.error).where(Run.id == run)).scalar()
    errors = [row.error for row in connection.execute(failed.order_by(Node.position))]
    delete_errors(connection, [run])
    add_errors(connection, {run: search_keys.error_text(own, errors)})
