"""Queries of the report views: what they return, what is refused, and their bounds."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import make_url

from dagbook.db.database import Database, WriteConnection
from dagbook.db.postgres.roles import READER, grant
from dagbook.db.reports import query
from dagbook.db.reports.query import QueryError, QueryResult, Window, ask_postgres, ask_sqlite, read_ready
from dagbook.db.url import sqlite_path
from tests.db.report_scene import at, fill_reports
from tests.db.test_report_queries import EXPECTED, UNTIL, UNTIL_NOW
from tests.maintenance.history import count_rows

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
ON_BOTH = (
    "",
    "SELECT",
    "DELETE FROM runs",
    "DELETE FROM report_v1_runs",
    "WITH gone AS (DELETE FROM runs RETURNING 1) SELECT * FROM gone",
    "CREATE TABLE mine (a int)",
    "DROP VIEW report_v1_runs",
    "SELECT 1; SELECT 2",
    "SELECT * FROM users",
    "SELECT count(*) FROM tokens",
    "SELECT (SELECT max(password_hash) FROM users) FROM report_v1_runs",
    "SELECT 1 FROM report_v1_runs AS r WHERE EXISTS (SELECT 1 FROM runs WHERE runs.run_id = r.run_id)",
    "WITH report_v1_runs AS (SELECT * FROM users) SELECT * FROM report_v1_runs",
    "SELECT * FROM (SELECT * FROM users) AS report_v1_runs",
    "SELECT * FROM report_v1_runs) AS a, (SELECT * FROM users",
    "EXPLAIN SELECT * FROM report_v1_runs",
)
ON_SQLITE = (
    "ATTACH 'file:x' AS x",
    "PRAGMA table_info(users)",
    "PRAGMA journal_mode = DELETE",
    "VACUUM",
    "VACUUM INTO '{folder}/copy'",
    "SELECT * FROM sqlite_master",
    "WITH report_v1_runs AS (SELECT * FROM sqlite_schema) SELECT * FROM report_v1_runs",
    "SELECT * FROM pragma_table_info('users')",
    "SELECT load_extension('x')",
    "SELECT sqlite_version()",
    "SELECT hex(zeroblob(100000000))",
    "BEGIN",
)
ON_POSTGRES = (
    "COPY report_v1_runs TO '{folder}/copy'",
    "COPY (SELECT 1) TO PROGRAM 'touch {folder}/copy'",
    "TABLE users",
    "SELECT * FROM pg_authid",
    "SELECT * FROM information_schema.tables",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM pg_ls_dir('/')",
    "SELECT query_to_xml('SELECT * FROM users', true, true, '')",
    "SELECT table_to_xml('users', true, true, '')",
    "SELECT set_config('role', 'none', false)",
    "SELECT pg_sleep(1)",
    "SELECT nextval('audit_id_seq')",
    "SELECT * FROM report_v1_runs FOR UPDATE",
    "SELECT * INTO mine FROM report_v1_runs",
    "VACUUM",
    "DO 'BEGIN END'",
    "SET ROLE NONE",
)


async def ask(url: str, text: str, role: str = "") -> QueryResult:
    path, window = sqlite_path(url), Window.of(at(0), UNTIL)
    if path is not None:
        return await asyncio.to_thread(ask_sqlite, path, text, window)
    return await ask_postgres(url, "public", text, window, role)


async def refusal(url: str, text: str) -> str:
    try:
        found = await ask(url, text)
    except QueryError as error:
        return str(error)
    return f"no refusal: {found}"


async def test_every_ready_query_gives_its_rows_on_both_databases(database: Database, database_url: str) -> None:
    await database.write(fill_reports)
    assert read_ready().keys() == EXPECTED.keys()
    for name, (since, rows) in EXPECTED.items():
        path, window = sqlite_path(database_url), Window.of(since, UNTIL)
        text = read_ready()[name]
        found = ask_sqlite(path, text, window) if path else await ask_postgres(database_url, "public", text, window)
        shown = [at for at, column in enumerate(found.columns) if column not in UNTIL_NOW]
        assert ([tuple(row[at] for at in shown) for row in found.rows], found.more) == (rows, False), name


async def test_what_is_no_query_of_the_views_is_refused_and_changes_nothing(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    await database.write(fill_reports)
    before = await database.read(count_rows)
    texts = ON_BOTH + (ON_SQLITE if sqlite_path(database_url) else ON_POSTGRES)
    said = {text: await refusal(database_url, text.format(folder=tmp_path)) for text in texts}
    assert {text: reason for text, reason in said.items() if not reason or reason.startswith("no refusal")} == {}
    assert "a query reads the views report_v1_… alone" in said["SELECT * FROM users"]
    assert await database.read(count_rows) == before
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    "text",
    [
        "WITH r AS (SELECT dag_name FROM report_v1_runs) SELECT count(*) FROM r;\n-- end\n",
        "SELECT a.run_id FROM report_v1_runs AS a JOIN report_v1_steps AS b ON a.run_key = b.run_key",
        "SELECT upper(dag_name), length(run_id), coalesce(error, '-'), round(1.5) FROM report_v1_runs",
        "SELECT dag_name, count(*) FROM report_v1_runs WHERE created_at >= :since GROUP BY dag_name ORDER BY 2 DESC",
        "SELECT 1 AS a, 2 AS a",
        "VALUES (1, 'x')",
        "SELECT dag_name, row_number() OVER (PARTITION BY dag_name ORDER BY created_at) FROM report_v1_runs",
    ],
)
async def test_what_queries_consist_of_is_allowed(database: Database, database_url: str, text: str) -> None:
    await database.write(fill_reports)
    assert (await ask(database_url, text)).rows


async def test_values_are_those_of_json(database_url: str) -> None:
    text = "SELECT NULL, 1 = 1, 2.5, 'a', CAST(3 AS numeric), '2026-01-01T00:00:00.000000Z'"
    [row] = (await ask(database_url, text)).rows
    assert row == [None, 1, 2.5, "a", 3, "2026-01-01T00:00:00.000000Z"]


async def test_a_wrong_column_has_the_words_of_the_engine(database_url: str) -> None:
    said = await refusal(database_url, "SELECT absent FROM report_v1_runs")
    assert said in ("no such column: absent", 'column "absent" does not exist')


async def test_rows_and_bytes_are_bounded(database_url: str) -> None:
    found = await ask(database_url, f"{NUMBERS} SELECT i FROM n")
    assert (len(found.rows), found.more, found.rows[-1]) == (1000, True, [1000])
    long = "printf('%.100000c', 'x')" if sqlite_path(database_url) else "repeat('x', 100000)"
    found = await ask(database_url, f"{NUMBERS} SELECT i, {long} FROM n LIMIT 20")
    assert (len(found.rows), found.more) == (10, True)


async def test_an_endless_query_ends(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "SECONDS", 1)
    began = time.monotonic()
    said = await refusal(database_url, f"{NUMBERS} SELECT max(i) FROM n")
    assert said.startswith("the query takes longer than")
    assert time.monotonic() - began < 60  # on a machine with other work


async def test_a_query_runs_beside_a_write(database: Database, database_url: str) -> None:
    path = sqlite_path(database_url)
    if path is None:
        pytest.skip("PostgreSQL's readers never wait for writers")

    def write(connection: WriteConnection) -> QueryResult:
        fill_reports(connection)
        assert path is not None
        return ask_sqlite(path, "SELECT run_id FROM report_v1_runs", Window.of(at(0), UNTIL))

    assert (await database.write(write)).rows == []
    assert len((await ask(database_url, "SELECT run_id FROM report_v1_runs")).rows) > 0


async def test_a_role_of_postgresql_may_ask_by_itself_or_for_the_owner(database: Database, database_url: str) -> None:
    if sqlite_path(database_url) is not None:
        pytest.skip("SQLite has no roles")
    await database.write(fill_reports)
    owner, text = make_url(database_url), "SELECT count(*) FROM report_v1_runs"
    role = f"reader_{owner.database}"
    await database.write(lambda c: c.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'"))
    try:
        await grant(database_url, "public", role, READER)
        reader = owner.set(username=role, password="secret").render_as_string(hide_password=False)  # noqa: S106
        assert (await ask(reader, text)).rows == (await ask(database_url, text, role)).rows == [[6]]
        assert "permission denied" in await refusal(reader, "SELECT * FROM users")
        no_audit = {view: privileges for view, privileges in READER.items() if view != "report_v1_audit"}
        await grant(database_url, "public", role, no_audit)
        with pytest.raises(QueryError, match="permission denied"):
            await ask(database_url, "SELECT * FROM report_v1_audit", role)
    finally:
        for statement in (f"DROP OWNED BY {role}", f"DROP ROLE {role}"):
            await database.write(lambda c, text=statement: c.exec_driver_sql(text))  # type: ignore[misc]
