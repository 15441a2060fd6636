"""Output of a node as lines: one stream, or both as one in the order of arrival, from any line on.

Chunks have numbers without gaps, ``seq`` in their stream and ``ordinal`` over both. So ``ordinal - seq`` chunks of the
other stream came before a chunk, and two rows tell its first line among both streams: no chunk before it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from itertools import takewhile

import msgspec
from msgspec.structs import replace
from sqlalchemy import BigInteger, ColumnElement, Integer, Select, SmallInteger, bindparam, func, select
from sqlalchemy.orm import aliased

from dagbook.db.compression import decompress
from dagbook.db.database import ReadConnection
from dagbook.db.models.node import LogChunk
from dagbook.db.repositories.logs.logs import BOTH, StreamKey
from dagbook.db.statements import all_rows, is_one_of

MAX_BYTES = 1024 * 1024  # of a page, which has at least one complete line
MAX_LINE_BYTES = 16 * 1024 * 1024  # of a page of one line, which is then cut off
_MAX_CHUNKS = 1024
_PROBES = 4  # chunks that one step of a search reads, or a few more
_DISTANCES = [4**power for power in range(16)]
_STDOUT, _STDERR = _STREAMS = (1, 2)


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk; ``line`` is its first line among the selected streams, ``first_line`` that in its own."""

    stream: int
    seq: int
    ordinal: int
    execution: int
    received_at: datetime
    first_line: int
    line_count: int
    byte_count: int
    line: int
    text: str = ""

    @property
    def next_line(self) -> int:
        """The line in which the next chunk starts."""
        return self.line + self.line_count


class ChunkCursor(msgspec.Struct, frozen=True):
    """Place between two chunks: how many of stdout, and of stderr, are before it."""

    stdout: int = 0
    stderr: int = 0

    @property
    def ordinal(self) -> int:
        """The number of the next chunk of both streams."""
        return self.stdout + self.stderr

    def seq(self, stream: int) -> int:
        """Return the number of the next chunk of a stream."""
        return self.stdout if stream == _STDOUT else self.stderr

    def after(self, chunks: Sequence[Chunk]) -> ChunkCursor:
        """Return the place behind consecutive chunks."""
        counts = [sum(chunk.stream == stream for chunk in chunks) for stream in _STREAMS]
        return ChunkCursor(self.stdout + counts[0], self.stderr + counts[1])


class Lines(msgspec.Struct, frozen=True):
    """The lines from ``first`` on, ``count`` of them, and the chunks that they are in, which may have more lines."""

    first: int
    count: int
    chunks: Sequence[Chunk]


_other = aliased(LogChunk)
_lines_of_other = (
    select(_other.first_line + _other.line_count - 1)
    .where(
        _other.run_id == LogChunk.run_id,
        _other.attempt == LogChunk.attempt,
        _other.position == LogChunk.position,
        _other.stream == 3 - LogChunk.stream,
        _other.seq == LogChunk.ordinal - LogChunk.seq - 1,
    )
    .correlate(LogChunk)
    .scalar_subquery()
)
_of_node = (
    LogChunk.run_id == bindparam("run", type_=BigInteger),
    LogChunk.attempt == bindparam("attempt", type_=Integer),
    LogChunk.position == bindparam("position", type_=Integer),
)
# A range, for PostgreSQL compares each chunk with each member of a list of pairs.
_texts = select(LogChunk.seq, LogChunk.text, LogChunk.packed).where(
    *_of_node,
    LogChunk.stream == bindparam("stream", type_=SmallInteger),
    LogChunk.seq.between(bindparam("first", type_=Integer), bindparam("last", type_=Integer)),
)


class _Statements:
    """What is read of a stream; ``line`` is the first line of a chunk."""

    def __init__(self, line: ColumnElement[int]) -> None:
        chunks: Select[*tuple[object, ...]] = select(
            LogChunk.stream,
            LogChunk.seq,
            LogChunk.ordinal,
            LogChunk.execution,
            LogChunk.received_at,
            LogChunk.first_line,
            LogChunk.line_count,
            LogChunk.byte_count,
            line.label("line"),
        ).where(*_of_node, LogChunk.stream == bindparam("stream", type_=SmallInteger))
        self.last = chunks.order_by(LogChunk.seq.desc()).limit(1)
        self.chosen = chunks.where(is_one_of(LogChunk.seq, "seqs")).order_by(LogChunk.seq)
        following = chunks.where(LogChunk.seq >= bindparam("seq", type_=Integer)).order_by(LogChunk.seq)
        self.following = following.limit(bindparam("most", type_=Integer))


_of_one = _Statements(LogChunk.first_line + 0)
_of_both = _Statements(LogChunk.first_line + func.coalesce(_lines_of_other, 0))


class MergedLog:
    """The output of a node in an attempt, on the stream of the key or on both.

    On PostgreSQL the run can be deleted between two statements: what is read then has fewer lines, or none.
    """

    def __init__(self, connection: ReadConnection, key: StreamKey) -> None:
        self._connection = connection
        self._node = {"run": key.run, "attempt": key.attempt, "position": key.position}
        self._statements = _of_both if key.stream == BOTH else _of_one
        self._streams = _STREAMS if key.stream == BOTH else (key.stream,)
        self._last = {stream: row for stream in self._streams for row in self._read(stream, self._statements.last)}

    def _read(self, stream: int, statement: Select[*tuple[object, ...]], **values: object) -> list[Chunk]:
        return all_rows(self._connection, Chunk, statement, **self._node, stream=stream, **values)

    @cached_property
    def total(self) -> int:
        """The number of lines, the incomplete last one included."""
        last = max(self._last.values(), key=lambda chunk: chunk.ordinal, default=None)
        return 0 if last is None else last.next_line - self._ends_line(last)

    def _ends_line(self, chunk: Chunk) -> bool:
        return all(read.text[-1:] in ("\n", "") for read in self.with_texts([chunk]))

    def find(self, line: int) -> ChunkCursor:
        """Return the place of the chunk to read from for a complete line (from 1), which may be one chunk before."""
        before = self._count(lambda chunk: chunk.line < line) if line > 1 else ChunkCursor()
        return self._back(before)

    def _back(self, before: ChunkCursor) -> ChunkCursor:
        """Return the place before the last chunk that is before a place."""
        last = [
            row
            for stream in self._streams
            if before.seq(stream)
            for row in self._read(stream, self._statements.chosen, seqs=[before.seq(stream) - 1])
        ]
        if not last:
            return before
        stream = max(last, key=lambda chunk: chunk.ordinal).stream
        return ChunkCursor(before.stdout - (stream == _STDOUT), before.stderr - (stream == _STDERR))

    def _count(self, is_before: Callable[[Chunk], bool]) -> ChunkCursor:
        """Count the chunks of each stream for which something holds that holds for all before them, too."""
        return ChunkCursor(*(self._search(stream, is_before) if stream in self._last else 0 for stream in _STREAMS))

    def _search(self, stream: int, is_before: Callable[[Chunk], bool]) -> int:
        low, high = 0, self._last[stream].seq + 1
        if is_before(self._last[stream]):
            return high
        seqs = [high - distance for distance in _DISTANCES if distance <= high]  # most readers are near the end
        while low < high:
            probes = self._read(stream, self._statements.chosen, seqs=seqs)
            held = list(takewhile(is_before, probes))
            if len(held) < len(probes):
                high = probes[len(held)].seq
            if held:
                low = held[-1].seq + 1
            elif not probes:
                break  # the run was deleted
            seqs = list(range(low, high, max((high - low) // _PROBES, 1)))
        return low

    def start_of(self, execution: int) -> ChunkCursor:
        """Return the place at which an execution begins, or would begin if it had written anything."""
        return self._count(lambda chunk: chunk.execution < execution)

    def span(self, execution: int) -> tuple[int, int]:
        """Return the first and the last line of an execution; the last is before the first if it wrote nothing."""
        begin, after = self.start_of(execution), self.start_of(execution + 1)
        begun = self.chunks(begin, 1)
        first = begun[0].line if begun else self.total + 1
        last = self.chunks(self._back(after), 1) if begin != after else []
        return first, last[0].next_line - self._ends_line(last[0]) if last else first - 1

    def line_of(self, stream: int, line: int) -> int:
        """Return the number among the selected streams of a line of one stream; of the last one, if it has no such."""
        if stream not in self._last:
            return 1
        after = self._search(stream, lambda chunk: chunk.first_line < line)
        seqs = [max(after - 1, 0), after]
        begun, *following = self._read(stream, self._statements.chosen, seqs=seqs) or [self._last[stream]]
        offset = min(line - begun.first_line, begun.line_count)
        if offset == begun.line_count and self._ends_line(begun):
            return following[0].line if following else max(begun.next_line - 1, begun.line)
        return begun.line + offset

    def chunk_of(self, line: int) -> Chunk | None:
        """Return the chunk in which a line begins; the last one, if there is no such line."""
        chunks = self.chunks(self.find(line), 2)
        is_next = len(chunks) > 1 and chunks[1].line == line and self._ends_line(chunks[0])
        return chunks[is_next] if chunks else None

    def chunks(self, at: ChunkCursor, limit: int) -> list[Chunk]:
        """Return the next chunks without their texts, in order."""
        rows = [
            row
            for stream in self._streams
            for row in self._read(stream, self._statements.following, seq=at.seq(stream), most=limit)
        ]
        rows.sort(key=lambda chunk: chunk.ordinal)
        if len(self._streams) == 1:
            return rows[:limit]
        # A chunk that was stored between the two reads may miss its predecessor.
        return [row for ordinal, row in enumerate(rows[:limit], at.ordinal) if row.ordinal == ordinal]

    def with_texts(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Read the texts of consecutive chunks."""
        texts = dict[tuple[int, int], str]()
        for stream in self._streams:
            if seqs := [chunk.seq for chunk in chunks if chunk.stream == stream]:
                wanted = {"stream": stream, "first": seqs[0], "last": seqs[-1]}
                rows = self._connection.execute(_texts, {**self._node, **wanted})
                texts |= {(stream, row.seq): decompress(row.text, row.packed) for row in rows}
        keys = [(chunk.stream, chunk.seq) for chunk in chunks]
        return [replace(chunk, text=texts[key]) for chunk, key in zip(chunks, keys, strict=True) if key in texts]

    def block(self, at: ChunkCursor) -> list[Chunk]:
        """Return the next chunks, of little more than ``MAX_BYTES`` together."""
        size, block = 0, list[Chunk]()
        for chunk in self._walk(at, _MAX_CHUNKS):
            if size >= MAX_BYTES or len(block) == _MAX_CHUNKS:
                break
            size += chunk.byte_count
            block.append(chunk)
        return self.with_texts(block)

    def lines(self, first: int, count: int) -> Lines:
        """Return the chunks of lines; fewer lines than wanted when they are long.

        A line that alone is longer than ``MAX_LINE_BYTES``, or in many chunks, is cut off.
        """
        size, page = 0, list[Chunk]()
        for chunk in self._walk(self.find(first), count + 2):
            is_full = size >= MAX_LINE_BYTES or (size >= MAX_BYTES and chunk.line > first)
            if chunk.line >= first + count or is_full or len(page) >= count + _MAX_CHUNKS:
                count = max(min(count, chunk.line - first), 1)
                break
            size += chunk.byte_count
            page.append(chunk)
        count = max(min(count, self.total - first + 1), 0)
        return Lines(first, count, self.with_texts(page))

    def _walk(self, at: ChunkCursor, limit: int) -> Iterator[Chunk]:
        """Yield the chunks from a place on, read some at a time."""
        while chunks := self.chunks(at, limit):
            yield from chunks
            at = at.after(chunks)


def find_line(connection: ReadConnection, key: StreamKey, line: int) -> ChunkCursor:
    """Return the place to read from for a complete line (from 1) and all lines after it."""
    return MergedLog(connection, key).find(line)


def find_execution(connection: ReadConnection, key: StreamKey, execution: int) -> ChunkCursor:
    """Return the place at which the output of an execution begins."""
    return MergedLog(connection, key).start_of(execution)


def read_block(connection: ReadConnection, key: StreamKey, at: ChunkCursor) -> list[Chunk]:
    """Return the next chunks, of little more than ``MAX_BYTES`` together; none at the end."""
    return MergedLog(connection, key).block(at)
