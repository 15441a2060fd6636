"""The views for reports: what docs/reference/sql-views.md promises, and the same rows on both databases."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.migrations.check import check
from dagbook.db.migrations.upgrade import downgrade, upgrade
from tests.conftest import ROOT
from tests.db.report_scene import add_old_rows, at, columns, explain, fill_reports, read_rows, text_of
from tests.db.rows import rehearse

# Promised for two major versions: a column may be added at the end of a view, and nothing else may change.
PROMISED = {
    "report_v1_runs": """run_key text, dag_name text, run_id text, is_root boolean, root_dag_name text,
        root_run_id text, parent_dag_name text, parent_run_id text, dag_file_name text, dag_revision integer, tags text,
        queue text, trigger text, actor text, status text, is_unfinished boolean, attempts integer, created_at time,
        created_on date, queued_at time, started_at time, finished_at time, queue_wait_seconds seconds,
        duration_seconds seconds, running_seconds seconds, stop_requested_at time, stop_requested_by text, params text,
        error text""",
    "report_v1_steps": """run_key text, dag_name text, run_id text, is_root boolean, run_created_at time,
        run_created_on date, attempt integer, is_last_attempt boolean, step_position integer, step_name text,
        is_handler boolean, status text, started_at time, finished_at time, duration_seconds seconds,
        running_seconds seconds, retries integer, executions integer, exit_code integer, error text,
        kept_from_attempt integer, edited_at time, edited_by text""",
    "report_v1_attempts": """run_key text, dag_name text, run_id text, is_root boolean, run_created_at time,
        run_created_on date, attempt integer, is_last_attempt boolean, status text, is_open boolean, opened_at time,
        closed_at time, open_seconds seconds, owner_kind text, worker_name text, host text""",
    "report_v1_queue": """queue text, queue_position integer, run_key text, dag_name text, run_id text,
        is_root boolean, attempt integer, trigger text, actor text, priority integer, queued_at time,
        waiting_seconds seconds, wait_reason text, worker_selector text, is_paused boolean, paused_at time,
        paused_by text""",
    "report_v1_slots": """dag_file_name text, kind text, scheduled_at time, scheduled_on date, outcome text,
        reason text, is_catch_up boolean, handled_at time, run_key text, dag_name text, run_id text, run_status text,
        run_started_at time, start_delay_seconds seconds""",
    "report_v1_dags": """dag_file_name text, dag_name text, revision integer, is_suspended boolean, tags text,
        source_name text, created_at time, updated_at time, last_run_key text, last_run_id text, last_run_status text,
        last_run_created_at time, last_run_finished_at time, last_run_duration_seconds seconds,
        seconds_since_last_run seconds""",
    "report_v1_audit": """entry_id text, occurred_at time, occurred_on date, actor text, via text, user_id text,
        token_name text, address text, request_id text, action text, object_kind text, object_name text,
        outcome text""",
}
POSTGRESQL = {"time": "timestamp with time zone", "seconds": "double precision"}
SQLITE = {"time": "text", "date": "text", "boolean": "integer", "seconds": "real"}
# What SQLite shows of a time and a date.
WRITTEN = {"time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "date": r"\d{4}-\d\d-\d\d"}
# They grow while one looks at them.
UNTIL_NOW = ("running_seconds", "waiting_seconds", "seconds_since_last_run")
# The rows of tests/db/report_scene.py, in the order of their first columns.
ROWS = json.loads((Path(__file__).parent / "report_rows.json").read_text(encoding="utf-8"))
DOCUMENT = ROOT / "docs" / "reference" / "sql-views.md"


def promised(view: str) -> list[tuple[str, str]]:
    pairs = (column.split() for column in PROMISED[view].split(","))
    return [(name, kind) for name, kind in pairs]


def look(connection: ReadConnection) -> dict[str, list[dict[str, Any]]]:
    """Read all views; of the seconds until now only whether they count."""
    found = {view: read_rows(connection, f"SELECT * FROM {view} ORDER BY 1, 2, 3, 7, 9") for view in PROMISED}
    for rows in found.values():
        for row in rows:
            row.update({name: row[name] > 0 for name in UNTIL_NOW if row.get(name) is not None})
    return found


@pytest.fixture
async def filled(database: Database) -> Database:
    await database.write(fill_reports)
    return database


async def test_the_views_have_the_promised_columns_in_order_with_their_types(shared_database: Database) -> None:
    def compare(connection: WriteConnection) -> None:
        fill_reports(connection)
        for view in PROMISED:
            assert read_columns(connection, view) == promised(view), view

    await rehearse(shared_database, compare)


def read_columns(connection: WriteConnection, view: str) -> list[tuple[str, str]]:
    """Return the columns of a view as they are promised; SQLite knows types of values alone."""
    if connection.dialect.name == "postgresql":
        catalog = f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{view}'"
        found = connection.exec_driver_sql(f"{catalog} ORDER BY ordinal_position").all()
        words = {written: kind for kind, written in POSTGRESQL.items()}
        return [(name, words.get(written, written)) for name, written in found]
    names = list(connection.exec_driver_sql(f"SELECT * FROM {view}").keys())
    kinds = dict(promised(view))
    for name in names:
        values = connection.exec_driver_sql(f"SELECT {name}, typeof({name}) FROM {view} WHERE {name} IS NOT NULL").all()
        expected = SQLITE.get(kinds[name], kinds[name])
        assert {kind for _, kind in values} <= {expected}, name
        assert all(re.fullmatch(WRITTEN.get(kinds[name], ".*"), str(value), re.DOTALL) for value, _ in values), name
    return [(name, kinds[name]) for name in names]


async def test_both_databases_show_the_same(filled: Database) -> None:
    found = await filled.read(look)
    assert {view: len(rows) for view, rows in found.items()} == {view: len(rows) for view, rows in ROWS.items()}
    for view, rows in found.items():
        assert rows == ROWS[view], view


async def test_an_empty_database_has_empty_views(database: Database) -> None:
    assert await database.read(look) == {view: [] for view in PROMISED}


async def test_no_view_shows_a_hash_a_secret_or_the_place_of_credentials(filled: Database) -> None:
    shown = json.dumps(await filled.read(look))
    assert [word for word in ("aaaaaaaa", "abababab", "/key", "$2b$", "/dags") if word in shown] == []


async def test_a_window_includes_its_beginning_to_the_microsecond(filled: Database) -> None:
    def ask(connection: ReadConnection) -> list[tuple[Any, ...]]:
        began, before = text_of(at(2)), text_of(at(3) - timedelta(microseconds=1))
        window = f"created_at >= '{began}' AND created_at <= '{before}'"
        return columns(read_rows(connection, f"SELECT run_id FROM report_v1_runs WHERE {window}"), "run_id")

    assert await filled.read(ask) == [("late",)]


async def test_the_views_come_with_an_upgrade_of_a_filled_database_and_go_with_the_way_back(
    filled: Database, database_url: str
) -> None:
    await downgrade(database_url, "0113")
    await upgrade(database_url)
    assert (await check(database_url), await filled.read(look)) == ([], ROWS)


async def test_the_check_tells_a_missing_view_and_another_one_in_its_place(
    database: Database, database_url: str
) -> None:
    def change(connection: WriteConnection) -> None:
        for view in ("report_v1_dags", "report_v1_audit"):
            connection.exec_driver_sql(f"DROP VIEW {view}")
        connection.exec_driver_sql("CREATE VIEW report_v1_audit AS SELECT 1 AS entry_id")
        connection.exec_driver_sql("CREATE VIEW mine AS SELECT 1 AS one")

    await database.write(change)
    differences = ["view report_v1_audit differs from the migrations", "view report_v1_dags is missing"]
    assert await check(database_url) == differences


# Patterns of the indexes that a condition uses, on SQLite and on PostgreSQL; in braces a column with a window.
WINDOWS = {
    "report_v1_runs WHERE {created_at}": ("ix_runs_report", "ix_runs_root ix_runs_child"),
    "report_v1_runs WHERE is_root AND {created_at}": ("ix_runs_report", "ix_runs_root"),
    "report_v1_runs WHERE is_root AND is_unfinished": ("ix_runs_status", "ix_runs_(status|active_name)"),
    "report_v1_runs WHERE is_root AND dag_name = 'etl'": (r"dag_name=\?", r"dag_name.=.'etl'"),
    "report_v1_steps WHERE {run_created_at}": ("ix_runs_report", "ix_runs_root ix_runs_child"),
    "report_v1_attempts WHERE {run_created_at}": ("ix_runs_report", "ix_runs_root ix_runs_child"),
    "report_v1_attempts WHERE is_open": ("uq_run_attempts_open", "uq_run_attempts_open|ix_run_attempts_owner"),
    "report_v1_slots WHERE {scheduled_at}": ("ix_schedule_slots_report", "ix_schedule_slots_minute"),
    "report_v1_audit WHERE {occurred_at}": ("ix_audit_report", "ix_audit_at"),
    "report_v1_audit WHERE actor = 'ann'": ("ix_audit_actor", "ix_audit_actor"),
    "report_v1_dags": ("ix_runs_root_name", "ix_runs_root_name"),
}


async def test_a_window_is_read_by_an_index(shared_database: Database) -> None:
    def look_up(connection: WriteConnection) -> None:
        fill_reports(connection)
        add_old_rows(connection)
        window = rf"\1 >= '{text_of(at(1))}' AND \1 < '{text_of(at(9))}'"
        for source, indexes in WINDOWS.items():
            plan = explain(connection, "SELECT * FROM " + re.sub(r"\{(\w+)\}", window, source))
            wanted = indexes[connection.dialect.name == "postgresql"].split()
            missing = [index for index in wanted if not re.search(index, plan)]
            assert missing == [], f"{source}\n{plan}"

    await rehearse(shared_database, look_up)


def documented() -> dict[str, list[tuple[str, str, bool]]]:
    """Read the tables of the document: name, type, and whether it may be NULL."""
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for section in DOCUMENT.read_text(encoding="utf-8").split("\n### ")[1:]:
        view = section.split("\n")[0]
        rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (\w+)(, NULL)? \| .+ \|$", section, re.MULTILINE)
        found[view] = [(name, kind, bool(null)) for names, kind, null in rows for name in re.findall(r"\w+", names)]
    return found


def test_the_document_has_each_column_in_order_with_its_type() -> None:
    found = {view: [(name, kind) for name, kind, _ in rows] for view, rows in documented().items()}
    assert found == {view: promised(view) for view in PROMISED}


@pytest.mark.parametrize("view", PROMISED)
def test_the_document_tells_what_may_be_null(view: str) -> None:
    seen = {name for row in ROWS[view] for name, value in row.items() if value is None}
    assert seen - {name for name, _, null in documented()[view] if null} == set()
