"""Log chunks: the stored end of a stream, its lines and its texts."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, ScalarSelect, Subquery, bindparam, func, literal, select, union_all
from sqlalchemy.orm import InstrumentedAttribute

from dagbook.db.compression import decompress
from dagbook.db.database import ReadConnection
from dagbook.db.models.node import LogChunk, Node
from dagbook.db.models.run import Run
from dagbook.db.statements import all_rows
from dagbook.engine.status import NodeStatus, RunStatus

MAX_CHUNKS = 64  # read at a time when a complete log is sent: 16 MiB
PAGE_BYTES = 16 * 1024 * 1024  # limit of a page with very long lines
_MAX_OPEN = 1024  # chunks of a page without the end of a line
BLOCK_BYTES = 1024 * 1024  # when a log is read from start to end
_MAX_IN_BLOCK = 4096

BOTH = 0  # as the stream of a key: stdout and stderr as one, in the order of arrival
_MAX_GROWING = 200
_followed = union_all(
    select(Run.id, Run.attempt, Run.dag_name, Run.run_id, Run.root_id).where(Run.id == bindparam("run")),
    select(Run.id, Run.attempt, Run.dag_name, Run.run_id, Run.root_id).where(
        Run.root_id == bindparam("run"), Run.status == RunStatus.RUNNING
    ),
).subquery()


class StreamKey(msgspec.Struct, frozen=True):
    """One stream of one node in one attempt."""

    run: int
    attempt: int
    position: int
    stream: int


class StreamEnd(msgspec.Struct, frozen=True):
    """End of the stored part of a stream."""

    next_seq: int = 0
    next_line: int = 1
    next_byte: int = 0
    ends_with_newline: bool = True


class ChunkText(msgspec.Struct, frozen=True, kw_only=True):
    """Text of a chunk; ``seq`` or ``line_count`` is what its query selects."""

    text: str
    first_line: int
    packed: bytes | None
    seq: int = 0
    line_count: int = 0


class GrowingStream(msgspec.Struct, frozen=True, kw_only=True):
    """Stored extent of a stream of a running step."""

    dag_name: str
    run_id: str
    root_id: int | None
    attempt: int
    name: str
    stream: int
    lines: int | None
    bytes: int | None


def _chunks(key: StreamKey) -> Subquery:
    """Return the chunks of a stream as a table; of both streams with numbers, lines and bytes of the whole."""
    of_node = select(LogChunk).where(
        LogChunk.run_id == key.run, LogChunk.attempt == key.attempt, LogChunk.position == key.position
    )
    if key.stream != BOTH:
        return of_node.where(LogChunk.stream == key.stream).subquery()
    chunk = of_node.subquery()

    def before(column: ColumnElement[int]) -> ColumnElement[int]:
        return func.sum(column).over(order_by=chunk.c.ordinal, rows=(None, 0)) - column

    return select(
        (func.row_number().over(order_by=chunk.c.ordinal) - 1).label("seq"),
        (before(chunk.c.line_count) + 1).label("first_line"),
        chunk.c.line_count,
        before(chunk.c.byte_count).label("byte_offset"),
        chunk.c.byte_count,
        chunk.c.text,
        chunk.c.packed,
    ).subquery()


def _of(key: StreamKey) -> tuple[ColumnElement[bool], ...]:
    return (
        LogChunk.run_id == key.run,
        LogChunk.attempt == key.attempt,
        LogChunk.position == key.position,
        LogChunk.stream == key.stream,
    )


def get_end(connection: ReadConnection, key: StreamKey) -> StreamEnd:
    """Return the end of the stored part of a stream; ``StreamEnd()`` when nothing is stored."""
    chunk = _chunks(key).c
    row = connection.execute(
        select(
            chunk.seq,
            chunk.first_line,
            chunk.line_count,
            chunk.byte_offset,
            chunk.byte_count,
            chunk.text,
            chunk.packed,
        )
        .order_by(chunk.seq.desc())
        .limit(1)
    ).first()
    if row is None:
        return StreamEnd()
    return StreamEnd(
        row.seq + 1,
        row.first_line + row.line_count,
        row.byte_offset + row.byte_count,
        decompress(row.text, row.packed)[-1:] in ("\n", ""),
    )


def find_origin(connection: ReadConnection, key: StreamKey, execution: int) -> int | None:
    """Return the first byte of an execution's stored output; None when nothing of it is stored."""
    statement = select(func.min(LogChunk.byte_offset)).where(*_of(key), LogChunk.execution == execution)
    found: int | None = connection.execute(statement).scalar()
    return found


def next_ordinal(connection: ReadConnection, run: int, attempt: int, position: int) -> int:
    """Return the next ``ordinal`` of a node, which counts chunks over both streams."""
    last = connection.execute(
        select(func.max(LogChunk.ordinal)).where(
            LogChunk.run_id == run, LogChunk.attempt == attempt, LogChunk.position == position
        )
    ).scalar()
    return 0 if last is None else last + 1


def find_texts(connection: ReadConnection, key: StreamKey, seq: int) -> list[str]:
    """Return the texts of a stream's chunks from number ``seq`` on, in order, at most ``MAX_CHUNKS``."""
    chunk = _chunks(key).c
    statement = select(chunk.text, chunk.packed).where(chunk.seq >= seq).order_by(chunk.seq).limit(MAX_CHUNKS)
    return [decompress(*row) for row in connection.execute(statement)]


def _start_seq(chunks: Subquery, line: int) -> ScalarSelect[int]:
    """Select the number of a chunk that starts before a line; NULL or -1 for the first lines."""
    chunk = chunks.c
    at_or_before = select(func.max(chunk.first_line)).where(chunk.first_line <= line).scalar_subquery()
    # The previous chunk may end inside this line, and a long line may fill several chunks.
    return select(func.min(chunk.seq) - 1).where(chunk.first_line == at_or_before).scalar_subquery()


def find_streams(connection: ReadConnection, run: int) -> dict[StreamKey, int]:
    """Return the number of the last chunk of every stream of a run, in all attempts."""
    columns = (LogChunk.attempt, LogChunk.position, LogChunk.stream)
    statement = select(*columns, func.max(LogChunk.seq)).where(LogChunk.run_id == run).group_by(*columns)
    return {StreamKey(run, *row[:3]): row[3] for row in connection.execute(statement)}


def find_first(connection: ReadConnection, key: StreamKey, line: int) -> int:
    """Return the number of the chunk to read from for the complete line (from 1) and all lines after it."""
    return max(connection.execute(select(_start_seq(_chunks(key), line))).scalar() or 0, 0)


def find_block(connection: ReadConnection, key: StreamKey, seq: int) -> Sequence[ChunkText]:
    """Return chunks from number ``seq`` on, in order, of little more than ``BLOCK_BYTES`` together."""
    end = select(LogChunk.byte_offset + BLOCK_BYTES).where(*_of(key), LogChunk.seq == seq).scalar_subquery()
    statement = (
        select(LogChunk.seq, LogChunk.first_line, LogChunk.text, LogChunk.packed)
        .where(*_of(key), LogChunk.seq >= seq, LogChunk.byte_offset < end)
        .order_by(LogChunk.seq)
        .limit(_MAX_IN_BLOCK)
    )
    return _decompressed(all_rows(connection, ChunkText, statement))


def _decompressed(rows: Sequence[ChunkText]) -> list[ChunkText]:
    return [msgspec.structs.replace(row, text=decompress(row.text, row.packed), packed=None) for row in rows]


def find_lines(
    connection: ReadConnection, key: StreamKey, first: int, count: int, *, from_end: bool = False
) -> Sequence[ChunkText]:
    """Return the chunks that contain ``count`` lines from line ``first`` (from 1) on, in order.

    Limited to little more than ``PAGE_BYTES``: the first ones, or with ``from_end``, for the last lines of a log, the
    last ones. The limit is not a number of chunks, because a step that writes one line per second fills a chunk with
    each line.
    """
    chunks = _chunks(key)
    chunk = chunks.c
    start = func.coalesce(_start_seq(chunks, first), 0)
    edge = select(chunk.byte_offset).where(chunk.seq >= start).limit(1)
    if from_end:
        within_page = chunk.byte_offset > edge.order_by(chunk.seq.desc()).scalar_subquery() - PAGE_BYTES
    else:
        within_page = chunk.byte_offset < edge.order_by(chunk.seq).scalar_subquery() + PAGE_BYTES
    statement = (
        select(chunk.first_line, chunk.line_count, chunk.text, chunk.packed)
        .where(chunk.seq >= start, chunk.first_line < first + count, within_page)
        .order_by(chunk.seq.desc() if from_end else chunk.seq)
        .limit(count + _MAX_OPEN)  # also stops the scan at the end of the page
    )
    rows = _decompressed(all_rows(connection, ChunkText, statement))
    return rows[::-1] if from_end else rows


def _end_of(stream: int, *columns: InstrumentedAttribute[int]) -> ScalarSelect[int]:
    """Select the sum of columns of the last chunk of a node's stream."""
    return (
        select(sum(columns[1:], start=columns[0] + 0))
        .where(
            LogChunk.run_id == Node.run_id,
            LogChunk.attempt == Node.attempt,
            LogChunk.position == Node.position,
            LogChunk.stream == stream,
        )
        .order_by(LogChunk.seq.desc())
        .limit(1)
        .correlate(Node)
        .scalar_subquery()
    )


_growing = [
    select(
        _followed.c.dag_name,
        _followed.c.run_id,
        _followed.c.root_id,
        _followed.c.attempt,
        Node.name,
        literal(stream).label("stream"),
        (_end_of(stream, LogChunk.first_line, LogChunk.line_count) - 1).label("lines"),
        _end_of(stream, LogChunk.byte_offset, LogChunk.byte_count).label("bytes"),
    )
    .join_from(_followed, Node, (Node.run_id == _followed.c.id) & (Node.attempt == _followed.c.attempt))
    .where(Node.status == NodeStatus.RUNNING)
    for stream in (1, 2)
]
_find_growing = union_all(*_growing).limit(_MAX_GROWING)


def find_growing(connection: ReadConnection, run: int) -> Sequence[GrowingStream]:
    """Return the stored extent of the output of running steps, of a run and its running sub-runs.

    For each stream with output: names of run and step, complete lines and bytes; at most 200 streams.
    """
    rows = all_rows(connection, GrowingStream, _find_growing, run=run)
    return [row for row in rows if row.bytes]


def count_bytes(connection: ReadConnection, run: int, attempt: int, stream: int) -> dict[int, int]:
    """Return, by position, the stored bytes of a stream of each node that wrote to it."""
    statement = (
        select(LogChunk.position, func.sum(LogChunk.byte_count))
        .where(LogChunk.run_id == run, LogChunk.attempt == attempt, LogChunk.stream == stream)
        .group_by(LogChunk.position)
    )
    return {position: int(count) for position, count in connection.execute(statement) if count}


def read_from(connection: ReadConnection, key: StreamKey, start: int) -> bytes:
    """Return a stream from byte ``start`` to its end."""
    statement = (
        select(LogChunk.byte_offset, LogChunk.text, LogChunk.packed)
        .where(*_of(key), LogChunk.byte_offset + LogChunk.byte_count > start)
        .order_by(LogChunk.seq)
    )
    rows = connection.execute(statement).all()
    return (
        b"".join(decompress(row.text, row.packed).encode() for row in rows)[start - rows[0].byte_offset :]
        if rows
        else b""
    )
