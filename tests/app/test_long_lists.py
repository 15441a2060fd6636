"""Long lists of runs are the same whether they are made of blocks or of the runs themselves."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import func, select

from app.api.run_texts import form_of, write_runs
from app.db.database import Database, WriteConnection
from app.db.models import RunBlock
from app.main import Server
from app.upkeep import run_blocks
from tests.app.dagbook import client_of, serving
from tests.db.rows import add_definition
from tests.upkeep.test_run_blocks import add_runs
from tests.waiting import come_true

RUNS = 1100
OWN = {"x-request-id", "content-length"}  # of each answer, which may have ends of line between its runs


def fill(connection: WriteConnection) -> None:
    add_definition(connection)
    add_runs(connection, "busy", RUNS)


async def ask(client: httpx.AsyncClient, path: str) -> tuple[Any, dict[str, str]]:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json(), {name: answer.headers[name] for name in answer.headers.keys() - OWN}


async def count_blocks(server: Server) -> int:
    count = select(func.count()).select_from(RunBlock)
    return int(await server.parts.database.read(lambda connection: connection.execute(count).scalar_one()))


async def test_a_list_is_the_same_with_blocks_and_without(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        await server.parts.database.write(fill)
        middle = 1_772_368_715  # some seconds after the first run
        paths = [
            *("/dag-runs?name=busy&fromDate=0", "/dag-runs?name=us&fromDate=0", "/dag-runs/busy?fromDate=0"),
            *("/dag-runs?name=&dagRunId=&fromDate=0", "/dag-runs?name=busy&dagRunId=&fromDate=0"),
            *(f"/dag-runs/busy?fromDate={middle}", f"/dag-runs/busy?toDate={middle}", "/dag-runs?name=nobody"),
            *("/dag-runs/busy?fromDate=0&status=4", "/dag-runs/busy?fromDate=0&limit=300", "/dag-runs?fromDate=0"),
        ]
        before = [await ask(client, path) for path in paths]
        assert await server.run_blocks.run_once() == -(-RUNS // 128)
        after = [await ask(client, path) for path in paths]
        for path, plain, blocky in zip(paths, before, after, strict=True):
            assert blocky == plain, path
        listed = after[0][0]["dagRuns"]
        assert len(listed) == 1000
        rest, _ = await ask(client, f"/dag-runs?name=busy&cursor={after[0][0]['nextCursor']}")
        assert len({run["dagRunId"] for run in listed + rest["dagRuns"]}) == RUNS


async def test_a_new_run_stands_before_those_of_blocks(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        await server.parts.database.write(fill)
        await server.run_blocks.run_once()
        spec = {"name": "busy", "dagRunId": "new", "spec": "steps: [{name: a, command: 'true'}]\n"}
        assert (await client.post("/dag-runs", json=spec)).status_code == 200
        listed = (await ask(client, "/dag-runs/busy?fromDate=0"))[0]["dagRuns"]
        assert [run["dagRunId"] for run in listed[:2]] == ["new", f"r{1_772_368_215.123456 + RUNS - 1}"]
        assert len(listed) == 1000


async def test_a_server_writes_blocks_by_itself(
    database_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_blocks, "_FIRST_SECONDS", 0.01)
    await database.write(fill)
    async with serving(database_url, tmp_path) as server:
        await come_true(partial(count_blocks, server))


# -- the text --------------------------------------------------------------------------------------------------------

RUN = (7, 0, "etl", "r1", 2, "A=1", 1_772_368_210, 1_772_368_215, 1_772_368_300, 3)
# Blocks hold such texts. Whoever has to change this one raises _VERSION in app/api/run_texts.py, and only then this.
VERSION = "1"
TEXT = (
    b'{"rootDAGRunName":"etl","rootDAGRunId":"r1","dagRunId":"r1","name":"etl","status":2,"statusLabel":"failed",'
    b'"startedAt":"2026-03-01T13:30:15+01:00","finishedAt":"2026-03-01T13:31:40+01:00","log":"db:/etl/r1.log",'
    b'"queuedAt":"2026-03-01T13:30:10+01:00","params":"A=1","revision":3}'
)


def test_the_text_of_a_run_is_that_of_its_version() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert (form_of(berlin), write_runs([RUN], berlin)) == (f"{VERSION} Europe/Berlin", [TEXT])


def test_servers_in_other_time_zones_have_other_forms() -> None:
    assert form_of(ZoneInfo("UTC")) != form_of(ZoneInfo("Europe/Berlin"))
