"""Steps of SQL in whole runs: params and outputs as values, secrets in logs, stops, the server's own database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from tests.app.dagbook import Dagbook, client_of, serving
from tests.conftest import SqliteCopies

VALUE = "s3cr3t/of;a'database"


async def test_params_and_outputs_are_values_of_statements(dagbook: Dagbook, tmp_path: Path) -> None:
    ended = await dagbook.run(
        f"""
workingDir: {tmp_path}
params: [NAME: Ada, N: 2]
env: [KIND: from-env]
steps:
  - name: first
    type: sqlite
    config: {{dsn: "${{DAG_NAME}}.db"}}
    script: |
      CREATE TABLE t (name TEXT, n INTEGER, kind TEXT);
      INSERT INTO t VALUES ('${{NAME}}', ${{N}}, '<${{KIND}}>');
      SELECT * FROM t;
    output: ROW
  - name: second
    type: sqlite
    config: {{dsn: "${{DAG_NAME}}.db", outputFormat: csv}}
    command: ["SELECT n + ${{ROW.n}} AS sum FROM t WHERE name = '${{ROW.name}}'", "SELECT kind FROM t"]
""",  # noqa: S608 - a definition
        params='NAME="x\'; DROP TABLE t; --" N=20',
    )
    assert ended.status == "succeeded", ended.details
    assert await ended.log("first") == """{"name":"x'; DROP TABLE t; --","n":20,"kind":"<from-env>"}"""
    assert await ended.log("second") == "sum\n40\n\nkind\n<from-env>"


async def test_a_secret_is_masked_in_rows_and_errors(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(VALUE)
    spec = f"""
workingDir: {tmp_path}
secrets: [{{name: PW, provider: file, key: secret}}]
steps:
  - name: rows
    type: sqlite
    config: {{dsn: ":memory:"}}
    command: SELECT '${{PW}}' AS pw
  - name: refused
    type: postgres
    config: {{dsn: "postgres://u:${{PW}}@127.0.0.1:1/d"}}
    command: SELECT 1
"""
    ended = await dagbook.run(spec)
    assert ended.statuses == ["succeeded", "failed"]
    assert await ended.log("rows") == '{"pw":"*******"}'
    assert "postgres: dsn: cannot be taken apart" in str(ended.nodes["refused"])
    assert VALUE not in str(ended.details)


async def test_a_stop_ends_statements_and_undoes_them(dagbook: Dagbook, tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with closing(sqlite3.connect(file)) as shop:
        shop.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        run_id = await dagbook.start(
            f"""
steps:
  - name: long
    type: sqlite
    config: {{dsn: {file}}}
    script: |
      DELETE FROM t;
      SELECT 'begun' AS told;
      WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n;
"""  # noqa: S608 - a definition
        )
        await dagbook.running(run_id, "long", "begun")
        assert (await dagbook.stop(run_id)).statuses == ["aborted"]
        assert shop.execute("SELECT count(*) FROM t").fetchall() == [(1,)]


async def test_the_database_of_the_server_is_refused(tmp_path: Path) -> None:
    copies = SqliteCopies(tmp_path)
    await copies.prepare()
    async for url in copies.copy():
        async with serving(url, tmp_path) as server, client_of(server) as client:
            spec = f"""
steps:
  - name: own
    type: sqlite
    config: {{dsn: {make_url(url).database}}}
    command: SELECT * FROM user
"""  # noqa: S608 - a definition
            ended = await Dagbook(client, "own").run(spec)
            assert ended.status == "failed"
            assert "is a file of Dagbook itself, which no step may open" in await ended.log("own", "stderr")
