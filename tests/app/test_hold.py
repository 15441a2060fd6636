"""A server on a restored database: it answers, says that it is held, and starts nothing until it is resumed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dagbook.auth.audit_context import Actor
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import holds
from dagbook.db.repositories.holds import HoldRow
from dagbook.db.url import PUBLIC
from dagbook.main import Driving, open_server
from dagbook.maintenance.backup import backup as backups
from dagbook.maintenance.backup.restore import restore
from dagbook.runs.recovery.hold import Holding
from dagbook.settings.read import read
from tests.app.dagbook import Dagbook, client_of, serving
from tests.db.rows import NOW
from tests.waiting import PATIENCE_SECONDS, wait_until

HELD = HoldRow(held_at=NOW, held_by="ann", origin="backup")
ANN = Actor(via="cli", actor="ann")
SLEEPS = "steps: [{name: first, command: 'echo begun; sleep 60'}, {name: second, command: 'true', depends: first}]"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagbook.runs.recovery.hold._POLL_SECONDS", 0.05)


async def test_a_server_on_a_held_place_starts_nothing_until_it_is_resumed(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path / "old") as original, client_of(original) as client:
        old = Dagbook(client, "etl")
        answered = await old.start(SLEEPS)
        await old.running(answered, "first", "begun")
        backup = (await backups.back_up(database_url, PUBLIC, tmp_path / "backup", replaces=False)).file
        await restore(empty_url, PUBLIC, backup, ANN)
        async with serving(empty_url, tmp_path / "new") as server, client_of(server) as at_new:
            new = Dagbook(at_new, "etl")
            assert (await at_new.get("/health")).json()["runs"] == "held"
            refused = await at_new.post("/dag-runs", json={"spec": "steps: [{command: 'true'}]", "name": "etl"})
            assert (refused.status_code, "is held" in refused.json()["message"]) == (503, True)
            queued = await at_new.post(
                "/dag-runs/enqueue", json={"spec": "steps: [{command: 'true'}]", "name": "etl", "dagRunId": "waits"}
            )
            assert queued.status_code == 200
            await server.supervisor.run_once()
            assert (await new.get(answered))["statusLabel"] == "running"
            assert (await new.get("waits"))["statusLabel"] == "queued"
            held = (await at_new.get("/hold")).json()
            assert (held["held"], held["unfinishedRuns"], held["queuedRuns"]) == (True, 1, 1)
            done = await at_new.post("/hold/resume")
            runs = {"failedRuns": 1, "queuedRuns": 1}
            assert (done.status_code, done.json()) == (
                200,
                runs | {"droppedDeliveries": 0, "closedAlerts": 0, "deadEvents": 0},
            )
            failed, ran = await new.finished(answered), await new.finished("waits")
            assert (failed.status, ran.status) == ("failed", "succeeded")
            assert failed.nodes["second"]["statusLabel"] == "not_started"
            assert "runs" not in (await at_new.get("/health")).json()
            assert (await at_new.post("/hold/resume")).status_code == 400
        assert (await old.get(answered))["statusLabel"] == "running"
        await old.stop(answered)


async def test_a_hold_that_another_process_ends_is_noticed_and_held_runs_can_be_ended_by_hand(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path / "old") as original, client_of(original) as client:
        old = Dagbook(client, "etl")
        answered = await old.start(SLEEPS)
        backup = (await backups.back_up(database_url, PUBLIC, tmp_path / "backup", replaces=False)).file
        await restore(empty_url, PUBLIC, backup, ANN)
        async with serving(empty_url, tmp_path / "new") as server, client_of(server) as at_new:
            new = Dagbook(at_new, "etl")
            assert (await new.stop(answered)).status == "aborted"
            await Holding(server.services.runs.database, now).resume(ANN)

            async def look() -> bool:
                return "runs" not in (await at_new.get("/health")).json()

            await wait_until(look)
            assert (await new.run("steps: [{command: 'true'}]")).status == "succeeded"
        assert (await old.get(answered))["statusLabel"] == "running"
        await old.stop(answered)


async def test_a_start_that_fails_at_the_end_of_a_hold_is_repeated(database_url: str) -> None:
    database = await Database.open(database_url)
    await database.write(lambda connection: holds.add(connection, HELD))
    holding, outages, started = Holding(database, now), [DatabaseUnavailable("a test")], asyncio.Event()

    async def start() -> None:
        if outages:
            raise outages.pop()
        started.set()

    holding.follow(start)
    await Holding(database, now).resume(ANN)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await started.wait()
    await holding.stop()
    await database.close()
    assert not outages


async def test_a_server_that_leaves_runs_alone_shows_the_end_of_a_hold(database_url: str, tmp_path: Path) -> None:
    database = await Database.open(database_url)
    await database.write(lambda connection: holds.add(connection, HELD))
    settings = read({"database_url": database_url}, {}, tmp_path)
    async with (
        open_server(settings, "server", "http://localhost", Driving.NEVER) as server,
        client_of(server) as client,
    ):

        async def look() -> bool:
            return "runs" not in (await client.get("/health")).json()

        assert not await look()
        await Holding(database, now).resume(ANN)
        await wait_until(look)
    await database.close()
