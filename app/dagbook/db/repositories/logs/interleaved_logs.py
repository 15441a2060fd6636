"""Interleaved output of all steps of a run, and of its sub-runs, in the order of its arrival.

A page reads at most its number of chunks from each stream. To find where it begins in them, it goes back from the end
of each: the first page, the last one, and what is added to a run read no others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import accumulate

import msgspec
from sqlalchemy import (
    CTE,
    ColumnElement,
    ScalarSelect,
    Select,
    Subquery,
    Tuple,
    and_,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased

from dagbook.db.compression import decompress
from dagbook.db.database import ReadConnection
from dagbook.db.models.node import LogChunk, Node
from dagbook.db.models.run import Run
from dagbook.db.statements import all_rows

MAX_BYTES = 1024 * 1024  # of a page, which has at least one chunk

_KEY = (LogChunk.run_id, LogChunk.attempt, LogChunk.position, LogChunk.stream, LogChunk.seq)
_ORDER = ("received_at", "run_id", "position", "ordinal")
_STREAMS = (1, 2)
_before = aliased(LogChunk)
_place = tuple_(*(getattr(_before, name) for name in _ORDER))


class OutputCursor(msgspec.Struct, frozen=True):
    """Position of a chunk in the output of a run; chunks of the same time are in the order of their runs and steps."""

    at: datetime
    run: int
    position: int
    ordinal: int


class OutputRow(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk of output with the names of its step and run."""

    run_id: int
    attempt: int
    position: int
    stream: int
    seq: int
    ordinal: int
    execution: int
    received_at: datetime
    first_line: int
    byte_count: int
    name: str
    dag_name: str
    dag_run_id: str
    text: str = ""


class NodeOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a run or of a run below, with the numbers of the last chunks of its streams, and their bytes.

    ``top`` is the key of the run that was asked for.
    """

    run_id: int
    top: int
    attempt: int
    position: int
    name: str
    dag_run_id: str
    stdout: int | None
    stderr: int | None
    stdout_bytes: int | None
    stderr_bytes: int | None

    @property
    def bytes(self) -> int:
        """The stored bytes of both streams."""
        return (self.stdout_bytes or 0) + (self.stderr_bytes or 0)


class OutputPage(msgspec.Struct, frozen=True):
    """Consecutive chunks in order, and whether there are more in the direction of the query."""

    rows: Sequence[OutputRow]
    more: bool


def find_first(
    connection: ReadConnection, run: int, limit: int, after: OutputCursor | None = None, *, sub_runs: bool = False
) -> OutputPage:
    """Return output chunks of the newest attempt of a run, from the start or after a cursor.

    Output of nodes retained from an earlier attempt is included, with ``sub_runs`` also that of the runs below. At most
    ``limit`` chunks, and little more than ``MAX_BYTES``.
    """

    def first(nodes: CTE, stream: ColumnElement[int]) -> ColumnElement[int]:
        return (
            literal(0) if after is None else func.coalesce(_last_seq(nodes, stream, _place <= _literal(after)) + 1, 0)
        )

    chunks = _chunks(run, first, limit, sub_runs=sub_runs)
    return _read(connection, select(chunks).order_by(*(chunks.c[name] for name in _ORDER)), limit)


def find_last(
    connection: ReadConnection, run: int, limit: int, before: OutputCursor | None = None, *, sub_runs: bool = False
) -> OutputPage:
    """Return the last chunks, or the last ones before a cursor, in order, limited as in ``find_first``."""
    conditions = () if before is None else (_place < _literal(before),)

    def first(nodes: CTE, stream: ColumnElement[int]) -> ColumnElement[int]:
        return _last_seq(nodes, stream, *conditions) - limit

    chunks = _chunks(run, first, limit, sub_runs=sub_runs)
    found = _read(connection, select(chunks).order_by(*(chunks.c[name].desc() for name in _ORDER)), limit)
    return OutputPage(found.rows[::-1], found.more)


def find_nodes(
    connection: ReadConnection, runs: Sequence[int], *, sub_runs: bool = False, most: int | None = None
) -> Sequence[NodeOutput]:
    """Return the nodes of the newest attempts of runs, with ``sub_runs`` also those of the runs below."""
    nodes = _nodes(runs, sub_runs=sub_runs)
    columns = (nodes.c[name] for name in ("run_id", "top", "attempt", "position", "name", "dag_run_id"))
    size = _before.byte_offset + _before.byte_count
    lasts = (
        _last(value, nodes, literal(stream)).label(name + suffix)
        for stream, name in ((1, "stdout"), (2, "stderr"))
        for value, suffix in ((_before.seq, ""), (size, "_bytes"))
    )
    return all_rows(connection, NodeOutput, select(*columns, *lasts).limit(most))


def _nodes(runs: Sequence[int], *, sub_runs: bool) -> CTE:
    """Select nodes with the attempts that have their output.

    Where sub-runs are included, their callers are not: what these write is the results of the sub-runs.
    """
    columns = (Run.id, Run.attempt, Run.dag_name, Run.run_id)
    tree = select(*columns, Run.id.label("top")).where(Run.id.in_(runs)).cte("tree", recursive=sub_runs)
    if sub_runs:
        tree = tree.union_all(select(*columns, tree.c.top).select_from(Run).join(tree, Run.parent_id == tree.c.id))
    # Sums keep SQLite from a scan of all nodes, or of all chunks below, with a look for the run or node of each.
    log_attempt = func.coalesce(Node.log_attempt, Node.attempt).label("attempt")
    names = (Node.name, tree.c.dag_name, tree.c.run_id.label("dag_run_id"), tree.c.top)
    nodes = (
        select(Node.run_id, log_attempt, Node.position, *names)
        .select_from(tree)
        .join(Node, and_(Node.run_id == tree.c.id + 0, Node.attempt == tree.c.attempt + 0))
    )
    return (nodes.where(Node.sub_runs.is_(None)) if sub_runs else nodes).cte("listed").prefix_with("MATERIALIZED")


def _last_seq(nodes: CTE, stream: ColumnElement[int], *conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    """Select the number of the last chunk of a node's stream for which conditions hold that hold for all before it."""
    return _last(_before.seq, nodes, stream, *conditions)


def _last(
    value: ColumnElement[int] | InstrumentedAttribute[int],
    nodes: CTE,
    stream: ColumnElement[int],
    *conditions: ColumnElement[bool],
) -> ScalarSelect[int]:
    """Select a value of that chunk."""
    return (
        select(value)
        .where(*_of_node(_before, nodes), _before.stream == stream, *conditions)
        .order_by(_before.seq.desc())
        .limit(1)
        .correlate(nodes)
        .scalar_subquery()
    )


def _of_node(chunk: type[LogChunk], nodes: CTE) -> tuple[ColumnElement[bool], ...]:
    return (
        chunk.run_id == nodes.c.run_id + 0,
        chunk.attempt == nodes.c.attempt + 0,
        chunk.position == nodes.c.position + 0,
    )


def _chunks(
    run: int, first: Callable[[CTE, ColumnElement[int]], ColumnElement[int]], limit: int, *, sub_runs: bool
) -> Subquery:
    """Select ``limit`` chunks of each stream of a run, and one more, from a number on, without their texts."""
    nodes = _nodes([run], sub_runs=sub_runs)
    # Materialized, for PostgreSQL may otherwise look for the first number once for each chunk.
    streams = (
        union_all(
            *(
                select(*nodes.c, literal(stream).label("stream"), first(nodes, literal(stream)).label("first"))
                for stream in _STREAMS
            )
        )
        .cte("streams")
        .prefix_with("MATERIALIZED")
    )
    columns = (*_KEY, LogChunk.ordinal, LogChunk.execution, LogChunk.received_at, LogChunk.first_line)
    names = (streams.c.name, streams.c.dag_name, streams.c.dag_run_id)
    return (
        select(*columns, LogChunk.byte_count, *names)
        .select_from(streams)
        .join(
            LogChunk,
            and_(
                *_of_node(LogChunk, streams),
                LogChunk.stream == streams.c.stream + 0,
                LogChunk.seq.between(streams.c.first, streams.c.first + limit),
            ),
        )
        .subquery("chunks")
    )


def _literal(cursor: OutputCursor) -> Tuple:
    at = literal(cursor.at, LogChunk.received_at.type)
    return tuple_(at, literal(cursor.run, LogChunk.run_id.type), literal(cursor.position), literal(cursor.ordinal))


def _read(connection: ReadConnection, ordered: Select[*tuple[object, ...]], limit: int) -> OutputPage:
    """Sort rows without their texts, then read the texts of the page."""
    found = all_rows(connection, OutputRow, ordered.limit(limit + 1))
    sizes_before = accumulate((row.byte_count for row in found), initial=0)
    page = [row for row, size in zip(found[:limit], sizes_before, strict=False) if size < MAX_BYTES]
    keys = [(row.run_id, row.attempt, row.position, row.stream, row.seq) for row in page]
    texts = select(*_KEY, LogChunk.text, LogChunk.packed).where(tuple_(*_KEY).in_(keys))
    text_of = {tuple(row[:5]): decompress(row.text, row.packed) for row in connection.execute(texts)} if keys else {}
    kept = [(row, key) for row, key in zip(page, keys, strict=True) if key in text_of]  # the run may be deleted by now
    return OutputPage([msgspec.structs.replace(row, text=text_of[key]) for row, key in kept], len(page) < len(found))
