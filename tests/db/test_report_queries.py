"""The ready queries of ``dagbook query``: one text for both databases, with the same results, and each by an index."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.reports.query import read_ready
from dagbook.db.url import sqlite_path
from tests.conftest import ROOT
from tests.db.report_scene import add_old_rows, at, explain, fill_reports, read_rows, text_of
from tests.db.rows import NOW, rehearse

QUERIES = read_ready()
SCHEDULED = NOW.replace(second=0, microsecond=0)
# The results on the rows of tests/db/report_scene.py, from a time on.
EXPECTED: dict[str, tuple[datetime, list[tuple[Any, ...]]]] = {
    "audit-by-user": (
        at(0, 1),
        [("-", "login.failure", 1, 1, text_of(at(2))), ("ann", "dag.delete", 1, 1, text_of(at(1)))],
    ),
    "duration-percentiles": (at(0), [("etl", 2, 30.0, 60.5, 60.5), ("daily", 1, 1.000001, 1.000001, 1.000001)]),
    "failure-rate": (
        at(0),
        [
            ("2026-03-03", "daily", 1, 0, 0.0),
            ("2026-03-02", "etl", 1, 1, 100.0),
            ("2026-03-01", "etl", 1, 0, 0.0),
        ],
    ),
    "idle-dags": (at(3), [("reports/daily", 1, text_of(at(2)), "aborted")]),
    "late-starts": (
        at(-1),
        [
            (text_of(at(2, -90)), "reports/daily", "started", None, 1, "late", 90.0),
            (text_of(SCHEDULED), "etl", "skipped", "the last run is not finished", 0, None, None),
        ],
    ),
    "queue-waits": (at(0), [("2026-03-01", "etl", 1, 5.0, 5.0)]),
    "running-and-queued": (
        at(0),
        [("running", "etl", "running", None, None), ("queued", "etl", "waiting", None, "the queue is paused")],
    ),
    "runs-by-trigger": (
        at(0),
        [
            ("api", "-", 2, 0, None),
            ("manual", "ann", 1, 0, 60.5),
            ("manual", "bob", 1, 1, 30.0),
            ("schedule", "-", 1, 0, 1.000001),
            ("subdag", "-", 1, 0, 4.0),
        ],
    ),
    "slowest-steps": (
        at(0),
        [("etl", "call", 1, 50.25, 50.25), ("etl", "first", 2, 5.5, 10.0), ("low", "first", 1, 4.0, 4.0)],
    ),
    "step-retries": (at(0), [("etl", "first", 1, 2, 0)]),
}
# They grow while one looks at them.
UNTIL_NOW = ("seconds", "days_since_last_run")
# What a query may go through row by row: what has few rows.
SMALL = {"d", "f", "q", "p", "s", "dags", "sources", "source_files", "queue_entries", "queue_pauses", "ranked"}
SMALL |= {"report_v1_queue"}
UNTIL = at(100)


def written(name: str, since: datetime) -> str:
    """Return a query as psql runs it with ``-v since="'…'"``: the texts are put in their places."""
    return QUERIES[name].replace(":since", f"'{text_of(since)}'").replace(":until", f"'{text_of(UNTIL)}'")


def ask(connection: ReadConnection, name: str) -> list[tuple[Any, ...]]:
    rows = read_rows(connection, written(name, EXPECTED[name][0]))
    return [tuple(value for key, value in row.items() if key not in UNTIL_NOW) for row in rows]


def test_there_are_ten_and_the_document_names_each() -> None:
    text = (ROOT / "docs" / "reference" / "sql-views.md").read_text(encoding="utf-8")
    assert (set(QUERIES), len(QUERIES)) == (set(EXPECTED), 10)
    assert set(re.findall(r"^\| `([\w-]+)` \| ", text.partition("## Ready queries")[2], re.MULTILINE)) >= set(QUERIES)


async def test_the_queries_have_the_same_results_on_both_databases(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        fill_reports(connection)
        for name, (_, rows) in EXPECTED.items():
            assert ask(connection, name) == rows, name

    await rehearse(shared_database, look)


async def test_the_queries_answer_on_an_empty_database(shared_database: Database) -> None:
    found = await shared_database.read(lambda connection: {name: ask(connection, name) for name in EXPECTED})
    assert found == {name: [] for name in EXPECTED}


async def test_no_query_goes_through_a_large_table(shared_database: Database) -> None:
    def look(connection: WriteConnection) -> None:
        fill_reports(connection)
        add_old_rows(connection)
        for name in EXPECTED:
            plan = explain(connection, written(name, at(0)))
            scans = {left or right for left, right in re.findall(r"SCAN (\w+)|Seq Scan on (\w+)", plan)}
            assert scans <= SMALL, f"{name}\n{plan}"

    await rehearse(shared_database, look)


async def test_a_file_is_opened_read_only_beside_a_server_and_the_time_is_a_parameter(
    database: Database, database_url: str
) -> None:
    path = sqlite_path(database_url)
    if path is None:
        return  # of PostgreSQL the tests of the reader's role tell
    await database.write(fill_reports)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        name, window = "slowest-steps", {"since": text_of(at(0)), "until": text_of(UNTIL)}
        rows = connection.execute(QUERIES[name], window).fetchall()
        assert rows == EXPECTED[name][1]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM runs")
