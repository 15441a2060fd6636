"""What the database refuses of the audit, written by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from tests.db.rows import NOW, add_entry, add_seal, rehearse, run_sql, stored

pytestmark = pytest.mark.always

Work = Callable[[WriteConnection], None]

CHANGED = "an audit entry is never changed"
UNPRUNED = "an audit entry goes only when the seal over it is marked as pruned"
FOLLOWS = "a seal follows the last one, in its number and in its entries"
KEPT = "a seal is kept for ever"
MARKED = "a seal is never changed; it may be marked as pruned once, after those before it"


def sealed(connection: WriteConnection) -> list[int]:
    """Six entries, two seals over two of them each."""
    ids = [add_entry(connection) for _ in range(6)]
    add_seal(connection, 1, ids[0], ids[1])
    add_seal(connection, 2, ids[2], ids[3])
    return ids


def mark(connection: WriteConnection, number: int) -> None:
    statement = "UPDATE audit_seals SET pruned_at = :at, marks = NULL WHERE number = :number"
    run_sql(connection, statement, at=stored(connection, NOW), number=number)


def after_sealing(statement: str) -> Work:
    def work(connection: WriteConnection) -> None:
        sealed(connection)
        run_sql(connection, statement)

    return work


def delete_after_pruning_one(connection: WriteConnection) -> None:
    ids = sealed(connection)
    mark(connection, 1)
    run_sql(connection, "DELETE FROM audit WHERE id = :id", id=ids[2])


def add_seal_that_leaps(connection: WriteConnection) -> None:
    ids = sealed(connection)
    add_seal(connection, 4, ids[4], ids[5])


def add_seal_over_the_same(connection: WriteConnection) -> None:
    ids = sealed(connection)
    add_seal(connection, 3, ids[3], ids[5])


def mark_the_second_first(connection: WriteConnection) -> None:
    sealed(connection)
    mark(connection, 2)


def mark_twice(connection: WriteConnection) -> None:
    sealed(connection)
    mark(connection, 1)
    mark(connection, 1)


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (after_sealing("UPDATE audit SET actor = 'bob'"), CHANGED),
        (after_sealing("UPDATE audit SET outcome = outcome"), CHANGED),
        (after_sealing("DELETE FROM audit"), UNPRUNED),
        (after_sealing("DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)"), UNPRUNED),
        (delete_after_pruning_one, UNPRUNED),
        (add_seal_that_leaps, FOLLOWS),
        (add_seal_over_the_same, FOLLOWS),
        (after_sealing("DELETE FROM audit_seals WHERE number = 2"), KEPT),
        (after_sealing("UPDATE audit_seals SET hash = digest WHERE number = 2"), MARKED),
        (after_sealing("UPDATE audit_seals SET pruned_up_to = 1 WHERE number = 2"), MARKED),
        (mark_the_second_first, MARKED),
        (mark_twice, MARKED),
    ],
)
async def test_the_audit_is_only_added_to(shared_database: Database, work: Work, reason: str) -> None:
    with pytest.raises(Conflict, match=reason):
        await shared_database.write(work)


async def test_entries_go_when_their_seal_is_marked(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        ids = sealed(connection)
        mark(connection, 1)
        run_sql(connection, "DELETE FROM audit WHERE id <= :last", last=ids[1])
        mark(connection, 2)
        run_sql(connection, "DELETE FROM audit WHERE id <= :last", last=ids[3])

    await rehearse(shared_database, work)


@pytest.mark.parametrize("table", ["audit", "audit_seals"])
async def test_the_audit_is_not_truncated(shared_database: Database, table: str) -> None:
    if shared_database.dialect == "sqlite":
        pytest.skip("SQLite has no TRUNCATE; its DELETE without a condition meets the same triggers as any other")
    with pytest.raises(Conflict, match=UNPRUNED if table == "audit" else KEPT):
        await shared_database.write(lambda connection: run_sql(connection, f"TRUNCATE {table}"))
