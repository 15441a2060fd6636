"""Rows of the search tables: tags and params are added when a run is accepted, errors when it finishes.

Indexed texts are shortened, because no index takes a text of any length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import bindparam, delete, insert, select

from dagbook.db.database import WriteConnection
from dagbook.db.models.node import Node
from dagbook.db.models.run import Run, RunError, RunParam, RunTag
from dagbook.db.prepared import Prepared, parameters
from dagbook.db.repositories.runs.run_rows import NewRunRow
from dagbook.db.types import Base
from dagbook.spec.model import Pair

_LONGEST, HEAD = 200, 100  # characters; PostgreSQL's indexes take about 2,700 bytes
_MAX_ERROR_CHARACTERS = 8_000


def _insert(model: type[Base], *names: str) -> Prepared:
    """Prepare the insertion of rows of a run; they have the time of its row, which determines the order of lists."""
    values = parameters(model, names)
    found = select(Run.id, Run.created_at, *values.values()).where(Run.id == bindparam("run"))
    return Prepared(insert(model).from_select(["run_id", "created_at", *values], found))


_add_tags, _add_errors = _insert(RunTag, "tag"), _insert(RunError, "text")
_add_params = _insert(RunParam, "position", "name", "value")
_delete_params = Prepared(delete(RunParam).where(RunParam.run_id == bindparam("run")))
_delete_errors = Prepared(delete(RunError).where(RunError.run_id == bindparam("run")))


def index_key(text: str) -> str:
    """Return a text, or the start and the hash of a long one, so that equal texts have equal keys."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:HEAD]}…{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


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
