"""Interleaved output of all steps of a run, in the order of its arrival."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

import msgspec
from sqlalchemy import Select, Tuple, func, literal, select, tuple_

from dagbook.db.compression import decompress
from dagbook.db.database import ReadConnection
from dagbook.db.models.node import LogChunk, Node
from dagbook.db.statements import all_rows

MAX_BYTES = 1024 * 1024  # of a page, which has at least one chunk

_KEY = (LogChunk.attempt, LogChunk.position, LogChunk.stream, LogChunk.seq)
_ORDER = (LogChunk.received_at, LogChunk.position, LogChunk.ordinal)


class OutputCursor(msgspec.Struct, frozen=True):
    """Position of a chunk in the output of a run; chunks of the same time are in the order of their steps."""

    at: datetime
    position: int
    ordinal: int


class OutputRow(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk of output with the name of its step."""

    attempt: int
    position: int
    stream: int
    seq: int
    ordinal: int
    received_at: datetime
    first_line: int
    byte_count: int
    name: str
    text: str = ""


class OutputPage(msgspec.Struct, frozen=True):
    """Consecutive chunks in order, and whether there are more in the direction of the query."""

    rows: Sequence[OutputRow]
    more: bool


def find_first(
    connection: ReadConnection, run: int, attempt: int, limit: int, after: OutputCursor | None = None
) -> OutputPage:
    """Return output chunks of an attempt, from the start or after a cursor.

    Output of nodes retained from an earlier attempt is included. At most ``limit`` chunks, and little more than
    ``MAX_BYTES``.
    """
    statement = _of_attempt(run, attempt)
    if after is not None:
        statement = statement.where(tuple_(*_ORDER) > _literal(after))
    return _read(connection, run, statement.order_by(*_ORDER), limit)


def find_last(
    connection: ReadConnection, run: int, attempt: int, limit: int, before: OutputCursor | None = None
) -> OutputPage:
    """Return the last chunks, or the last ones before a cursor, in order, limited as in ``find_first``."""
    statement = _of_attempt(run, attempt)
    if before is not None:
        statement = statement.where(tuple_(*_ORDER) < _literal(before))
    found = _read(connection, run, statement.order_by(*(column.desc() for column in _ORDER)), limit)
    return OutputPage(found.rows[::-1], found.more)


def _of_attempt(run: int, attempt: int) -> Select[*tuple[object, ...]]:
    log_attempt = func.coalesce(Node.log_attempt, Node.attempt)
    return (
        select(*_KEY, LogChunk.ordinal, LogChunk.received_at, LogChunk.first_line, LogChunk.byte_count, Node.name)
        .join_from(
            Node,
            LogChunk,
            (LogChunk.run_id == Node.run_id) & (LogChunk.attempt == log_attempt) & (LogChunk.position == Node.position),
        )
        .where(Node.run_id == run, Node.attempt == attempt)
    )


def _literal(cursor: OutputCursor) -> Tuple:
    at = literal(cursor.at, LogChunk.received_at.type)
    return tuple_(at, literal(cursor.position), literal(cursor.ordinal))


def _read(connection: ReadConnection, run: int, ordered: Select[*tuple[object, ...]], limit: int) -> OutputPage:
    """Sort rows without their texts, then read the texts of the page."""
    found = all_rows(connection, OutputRow, ordered.limit(limit + 1))
    sizes_before = accumulate((row.byte_count for row in found), initial=0)
    page = [row for row, size in zip(found[:limit], sizes_before, strict=False) if size < MAX_BYTES]
    keys = [(row.attempt, row.position, row.stream, row.seq) for row in page]
    texts = select(*_KEY, LogChunk.text, LogChunk.packed).where(LogChunk.run_id == run, tuple_(*_KEY).in_(keys))
    text_of = {tuple(row[:4]): decompress(row.text, row.packed) for row in connection.execute(texts)} if keys else {}
    rows = [msgspec.structs.replace(row, text=text_of[key]) for row, key in zip(page, keys, strict=True)]
    return OutputPage(rows, len(page) < len(found))
