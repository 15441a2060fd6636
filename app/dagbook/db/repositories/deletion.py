"""Deletion of runs in transactions of limited size, each of which leaves the database consistent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import BindParameter, and_, bindparam, delete, exists, func, select, union_all

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.definition import Dag, DagRevision, Definition, Removal
from dagbook.db.models.node import LogChunk, Node, Summary
from dagbook.db.models.run import Run, RunAttempt, RunError, RunEvent, RunParam, RunTag
from dagbook.db.repositories import changes
from dagbook.db.repositories.retention import MAY_DELETE
from dagbook.db.statements import insert_into

_keys: BindParameter[list[int]] = bindparam("keys", expanding=True)
_tree = union_all(
    select(Run.id.label("root"), Run.id.label("run")).where(Run.id.in_(_keys)),
    select(Run.root_id, Run.id).where(Run.root_id.in_(_keys)),
).cte("tree")
_count_runs = select(_tree.c.root, func.count()).group_by(_tree.c.root)
_count_rows = tuple(
    select(_tree.c.root, func.count()).join(model, model.run_id == _tree.c.run).group_by(_tree.c.root)
    for model in (RunAttempt, RunEvent, Node, Summary, RunTag, RunParam, RunError)
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
    Definition.redacted_at.is_(None),  # the row of a redacted text prevents that it is stored again
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


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Size of a root run: the rows of it and its sub-runs, and the chunks and bytes of their logs."""

    runs: int = 0
    rows: int = 0
    chunks: int = 0
    log_bytes: int = 0


class BatchLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of what one transaction deletes."""

    rows: int = 300
    log_bytes: int = 2 * 1024 * 1024


def size_of(connection: ReadConnection, keys: Sequence[int]) -> dict[int, Size]:
    """Return the sizes of root runs, by key, without those that do not exist."""
    values = {"keys": list(keys)}
    runs = {row[0]: row[1] for row in connection.execute(_count_runs, values)}
    rows = {key: 2 * count for key, count in runs.items()}  # each run has a row of inputs
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
    """Lock the runs that may still be deleted and that no other transaction has locked, and return their keys."""
    return list(connection.execute(_lock, {"keys": list(keys), "until": until}).scalars())


def remove(connection: WriteConnection, keys: Collection[int]) -> None:
    """Delete runs with their rows and sub-runs."""
    changes.add_removed_changes(connection, keys)
    connection.execute(delete(Run).where(Run.id.in_(list(keys))))


def mark_deleting(connection: WriteConnection, key: int, at: datetime) -> None:
    """Mark a run as being deleted in several transactions; harmless when repeated."""
    connection.execute(insert_into(Removal).values(run_id=key, begun_at=at).on_conflict_do_nothing())


def find_deleting(connection: ReadConnection) -> list[int]:
    """Return the runs that are marked as being deleted."""
    return list(connection.execute(select(Removal.run_id).order_by(Removal.run_id)).scalars())


def find_called(connection: ReadConnection, root: int) -> list[int]:
    """Return all sub-runs of a root run, at any depth, latest first."""
    return list(connection.execute(_find_tree, {"root": root}).scalars())


def delete_log_tail(connection: WriteConnection, runs: Iterable[int], limit: BatchLimit) -> Size:
    """Delete the last chunks of the runs' logs, stream by stream; a result without chunks means that none are left."""
    deleted = Size()
    for run in runs:
        while deleted.chunks < limit.rows and deleted.log_bytes < limit.log_bytes:
            stream = connection.execute(_find_stream, {"run": run}).first()
            if stream is None:
                break
            deleted = _delete_stream_tail(connection, {"run": run, **stream._asdict()}, deleted, limit)
    return deleted


def _delete_stream_tail(connection: WriteConnection, stream: dict[str, int], deleted: Size, limit: BatchLimit) -> Size:
    chunks, log_bytes, first = deleted.chunks, deleted.log_bytes, 0
    for seq, byte_count in connection.execute(_find_tail, {**stream, "most": limit.rows - chunks}).all():
        chunks, log_bytes, first = chunks + 1, log_bytes + byte_count, seq
        if log_bytes >= limit.log_bytes:
            break
    connection.execute(_delete_tail, {**stream, "first": first})
    return Size(chunks=chunks, log_bytes=log_bytes)


def find_unused(connection: ReadConnection, after: str, most: int) -> list[str]:
    """Return definitions without a run, DAG or revision, ordered by hash, those after ``after``."""
    return list(connection.execute(_find_unused, {"after": after, "most": most}).scalars())


def remove_unused(connection: WriteConnection, hashes: Sequence[str]) -> int:
    """Delete the definitions that are still unused, and return their number."""
    return connection.execute(delete(Definition).where(Definition.hash.in_(hashes), _is_unused)).rowcount
