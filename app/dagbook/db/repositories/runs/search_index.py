"""Rows of the search tables: tags and params are added when a run is accepted, errors when it finishes.

Indexed texts are shortened, because no index takes a text of any length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import BigInteger, BindParameter, Integer, Text, bindparam, delete, insert, select

from dagbook.db.database import WriteConnection
from dagbook.db.models.node import Node
from dagbook.db.models.run import Run, RunError, RunParam, RunTag
from dagbook.db.prepared import Prepared
from dagbook.db.repositories.runs.run_rows import NewRunRow
from dagbook.spec.model import Pair

_LONGEST, _HEAD = 200, 100  # characters; PostgreSQL's indexes take about 2,700 bytes
_MAX_ERROR_CHARACTERS = 8_000
_run = bindparam("run", type_=BigInteger)
_created_at = Run.created_at

_delete_params = Prepared(delete(RunParam).where(RunParam.run_id == _run))
_delete_errors = Prepared(delete(RunError).where(RunError.run_id == _run))


def _text(name: str) -> BindParameter[str]:
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


def index_key(text: str) -> str:
    """Return a text, or the start and the hash of a long one, so that equal texts have equal keys."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_HEAD]}…{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def tag_keys(tags: Iterable[str]) -> list[str]:
    """Return the distinct keys of tags."""
    return list(dict.fromkeys(map(index_key, tags)))


def error_text(run_error: str | None, node_errors: Iterable[str]) -> str:
    """Join the distinct errors of a run and its nodes, truncated to 8,000 characters."""
    errors = dict.fromkeys(error for error in (run_error, *node_errors) if error)
    return "\n".join(errors)[:_MAX_ERROR_CHARACTERS]


def add(connection: WriteConnection, runs: Sequence[NewRunRow]) -> None:
    """Index the tags and params of new runs."""
    _add_tags.execute_many(connection, [{"run": run.id, "tag": tag} for run in runs for tag in tag_keys(run.tags)])
    _index_params(connection, {run.id: run.params for run in runs})


def update_params(connection: WriteConnection, params: Mapping[int, Sequence[Pair]]) -> None:
    """Replace the indexed params of runs after a re-evaluation, which changes values but not names."""
    _delete_params.execute_many(connection, [{"run": run} for run, pairs in params.items() if pairs])
    _index_params(connection, params)


def _index_params(connection: WriteConnection, params: Mapping[int, Sequence[Pair]]) -> None:
    rows = [
        {"run": run, "position": position, "name": index_key(pair.name), "value": index_key(pair.value)}
        for run, pairs in params.items()
        for position, pair in enumerate(pairs)
    ]
    _add_params.execute_many(connection, rows)


def add_errors(connection: WriteConnection, texts: Mapping[int, str]) -> None:
    """Index the errors of finished runs; empty texts are ignored."""
    _add_errors.execute_many(connection, [{"run": run, "text": text} for run, text in texts.items() if text])


def delete_errors(connection: WriteConnection, runs: Sequence[int]) -> None:
    """Delete the indexed errors of earlier attempts."""
    _delete_errors.execute_many(connection, [{"run": run} for run in runs])


def index_errors(connection: WriteConnection, run: int, attempt: int) -> None:
    """Index the errors of an attempt, read from its rows."""
    failed = select(Node.error).where(Node.run_id == run, Node.attempt == attempt, Node.error != "")
    own = connection.execute(select(Run.error).where(Run.id == run)).scalar()
    errors = [row.error for row in connection.execute(failed.order_by(Node.position))]
    delete_errors(connection, [run])
    add_errors(connection, {run: error_text(own, errors)})
