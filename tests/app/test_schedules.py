"""Starts, stops and restarts on schedule (runtime 23); the tests pass the time to the scheduler."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import update

from dagbook.db.database import WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.models.definition import Dag
from dagbook.db.repositories import dags, schedules
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.definitions import timetable
from dagbook.main import Server
from dagbook.runs.recovery.orphans import SweepResult
from dagbook.scheduling.due import MINUTE, floor_minute, time_window
from dagbook.scheduling.scheduler import Scheduler
from dagbook.scheduling.ticker import Ticker
from dagbook.unix import proc
from tests.app.dagbook import Dagbook, client_of, serving
from tests.db.rows import add_dag, add_definition, run_sql
from tests.runs.scene import IDENTITY, register
from tests.waiting import PATIENCE_SECONDS, wait_until

QUICK = "steps: [{name: a, command: 'true'}]\n"
LONG = "steps: [{name: a, command: sleep 60}]\n"
EVERY_MINUTE = "schedule: '* * * * *'\n"


class Clockwork:
    """A scheduler of a server of its own, and the DAG that the test is about."""

    def __init__(self, server: Server, client: httpx.AsyncClient, name: str) -> None:
        self.server = server
        self.dagbook = Dagbook(client, name)
        self.client = client
        self.name = name
        # Ahead of the real clock, by which runs are dated: none seems to have begun in a minute that is told.
        self.start = floor_minute(datetime.now(UTC)) + timedelta(hours=1)

    def minute(self, number: int) -> datetime:
        return self.start + number * MINUTE

    async def store(self, spec: str, name: str = "") -> None:
        answer = await self.client.post("/dags", json={"name": name or self.name, "spec": spec})
        assert answer.status_code == 201, answer.text

    async def save(self, spec: str) -> None:
        answer = await self.client.put(f"/dags/{self.name}/spec", json={"spec": spec})
        assert answer.json() == {"errors": []}

    async def age(self) -> None:
        """Let the DAG be a day old, for tests of the minute in which it is stored."""
        older = update(Dag).where(Dag.file_name == self.name).values(created_at=datetime.now(UTC) - timedelta(days=1))
        await self.server.services.runs.database.write(lambda connection: connection.execute(older))

    async def tick(self, number: int) -> None:
        await self.server.scheduler.tick(self.minute(number))

    async def runs(self, name: str = "") -> list[dict[str, Any]]:
        """All runs of the DAG, oldest first."""
        answer = await self.client.get(f"/dag-runs/{name or self.name}")
        found: list[dict[str, Any]] = answer.json()["dagRuns"]
        return found[::-1]

    async def settled(self) -> None:
        """Wait until no run is under way."""

        async def look() -> bool:
            return all(run["statusLabel"] not in ("running", "queued", "not_started") for run in await self.runs())

        await wait_until(look)

    async def slots(self, name: str = "") -> list[dict[str, Any]]:
        """What became of the DAG's minutes, oldest first."""
        answer = await self.client.get("/schedules/slots", params={"dag": name or self.name})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["slots"]
        return found[::-1]

    async def outcomes(self) -> list[str]:
        return [slot["outcome"] for slot in await self.slots()]

    def another(self) -> Scheduler:
        """Another server's scheduler, which knows nothing of what this one has done."""
        scheduler, services = self.server.scheduler, self.server.services
        ticker = Ticker(services.runs.database, services.dags.timetable, scheduler._timely, services.runs.now)
        return Scheduler(
            services.runs.database, ticker, scheduler._timely, scheduler._identity, services.runs.now, lambda: None
        )


@pytest.fixture
async def clockwork(database_url: str, tmp_path: Path, name: str) -> AsyncIterator[Clockwork]:
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        clockwork = Clockwork(server, client, name)
        yield clockwork
        for run in (await client.get("/dag-runs", params={"status": 5})).json()["dagRuns"]:  # for a worker, for ever
            await client.get(f"/dag-runs/{run['name']}/{run['dagRunId']}/dequeue")
        for run in (await client.get("/dag-runs", params={"status": 1})).json()["dagRuns"]:
            await client.post(f"/dag-runs/{run['name']}/{run['dagRunId']}/stop")
        await clockwork.settled()


# -- start -----------------------------------------------------------------------------------------------------------


async def test_a_dag_is_started_at_its_minute_and_at_no_other(clockwork: Clockwork) -> None:
    due = clockwork.minute(2)
    await clockwork.store(f"schedule: '{due.minute} {due.hour} * * *'\n{QUICK}")
    for number in range(5):
        await clockwork.tick(number)
    (slot,) = await clockwork.slots()
    assert (slot["scheduledAt"], slot["outcome"]) == (due.strftime("%Y-%m-%dT%H:%M:%SZ"), "started")
    (run,) = await clockwork.runs()
    assert run["dagRunId"] == slot["dagRunId"]


async def test_a_scheduled_run_has_no_actor_and_default_params(clockwork: Clockwork) -> None:
    await clockwork.store(f"{EVERY_MINUTE}params: A=1\n{QUICK}")
    await clockwork.tick(0)
    (shown,) = await clockwork.runs()
    services = clockwork.server.services
    key = await services.runs.database.read(lambda connection: runs.get(connection, clockwork.name, shown["dagRunId"]))
    assert key is not None
    row = await services.runs.database.read(lambda connection: runs.get_complete(connection, key.id))
    assert row is not None
    assert (row.trigger, row.actor, row.params_text, row.dag_revision) == ("schedule", None, "A=1", 1)


@pytest.mark.always
@pytest.mark.both_engines
async def test_a_minute_is_handled_once_by_any_number_of_servers(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    others = [clockwork.another() for _ in range(4)]
    await asyncio.gather(*(one.tick(clockwork.minute(0)) for one in (clockwork.server.scheduler, *others)))
    await clockwork.another().tick(clockwork.minute(0))
    assert len(await clockwork.runs()) == 1
    assert await clockwork.outcomes() == ["started"]


@pytest.mark.both_engines
async def test_a_firing_that_another_server_has_handled_is_not_evaluated(clockwork: Clockwork, tmp_path: Path) -> None:
    if clockwork.server.services.runs.database.dialect == "sqlite":
        pytest.skip("a SQLite file has one server")
    noted = f"params: 'A=`echo x >>{tmp_path}/evaluated`'\n"
    for number in range(3):
        await clockwork.store(f"{EVERY_MINUTE}{noted}{QUICK}", f"{clockwork.name}{number}")
    slow = clockwork.another()._ticker
    passed = time_window(None, clockwork.minute(-1), clockwork.minute(0))
    assert passed is not None
    work = await slow._find_due(passed, ())
    await clockwork.tick(0)
    assert await slow._handle(work, clockwork.minute(0), None) == []
    assert (tmp_path / "evaluated").read_text() == "x\n" * 3


@pytest.mark.both_engines
async def test_two_servers_that_start_at_both_ends_handle_everything_once(clockwork: Clockwork) -> None:
    names = [f"{clockwork.name}{number}" for number in range(8)]
    for name in names:
        await clockwork.store(EVERY_MINUTE + QUICK, name)
    one, two = clockwork.server.scheduler, clockwork.another()
    await asyncio.gather(one.tick(clockwork.minute(0)), two.tick(clockwork.minute(0), from_end=True))
    assert [len(await clockwork.runs(name)) for name in names] == [1] * 8


async def test_a_scheduler_waits_for_earlier_peers_while_they_are_alive(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others' processes are on this machine: when they are dead, there is nothing to wait for."""
    monkeypatch.setattr("dagbook.scheduling.scheduler.HEAD_START_SECONDS", 600.0)
    scheduler, told = clockwork.server.scheduler, asyncio.Event()
    monkeypatch.setattr(scheduler, "_on_peer_death", told.set)
    other = await asyncio.create_subprocess_exec("sleep", "600")
    identity = proc.identify(other.pid)
    assert identity is not None
    row = {"id": "", "kind": "scheduler", "pid": other.pid, "pid_started": identity.started}
    await register(clockwork.server.services.runs.database, scheduler._identity, **row)
    try:
        waiting = asyncio.create_task(scheduler._yield_to_peers())
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
    finally:
        other.kill()
        await other.wait()
        await asyncio.wait_for(told.wait(), PATIENCE_SECONDS)
        await waiting
        await clockwork.server.services.runs.database.write(
            lambda connection: run_sql(connection, "DELETE FROM services WHERE id = ''")
        )


async def test_the_runs_of_a_dead_peer_are_adopted_at_once(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagbook.runs.recovery.supervisor._HEARTBEAT_SECONDS", 600.0)
    async with serving(database_url, tmp_path / "home") as server:
        sweep = server.supervisor._sweep
        looks, look = 0, sweep.run_once

        async def counted(known: Iterable[Fence]) -> SweepResult:
            nonlocal looks
            looks += 1
            return await look(known)

        monkeypatch.setattr(sweep, "run_once", counted)
        server.scheduler._on_peer_death()

        async def seen() -> bool:
            return looks == 1

        await wait_until(seen)


@pytest.mark.both_engines
async def test_the_slot_row_refuses_a_second_start_of_a_minute(clockwork: Clockwork) -> None:
    """Both servers have read that the slot is free: the row decides, in the commit that accepts the run."""
    await clockwork.store(f"{EVERY_MINUTE}maxActiveRuns: 100\n{QUICK}")
    timed = (await clockwork.server.services.dags.timetable.read())[0]
    key = schedules.SlotKey(timed.dag.id, "start", clockwork.minute(0))
    slot = schedules.Slot(key=key, file_name=clockwork.name)
    timely = clockwork.server.scheduler._timely
    dag = await clockwork.server.services.runs.database.read(lambda connection: dags.get(connection, clockwork.name))
    assert dag is not None
    done = await asyncio.gather(*(timely.start(slot, dag) for _ in range(8)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["NoneType", *["SlotTakenError"] * 7]
    assert len(await clockwork.runs()) == 1


async def test_a_clock_that_was_set_back_starts_nothing_twice(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    for number in (0, 1, 2, 1, 0, -1, 2, 3):
        await clockwork.tick(number)
        await clockwork.settled()
    minutes = [slot["scheduledAt"] for slot in await clockwork.slots()]
    assert len(minutes) == len(set(minutes)) == 5
    assert len(await clockwork.runs()) == 5


async def test_a_dag_whose_newest_run_still_runs_is_not_started(clockwork: Clockwork) -> None:
    await clockwork.store(f"{EVERY_MINUTE}maxActiveRuns: 5\n{LONG}")
    await clockwork.tick(0)
    await clockwork.tick(1)
    assert await clockwork.outcomes() == ["started", "skipped"]
    assert (await clockwork.slots())[1]["reason"] == "its newest run is still running"


async def test_a_start_by_hand_in_the_same_minute_counts(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await clockwork.age()
    run_id = (await clockwork.client.post(f"/dags/{clockwork.name}/start", json={})).json()["dagRunId"]
    await clockwork.dagbook.finished(run_id)
    run = (await clockwork.client.get(f"/dag-runs/{clockwork.name}/{run_id}")).json()["dagRunDetails"]
    # Not now: a minute may have begun since. The API rounds the start down to a second.
    await clockwork.server.scheduler.tick(
        datetime.fromisoformat(run["startedAt"]).replace(second=59, microsecond=999_999)
    )
    found = await clockwork.slots()
    assert [slot["outcome"] for slot in found] == ["skipped"]
    assert found[0]["reason"].startswith("its newest run started in this minute")


async def test_a_scheduled_run_is_queued_when_the_limit_of_the_dag_is_reached(clockwork: Clockwork) -> None:
    await clockwork.store(f"{EVERY_MINUTE}maxActiveRuns: 2\n{QUICK}")
    for _ in range(2):
        answer = await clockwork.client.post(
            "/dag-runs", json={"name": clockwork.name, "spec": f"maxActiveRuns: 2\n{LONG}"}
        )
        assert answer.status_code == 200
    await _outdate_newest(clockwork)
    await clockwork.tick(0)
    assert await clockwork.outcomes() == ["queued"]
    assert [run["statusLabel"] for run in await clockwork.runs()].count("queued") == 1


async def _outdate_newest(clockwork: Clockwork) -> None:
    """Let a run that is over be the newest one of the DAG, while others run."""
    quick = await clockwork.client.post("/dag-runs", json={"name": f"{clockwork.name}-b", "spec": QUICK})
    await clockwork.dagbook.finished(quick.json()["dagRunId"], f"{clockwork.name}-b")
    await clockwork.server.services.runs.database.write(
        lambda connection: run_sql(
            connection, "UPDATE runs SET dag_name = :name WHERE dag_name = :other",
            name=clockwork.name, other=f"{clockwork.name}-b",
        )
    )  # fmt: skip


async def test_a_scheduled_start_is_skipped_when_the_queue_is_full(clockwork: Clockwork) -> None:
    spec = "maxActiveRuns: 2\nqueue: shared\n"
    await clockwork.store(EVERY_MINUTE + spec + QUICK)
    for _ in range(2):
        await clockwork.client.post("/dag-runs", json={"name": clockwork.name, "spec": spec + LONG})
    await _outdate_newest(clockwork)
    await clockwork.tick(0)
    (slot,) = await clockwork.slots()
    assert (slot["outcome"], "limit of 2 runs: it has 2 active and 0 queued" in slot["reason"]) == ("skipped", True)


async def test_a_dag_that_asks_for_a_worker_is_enqueued(clockwork: Clockwork) -> None:
    await clockwork.store(f"{EVERY_MINUTE}workerSelector: {{gpu: 'yes'}}\n{QUICK}")
    await clockwork.tick(0)
    assert await clockwork.outcomes() == ["queued"]


async def test_several_expressions_for_one_minute_start_one_run(clockwork: Clockwork) -> None:
    await clockwork.store(f"schedule: ['* * * * *', '*/1 * * * *', '* * * * *']\nmaxActiveRuns: 9\n{QUICK}")
    await clockwork.tick(0)
    assert await clockwork.outcomes() == ["started"]


async def test_each_expression_uses_its_own_time_zone(clockwork: Clockwork) -> None:
    due = clockwork.minute(1)
    tokyo = due + timedelta(hours=9)
    await clockwork.store(f"schedule: 'CRON_TZ=Asia/Tokyo {tokyo.minute} {tokyo.hour} * * *'\n{QUICK}")
    await clockwork.tick(0)
    assert await clockwork.slots() == []
    await clockwork.tick(1)
    assert await clockwork.outcomes() == ["started"]


# -- skipIfSuccessful ------------------------------------------------------------------------------------------------


async def test_a_success_since_the_previous_time_skips_the_next_start(clockwork: Clockwork) -> None:
    clockwork.start = floor_minute(datetime.now(UTC)) + MINUTE
    hour_ago = clockwork.start - timedelta(minutes=30)
    await clockwork.store(
        f"schedule: '{clockwork.start.minute},{hour_ago.minute} * * * *'\nskipIfSuccessful: true\n{QUICK}"
    )
    run_id = (await clockwork.client.post(f"/dags/{clockwork.name}/start", json={})).json()["dagRunId"]
    await clockwork.dagbook.finished(run_id)
    await clockwork.tick(0)
    (slot,) = await clockwork.slots()
    assert (slot["outcome"], "skipIfSuccessful" in slot["reason"]) == ("skipped", True)


# -- stop and restart ------------------------------------------------------------------------------------------------


async def test_a_stop_schedule_stops_all_running_runs_of_the_dag(clockwork: Clockwork) -> None:
    await clockwork.store(f"schedule: {{stop: '* * * * *'}}\nmaxActiveRuns: 5\n{LONG}")
    for _ in range(2):
        assert (await clockwork.client.post(f"/dags/{clockwork.name}/start", json={})).status_code == 200
    await clockwork.tick(0)
    await clockwork.settled()
    assert [run["statusLabel"] for run in await clockwork.runs()] == ["aborted"] * 2
    (slot,) = await clockwork.slots()
    assert (slot["kind"], slot["outcome"], slot["reason"]) == ("stop", "stopped", "2 running")


async def test_a_stop_without_a_running_run_is_recorded(clockwork: Clockwork) -> None:
    await clockwork.store(f"schedule: {{stop: '* * * * *'}}\n{QUICK}")
    await clockwork.tick(0)
    (slot,) = await clockwork.slots()
    assert (slot["outcome"], slot["reason"]) == ("skipped", "its newest run is not running")


async def test_a_restart_schedule_stops_the_newest_run_and_starts_another_with_its_params(
    clockwork: Clockwork,
) -> None:
    await clockwork.store(f"schedule: {{restart: '* * * * *'}}\nparams: A=1\n{LONG}")
    await clockwork.client.post(f"/dags/{clockwork.name}/start", json={"params": "A=2"})
    await clockwork.tick(0)
    assert await clockwork.outcomes() == ["restarting"]
    await _finish_restart(clockwork)
    assert await clockwork.outcomes() == ["restarted"]
    first, second = await clockwork.runs()
    assert [first["statusLabel"], second["statusLabel"]] == ["aborted", "running"]
    assert first["params"] == second["params"] == "A=2"
    assert (await clockwork.slots())[0]["dagRunId"] == second["dagRunId"]


async def _finish_restart(clockwork: Clockwork) -> None:
    async def look() -> bool:
        await clockwork.another().finish_restarts()
        return "restarting" not in await clockwork.outcomes()

    await wait_until(look)


@pytest.mark.both_engines
async def test_several_servers_start_one_run_for_a_restart(clockwork: Clockwork) -> None:
    await clockwork.store(f"schedule: {{restart: '* * * * *'}}\nmaxActiveRuns: 9\n{LONG}")
    await clockwork.client.post(f"/dags/{clockwork.name}/start", json={})
    await asyncio.gather(*(clockwork.another().tick(clockwork.minute(0)) for _ in range(3)))
    await clockwork.settled()
    await asyncio.gather(*(clockwork.another().finish_restarts() for _ in range(5)))
    assert len(await clockwork.runs()) == 2


async def test_a_restart_waits_as_long_as_the_dag_is_configured_to(clockwork: Clockwork) -> None:
    await clockwork.store(f"schedule: {{restart: '* * * * *'}}\nrestartWaitSec: 3600\n{LONG}")
    await clockwork.client.post(f"/dags/{clockwork.name}/start", json={})
    await clockwork.tick(0)
    await clockwork.settled()
    await clockwork.server.scheduler.finish_restarts()
    assert await clockwork.outcomes() == ["restarting"]
    assert len(await clockwork.runs()) == 1


async def test_a_restart_without_a_running_run_does_nothing(clockwork: Clockwork) -> None:
    await clockwork.store(f"schedule: {{restart: '* * * * *'}}\n{QUICK}")
    await clockwork.tick(0)
    assert await clockwork.outcomes() == ["skipped"]
    assert await clockwork.runs() == []


async def test_a_run_that_is_being_restarted_is_not_restarted_again(clockwork: Clockwork) -> None:
    await clockwork.store(f"schedule: {{restart: '* * * * *'}}\n{_stubborn()}")
    await clockwork.client.post(f"/dags/{clockwork.name}/start", json={})
    await clockwork.tick(0)
    await clockwork.tick(1)
    assert [slot["outcome"] for slot in await clockwork.slots()] == ["restarting", "skipped"]
    assert (await clockwork.slots())[1]["reason"] == "it is being restarted already"


def _stubborn() -> str:
    return "maxCleanUpTimeSec: 2\nsteps: [{name: a, command: \"trap '' TERM; sleep 30\"}]\n"


async def test_a_restart_whose_run_was_removed_is_cancelled(clockwork: Clockwork) -> None:
    await clockwork.store(f"schedule: {{restart: '* * * * *'}}\n{LONG}")
    await clockwork.client.post(f"/dags/{clockwork.name}/start", json={})
    await clockwork.tick(0)
    await clockwork.settled()
    await clockwork.server.services.runs.database.write(lambda connection: run_sql(connection, "DELETE FROM runs"))
    await clockwork.server.scheduler.finish_restarts()
    (slot,) = await clockwork.slots()
    assert (slot["outcome"], slot["reason"]) == ("failed", "the run to restart was deleted")


# -- changes between the ticks ---------------------------------------------------------------------------------------


async def test_a_suspended_dag_is_not_started_and_that_is_recorded(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await clockwork.client.post(f"/dags/{clockwork.name}/suspend", json={"suspend": True})
    await clockwork.tick(0)
    await clockwork.client.post(f"/dags/{clockwork.name}/suspend", json={"suspend": False})
    await clockwork.tick(1)
    assert await clockwork.outcomes() == ["suspended", "started"]


async def test_a_changed_schedule_is_used_at_the_next_tick(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await clockwork.tick(0)
    await clockwork.save(QUICK)
    await clockwork.tick(1)
    await clockwork.save(EVERY_MINUTE + QUICK)
    await clockwork.tick(2)
    assert len(await clockwork.slots()) == 2


async def test_a_deleted_dag_is_not_started_and_keeps_its_history(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await clockwork.tick(0)
    await clockwork.client.delete(f"/dags/{clockwork.name}")
    await clockwork.tick(1)
    assert await clockwork.outcomes() == ["started"]


async def test_a_renamed_dag_is_scheduled_under_its_new_name(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await clockwork.tick(0)
    await clockwork.settled()
    new_name = f"{clockwork.name}-new"
    answer = await clockwork.client.post(f"/dags/{clockwork.name}/rename", json={"newFileName": new_name})
    assert answer.status_code == 200, answer.text
    await clockwork.another().tick(clockwork.minute(0))
    await clockwork.tick(1)
    assert [slot["fileName"] for slot in await clockwork.slots(new_name)] == [clockwork.name, new_name]
    assert len(await clockwork.runs(new_name)) == 1


async def test_an_invalid_definition_keeps_the_last_valid_schedule(
    clockwork: Clockwork,
) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await clockwork.server.services.runs.database.write(lambda connection: _break(connection, clockwork.name))
    await clockwork.tick(0)
    (slot,) = await clockwork.slots()
    assert (slot["outcome"], "steps" in slot["reason"]) == ("failed", True)


def _break(connection: WriteConnection, name: str) -> None:
    """Store a text as only a version that can read less would find it."""
    broken = f"schedule: '* * * * *'\nsteps: 7\nunheard: {name}\n"
    run_sql(
        connection,
        "INSERT INTO definitions (hash, spec, created_at) SELECT :hash, :spec, created_at FROM definitions LIMIT 1",
        hash="f" * 64,
        spec=broken,
    )
    run_sql(connection, "UPDATE dags SET definition_hash = :hash WHERE file_name = :name", hash="f" * 64, name=name)


async def test_a_dag_that_cannot_be_started_does_not_stop_the_others(clockwork: Clockwork) -> None:
    await clockwork.store(f"{EVERY_MINUTE}params: {{schema: ./none.json}}\n{QUICK}")
    other = f"{clockwork.name}-b"
    await clockwork.store(EVERY_MINUTE + QUICK, other)
    await clockwork.tick(0)
    assert await clockwork.outcomes() == ["failed"]
    assert [slot["outcome"] for slot in await clockwork.slots(other)] == ["started"]


# -- missed times ----------------------------------------------------------------------------------------------------


async def _set(clockwork: Clockwork, catchup: str, **more: int) -> None:
    answer = await clockwork.client.put(f"/dags/{clockwork.name}/settings", json={"catchup": catchup, **more})
    assert answer.status_code == 200, answer.text


async def test_by_default_missed_starts_are_not_caught_up_and_the_last_is_recorded(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await clockwork.tick(0)
    await clockwork.settled()
    await clockwork.another().tick(clockwork.minute(10))
    assert await clockwork.outcomes() == ["started", "missed", "started"]
    assert (await clockwork.slots())[1]["scheduledAt"] == _text(clockwork.minute(9))


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_the_latest_missed_start_is_caught_up_with_that_setting(clockwork: Clockwork) -> None:
    due = clockwork.minute(5)
    await clockwork.store(f"schedule: '{clockwork.minute(3).minute},{due.minute} * * * *'\n{QUICK}")
    await _set(clockwork, "latest")
    await clockwork.tick(0)
    await clockwork.another().tick(clockwork.minute(10))
    (slot,) = await clockwork.slots()
    assert (slot["scheduledAt"], slot["outcome"], slot["madeUp"]) == (_text(due), "queued", True)


@pytest.mark.both_engines
async def test_all_missed_starts_are_caught_up_in_order(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await _set(clockwork, "all")
    await clockwork.tick(0)
    await clockwork.settled()
    await clockwork.another().tick(clockwork.minute(5))
    assert await clockwork.outcomes() == ["started", *["queued"] * 5]
    await clockwork.settled()
    assert [run["statusLabel"] for run in await clockwork.runs()] == ["succeeded"] * 6
    of_slots = [slot["dagRunId"] for slot in await clockwork.slots()]
    assert of_slots == [run["dagRunId"] for run in await clockwork.runs()]


@pytest.mark.parametrize("limits", ["", "queue: shared\nmaxActiveRuns: 2\n"])
async def test_a_live_start_is_not_lost_to_caught_up_runs_and_goes_into_their_queue(
    clockwork: Clockwork, limits: str
) -> None:
    """They hold the limit of the DAG, alone; a live run that holds it still skips the start."""
    await clockwork.another().tick(clockwork.minute(-9))
    await clockwork.store(f"{EVERY_MINUTE}{limits}{LONG}")
    await _set(clockwork, "all", catchupWindowSec=60)
    await clockwork.another().tick(clockwork.minute(0))
    for run in (await clockwork.runs())[: 2 if limits else 1]:
        await clockwork.dagbook.running(run["dagRunId"], "a")
    await clockwork.tick(1)
    assert await clockwork.outcomes() == ["queued"] * 3
    assert (await clockwork.slots())[-1].get("madeUp") is not True


async def test_a_run_knows_its_scheduled_time_in_the_zone_of_its_schedule(clockwork: Clockwork) -> None:
    """A retry and a new run from it keep it, and a sub-run has it; a start by hand has none."""
    due = clockwork.minute(0).astimezone(ZoneInfo("Asia/Tokyo"))
    await clockwork.store("steps: [{name: b, command: 'echo $1 $DAG_RUN_SCHEDULED_AT'}]", f"{clockwork.name}-b")
    steps = (
        "steps:\n  - {name: a, command: 'echo at $DAG_RUN_SCHEDULED_AT'}\n"
        f"  - {{name: call, call: {clockwork.name}-b, params: '${{DAG_RUN_SCHEDULED_AT}}'}}\n"
    )
    await clockwork.store(f"schedule: 'CRON_TZ=Asia/Tokyo {due.minute} {due.hour} * * *'\n{steps}")
    await clockwork.tick(0)
    (run_id,) = [run["dagRunId"] for run in await clockwork.runs()]
    ended = await clockwork.dagbook.finished(run_id)
    text = due.strftime("%Y-%m-%dT%H:%M:00+09:00")
    assert ended.details["scheduledAt"] == _text(clockwork.minute(0))
    assert await ended.log("a") == f"at {text}"
    (below,) = ended.nodes["call"]["subRuns"]
    sub = f"/dag-runs/{clockwork.name}/{run_id}/sub-dag-runs/{below['dagRunId']}/steps/b/log"
    assert (await clockwork.client.get(sub)).json()["content"].split() == [text, text]
    for path, body in (("retry", {"dagRunId": run_id, "stepName": "a"}), ("reschedule", {})):
        answer = await clockwork.client.post(f"/dag-runs/{clockwork.name}/{run_id}/{path}", json=body)
        assert answer.status_code == 200, answer.text
        again = await clockwork.dagbook.finished(answer.json()["dagRunId"] if answer.text else run_id)
        assert (again.details["scheduledAt"], await again.log("a")) == (ended.details["scheduledAt"], f"at {text}")
    by_hand = await clockwork.client.post(f"/dags/{clockwork.name}/start", json={})
    ended = await clockwork.dagbook.finished(by_hand.json()["dagRunId"])
    assert ("scheduledAt" in ended.details, await ended.log("a")) == (False, "at")


async def test_starts_before_the_catchup_window_stay_missed(clockwork: Clockwork) -> None:
    await clockwork.store(f"{EVERY_MINUTE}maxActiveRuns: 9\n{QUICK}")
    await _set(clockwork, "all", catchupWindowSec=180)
    await clockwork.tick(0)
    await clockwork.another().tick(clockwork.minute(30))
    made_up = [slot["scheduledAt"] for slot in await clockwork.slots() if slot.get("madeUp")]
    assert made_up == [_text(clockwork.minute(number)) for number in (27, 28, 29, 30)]


async def test_a_suspended_dag_does_not_catch_up(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await _set(clockwork, "all")
    await clockwork.client.post(f"/dags/{clockwork.name}/suspend", json={"suspend": True})
    await clockwork.tick(0)
    await clockwork.another().tick(clockwork.minute(10))
    await clockwork.client.post(f"/dags/{clockwork.name}/suspend", json={"suspend": False})
    await clockwork.another().tick(clockwork.minute(11))
    assert await clockwork.outcomes() == ["suspended", "suspended", "started"]


@pytest.mark.both_engines
async def test_several_servers_catch_up_each_missed_start_once(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await _set(clockwork, "all")
    await clockwork.tick(0)
    await asyncio.gather(*(clockwork.another().tick(clockwork.minute(8)) for _ in range(3)))
    await clockwork.settled()
    assert len(await clockwork.runs()) == len(await clockwork.slots()) == 9


async def test_a_schedule_misses_nothing_before_it_was_saved(clockwork: Clockwork) -> None:
    await clockwork.store(QUICK)
    await clockwork.age()
    await clockwork.server.scheduler.tick(datetime.now(UTC) - timedelta(hours=3))
    await clockwork.save(EVERY_MINUTE + QUICK)
    await _set(clockwork, "all")
    await clockwork.another().tick(datetime.now(UTC))
    assert await clockwork.outcomes() == ["started"]


async def test_a_dag_is_not_due_in_the_minute_that_began_before_it_was_stored(clockwork: Clockwork) -> None:
    """The first tick of a server may come in the middle of a minute, when a DAG was just stored in it."""
    await clockwork.store(EVERY_MINUTE + QUICK)
    created = (await clockwork.server.services.runs.database.read(schedules.find_dags))[0].created_at
    await clockwork.another().tick(created)
    assert await clockwork.outcomes() == []
    await clockwork.another().tick(floor_minute(created) + MINUTE)
    assert await clockwork.outcomes() == ["started"]


async def test_a_server_that_was_suspended_starts_a_dag_once_for_the_last_minute(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await clockwork.tick(0)
    await clockwork.settled()
    await clockwork.tick(60)
    assert [slot["scheduledAt"] for slot in await clockwork.slots()] == [
        _text(clockwork.minute(number)) for number in (0, 60)
    ]


# -- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
async def test_a_cache_that_is_full_leaves_no_dag_without_its_schedule(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timetable, "_MAX_CACHED", 0)
    monkeypatch.setattr(timetable, "_PARSED_AT_ONCE", 1)
    names = {clockwork.name, f"{clockwork.name}-b", f"{clockwork.name}-c"}
    for number, name in enumerate(sorted(names)):
        await clockwork.store(f"schedule: '{number} 3 * * *'\n{QUICK}", name)
    upcoming = (await clockwork.client.get("/schedules/upcoming", params={"perDag": 1})).json()["upcoming"]
    assert {one["fileName"] for one in upcoming} >= names
    listed = (await clockwork.client.get("/dags", params={"sort": "nextRun", "name": clockwork.name})).json()["dags"]
    assert [dag["fileName"] for dag in listed] == sorted(names)


async def test_upcoming_firings_are_listed_in_order_with_zone_and_kind(clockwork: Clockwork) -> None:
    await clockwork.store(f"schedule: {{start: 'TZ=Asia/Tokyo 0 12 * * *', stop: '30 3 * * *'}}\n{QUICK}")
    await clockwork.client.post(f"/dags/{clockwork.name}/suspend", json={"suspend": True})
    await clockwork.store(f"schedule: '0 */12 * * *'\n{QUICK}", "other")
    answer = await clockwork.client.get("/schedules/upcoming", params={"limit": 6})
    found = answer.json()["upcoming"]
    assert [one["at"] for one in found] == sorted(one["at"] for one in found)
    assert {(one["fileName"], one["kind"], one["zone"], one["at"][11:16], one["suspended"]) for one in found} == {
        (clockwork.name, "start", "Asia/Tokyo", "03:00", True),
        (clockwork.name, "stop", "UTC", "03:30", True),
        ("other", "start", "UTC", "00:00", False),
        ("other", "start", "UTC", "12:00", False),
    }
    assert len(found) == 6


async def test_later_firings_than_requested_are_left_out(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    until = int(datetime.now(UTC).timestamp()) + 180
    found = (await clockwork.client.get("/schedules/upcoming", params={"until": until})).json()["upcoming"]
    assert len(found) == 3


async def test_a_dag_that_is_due_every_minute_hides_no_other(clockwork: Clockwork) -> None:
    every = "{start: ['* * * * *', '*/2 * * * *'], stop: '* * * * *'}"
    await clockwork.store(f"schedule: {every}\n{QUICK}")
    await clockwork.store(f"schedule: '0 0 1 1 *'\n{QUICK}", "yearly")
    answer = await clockwork.client.get("/schedules/upcoming", params={"limit": 7, "perDag": 2})
    found = [(one["fileName"], one["kind"]) for one in answer.json()["upcoming"]]
    assert Counter(found) == {(clockwork.name, "start"): 2, (clockwork.name, "stop"): 2, ("yearly", "start"): 2}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"perDag": 0}, "perDag"),
        ({"perDag": 1001}, "perDag"),
        ({"until": -1}, "until"),
    ],
)
async def test_invalid_queries_are_refused(client: httpx.AsyncClient, query: dict[str, int], field: str) -> None:
    answer = await client.get("/schedules/upcoming", params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["message"].startswith(f"{field}: ")


async def test_the_history_of_an_unknown_dag_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get("/schedules/slots", params={"dag": "nobody"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.both_engines
async def test_the_history_comes_in_pages_the_newest_first(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + LONG)
    for number in range(5):
        await clockwork.tick(number)
    assert (await clockwork.client.get("/schedules/slots", params={"page": 2**63})).json()["slots"] == []
    answer = (await clockwork.client.get("/schedules/slots", params={"perPage": 2, "page": 2})).json()
    assert [slot["scheduledAt"] for slot in answer["slots"]] == [_text(clockwork.minute(n)) for n in (2, 1)]
    assert (answer["pagination"]["totalRecords"], answer["pagination"]["totalPages"]) == (5, 3)


async def test_the_history_outlives_the_runs(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await clockwork.tick(0)
    await clockwork.settled()
    await clockwork.server.services.runs.database.write(lambda connection: run_sql(connection, "DELETE FROM runs"))
    (slot,) = await clockwork.slots()
    assert (slot["outcome"], "dagRunId" in slot) == ("started", False)


@pytest.mark.both_engines
async def test_old_slots_are_deleted(clockwork: Clockwork) -> None:
    clockwork.start = clockwork.start.replace(minute=59)
    await clockwork.store(EVERY_MINUTE + LONG)
    await clockwork.tick(0)
    await clockwork.server.scheduler.tick(clockwork.minute(1) + timedelta(days=91))
    assert len(await clockwork.slots()) == 1


# -- settings of a DAG -----------------------------------------------------------------------------------------------


async def test_by_default_nothing_is_caught_up(dagbook: Dagbook) -> None:
    await dagbook.client.post("/dags", json={"name": dagbook.name})
    answer = await dagbook.client.get(f"/dags/{dagbook.name}/settings")
    assert answer.json() == {"catchup": "none", "catchupWindowSec": 86400, "catchupMostStarts": 1000}


@pytest.mark.both_engines
async def test_settings_survive_a_rename(dagbook: Dagbook) -> None:
    await dagbook.client.post("/dags", json={"name": dagbook.name})
    wanted = {"catchup": "all", "catchupWindowSec": 21600}
    for _ in range(2):
        answer = await dagbook.client.put(f"/dags/{dagbook.name}/settings", json=wanted)
        assert answer.json() == {**wanted, "catchupMostStarts": 1000}
    await dagbook.client.post(f"/dags/{dagbook.name}/rename", json={"newFileName": f"{dagbook.name}-b"})
    answer = await dagbook.client.get(f"/dags/{dagbook.name}-b/settings")
    assert answer.json() == {**wanted, "catchupMostStarts": 1000}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"catchup": "some"},
        {"catchup": "all", "catchupWindowSec": 59},
        {"catchup": "all", "catchupWindowSec": 2_678_401},
        {"catchup": "all", "catchupWindowSec": "6h"},
    ],
)
async def test_an_invalid_setting_is_refused_with_its_field(dagbook: Dagbook, body: dict[str, Any]) -> None:
    await dagbook.client.post("/dags", json={"name": dagbook.name})
    answer = await dagbook.client.put(f"/dags/{dagbook.name}/settings", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert "catchup" in answer.json()["message"]


async def test_settings_of_an_unknown_dag_are_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/dags/nobody/settings")).status_code == 404
    assert (await client.put("/dags/nobody/settings", json={"catchup": "all"})).status_code == 404


# -- the scheduler itself --------------------------------------------------------------------------------------------


async def test_a_server_that_schedules_is_listed_as_active_and_leaves_the_list_when_it_stops(
    clockwork: Clockwork,
) -> None:
    scheduler = clockwork.server.scheduler
    await scheduler.start()
    await scheduler.start()
    (shown,) = (await clockwork.client.get("/services/scheduler")).json()["schedulers"]
    assert shown["status"] == "active"
    assert "dagu_scheduler_running 1.0" in (await clockwork.client.get("/metrics")).text
    await scheduler.stop()
    await scheduler.stop()
    assert (await clockwork.client.get("/services/scheduler")).json() == {"schedulers": []}


async def test_the_current_minute_is_handled_at_once(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + LONG)
    await clockwork.age()  # else the next minute would be its first
    await clockwork.server.scheduler.start()

    async def look() -> bool:
        return bool(await clockwork.slots()) if await clockwork.runs() else False

    await wait_until(look)
    await clockwork.server.scheduler.stop()
    first = (await clockwork.slots())[0]
    assert (first["outcome"], first["scheduledAt"]) == (
        "started",
        _text(floor_minute(datetime.fromisoformat(first["settledAt"]))),
    )


@pytest.mark.both_engines
async def test_a_tick_over_a_thousand_dags_costs_less_than_a_second_and_reads_no_text_again(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clockwork.server.services.runs.database.write(lambda connection: _add_dags(connection, 1000))
    await clockwork.tick(0)
    monkeypatch.delattr("dagbook.definitions.timetable.read_schedule")
    begin = time.process_time()
    await clockwork.tick(1)
    assert time.process_time() - begin < 1
    assert len(await clockwork.server.services.dags.timetable.read()) == 1000


def _add_dags(connection: WriteConnection, count: int) -> None:
    spec = "schedule: '0 0 1 1 *'\nsteps: []\n"
    for number in range(count):
        add_definition(connection, hash=f"{number:064}", spec=spec)
        add_dag(connection, file_name=f"d{number}", dag_name=f"d{number}", definition_hash=f"{number:064}")


async def test_a_minute_that_begins_during_a_tick_is_handled_after_it(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clockwork.store(EVERY_MINUTE + LONG)
    clock = [clockwork.minute(0) + timedelta(seconds=59)]
    services, timely = clockwork.server.services, clockwork.server.scheduler._timely
    ticker = Ticker(services.runs.database, services.dags.timetable, timely, lambda: clock[0])
    scheduler = Scheduler(services.runs.database, ticker, timely, IDENTITY, lambda: clock[0], lambda: None)
    tick = ticker.tick

    async def tick_for_seconds(*args: Any, **rest: Any) -> None:
        await tick(*args, **rest)
        clock[0] = clockwork.minute(1)

    monkeypatch.setattr(ticker, "tick", tick_for_seconds)
    await scheduler._tick_until_done()
    assert [slot["scheduledAt"] for slot in await clockwork.slots()] == [_text(clockwork.minute(n)) for n in (0, 1)]


async def test_after_a_clock_was_set_back_the_next_minute_is_handled(clockwork: Clockwork) -> None:
    """The library has planned the next tick by the clock as it was, an hour ahead."""
    scheduler = clockwork.server.scheduler
    await scheduler.start()
    assert scheduler._job is not None
    scheduler._job.modify(next_run_time=datetime.now(UTC) + timedelta(hours=1))
    await scheduler._watch_once()
    assert scheduler._job.next_run_time <= datetime.now(UTC) + MINUTE
    await scheduler.stop()


async def test_a_tick_that_failed_in_an_outage_is_repeated(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away for one statement only cannot be had, so the write of a slot is made to fail."""
    await clockwork.store(EVERY_MINUTE + LONG)
    scheduler, database = clockwork.server.scheduler, clockwork.server.services.runs.database
    write, faults = database.write, ["the cable is out"]

    async def fail_once(work: Any, **options: bool) -> Any:
        if faults:
            faults.clear()
            raise DatabaseUnavailable("the cable is out")
        return await write(work, **options)

    monkeypatch.setattr(database, "write", fail_once)
    with pytest.raises(DatabaseUnavailable):
        await scheduler.tick(clockwork.minute(0))

    async def look() -> bool:
        with suppress(DatabaseUnavailable):  # the recorder, too, has to notice that the database is back
            await scheduler.tick(clockwork.minute(0))
        return await clockwork.outcomes() == ["started"]

    await wait_until(look)


@pytest.mark.parametrize(("other", "rests"), [("0", [0.1] * 20), ("~", [])])
async def test_of_several_servers_the_first_has_a_head_start(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch, other: str, rests: list[float]
) -> None:
    scheduler, seen = clockwork.server.scheduler, []

    async def rest(seconds: float) -> None:
        seen.append(seconds)

    await register(clockwork.server.services.runs.database, IDENTITY, id=other, kind="scheduler")
    monkeypatch.setattr(scheduler, "_wait_for_stop", rest)
    await scheduler._tick_until_done()
    assert seen == rests


async def test_a_server_without_a_scheduler_is_not_listed(clockwork: Clockwork) -> None:
    assert (await clockwork.client.get("/services/scheduler")).json() == {"schedulers": []}


async def test_a_changed_setting_is_audited(dagbook: Dagbook) -> None:
    await dagbook.client.post("/dags", json={"name": dagbook.name})
    for _ in range(2):  # what changes nothing is no entry
        await dagbook.client.put(f"/dags/{dagbook.name}/settings", json={"catchup": "latest"})
    answer = await dagbook.client.get("/audit", params={"object": dagbook.name, "action": "dag.settings"})
    (entry,) = answer.json()["entries"]
    assert (entry["before"]["catchup"], entry["after"]["catchup"]) == ("none", "latest")


# -- a pause of everything -------------------------------------------------------------------------------------------


PAUSED = "everything is paused: move of the database"


async def _pause(clockwork: Clockwork) -> None:
    answer = await clockwork.client.put("/pause", json={"reason": "move of the database"})
    assert answer.status_code == 200, answer.text


async def test_a_slot_in_a_pause_is_suspended_with_the_sentence_and_counted(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await clockwork.tick(0)
    await clockwork.settled()
    await _pause(clockwork)
    for number in (1, 2, 3):
        await clockwork.tick(number)
    assert await clockwork.outcomes() == ["started", "suspended", "suspended", "suspended"]
    assert {slot["reason"] for slot in (await clockwork.slots())[1:]} == {PAUSED}
    ended = (await clockwork.client.delete("/pause")).json()
    assert (ended["skippedStarts"], ended["skipped"]) == (3, {clockwork.name: 3})
    await clockwork.tick(4)
    assert (await clockwork.outcomes())[-2:] == ["suspended", "started"]
    assert len(await clockwork.runs()) == 2


@pytest.mark.parametrize(
    ("policy", "made_up"),
    [("latest", ["suspended", "suspended", "queued"]), ("all", ["queued", "queued", "queued"])],
)
async def test_starts_that_a_pause_has_suspended_are_made_up_once(
    clockwork: Clockwork, policy: str, made_up: list[str]
) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    await _set(clockwork, policy)
    await clockwork.tick(0)
    await clockwork.settled()
    await _pause(clockwork)
    for number in (1, 2, 3):
        await clockwork.tick(number)
    # From now on it is due once an hour, so that what is made up is told from what is due.
    minute = (clockwork.minute(3).minute + 30) % 60
    await clockwork.save(f"schedule: '{minute} * * * *'\n" + QUICK)
    assert (await clockwork.client.delete("/pause")).json()["skipped"] == {}
    await asyncio.gather(clockwork.tick(4), clockwork.another().tick(clockwork.minute(4)))
    assert await clockwork.outcomes() == ["started", *made_up]
    await clockwork.settled()
    await clockwork.another().tick(clockwork.minute(5))
    assert len(await clockwork.runs()) == 1 + made_up.count("queued")


async def test_a_suspension_with_an_end_is_over_in_the_first_minute_after_it(clockwork: Clockwork) -> None:
    await clockwork.store(EVERY_MINUTE + QUICK)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"suspend": True, "reason": "the source is away", "until": until}
    assert (await clockwork.client.post(f"/dags/{clockwork.name}/suspend", json=body)).status_code == 200
    await clockwork.tick(0)
    (slot,) = await clockwork.slots()
    assert (slot["outcome"], slot["reason"]) == ("suspended", "the DAG is suspended: the source is away")
    details = (await clockwork.client.get(f"/dags/{clockwork.name}")).json()
    assert (details["suspended"], details["suspension"]["reason"]) == (True, "the source is away")

    def end(connection: WriteConnection) -> None:
        past = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(update(Dag).where(Dag.file_name == clockwork.name).values(suspended_until=past))

    await clockwork.server.services.runs.database.write(end)
    await asyncio.gather(clockwork.tick(1), *(clockwork.another().tick(clockwork.minute(1)) for _ in range(2)))
    assert await clockwork.outcomes() == ["suspended", "started"]
    assert len(await clockwork.runs()) == 1
    details = (await clockwork.client.get(f"/dags/{clockwork.name}")).json()
    assert (details["suspended"], "suspension" in details) == (False, False)
