"""Log chunks: the stored end of a stream, its lines and its texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import asdict, replace
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    SmallInteger,
    Subquery,
    and_,
    bindparam,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute

from dagbook.db.compression import decompress
from dagbook.db.database import ReadConnection
from dagbook.db.models.node import LogChunk, Node
from dagbook.db.models.run import Run
from dagbook.db.statements import all_rows, first_row
from dagbook.engine.status import NodeStatus, RunStatus

MAX_CHUNKS = 64  # read at a time when a complete log is sent: 16 MiB
PAGE_BYTES = 16 * 1024 * 1024  # limit of a page with very long lines
_MAX_OPEN = 1024  # chunks of a page without the end of a line
_NO_SEQ = 2**31 - 1
BLOCK_BYTES = 1024 * 1024  # when a log is read from start to end
_MAX_IN_BLOCK = 4096

BOTH = 0  # as the stream of a key: stdout and stderr as one, in the order of arrival
_of_node = (
    LogChunk.run_id == bindparam("run", type_=BigInteger),
    LogChunk.attempt == bindparam("attempt", type_=Integer),
    LogChunk.position == bindparam("position", type_=Integer),
)
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


class ChunkText(msgspec.Struct, frozen=True, kw_only=True):
    """Text of a chunk; ``seq`` and ``line_count`` are set if its query selects them."""

    text: str
    first_line: int
    packed: bytes | None
    seq: int = 0
    line_count: int = 0

    @property
    def content(self) -> str:
        """The text, decompressed."""
        return decompress(self.text, self.packed)

    def starts_before(self, line: int) -> bool:
        """Whether a line does not start in an earlier chunk."""
        return self.first_line < line or self.seq == 0


class StreamEnd(msgspec.Struct, frozen=True):
    """End of the stored part of a stream, with its last chunk."""

    next_seq: int = 0
    next_line: int = 1
    next_byte: int = 0
    ends_with_newline: bool = True
    last: ChunkText | None = None

    @property
    def line_total(self) -> int:
        """The number of lines, the incomplete last one included."""
        return self.next_line - 1 + (not self.ends_with_newline)


class LastChunk(msgspec.Struct, frozen=True):
    """The last chunk of a node: its ``ordinal``, and when it was received."""

    ordinal: int
    received_at: datetime | None


class LoggedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node, and the attempt that has its output: that of a node that a retry kept is an earlier one."""

    position: int
    attempt: int
    started_at: datetime | None


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


class _Statements:
    """What is read of a stream: a table of its chunks."""

    def __init__(self, chunks: Subquery) -> None:
        chunk, line, size = chunks.c, bindparam("line", type_=Integer), bindparam("bytes", type_=BigInteger)
        numbers = (chunk.seq, chunk.first_line, chunk.line_count)
        forward, backward = chunk.seq, chunk.seq.desc()

        def first(wanted: Select[int]) -> ScalarSelect[int]:
            return wanted.order_by(forward).limit(1).scalar_subquery()

        def last(wanted: Select[int]) -> ScalarSelect[int]:
            return wanted.order_by(backward).limit(1).scalar_subquery()

        texts = (chunk.text, chunk.packed)
        self.end = select(*numbers, chunk.byte_offset, chunk.byte_count, *texts).order_by(backward).limit(1)
        self.texts = select(*texts).where(chunk.seq >= bindparam("seq", type_=Integer)).order_by(forward)
        # A line starts in the chunk before the first one that begins with it or after it, or in the last one.
        after = func.coalesce(first(select(chunk.seq).where(chunk.first_line >= line)), last(select(chunk.seq + 1)))
        self.first = select(after - 1)
        start = self.first.scalar_subquery()
        begin = first(select(chunk.byte_offset).where(chunk.seq >= start))
        following = first(select(chunk.seq).where(chunk.first_line >= bindparam("end", type_=Integer)))
        limit = bindparam("most", type_=Integer)
        self.lines = (
            select(*numbers, *texts)
            .where(chunk.seq >= start, chunk.seq < func.coalesce(following, _NO_SEQ), chunk.byte_offset < begin + size)
            .order_by(forward)
            .limit(limit)
        )
        # The same, read from the end of the index.
        before = func.coalesce(last(select(chunk.seq).where(chunk.first_line < line)), 0)
        end = last(select(chunk.byte_offset))
        tail = select(*numbers, *texts).where(chunk.seq >= before, chunk.byte_offset > end - size)
        self.tail = tail.order_by(backward).limit(limit)


def _before(column: InstrumentedAttribute[int]) -> ColumnElement[int]:
    return func.sum(column).over(order_by=LogChunk.ordinal, rows=(None, 0)) - column


# Both streams as one: the chunks have numbers, lines and bytes of the whole.
_numbered = (
    select(
        LogChunk.stream,
        LogChunk.seq.label("own"),
        (func.row_number().over(order_by=LogChunk.ordinal) - 1).label("seq"),
        (_before(LogChunk.line_count) + 1).label("first_line"),
        LogChunk.line_count,
        _before(LogChunk.byte_count).label("byte_offset"),
        LogChunk.byte_count,
    )
    .where(*_of_node)
    .subquery()
)
_texts = and_(*_of_node, LogChunk.stream == _numbered.c.stream, LogChunk.seq == _numbered.c.own)
_of_both = _Statements(
    select(*_numbered.c, LogChunk.text, LogChunk.packed).join_from(_numbered, LogChunk, _texts).subquery()
)
_of_one = _Statements(
    select(LogChunk).where(*_of_node, LogChunk.stream == bindparam("stream", type_=SmallInteger)).subquery()
)
_find_node = (
    select(Node.position, func.coalesce(Node.log_attempt, Node.attempt).label("attempt"), Node.started_at)
    .where(Node.run_id == bindparam("run"), Node.attempt == bindparam("number"), Node.name == bindparam("name"))
    .order_by(Node.position)
    .limit(1)
)


def _statements(key: StreamKey) -> _Statements:
    return _of_both if key.stream == BOTH else _of_one


def find_node(connection: ReadConnection, run: int, attempt: int, name: str) -> LoggedNode | None:
    """Return the step of this name, or the handler if both have it."""
    return first_row(connection, LoggedNode, _find_node, run=run, number=attempt, name=name)


def _of(key: StreamKey) -> tuple[ColumnElement[bool], ...]:
    return (
        LogChunk.run_id == key.run,
        LogChunk.attempt == key.attempt,
        LogChunk.position == key.position,
        LogChunk.stream == key.stream,
    )


def get_end(connection: ReadConnection, key: StreamKey) -> StreamEnd:
    """Return the end of the stored part of a stream; ``StreamEnd()`` when nothing is stored."""
    row = connection.execute(_statements(key).end, asdict(key)).first()
    if row is None:
        return StreamEnd()
    text = decompress(row.text, row.packed)
    return StreamEnd(
        row.seq + 1,
        row.first_line + row.line_count,
        row.byte_offset + row.byte_count,
        text[-1:] in ("\n", ""),
        ChunkText(text=text, first_line=row.first_line, packed=None, seq=row.seq, line_count=row.line_count),
    )


def find_origin(connection: ReadConnection, key: StreamKey, execution: int) -> int | None:
    """Return the first byte of an execution's stored output; None when nothing of it is stored."""
    statement = select(func.min(LogChunk.byte_offset)).where(*_of(key), LogChunk.execution == execution)
    found: int | None = connection.execute(statement).scalar()
    return found


def find_last_chunk(connection: ReadConnection, run: int, attempt: int, position: int) -> LastChunk:
    """Return the number, over both streams, and the time of the last chunk of a node; -1 and None if it has none."""
    last = connection.execute(
        select(func.max(LogChunk.ordinal), func.max(LogChunk.received_at)).where(
            LogChunk.run_id == run, LogChunk.attempt == attempt, LogChunk.position == position
        )
    ).one()
    return LastChunk(-1 if last[0] is None else last[0], last[1])


def find_texts(connection: ReadConnection, key: StreamKey, seq: int) -> list[str]:
    """Return the texts of a stream's chunks from number ``seq`` on, in order, at most ``MAX_CHUNKS``."""
    rows = connection.execute(_statements(key).texts.limit(MAX_CHUNKS), {**asdict(key), "seq": seq})
    return [decompress(*row) for row in rows]


def find_all(connection: ReadConnection, nodes: Collection[tuple[int, int, int]]) -> dict[StreamKey, list[ChunkText]]:
    """Return all chunks of nodes, each known by run, attempt and position, in the order of their streams."""
    keys = (LogChunk.run_id, LogChunk.attempt, LogChunk.position, LogChunk.stream)
    statement = select(*keys, LogChunk.text, LogChunk.first_line, LogChunk.packed)
    ordered = statement.where(tuple_(*keys[:3]).in_(list(nodes))).order_by(*keys, LogChunk.seq)
    found: dict[StreamKey, list[ChunkText]] = {}
    for run, attempt, position, stream, text, first_line, packed in connection.execute(ordered) if nodes else ():
        chunk = ChunkText(text=text, first_line=first_line, packed=packed)
        found.setdefault(StreamKey(run, attempt, position, stream), []).append(chunk)
    return found


def find_first(connection: ReadConnection, key: StreamKey, line: int) -> int:
    """Return the number of the chunk to read from for the complete line (from 1) and all lines after it."""
    return max(connection.execute(_statements(key).first, {**asdict(key), "line": line}).scalar() or 0, 0)


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
    return [replace(row, text=row.content, packed=None) for row in rows]


def find_lines(
    connection: ReadConnection, key: StreamKey, first: int, count: int, *, from_end: bool = False
) -> Sequence[ChunkText]:
    """Return the chunks that contain ``count`` lines from line ``first`` (from 1) on, in order.

    Limited to little more than ``PAGE_BYTES``: the first ones, or with ``from_end``, for the last lines of a log, the
    last ones. The limit is not a number of chunks, because a step that writes one line per second fills a chunk with
    each line.
    """
    statement = _statements(key).tail if from_end else _statements(key).lines
    limits = {"line": first, "end": first + count, "most": count + _MAX_OPEN, "bytes": PAGE_BYTES}
    rows = _decompressed(all_rows(connection, ChunkText, statement, **asdict(key), **limits))
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
