"""The chunks of a page of a log: as many as its lines take, and not many more bytes than a page may have."""

from __future__ import annotations

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from tests.db.rows import add_chunk, add_whole_run, rehearse

LINES = 300


def store(connection: WriteConnection) -> StreamKey:
    """Store a stream whose every line came by itself, and so has a chunk of its own."""
    run = add_whole_run(connection)
    for seq in range(LINES):
        add_chunk(connection, run, seq)
    return StreamKey(run, 1, 0, 1)


@pytest.mark.parametrize("from_end", [False, True])
async def test_a_page_of_lines_that_came_one_by_one_holds_all_of_them(database: Database, *, from_end: bool) -> None:
    def work(connection: WriteConnection) -> None:
        key = store(connection)
        rows = logs.find_lines(connection, key, 1, 1000, from_end=from_end)
        assert [row.first_line for row in rows] == list(range(1, LINES + 1))

    await rehearse(database, work)


@pytest.mark.parametrize(
    ("first", "from_end", "expected"),
    [
        (1, False, [1, 2, 3, 4]),
        (100, False, [99, 100, 101, 102]),
        (1, True, [297, 298, 299, 300]),
        (299, True, [298, 299, 300]),
        (301, False, [300]),
    ],
)
async def test_a_page_of_long_lines_ends_where_its_bytes_do(
    database: Database, monkeypatch: pytest.MonkeyPatch, first: int, expected: list[int], *, from_end: bool
) -> None:
    monkeypatch.setattr(logs, "PAGE_BYTES", 4 * 6)

    def work(connection: WriteConnection) -> None:
        rows = logs.find_lines(connection, store(connection), first, 1000, from_end=from_end)
        assert [row.first_line for row in rows] == expected

    await rehearse(database, work)
