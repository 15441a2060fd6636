"""How runs go: in transactions of a bounded size, of which each leaves the database whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import BindParameter, and_, bindparam, delete, exists, func, select, union_all
from sqlalchemy.dialects import postgresql, sqlite

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.definition import Dag, DagRevision, Definition
from dagbook.db.models.log import LogChunk
from dagbook.db.models.node import Node
from dagbook.db.models.retention import Removal
from dagbook.db.models.run import Run, RunAttempt, RunEvent
from dagbook.db.models.search import RunError, RunParam, RunTag
from dagbook.db.repositories import changes
from dagbook.db.repositories.retention import MAY_DELETE


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What goes with a root run: rows of its history and of all that it called, and the chunks of their logs."""

    runs: int = 0
    rows: int = 0
    chunks: int = 0
    log_bytes: int = 0


class BatchLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one transaction removes."""

    rows: int = 300
    log_bytes: int = 2 * 1024 * 1024


_keys: BindParameter[list[int]] = bindparam("keys", expanding=True)
_tree = union_all(
    select(Run.id.label("root"), Run.id.label("run")).where(Run.id.in_(_keys)),
    select(Run.root_id, Run.id).where(Run.root_id.in_(_keys)),
).cte("tree")
_count_runs = select(_tree.c.root, func.count()).group_by(_tree.c.root)
_count_rows = tuple(
    select(_tree.c.root, func.count()).join(model, model.run_id == _tree.c.run).group_by(_tree.c.root)
    for model in (RunAttempt, RunEvent, Node, RunTag, RunParam, RunError)
)
_count_chunks = (
    select(_tree.c.root, func.count(), func.sum(LogChunk.byte_count))
    .join(LogChunk, LogChunk.run_id == _tree.c.run)
    .group_by(_tree.c.root)
)
_lock = select(Run.id).where(Run.id.in_(_keys), MAY_DELETE).order_by(Run.id).with_for_update(of=Run, skip_locked=True)
_find_tree = select(Run.id).where(Run.root_id == bindparam("root")).order_by(Run.id.desc())
_find_stream = (
    select(LogChunk.attempt, LogChunk.position, LogChunk.stream)
    .where(LogChunk.run_id == bindparam("run"))
    .order_by(LogChunk.attempt.desc(), LogChunk.position.desc(), LogChunk.stream.desc())
    .limit(1)
)
_of_stream = and_(
    LogChunk.run_id == bindparam("run"),
    LogChunk.attempt == bindparam("attempt"),
    LogChunk.position == bindparam("position"),
    LogChunk.stream == bindparam("stream"),
)
_find_tail = (
    select(LogChunk.seq, LogChunk.byte_count).where(_of_stream).order_by(LogChunk.seq.desc()).limit(bindparam("most"))
)
_delete_tail = delete(LogChunk).where(_of_stream, LogChunk.seq >= bindparam("first"))
_is_unused = and_(
    Definition.redacted_at.is_(None),  # a text that was redacted must not come again
    ~exists().where(Run.definition_hash == Definition.hash),
    ~exists().where(Dag.definition_hash == Definition.hash),
    ~exists().where(DagRevision.definition_hash == Definition.hash),
)
_find_unused = (
    select(Definition.hash)
    .where(Definition.hash > bindparam("after"), _is_unused)
    .order_by(Definition.hash)
    .limit(bindparam("most"))
)


def size_of(connection: ReadConnection, keys: Sequence[int]) -> dict[int, Size]:
    """Tell how large root runs are; those that are gone are left out."""
    values = {"keys": list(keys)}
    runs = {row[0]: row[1] for row in connection.execute(_count_runs, values)}
    rows = {key: 2 * count for key, count in runs.items()}  # with their inputs
    for statement in _count_rows:
        for key, count in connection.execute(statement, values):
            rows[key] += count
    chunks = {row[0]: (row[1], int(row[2])) for row in connection.execute(_count_chunks, values)}
    return {
        key: Size(runs=runs[key], rows=rows[key], chunks=logs[0], log_bytes=logs[1])
        for key in keys
        if key in runs
        for logs in [chunks.get(key, (0, 0))]
    }


def lock(connection: WriteConnection, keys: Collection[int], until: datetime) -> list[int]:
    """Lock those of the runs that may still go, and that nobody else has locked: they are not changed any more."""
    return list(connection.execute(_lock, {"keys": list(keys), "until": until}).scalars())


def remove(connection: WriteConnection, keys: Collection[int]) -> None:
    """Remove runs with all that belongs to them and all that they called."""
    changes.add_removed_changes(connection, keys)
    connection.execute(delete(Run).where(Run.id.in_(list(keys))))


def mark_deleting(connection: WriteConnection, key: int, at: datetime) -> None:
    """Note that a run is going piece by piece; harmless when repeated."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(make(Removal).values(run_id=key, begun_at=at).on_conflict_do_nothing())


def find_deleting(connection: ReadConnection) -> list[int]:
    """Return the runs that are going piece by piece."""
    return list(connection.execute(select(Removal.run_id).order_by(Removal.run_id)).scalars())


def find_called(connection: ReadConnection, root: int) -> list[int]:
    """Return all runs that a root run has called, at any depth, those that were called last first."""
    return list(connection.execute(_find_tree, {"root": root}).scalars())


def delete_log_tail(connection: WriteConnection, runs: Iterable[int], bound: BatchLimit) -> Size:
    """Remove the last chunks of the runs' logs, stream by stream, and tell how many there were; none: all are gone."""
    gone = Size()
    for run in runs:
        while gone.chunks < bound.rows and gone.log_bytes < bound.log_bytes:
            stream = connection.execute(_find_stream, {"run": run}).first()
            if stream is None:
                break
            gone = _delete_stream_tail(connection, {"run": run, **stream._asdict()}, gone, bound)
    return gone


def _delete_stream_tail(connection: WriteConnection, stream: dict[str, int], gone: Size, bound: BatchLimit) -> Size:
    chunks, log_bytes, first = gone.chunks, gone.log_bytes, 0
    for seq, byte_count in connection.execute(_find_tail, {**stream, "most": bound.rows - chunks}).all():
        chunks, log_bytes, first = chunks + 1, log_bytes + byte_count, seq
        if log_bytes >= bound.log_bytes:
            break
    connection.execute(_delete_tail, {**stream, "first": first})
    return Size(chunks=chunks, log_bytes=log_bytes)


def find_unused(connection: ReadConnection, after: str, most: int) -> list[str]:
    """Return, by hash behind ``after``, definitions that no run, no DAG and no revision names."""
    return list(connection.execute(_find_unused, {"after": after, "most": most}).scalars())


def remove_unused(connection: WriteConnection, hashes: Sequence[str]) -> int:
    """Remove those of the definitions that nobody names even now, and tell how many."""
    return connection.execute(delete(Definition).where(Definition.hash.in_(hashes), _is_unused)).rowcount
