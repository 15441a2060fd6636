"""Blocks of runs are written, and written anew when they are stale; each function within one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import and_, delete, exists, func, insert, literal, literal_column, select, text
from sqlalchemy.orm import aliased

from app.db.base import UtcDateTime
from app.db.database import ReadConnection, WriteConnection
from app.db.models.block import RunBlock
from app.db.models.run import IS_ACTIVE, Run
from app.db.packing import pack_bytes
from app.db.repositories import run_list
from app.db.repositories.run_blocks import BETWEEN, FIRST, FULL, MOMENT
from app.db.repositories.run_keys import NAMES

LEAST = 32  # new runs that are worth a block, or one that has become larger
MOST_BYTES = 1024 * 1024
_MOST_RUNS = 4 * FULL
SETTLED = timedelta(minutes=5)  # the hurry is over: lists of less than a block are short anyway
_oldest_writer = text(
    "SELECT least(clock_timestamp(), min(xact_start)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
)
_LOCK = "dagbook run blocks"  # the triggers name it, too


class Writer(msgspec.Struct, frozen=True):
    """Writes runs, given by the values of ``Listed``, one text for each; ``form`` tells such texts from others."""

    form: str
    write: Callable[[Sequence[Sequence[Any]]], Sequence[bytes]]


class Stale(NamedTuple):
    """A block that has to be written anew."""

    dag_name: str
    newest: datetime


class _Chunk(msgspec.Struct, frozen=True):
    """Runs that follow each other, newest first, up to ``end``; a full one is as many as a block takes."""

    rows: Sequence[Sequence[Any]]
    end: datetime
    is_full: bool


def take_turn(connection: WriteConnection) -> bool:
    """Be the only one who writes blocks until the transaction ends, or tell that another one is.

    On PostgreSQL it is also told while somebody changes history whose change cannot be seen yet.
    """
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.scalar(select(func.pg_try_advisory_xact_lock(func.hashtext(_LOCK)))))


def find_settled(connection: ReadConnection, now: datetime) -> datetime:
    """Return before when runs must have been created to come into a block; ``now`` is this machine's time.

    On PostgreSQL a transaction that has not ended may have begun runs that cannot be seen yet. They count as created
    when it began, or at most a minute earlier: with those of an earlier time the trigger takes the lock.
    """
    if connection.dialect.name == "postgresql":
        now = min(now, connection.execute(_oldest_writer).scalar_one())
    return now - SETTLED


_below = aliased(RunBlock)
_end_of_last = (
    select(func.max(_below.newest))
    .where(_below.dag_name == RunBlock.dag_name, _below.newest < RunBlock.newest)
    .correlate(RunBlock)
)
BEGINNING = literal(FIRST, UtcDateTime())
# That a run is one of those of a block.
OF_BLOCK = and_(
    Run.root_id.is_(None),
    Run.dag_name == RunBlock.dag_name,
    Run.created_at <= RunBlock.newest,
    Run.created_at > func.coalesce(_end_of_last.scalar_subquery(), BEGINNING),
)
_of_name = and_(Run.root_id.is_(None), Run.dag_name == NAMES.c.name)
_last = select(func.max(RunBlock.newest)).where(RunBlock.dag_name == NAMES.c.name).correlate(NAMES).scalar_subquery()


def find_due(connection: ReadConnection, before: datetime) -> Sequence[str]:
    """Return the DAG names with runs enough for a further block."""
    behind = (Run.created_at < before, Run.created_at > func.coalesce(_last, BEGINNING))
    some = select(Run.created_at).where(_of_name, *behind).limit(LEAST).correlate(NAMES).subquery()
    number = select(func.count()).select_from(some).scalar_subquery()
    return connection.execute(select(NAMES.c.name).where(NAMES.c.name.is_not(None), number >= LEAST)).scalars().all()


def find_stale(connection: ReadConnection, most: int) -> Sequence[Stale]:
    """Return stale blocks of which all runs are over."""
    active = exists().where(IS_ACTIVE, OF_BLOCK)
    statement = select(RunBlock.dag_name, RunBlock.newest).where(RunBlock.form == literal_column("''"), ~active)
    return [Stale(*row) for row in connection.execute(statement.limit(most))]


def find_foreign(connection: ReadConnection, form: str, most: int) -> Sequence[Stale]:
    """Return blocks that are written in another form."""
    statement = select(RunBlock.dag_name, RunBlock.newest).where(RunBlock.form.not_in(("", form)))
    return [Stale(*row) for row in connection.execute(statement.limit(most))]


def extend(connection: WriteConnection, name: str, before: datetime, writer: Writer) -> bool:
    """Put the next runs of a DAG that were created before an instant into blocks; false when there are too few.

    They join the last block as long as that is not full.
    """
    last = connection.execute(
        select(RunBlock.newest, RunBlock.runs, RunBlock.form)
        .where(RunBlock.dag_name == name)
        .order_by(RunBlock.newest.desc())
        .limit(1)
    ).one_or_none()
    joins = last is not None and last.form == writer.form and last.runs < FULL
    if last is not None and joins:
        chunk = _read(connection, name, _end_below(connection, name, last.newest), before)
        if _are_over(chunk.rows) or not chunk.is_full:
            return _extend(connection, name, _cut(connection, chunk), writer, last.newest, last.runs)
    chunk = _read(connection, name, last.newest if last else None, before)
    return _extend(connection, name, _cut(connection, chunk), writer)


def _extend(
    connection: WriteConnection,
    name: str,
    chunk: _Chunk,
    writer: Writer,
    joined: datetime | None = None,
    runs: int = 0,
) -> bool:
    new = len(chunk.rows) - runs
    if new <= 0 or (new < LEAST and not chunk.is_full):
        return False
    if joined is not None:
        _remove(connection, name, joined)
    _add(connection, name, chunk, writer)
    return True


def renew(connection: WriteConnection, stale: Stale, writer: Writer) -> bool:
    """Write a block anew, or take it away when its runs are gone; false when not all of them are over.

    Twice as many runs as a block takes, or more, become several.
    """
    before = stale.newest + MOMENT
    chunk = _read(connection, stale.dag_name, _end_below(connection, *stale), before)
    if chunk.is_full and chunk.end < stale.newest:
        rest = _read(connection, stale.dag_name, chunk.end, before)
        if rest.is_full:
            _add(connection, stale.dag_name, chunk, writer)
            return True
        chunk = _Chunk([*rest.rows, *chunk.rows], stale.newest, is_full=True)
    if not _are_over(chunk.rows):
        return False
    _remove(connection, *stale)
    if chunk.rows:
        _add(connection, stale.dag_name, msgspec.structs.replace(chunk, end=stale.newest), writer)
    return True


def _end_below(connection: ReadConnection, name: str, newest: datetime) -> datetime | None:
    below = select(func.max(RunBlock.newest)).where(RunBlock.dag_name == name, RunBlock.newest < newest)
    return connection.execute(below).scalar()


def _read(connection: ReadConnection, name: str, after: datetime | None, before: datetime) -> _Chunk:
    within = [Run.root_id.is_(None), Run.dag_name == name, Run.created_at < before]
    if after is not None:
        within.append(Run.created_at > after)
    full = select(Run.created_at).where(*within).order_by(Run.created_at).offset(FULL - 1).limit(1)
    end = connection.execute(full).scalar()
    last = end if end is not None else before - MOMENT
    rows = run_list.find_between(connection, name, after, last, _MOST_RUNS + 1)
    return _Chunk(rows, last, is_full=end is not None)


def _cut(connection: ReadConnection, chunk: _Chunk) -> _Chunk:
    """Of a chunk that is not full leave out the first run that is not over, and all that come later."""
    if chunk.is_full:
        return chunk
    rows = chunk.rows
    if not _are_over(rows):
        oldest = next(row for row in reversed(rows) if row[_STATUS] in _UNDER_WAY)
        rows = [row for row in rows if row[_CREATED_AT] < oldest[_CREATED_AT]]
    end = _instant(connection, rows[0][_CREATED_AT]) if rows else chunk.end
    return _Chunk(rows, end, is_full=False)


_CREATED_AT, _STATUS = (run_list.Listed._fields.index(name) for name in ("created_at", "status"))
_UNDER_WAY = frozenset({0, 1, 5})


def _are_over(rows: Sequence[Sequence[Any]]) -> bool:
    return not any(row[_STATUS] in _UNDER_WAY for row in rows)


def _instant(connection: ReadConnection, stored: Any) -> datetime:
    instant = UtcDateTime().process_result_value(stored, connection.dialect)
    assert instant is not None  # noqa: S101 - every run has been created
    return instant


def _place(connection: ReadConnection, run: Sequence[Any]) -> tuple[int, str, int]:
    listed = run_list.Listed(*run)
    return (_instant(connection, listed.created_at) - FIRST) // MOMENT, listed.run_id, listed.key


def _add(connection: WriteConnection, name: str, chunk: _Chunk, writer: Writer) -> None:
    """Store a block: a stale one while a run of it is not over, and one without text when that would be too long."""
    over = _are_over(chunk.rows)
    items = BETWEEN.join(writer.write(chunk.rows)) if over and len(chunk.rows) <= _MOST_RUNS else b""
    if len(items) > MOST_BYTES:
        items = b""
    row = {
        "dag_name": name,
        "newest": chunk.end,
        "oldest": _instant(connection, chunk.rows[-1][_CREATED_AT]),
        "runs": len(chunk.rows),
        "places": pack_bytes(msgspec.json.encode([_place(connection, run) for run in chunk.rows])),
        "form": writer.form if over else "",
        "items": pack_bytes(items) if items else None,
    }
    connection.execute(insert(RunBlock).values(row))


def _remove(connection: WriteConnection, name: str, newest: datetime) -> None:
    connection.execute(delete(RunBlock).where(RunBlock.dag_name == name, RunBlock.newest == newest))
