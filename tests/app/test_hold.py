"""A server on a restored database: it answers, says that it is held, and starts nothing until it is resumed."""

from __future__ import annotations

from pathlib import Path

from dagbook.auth.audit_context import Actor
from dagbook.clock import now
from dagbook.maintenance.backup import backup as backups
from dagbook.maintenance.backup.restore import restore
from dagbook.runs.recovery.hold import Holding
from dagbook.settings.database_url import PUBLIC
from tests.app.dagbook import Dagbook, client_of, serving
from tests.waiting import come_true

ANN = Actor(via="cli", actor="ann")


SLEEPS = "steps: [{name: first, command: 'echo begun; sleep 60'}, {name: second, command: 'true', depends: first}]"


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
            assert (done.status_code, done.json()) == (200, {"failedRuns": 1, "queuedRuns": 1})
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
            await Holding(server.services.database, now).resume(ANN)
            server.services.holding._loop.wake()

            async def look() -> bool:
                return "runs" not in (await at_new.get("/health")).json()

            await come_true(look)
            assert (await new.run("steps: [{command: 'true'}]")).status == "succeeded"
        assert (await old.get(answered))["statusLabel"] == "running"
        await old.stop(answered)
