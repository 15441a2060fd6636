"""Audit entries and the seals over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    type_coerce,
    union_all,
    update,
)

from dagbook.audit_entry import NewAuditEntry
from dagbook.db.database import AUDIT, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.audit import AuditEntry, AuditSeal
from dagbook.db.prepared import Prepared
from dagbook.db.statements import all_rows, columns, first_row
from dagbook.json_values import Json

T = TypeVar("T")
_add = Prepared(insert(AuditEntry).inline())  # the generated ids are not needed
_entries = AuditEntry.__table__
_DESCENDING = (AuditEntry.at.desc(), AuditEntry.id.desc())  # the order of every index
# Columns that seals cover, in this order; ``before`` and ``after`` as the stored text.
_unsealed = [
    type_coerce(column, Text).label(column.name) if column.name in ("before", "after") else column
    for column in _entries.columns
]
_IS_LAST_SEAL = AuditSeal.number == select(func.max(AuditSeal.number)).scalar_subquery()
_last_signature = select(AuditSeal.signature).where(_IS_LAST_SEAL)
_writers = text(
    "SELECT virtualtransaction FROM pg_locks WHERE relation = 'audit'::regclass AND mode = 'RowExclusiveLock' "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_mark_pruned = (
    update(AuditSeal)
    .where(AuditSeal.number == bindparam("b_number"), AuditSeal.pruned_at.is_(None))
    .values(marks=None, pruned_at=bindparam("at"))
)


class AuditRow(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An entry; ``before`` and ``after`` are objects, or in a ``SealedEntry`` their JSON texts."""

    id: int
    at: datetime
    actor: str | None
    via: str
    user_id: str | None
    token_id: str | None
    token_name: str | None
    address: str
    request_id: str
    action: str
    kind: str
    name: str
    before: T | None
    after: T | None
    outcome: str


SealedEntry = AuditRow[str]


class LastSeal(msgspec.Struct, frozen=True, kw_only=True):
    """What the next seal continues."""

    number: int
    last_id: int
    hash: str
    signature: bytes
    sealed_at: datetime


class PrunableSeal(msgspec.Struct, frozen=True, kw_only=True):
    """A seal whose entries may be deleted."""

    number: int
    first_id: int
    last_id: int
    entries: int


class SealRow(msgspec.Struct, frozen=True, kw_only=True):
    """A seal."""

    number: int
    first_id: int
    last_id: int
    entries: int
    digest: str
    hash: str
    signature: bytes
    sealed_at: datetime
    pruned_at: datetime | None
    marks: bytes | None
    pruned_up_to: int | None


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Filter of a list of entries; ``before`` is an id, below which the list starts."""

    actor: str | None = None
    actions: Sequence[str] = ()
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    request_id: str | None = None
    before: int | None = None


def add(connection: WriteConnection, *entries: NewAuditEntry) -> None:
    """Store entries, in the transaction of the change that they describe."""
    _add.execute_many(connection, entries)
    if entries:
        mark_changed(connection, AUDIT)


def find(connection: ReadConnection, entry_filter: AuditFilter, limit: int) -> Sequence[AuditRow[dict[str, Json]]]:
    """Return entries, newest first."""
    where = _conditions(entry_filter)
    if entry_filter.before is not None:
        below = _below(connection, entry_filter.before)
        if below is None:
            return []
        where.append(below)
    newest = _newest(where, entry_filter.actions, limit)
    return all_rows(connection, AuditRow, select(_entries).where(AuditEntry.id.in_(newest)).order_by(*_DESCENDING))


def _newest(where: Sequence[ColumnElement[bool]], actions: Sequence[str], limit: int) -> Select[int]:
    """Select the ids. Each action is read from its index in order; otherwise all entries would be sorted."""
    entries = select(AuditEntry.id, AuditEntry.at)
    if not actions:
        return select(entries.where(*where).order_by(*_DESCENDING).limit(limit).subquery().c.id)
    pages = [entries.where(AuditEntry.action == one, *where).order_by(*_DESCENDING).limit(limit) for one in actions]
    found = union_all(*(select(page.subquery()) for page in pages)).subquery()
    return select(select(found).order_by(found.c.at.desc(), found.c.id.desc()).limit(limit).subquery().c.id)


def _conditions(entry_filter: AuditFilter) -> list[ColumnElement[bool]]:
    exact = (
        (AuditEntry.actor, entry_filter.actor),
        (AuditEntry.name, entry_filter.name),
        (AuditEntry.request_id, entry_filter.request_id),
    )
    conditions: list[ColumnElement[bool]] = [column == value for column, value in exact if value is not None]
    if entry_filter.since is not None:
        conditions.append(AuditEntry.at >= entry_filter.since)
    if entry_filter.until is not None:
        conditions.append(AuditEntry.at < entry_filter.until)
    return conditions


def _below(connection: ReadConnection, entry: int) -> ColumnElement[bool] | None:
    """Return the condition for entries after this one in the list; None if there are none, because they are pruned."""
    statement = select(AuditEntry.id, AuditEntry.at).where(AuditEntry.id <= entry).order_by(AuditEntry.id.desc())
    found = connection.execute(statement.limit(1)).first()
    if found is None:
        return None
    same_time = AuditEntry.id < entry if found.id == entry else AuditEntry.id <= found.id
    return and_(AuditEntry.at <= found.at, or_(AuditEntry.at < found.at, same_time))


def last_id(connection: ReadConnection) -> int:
    """Return the highest id of an entry; 0 when there is none."""
    return connection.scalar(select(func.max(AuditEntry.id))) or 0


def find_writers(connection: ReadConnection) -> set[str]:
    """Return the open transactions that may have inserted an entry; none on SQLite, which has one writer.

    On PostgreSQL an entry gets its id at the insert and is visible after the commit, so a lower id may appear after a
    higher one. An inserting transaction holds this lock from before the id is assigned until it ends.
    """
    if connection.dialect.name != "postgresql":
        return set()
    return set(connection.execute(_writers).scalars())


def lock(connection: WriteConnection) -> None:
    """Wait for transactions that write entries or seals, and let no other one write until this one ends."""
    # On SQLite there is one write transaction at a time.
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE audit, audit_seals IN SHARE ROW EXCLUSIVE MODE"))


def read_range(connection: ReadConnection, after: int, last: int, limit: int | None = None) -> Sequence[SealedEntry]:
    """Return the sealed columns of entries with ids above ``after`` and up to ``last``, in order."""
    statement = select(*_unsealed).where(AuditEntry.id > after, AuditEntry.id <= last).order_by(AuditEntry.id)
    return all_rows(connection, AuditRow, statement.limit(limit))


def count_after(connection: ReadConnection, last: int) -> int:
    """Count the entries with ids above ``last``."""
    return connection.scalar(select(func.count()).select_from(AuditEntry).where(AuditEntry.id > last)) or 0


def get_last_signature(connection: ReadConnection) -> bytes | None:
    """Return the signature of the newest seal."""
    return connection.scalar(_last_signature)


def get_last_seal(connection: ReadConnection) -> LastSeal | None:
    """Return the last seal."""
    return first_row(connection, LastSeal, select(*columns(AuditSeal, LastSeal)).where(_IS_LAST_SEAL))


def find_seals(connection: ReadConnection, after: int, limit: int) -> Sequence[SealRow]:
    """Return complete seals with numbers above ``after``, in order."""
    statement = select(AuditSeal.__table__).where(AuditSeal.number > after).order_by(AuditSeal.number)
    return all_rows(connection, SealRow, statement.limit(limit))


def add_seal(connection: WriteConnection, seal: SealRow) -> None:
    """Store a seal; raises Conflict when its number exists or it does not follow the last one."""
    connection.execute(insert(AuditSeal).values(**msgspec.structs.asdict(seal)))
    mark_changed(connection, AUDIT)


def find_prunable(connection: ReadConnection, up_to: int, limit: int) -> Sequence[PrunableSeal]:
    """Return number, entry range and count of the first unpruned seals over entries up to ``up_to``."""
    statement = (
        select(*columns(AuditSeal, PrunableSeal))
        .where(AuditSeal.pruned_at.is_(None), AuditSeal.last_id <= up_to)
        .order_by(AuditSeal.number)
        .limit(limit)
    )
    return all_rows(connection, PrunableSeal, statement)


def sum_prunable(connection: ReadConnection, before: datetime) -> tuple[int, int]:
    """Return the number of unpruned entries under seals that were made before a time, and the id of the last one."""
    return _sum_unpruned(connection, AuditSeal.sealed_at < before)


def sum_unpruned(connection: ReadConnection, up_to: int) -> tuple[int, int]:
    """Return the number of unpruned entries under seals over entries up to ``up_to``, and the id of the last one."""
    return _sum_unpruned(connection, AuditSeal.last_id <= up_to)


def _sum_unpruned(connection: ReadConnection, condition: ColumnElement[bool]) -> tuple[int, int]:
    statement = select(func.coalesce(func.sum(AuditSeal.entries), 0), func.max(AuditSeal.last_id))
    row = connection.execute(statement.where(AuditSeal.pruned_at.is_(None), condition)).one()
    return int(row[0]), int(row[1] or 0)


def prune(connection: WriteConnection, seals: Sequence[int], last: int, at: datetime) -> None:
    """Mark seals as pruned and delete the entries up to ``last``, which is the last seal's last entry."""
    for number in seals:  # in order: a trigger requires that earlier seals are marked
        connection.execute(_mark_pruned, {"b_number": number, "at": at})
    connection.execute(delete(AuditEntry).where(AuditEntry.id <= last))


def begin_repeatable_read(connection: ReadConnection) -> None:
    """Make this transaction see one state of the database throughout, as it always does on SQLite."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
