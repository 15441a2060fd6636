"""Steps of SQLite on real files (docs/workflows/sql.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from dagbook.executors.contract import ExecutionFiles, SetupError
from dagbook.executors.sql import sqlite
from tests.executors.sql_steps import SqlStep
from tests.waiting import until_written

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data BLOB);\n"
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
DELETE_AND_GO_ON = """DELETE FROM t;
WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"""


@pytest.fixture
def step(files: ExecutionFiles) -> SqlStep:
    return SqlStep("sqlite", "shop.db", files)


@pytest.fixture
def shop(files: ExecutionFiles) -> Iterator[sqlite3.Connection]:
    """The database of the steps, with a table of two rows."""
    with closing(sqlite3.connect(files.directory / "shop.db", isolation_level=None)) as connection:
        connection.executescript(TABLE)
        connection.execute("INSERT INTO t VALUES (1, 'Ada', x'00ff'), (2, '', NULL)")
        yield connection


# -- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("jsonl", '{"id":1,"name":"Ada","data":"\\\\x00ff"}\n{"id":2,"name":"","data":null}\n'),
        ("JSON", '[{"id":1,"name":"Ada","data":"\\\\x00ff"},\n{"id":2,"name":"","data":null}]\n'),
        ("csv", 'id,name,data\n1,Ada,\\x00ff\n2,"",\n'),
    ],
)
@pytest.mark.usefixtures("shop")
async def test_rows_go_to_stdout_in_the_format_that_is_asked_for(step: SqlStep, form: str, expected: str) -> None:
    ended = await step.run("SELECT * FROM t ORDER BY id", outputFormat=form)
    assert (ended.code, ended.out, ended.err) == (0, expected, "")


@pytest.mark.parametrize(
    ("form", "expected"),
    [("jsonl", '{"a":1,"a_2":2}\n'), ("json", '[{"a":1,"a_2":2}]\n[]\n'), ("csv", "a,a_2\n1,2\n\nb\n")],
)
async def test_each_result_stands_for_itself_and_no_column_is_lost(step: SqlStep, form: str, expected: str) -> None:
    assert (await step.run("SELECT 1 a, 2 a; SELECT 3 b WHERE 0", outputFormat=form)).out == expected


async def test_fields_of_csv_are_quoted_where_they_have_to_be(step: SqlStep) -> None:
    ended = await step.run("""SELECT 'a,b', 'say "x"', '1\n2', 1.5, 9223372036854775807""", outputFormat="csv")
    assert ended.out.partition('"1\n2"')[0].endswith('\n"a,b","say ""x""",')
    assert ended.out.endswith('"1\n2",1.5,9223372036854775807\n')


async def test_rows_are_written_while_the_statement_goes_on(step: SqlStep) -> None:
    running = step.start(ENDLESS)
    assert (await until_written(step.files.stdout)).startswith('{"x":1}\n{"x":2}\n')
    running.signal("SIGTERM")
    assert (await running.wait()).error == "signal: SIGTERM"


# -- statements and values -------------------------------------------------------------------------------------------


async def test_values_are_bound_and_not_read_as_sql(step: SqlStep, shop: sqlite3.Connection) -> None:
    values = {"${ID}": "7", "${NAME}": "x'); DROP TABLE t; --"}
    ended = await step.run("INSERT INTO t (id, name) VALUES (${ID}, '${NAME}')", values)
    assert (ended.code, ended.err) == (0, "INSERT 1\n")
    assert shop.execute("SELECT id, name FROM t WHERE id > 2").fetchall() == [(7, values["${NAME}"])]


@pytest.mark.usefixtures("shop")
async def test_a_number_without_quotes_compares_as_a_number(step: SqlStep) -> None:
    text = "SELECT count(*) > ${N} AS bare, count(*) > '${N}' AS quoted FROM t LIMIT ${N}"
    assert (await step.run(text, {"${N}": "1"})).out == '{"bare":1,"quoted":0}\n'


async def test_several_statements_are_one_transaction(step: SqlStep, shop: sqlite3.Connection) -> None:
    ended = await step.run("DELETE FROM t;\n\nINSERT INTO t (id) VALUES (9);\n  INSERT INTO nope VALUES (1)")
    assert ended.code == 1
    assert ended.err.endswith("sqlite: statement 3, line 4, column 3: no such table: nope (SQLITE_ERROR)\n")
    assert shop.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


async def test_a_script_may_have_transactions_of_its_own(step: SqlStep, shop: sqlite3.Connection) -> None:
    text = (
        "PRAGMA foreign_keys = ON; BEGIN IMMEDIATE; DELETE FROM t WHERE id = 1; COMMIT; DELETE FROM t; SELECT 1 FROM x"
    )
    assert (await step.run(text)).code == 1
    assert shop.execute("SELECT id FROM t").fetchall() == [(2,)]


async def test_one_statement_may_be_one_that_no_transaction_takes(step: SqlStep) -> None:
    assert (await step.run("VACUUM")).code == 0


async def test_a_trigger_is_one_statement(step: SqlStep, shop: sqlite3.Connection) -> None:
    text = "CREATE TRIGGER r AFTER DELETE ON t BEGIN DELETE FROM t; SELECT 1; END; DELETE FROM t WHERE id = 1"
    assert (await step.run(text)).code == 0
    assert shop.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


async def test_the_lines_of_a_command_are_statements(step: SqlStep) -> None:
    ended = await step.run("", line="CREATE TABLE x (a) -- of lines\n;\nINSERT INTO x VALUES (3)\n;\nSELECT a FROM x")
    assert ended.out == '{"a":3}\n'


@pytest.mark.parametrize("text", ["", "-- nothing;"])
async def test_a_step_without_a_statement_fails(step: SqlStep, text: str) -> None:
    ended = await step.run(text)
    assert (ended.code, ended.err) == (1, "there is no statement; write it in command or script\n")


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("dsn", ["shop.db", "./shop.db", "file:shop.db?mode=ro", "file:shop.db"])
async def test_a_relative_path_is_in_the_directory_of_the_step(step: SqlStep, dsn: str) -> None:
    elsewhere = step.files.directory / "elsewhere"
    elsewhere.mkdir()
    assert (await step.run("SELECT count(*) n FROM t", dsn=dsn, run_dir=elsewhere)).out == '{"n":2}\n'


@pytest.mark.usefixtures("shop")
async def test_options_of_a_uri_count(step: SqlStep) -> None:
    ended = await step.run("DELETE FROM t", dsn="file:shop.db?mode=ro")
    assert (ended.code, "attempt to write a readonly database" in ended.err) == (1, True)


async def test_a_database_in_memory_is_gone_with_its_step(step: SqlStep) -> None:
    assert (await step.run("CREATE TABLE t (id); SELECT count(*) n FROM t", dsn=":memory:")).out == '{"n":0}\n'
    assert (await step.run("SELECT count(*) n FROM t", dsn=":memory:")).code == 1


async def test_the_directory_of_a_step_is_made(step: SqlStep) -> None:
    assert (await step.run(TABLE, cwd=step.files.directory / "new")).code == 0
    assert (step.files.directory / "new" / "shop.db").exists()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"dsn": ""}, "sqlite: dsn: is missing; give the address of the database"),
        ({"dsn": "sqlite:///x.db"}, "sqlite: dsn: write the path of a file, file:PATH?OPTIONS or :memory:"),
        ({"timeout": -1}, "sqlite: timeout: expected 0 or more, found -1"),
        ({"outputFormat": "xml"}, "sqlite: outputFormat: has to be one of jsonl, json, csv; it is 'xml'"),
    ],
)
def test_a_wrong_config_names_the_key(step: SqlStep, config: dict[str, Any], reason: str) -> None:
    with pytest.raises(SetupError) as raised:
        sqlite.command(step.job("SELECT 1", **config))
    assert str(raised.value) == reason


async def test_a_file_that_cannot_be_opened_is_an_error_of_the_step(step: SqlStep) -> None:
    ended = await step.run("SELECT 1", dsn="nowhere/x.db")
    assert (ended.code, ended.err) == (1, "sqlite: the database: unable to open database file (SQLITE_CANTOPEN)\n")


# -- the server's own files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dsn", ["own.db", "link.db", "hard.db", "file:own.db?mode=ro", "../{here}/own.db"])
async def test_a_database_of_the_server_is_refused_by_any_name(step: SqlStep, dsn: str) -> None:
    own = step.files.directory / "own.db"
    with closing(sqlite3.connect(own)) as connection:
        connection.executescript(TABLE)
    (step.files.directory / "link.db").symlink_to(own)
    (step.files.directory / "hard.db").hardlink_to(own)
    ended = await step.run("SELECT * FROM t", dsn=dsn.format(here=step.files.directory.name), own_files=(own,))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.endswith("is a file of Dagbook itself, which no step may open\n")


@pytest.mark.parametrize("attach", ["ATTACH 'own.db' AS o", "ATTACH '${FILE}' AS o", "/* x */ attach ${FILE} as o"])
async def test_a_database_of_the_server_cannot_be_attached(step: SqlStep, attach: str) -> None:
    own = step.files.directory / "own.db"
    with closing(sqlite3.connect(own)) as connection:
        connection.executescript(TABLE)
    text = f"CREATE TABLE mine (a);\n{attach};\nSELECT * FROM o.t"
    ended = await step.run(text, {"${FILE}": str(own)}, own_files=(own,))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.endswith("is a file of Dagbook itself, which no step may open\n")


async def test_another_database_may_be_attached_within_a_script(step: SqlStep) -> None:
    text = "ATTACH 'other.db' AS o; CREATE TABLE o.x (a); INSERT INTO o.x VALUES (1); SELECT * FROM o.x"
    assert (await step.run(text, own_files=(step.files.directory / "own.db",))).out == '{"a":1}\n'


# -- its end ---------------------------------------------------------------------------------------------------------


async def test_a_time_limit_ends_a_statement(step: SqlStep, shop: sqlite3.Connection) -> None:
    ended = await step.run(DELETE_AND_GO_ON, timeout=1)
    assert (ended.code, ended.err.splitlines()[1:]) == (
        124,
        ["the statements took longer than 1 seconds (timeout in config)"],
    )
    assert shop.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


async def test_a_step_that_is_stopped_leaves_nothing_done(step: SqlStep, shop: sqlite3.Connection) -> None:
    running = step.start(DELETE_AND_GO_ON)
    await until_written(step.files.stderr, "DELETE 2")
    running.signal("SIGTERM")
    assert (await running.wait()).error == "signal: SIGTERM"
    assert shop.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


async def test_a_lock_of_another_writer_is_waited_for_and_then_named(step: SqlStep, shop: sqlite3.Connection) -> None:
    shop.execute("BEGIN IMMEDIATE")
    ended = await step.run("DELETE FROM t", timeout=1)
    assert ended.code != 0
    shop.execute("COMMIT")
    assert (await step.run("DELETE FROM t", timeout=30)).code == 0
