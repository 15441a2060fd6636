"""How long runs are kept, set and looked at through the API, and ``dagbook cleanup``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.main import Server
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.program import CommandResult
from tests.maintenance.history import Past, add_past, left

Command = Callable[..., CommandResult]


def _on(url: str, work: Callable[[Database], Any]) -> Any:
    async def opened() -> Any:
        database = await Database.open(url)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(opened())


def _add(url: str, *runs: Past) -> None:
    _on(url, lambda database: database.write(lambda connection: add_past(connection, runs)))


def _left(url: str) -> list[int]:
    return list(_on(url, lambda database: database.read(left)))


# -- of one DAG ------------------------------------------------------------------------------------------------------


async def _store(client: httpx.AsyncClient, name: str, spec: str = "steps:\n  - echo hello\n") -> str:
    answer = await client.post("/dags", json={"name": name, "spec": spec})
    assert answer.status_code == 201, answer.text
    return f"/dags/{name}/retention"


async def test_what_counts_for_a_dag_is_told_with_where_it_comes_from(client: httpx.AsyncClient, name: str) -> None:
    path = await _store(client, name, "histRetentionDays: 7\nsteps:\n  - echo hello\n")
    told = (await client.get(path)).json()
    assert told == {
        "set": {"days": None, "runs": None, "logBytes": None},
        "histRetentionDays": 7,
        "effective": {"days": 7, "runs": -1, "logBytes": -1},
    }


async def test_what_is_set_counts_until_nothing_is_set_any_more(client: httpx.AsyncClient, name: str) -> None:
    path = await _store(client, name)
    told = (await client.put(path, json={"days": -1, "runs": 100})).json()
    assert told["effective"] == {"days": -1, "runs": 100, "logBytes": -1}
    assert told["setAt"]
    assert (await client.put(path, json={"logBytes": 5})).json()["set"] == {"days": None, "runs": None, "logBytes": 5}
    told = (await client.put(path, json={})).json()
    assert "setAt" not in told
    assert told["effective"] == {"days": 30, "runs": -1, "logBytes": -1}


@pytest.mark.parametrize("field", ["days", "runs", "logBytes"])
async def test_what_is_no_limit_is_refused_with_its_name(client: httpx.AsyncClient, name: str, field: str) -> None:
    path = await _store(client, name)
    answer = await client.put(path, json={field: -2})
    assert (answer.status_code, answer.json()["message"].startswith(f"{field}: -2 does not fit")) == (400, True)


async def test_a_dag_that_is_not_there_has_no_retention(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/dags/{name}/retention")).status_code == 404
    assert (await client.put(f"/dags/{name}/retention", json={"days": 1})).status_code == 404


# -- of all ----------------------------------------------------------------------------------------------------------


async def test_a_preview_names_what_would_go(server: Server, client: httpx.AsyncClient, name: str) -> None:
    key = hash(name) % 2**40
    runs = [Past(key=key, name=name, days_ago=4000, log_bytes=10)]
    await server.services.runs.database.write(lambda connection: add_past(connection, runs))
    answer = (await client.get("/retention/preview", params={"dagName": name})).json()
    limits = {"days": 30, "runs": -1, "logBytes": -1}
    going = {"name": name, "limits": limits, "runs": 1, "logBytes": 20, "reasons": {"age": 1}}
    assert answer == {"runs": 1, "logBytes": 20, "more": False, "dags": [going]}


@pytest.mark.parametrize("body", [{"keep": -1}, {"olderThanSeconds": -5}, {"dagName": "no/name"}, {"keep": "all"}])
async def test_a_cleanup_that_makes_no_sense_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await client.post("/retention/cleanup", json=body)
    assert answer.status_code == 400
    assert next(iter(body)) in answer.json()["message"]


async def test_what_was_removed_is_a_metric(server: Server, client: httpx.AsyncClient, dagbook: Dagbook) -> None:
    await dagbook.run("steps:\n  - echo hello\n")
    before = server.services.dags.retention.total
    body = {"dagName": dagbook.name, "keep": 0}
    assert (await client.post("/retention/cleanup", json=body)).json() == {"runs": 1, "logBytes": 6, "more": False}
    page = (await client.get("/metrics")).text
    assert f"dagbook_retention_removed_runs_total {before.runs + 1}.0" in page
    assert f"dagbook_retention_removed_log_bytes_total {before.log_bytes + 6}.0" in page


async def test_runs_start_and_end_while_others_are_removed(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        runs = [Past(key=key, days_ago=40 + key / 1000, log_bytes=40) for key in range(1, 1_501)]
        await server.services.runs.database.write(lambda connection: add_past(connection, runs))
        cleaning = asyncio.create_task(server.services.dags.retention.run_once())
        dagbook = Dagbook(client, "lively")
        statuses = [(await dagbook.run("steps:\n  - echo hello\n")).status]
        while not cleaning.done():
            statuses.append((await dagbook.run("steps:\n  - echo hello\n")).status)
        assert set(statuses) == {"succeeded"}
        assert (await cleaning).runs == 1_500


# -- dagbook cleanup -------------------------------------------------------------------------------------------------


@pytest.fixture
def url(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DAGBOOK_DATABASE_URL", database_url)
    old = [Past(key=key, days_ago=key * 10 - 5, log_bytes=1000, now=now()) for key in range(1, 6)]
    _add(database_url, *old, Past(key=9, name="other", days_ago=99, now=now()))
    return database_url


def test_a_dry_run_tells_what_would_go(url: str, command: Command) -> None:
    said = command("cleanup", "--dry-run")
    assert said.status == 0, said.err
    assert said.out == (
        "DAG    RUNS  LOGS     BEYOND\n"
        "etl    2     3.9 KiB  age\n"
        "other  1     0 B      age\n"
        "3 runs with 3.9 KiB of logs are beyond their limits\n"
    )
    assert _left(url) == [1, 2, 3, 4, 5, 9]


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ((), [1, 2, 3]),
        (("etl",), [1, 2, 3, 9]),
        (("--keep", "2"), [1, 2, 9]),  # whatever counts otherwise
        (("etl", "--keep", "0"), [9]),
        (("--older-than", "40d"), [1, 2, 3, 4]),
        (("etl", "--older-than", "3w"), [1, 2, 9]),
        (("etl", "--retention-days", "0"), [9]),
        (("etl", "--log-bytes", "4K"), [1, 2, 9]),
        (("nobody",), [1, 2, 3, 4, 5, 9]),
    ],
)
def test_what_is_not_to_be_kept_is_removed(
    url: str, command: Command, arguments: tuple[str, ...], kept: list[int]
) -> None:
    said = command("cleanup", "--yes", *arguments)
    assert said.status == 0, said.err
    assert _left(url) == kept


def test_without_a_terminal_nothing_is_removed_unless_yes_is_said(url: str, command: Command) -> None:
    said = command("cleanup")
    assert (said.status, "--yes" in said.err) == (1, True)
    assert _left(url) == [1, 2, 3, 4, 5, 9]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--older-than", "30"), "such as 30d"),
        (("--log-bytes", "much"), "K, M, G or T"),
        (("--keep", "-1"), "--keep"),
        (("--older-than", "1d", "--retention-days", "1"), "exclude each other"),
        (("no/name",), "dagName"),
    ],
)
def test_a_wish_that_makes_no_sense_is_told(url: str, command: Command, arguments: tuple[str, ...], told: str) -> None:
    said = command("cleanup", "--yes", *arguments)
    assert (said.status, told in said.err) == (1, True), said.err
    assert _left(url) == [1, 2, 3, 4, 5, 9]
