"""Steps of PostgreSQL on a real server (docs/workflows/sql.md)."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url

from dagbook.egress.rules import Egress
from dagbook.executors.contract import ExecutionFiles, SetupError
from dagbook.executors.sql import postgres
from dagbook.executors.sql.postgres import read_dsn
from tests.conftest import PostgresCopies
from tests.executors.sql_steps import SqlStep
from tests.waiting import until_written, wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, name text, at timestamptz, tags text[], data jsonb)"


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    """A database of a test's own, without a table."""
    async for found in PostgresCopies(postgres_url).empty():
        yield found


@pytest.fixture
def step(url: str, files: ExecutionFiles) -> SqlStep:
    return SqlStep("postgres", url, files)


@pytest.fixture
async def shop(url: str) -> AsyncIterator[Any]:
    """A connection to the database of the steps, with a table of two rows."""
    connection = await asyncpg.connect(url)
    await connection.execute(TABLE)
    await connection.execute("INSERT INTO t (id, name) VALUES (1, 'Ada'), (2, NULL)")
    yield connection
    await connection.close()


# -- rows ------------------------------------------------------------------------------------------------------------


VALUES = [  # as SQL, in JSON, and in CSV if that is another text
    ("NULL", "null", ""),
    ("''", '""', '""'),
    ("'a,\"b'", r'"a,\"b"', '"a,""b"'),
    ("true", "true", "true"),
    ("9223372036854775807", "9223372036854775807", "9223372036854775807"),
    ("1.50::numeric", "1.50", "1.50"),
    ("0.1::float4", "0.1", "0.1"),
    ("'NaN'::float8", '"NaN"', "NaN"),
    ("'-Infinity'::numeric", '"-Infinity"', "-Infinity"),
    ("date '2026-12-01'", '"2026-12-01"', "2026-12-01"),
    ("date 'infinity'", '"infinity"', "infinity"),
    ("date '0044-03-15 BC'", '"0044-03-15 BC"', "0044-03-15 BC"),
    ("time '24:00'", '"24:00:00"', "24:00:00"),
    ("timestamp '2026-12-01 10:00:00.5'", '"2026-12-01T10:00:00.5"', "2026-12-01T10:00:00.5"),
    ("timestamptz '2026-12-01 10:00Z'", '"2026-12-01T10:00:00+00:00"', "2026-12-01T10:00:00+00:00"),
    ("interval '1 month 2 days'", '"1 mon 2 days"', "1 mon 2 days"),
    (r"'\x00ff'::bytea", r'"\\x00ff"', r"\x00ff"),
    ("'{\"a\": 1.50}'::jsonb", '{"a": 1.50}', '"{""a"": 1.50}"'),
    (r"E'{\"a\":\n1}'::json", '{"a": 1}', '"{""a"": 1}"'),
    ("'{1,NULL}'::int[]", "[1,null]", '"[1,null]"'),
    ("ARRAY[timestamptz '2026-12-01 10:00Z']", '["2026-12-01T10:00:00+00:00"]', '"[""2026-12-01T10:00:00+00:00""]"'),
    ("ROW(1, 'x')", '[1,"x"]', '"[1,""x""]"'),
    ("ROW(1, NULL)::pair", '{"a":1,"b":null}', '"{""a"":1,""b"":null}"'),
    ("int4range(1, 5)", '"[1, 5)"', '"[1, 5)"'),
    ("'10.0.0.1'::inet", '"10.0.0.1"', "10.0.0.1"),
]


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
async def test_a_value_of_each_type_has_a_form(step: SqlStep, form: str) -> None:
    names = [f"c{number}" for number in range(len(VALUES))]
    columns = ", ".join(f"{sql} AS {name}" for name, (sql, _, _) in zip(names, VALUES, strict=True))
    text = "SET TIME ZONE 'UTC';\nCREATE TEMP TABLE pair (a int, b int);\nSELECT COLUMNS".replace("COLUMNS", columns)
    ended = await step.run(text, outputFormat=form)
    assert ended.code == 0, ended.err
    row = ",".join(f'"{name}":{json}' for name, (_, json, _) in zip(names, VALUES, strict=True))
    expected = {
        "jsonl": f"{{{row}}}\n",
        "json": f"[{{{row}}}]\n",
        "csv": f"{','.join(names)}\n{','.join(csv for _, _, csv in VALUES)}\n",
    }
    assert ended.out == expected[form]


async def test_rows_are_written_while_the_statement_goes_on(step: SqlStep) -> None:
    running = step.start("SELECT n, pg_sleep(n / 100000) FROM generate_series(1, 200000) n")
    assert (await until_written(step.files.stdout)).startswith('{"n":1,')
    running.signal("SIGTERM")
    assert (await running.wait()).error == "signal: SIGTERM"


# -- statements and values -------------------------------------------------------------------------------------------


async def test_values_become_what_the_server_expects_in_their_place(step: SqlStep, shop: Any) -> None:
    values = {"${ID}": "7", "${NAME}": "x'); DROP TABLE t; --", "${DAY}": "2026-12-01", "${TAGS}": '{a,"b c"}'}
    values |= {"${JSON}": '{"k": [1, 2]}', "${N}": "3"}
    text = """
INSERT INTO t VALUES (${ID}, '${NAME}', '${DAY}', ${TAGS}, ${JSON});
SELECT name, at::date, tags, data, concat('n=', ${N}), ${N} IS NULL AS nothing FROM t
WHERE id = ${ID} AND at < timestamptz '${DAY}' + INTERVAL '${N} days' AND id = ANY(${TAGS2}::int[]) LIMIT ${N}"""
    ended = await step.run(text, values | {"${TAGS2}": "{1,7}"})
    assert ended.code == 0, ended.err
    assert ended.out == (
        """{"name":"x'); DROP TABLE t; --","at":"2026-12-01","tags":["a","b c"],"data":{"k": [1, 2]},"""
        """"concat":"n=3","nothing":false}\n"""
    )
    assert await shop.fetchval("SELECT count(*) FROM t") == 3


async def test_a_value_is_not_cut_to_the_length_of_a_type(step: SqlStep) -> None:
    text = "CREATE TEMP TABLE c (a char(5), b bit(3)); INSERT INTO c VALUES (${A}, ${B}) RETURNING *"
    assert (await step.run(text, {"${A}": "abcde", "${B}": "101"})).out == '{"a":"abcde","b":"101"}\n'


@pytest.mark.parametrize(
    ("text", "err"),
    [
        (
            "SELECT 1;\n\n  SELECT ${N} +\n  nope",
            'postgres: statement 2, line 4, column 3: SQLSTATE 42703: column "nope" does not exist\n',
        ),
        (
            "SELECT * FROM ${N}",
            (
                'postgres: statement 1, line 1, column 15: SQLSTATE 42601: syntax error at or near "$1"\n'
                "a reference is a value, and cannot be a name or another part of a statement\n"
            ),
        ),
        (
            "SELECT 1 WHERE 1 = '${X}'",
            'postgres: statement 1, line 1, column 1: SQLSTATE 22P02: invalid input syntax for type integer: "x"\n',
        ),
        (
            "INSERT INTO t (id) VALUES (1)",
            (
                "postgres: statement 1, line 1, column 1: SQLSTATE 23505: duplicate key value violates unique "
                'constraint "t_pkey"\nDETAIL:  Key (id)=(1) already exists.\n'
            ),
        ),
        (
            "COPY t TO STDOUT",
            "postgres: COPY has no STDIN and STDOUT here; write INSERT, or SELECT with outputFormat\n",
        ),
    ],
)
@pytest.mark.usefixtures("shop")
async def test_an_error_has_place_state_and_message_of_the_server(step: SqlStep, text: str, err: str) -> None:
    ended = await step.run(text, {"${N}": "1", "${X}": "x"})
    assert (ended.code, ended.err) == (1, err)


async def test_several_statements_are_one_transaction(step: SqlStep, shop: Any) -> None:
    ended = await step.run("DELETE FROM t; SELECT 1 / 0")
    assert (ended.code, "SQLSTATE 22012: division by zero" in ended.err) == (1, True)
    assert await shop.fetchval("SELECT count(*) FROM t") == 2


async def test_an_error_at_the_commit_is_an_error_of_the_step(step: SqlStep, shop: Any) -> None:
    await shop.execute("ALTER TABLE t ADD later int REFERENCES t DEFERRABLE INITIALLY DEFERRED")
    ended = await step.run("UPDATE t SET later = 99; SELECT 1")
    assert (ended.code, "postgres: at the commit: SQLSTATE 23503: " in ended.err) == (1, True)


async def test_a_script_may_have_transactions_of_its_own(step: SqlStep, shop: Any) -> None:
    ended = await step.run("BEGIN ISOLATION LEVEL SERIALIZABLE; DELETE FROM t WHERE id = 1; COMMIT; SELECT nope")
    assert ended.code == 1
    assert await shop.fetchval("SELECT count(*) FROM t") == 1


async def test_one_statement_may_be_one_that_no_transaction_takes(step: SqlStep) -> None:
    ended = await step.run("VACUUM")
    assert (ended.code, ended.err) == (0, "VACUUM\n")


async def test_messages_of_the_server_go_to_stderr(step: SqlStep) -> None:
    ended = await step.run("DO $$ BEGIN RAISE WARNING 'told: %', 1; END $$")
    assert (ended.code, ended.out, ended.err) == (0, "", "WARNING: told: 1\nDO\n")


# -- its end ---------------------------------------------------------------------------------------------------------


async def active(shop: Any) -> bool | None:
    """Whether the statement of a step is carried out."""
    query = (
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'dagbook' AND query LIKE '%pg_sleep(60%'"
    )
    found: bool | None = await shop.fetchval(query)
    return found


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
async def test_a_stop_cancels_the_statement_in_the_server(step: SqlStep, shop: Any, name: str) -> None:
    running = step.start("DELETE FROM t; SELECT pg_sleep(60)")
    await wait_until(lambda: active(shop))
    running.signal(name)
    assert (await running.wait()).error in (f"signal: {name}", "exit status 130")
    assert not await active(shop)
    assert await shop.fetchval("SELECT count(*) FROM t") == 2


async def test_a_process_that_is_killed_takes_its_statement_along(step: SqlStep, shop: Any) -> None:
    running = step.start("DELETE FROM t; SELECT pg_sleep(60)")
    await wait_until(lambda: active(shop))
    running.kill()
    await running.wait()

    async def is_over() -> bool:
        return not await active(shop)

    await wait_until(is_over)  # well before its sixty seconds are over: the server looks every two
    assert await shop.fetchval("SELECT count(*) FROM t") == 2


async def test_a_time_limit_cancels_the_statement(step: SqlStep, shop: Any) -> None:
    ended = await step.run("SELECT pg_sleep(60)", timeout=1)
    assert (ended.code, ended.err) == (124, "the statements took longer than 1 seconds (timeout in config)\n")
    assert not await active(shop)


# -- addresses and identities ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://u:p@h/d", {"host": "h", "port": "5432", "user": "u", "password": "p", "dbname": "d"}),
        ("postgresql://u@[::1]:1/", {"host": "::1", "port": "1", "user": "u"}),
        ("postgres://u%40x:a%2Fb@h?sslmode=require", {"user": "u@x", "password": "a/b", "sslmode": "require"}),
        ("host=h user=u password='a b\\'c' dbname=d port=1", {"host": "h", "password": "a b'c", "port": "1"}),
    ],
)
def test_an_address_is_a_url_or_pairs(text: str, expected: dict[str, str]) -> None:
    found = read_dsn(text)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("postgres:///d", "has to name one host"),
        ("postgres://u:pw@/d?host=/run/postgresql", "has to name one host"),
        ("host=/run/postgresql user=u password=pw", "has to name one host"),
        ("postgres://u:pw@a,b/d", "has to name one host"),
        ("postgres://h/d", "and a user"),
        ("postgres://u:pw/x@h/d", "cannot be taken apart"),
        ("postgres://u:1/pw@h/d", "cannot be taken apart"),
        ("postgres://u:pw@h:x/d", "cannot be taken apart"),
        ("postgres://u:pw@h/d?service=x", "has the option 'service', which is not known; known are host, "),
        ("host=h user=u passfile=/pw", "has the option 'passfile'"),
        ("host=h user=u port=pw", "has a port that is not a number"),
        ("mysql://u:pw@h/d", "is not the address of a PostgreSQL database"),
        ("a=  " * 5000 + "'", "is not the address of a PostgreSQL database"),
    ],
)
def test_an_address_that_is_refused_is_not_repeated(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as raised:
        read_dsn(text)
    assert "pw" not in str(raised.value)


def test_an_error_of_the_config_names_the_key(step: SqlStep) -> None:
    with pytest.raises(SetupError, match="postgres: dsn: has to name one host"):
        postgres.command(step.job("SELECT 1", dsn="postgres:///d"))


async def test_nothing_but_the_address_says_who_connects(step: SqlStep, tmp_path: Path, url: str) -> None:
    """Neither a file of passwords in the home, nor variables that the driver knows."""
    parts = make_url(url)
    (tmp_path / ".pgpass").write_text(f"*:*:*:*:{parts.password}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PGPASSFILE": str(tmp_path / ".pgpass")}
    env |= {"PGUSER": "other", "PGDATABASE": "other", "PGSERVICE": "other", "PGSSLMODE": "verify-full"}
    without = f"postgresql://{parts.username}@{parts.host}:{parts.port}/{parts.database}"
    refused = await step.run("SELECT 1 AS a", dsn=without, env=env)
    assert (refused.code, "password" in refused.err) == (1, True), refused.err
    env["PGPASSWORD"] = str(parts.password)
    assert (await step.run("SELECT current_user AS me", dsn=without, env=env)).out == f'{{"me":"{parts.username}"}}\n'


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1"])
async def test_a_denied_address_is_not_connected_to(step: SqlStep, url: str, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        dsn = make_url(url).set(host=host, port=listener.getsockname()[1]).render_as_string(hide_password=False)
        ended = await step.run("SELECT 1", dsn=dsn, egress=Egress(("127.0.0.0/8",)))
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith(f"postgres: this server may not send requests to {host} (setting egress_deny")
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_a_server_that_is_not_there_is_named(step: SqlStep) -> None:
    ended = await step.run("SELECT 1", dsn="postgres://u:pw@127.0.0.1:1/d")
    assert (ended.code, "postgres: no connection to 127.0.0.1:1: " in ended.err, "pw" in ended.err) == (1, True, False)
