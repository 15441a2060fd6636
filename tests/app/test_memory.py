"""Answers that are given again: only to whom they may be given, and never once anything has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from app.api import memory
from app.api.memory import Memory
from app.db.database import Database
from app.db.models import Dag
from app.main import Server
from tests.app.dagbook import Dagbook, Watched, client_of, layer_of, serving
from tests.waiting import come_true

TOKEN = "right"  # noqa: S105 - of tests
STEPS = "steps: [{name: a, command: 'true'}]\n"


def memory_of(server: Server) -> Memory:
    return layer_of(server, Memory)


async def answered_from_memory(server: Server, client: httpx.AsyncClient, path: str) -> bool:
    """Ask twice at once; a server notes that it lives between two questions now and then."""
    await client.get(path)
    with Watched(memory_of(server)) as watched:
        assert (await client.get(path)).status_code == 200
    return not watched.handed_on


@pytest.mark.parametrize(
    "path",
    [
        "/dags",
        "/dags?page=2&perPage=1",
        "/dags/search?q={name}",
        "/dags/{name}/dag-runs",
        "/dag-runs",
        "/dag-runs?name={name}",
        "/dag-runs?status=4&fromDate=0",
        "/dag-runs/{name}",
        "/queues",
    ],
)
async def test_the_same_question_gets_the_same_answer(
    server: Server, client: httpx.AsyncClient, dagbook: Dagbook, path: str
) -> None:
    await client.post("/dags", json={"name": dagbook.name, "spec": STEPS})
    await dagbook.run(STEPS, dagRunId="r1")
    path = path.format(name=dagbook.name)

    async def remembered() -> bool:
        return await answered_from_memory(server, client, path)

    assert await come_true(remembered)
    with Watched(memory_of(server)) as watched:
        first, again = await client.get(path), await client.get(path)
    assert watched.handed_on <= 1
    assert first.content == again.content
    assert set(first.headers) == set(again.headers)


@pytest.mark.parametrize("path", ["/health", "/metrics", "/dags?sort=nextRun", "/dag-runs/{name}/r1/log"])
async def test_what_time_changes_is_not_remembered(
    server: Server, client: httpx.AsyncClient, dagbook: Dagbook, path: str
) -> None:
    await dagbook.run(STEPS, dagRunId="r1")
    with Watched(memory_of(server)) as watched:
        for _ in range(3):
            assert (await client.get(path.format(name=dagbook.name))).status_code == 200
    assert watched.handed_on == 3


async def test_runs_that_wait_are_looked_at_anew(server: Server, client: httpx.AsyncClient, dagbook: Dagbook) -> None:
    assert (await client.post(f"/queues/{dagbook.name}/pause")).status_code == 200
    answer = await client.post("/dag-runs/enqueue", json={"name": dagbook.name, "spec": STEPS, "dagRunId": "r1"})
    assert answer.status_code == 200
    with Watched(memory_of(server)) as watched:
        for path in (f"/dag-runs/{dagbook.name}", "/queues") * 3:
            assert (await client.get(path)).status_code == 200
    await client.get(f"/dag-runs/{dagbook.name}/r1/dequeue")
    await client.post(f"/queues/{dagbook.name}/resume")
    assert watched.handed_on == 6


async def test_every_change_is_seen_at_once(client: httpx.AsyncClient, dagbook: Dagbook) -> None:
    path = f"/dags?name={dagbook.name}"
    assert (await client.get(path)).json()["dags"] == []
    await client.post("/dags", json={"name": dagbook.name, "spec": STEPS})
    for suspended in (True, False, True, False):
        await client.post(f"/dags/{dagbook.name}/suspend", json={"suspend": suspended})
        assert [dag["suspended"] for dag in (await client.get(path)).json()["dags"]] == [suspended]
    await client.delete(f"/dags/{dagbook.name}")
    assert (await client.get(path)).json()["dags"] == []


async def test_a_run_is_never_shown_as_it_was(client: httpx.AsyncClient, dagbook: Dagbook) -> None:
    for number in range(1, 6):
        ended = await dagbook.run(STEPS, dagRunId=f"r{number}")
        shown = (await client.get(f"/dag-runs/{dagbook.name}")).json()["dagRuns"]
        assert [run["dagRunId"] for run in shown] == [f"r{one}" for one in range(number, 0, -1)]
        assert (await client.get(ended.path)).json()["dagRunDetails"]["statusLabel"] == "succeeded"


@asynccontextmanager
async def serving_alone(url: str, home: Path, **settings: str) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    async with serving(url, home, **settings) as opened, client_of(opened) as client:
        yield opened, client


async def test_what_another_program_has_changed_is_seen_at_once(database_url: str, tmp_path: Path) -> None:
    async with serving_alone(database_url, tmp_path) as (_, client):
        other = await Database.open(database_url)
        await client.post("/dags", json={"name": "one", "spec": STEPS})
        for suspended in (True, False, True):
            await client.get("/dags")
            await other.write(lambda connection, to=suspended: connection.execute(update(Dag).values(suspended=to)))  # type: ignore[misc]
            assert [dag["suspended"] for dag in (await client.get("/dags")).json()["dags"]] == [suspended]
        await other.close()


async def test_only_who_may_ask_is_answered(database_url: str, tmp_path: Path) -> None:
    async with serving_alone(database_url, tmp_path, auth_token=TOKEN) as (server, client):
        known = {"Authorization": f"Bearer {TOKEN}"}

        async def remembered() -> bool:
            await client.get("/dags", headers=known)
            with Watched(memory_of(server)) as watched:
                await client.get("/dags", headers=known)
            return not watched.handed_on

        assert await come_true(remembered)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "x=y"}):
            assert (await client.get("/dags", headers=headers)).status_code == 401


async def test_a_page_of_another_site_is_not_answered_from_memory(server: Server, client: httpx.AsyncClient) -> None:
    with Watched(memory_of(server)) as watched:
        for _ in range(3):
            await client.get("/dags", headers={"Origin": "http://localhost"})
    assert watched.handed_on == 3


async def test_requests_that_are_answered_from_memory_are_counted_by_their_route(
    server: Server, client: httpx.AsyncClient
) -> None:
    async def count() -> float:
        page = (await client.get("/metrics")).text
        lines = [line for line in page.splitlines() if line.startswith("dagbook_http_requests_total")]
        return sum(float(line.split()[-1]) for line in lines if 'route="/api/v2/dag-runs/{name}"' in line)

    async def remembered() -> bool:
        return await answered_from_memory(server, client, "/dag-runs/nobody")

    await come_true(remembered)
    before = await count()
    await client.get("/dag-runs/nobody")
    assert await count() == before + 1


async def test_another_day_is_another_question(server: Server, client: httpx.AsyncClient) -> None:
    kept = memory_of(server)
    now = kept._now

    async def remembered() -> bool:
        return await answered_from_memory(server, client, "/dag-runs")

    await come_true(remembered)
    try:
        kept._now = lambda: datetime(2100, 1, 1, tzinfo=UTC)
        with Watched(memory_of(server)) as watched:
            await client.get("/dag-runs")
    finally:
        kept._now = now
    assert watched.handed_on == 1


async def test_no_more_is_kept_than_there_is_room_for(
    server: Server, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MOST_BYTES", 10_000)
    kept = memory_of(server)
    for number in range(40):
        await client.get(f"/dag-runs?limit=1&name={number}")
        assert sum(answer.size() for answer in kept._answers.values()) == kept._bytes <= 10_000


async def test_a_large_answer_is_kept_from_its_second_time_on(
    server: Server, client: httpx.AsyncClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_LARGE", 0)
    kept, path = memory_of(server), f"/dag-runs?name={name}"

    async def is_kept() -> bool:
        await client.get(path)
        return any(key[1] == f"name={name}".encode() for key in kept._answers)

    assert not await is_kept()
    await come_true(is_kept)


async def test_what_was_asked_is_not_remembered_for_ever(
    server: Server, client: httpx.AsyncClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_LARGE", 0)
    monkeypatch.setattr(memory, "_MOST_ASKED", 3)
    asked = memory_of(server)._asked
    asked.clear()
    for number in (1, 2, 3, 1, 4):
        await client.get(f"/dag-runs?name={name}{number}")
    keys = [("/api/v2/dag-runs", f"name={name}{number}".encode()) for number in (3, 1, 4)]
    assert list(asked) == [hash(key) for key in keys]
