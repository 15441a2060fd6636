"""Backfills: each scheduled time gets one run, however many servers work, whatever is paused, cancelled or fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.batches.feeder import BatchFeeder
from dagbook.db.database import WriteConnection
from dagbook.main import Server
from tests.app.dagbook import Dagbook, client_of, serving
from tests.db.rows import run_sql
from tests.pure.spec.reserved_names import USUAL
from tests.waiting import wait_until

TODAY = datetime.now(UTC).date()
DAILY = "schedule: '0 2 * * *'\n"
LONG = "steps: [{name: a, command: sleep 60}]\n"
QUICK = "steps: [{name: a, command: 'echo at $DAG_RUN_SCHEDULED_AT'}]\n"


def day(number: int) -> str:
    """A day three weeks ago, or later: within what is recorded."""
    return (TODAY - timedelta(days=21 - number)).isoformat()


class Scene:
    """A server of the test's own with a DAG, and the batches of it."""

    def __init__(self, server: Server, client: httpx.AsyncClient, name: str) -> None:
        self.server, self.client, self.name = server, client, name
        self.dagbook = Dagbook(client, name)

    async def ok(self, method: str, path: str, **body: Any) -> Any:
        answer = await self.client.request(method, path, json=body or None)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def store(self, spec: str) -> None:
        await self.ok("POST", "/dags", name=self.name, spec=spec)

    async def save(self, spec: str) -> None:
        assert await self.ok("PUT", f"/dags/{self.name}/spec", spec=spec) == {"errors": []}

    def body(self, first: int, last: int, **options: Any) -> dict[str, Any]:
        return {"action": "start", "dag": self.name, "from": day(first), "to": day(last), **options}

    async def backfill(self, first: int, last: int, **options: Any) -> Any:
        return await self.ok("POST", "/batches", **self.body(first, last, **options))

    async def batch(self, batch: int) -> Any:
        return await self.ok("GET", f"/batches/{batch}")

    async def ended(self, batch: int) -> Any:
        async def look() -> Any:
            found = await self.batch(batch)
            return found if "endedAt" in found else None

        return await wait_until(look)

    async def counted(self, batch: int, **counts: int) -> Any:
        """Wait until so many items of a batch have these states."""

        async def look() -> Any:
            found = await self.batch(batch)
            return found if counts.items() <= found["counts"].items() else None

        return await wait_until(look)

    async def items(self, batch: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ok("GET", f"/batches/{batch}/items"))["items"]
        return found

    async def slots(self, first: int, last: int) -> list[dict[str, Any]]:
        answer = await self.client.get(f"/dags/{self.name}/slots", params={"from": day(first), "to": day(last)})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["slots"]
        return found

    async def outcomes(self, first: int, last: int) -> list[str]:
        return [slot["outcome"] for slot in await self.slots(first, last)]

    async def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ok("GET", f"/dag-runs/{self.name}"))["dagRuns"]
        return found[::-1]

    async def stop_running(self, name: str = "") -> str:
        """Wait until a run is running, and stop it; returns its id."""
        path = f"/dag-runs/{name or self.name}"

        async def look() -> str | None:
            found = (await self.client.get(path, params={"status": 1})).json()["dagRuns"]
            return found[0]["dagRunId"] if found else None

        run_id: str = await wait_until(look)
        await self.ok("POST", f"{path}/{run_id}/stop")
        return run_id

    async def end(self) -> None:
        """Cancel what goes on, and stop what runs."""
        for batch in (await self.client.get("/batches")).json()["batches"]:
            if "endedAt" not in batch:
                await self.client.post(f"/batches/{batch['id']}/cancel", json={"stopRuns": True})
        for run in (await self.client.get("/dag-runs", params={"status": 1})).json()["dagRuns"]:
            await self.client.post(f"/dag-runs/{run['name']}/{run['dagRunId']}/stop")

    def feeder(self) -> BatchFeeder:
        """The feeder of another server."""
        own, services = self.server.batches, self.server.services
        database, now = services.runs.database, services.runs.now
        return BatchFeeder(database, own._run_service, own._reruns, own._bulk, now, queues_enabled=True)


@pytest.fixture
async def scene(database_url: str, tmp_path: Path, name: str) -> AsyncIterator[Scene]:
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        scene = Scene(server, client, name)
        yield scene
        await scene.end()


def failing(marker: Path, *days: int) -> str:
    """A step that fails on days until a file is there, and prints the param of its day."""
    some = "|".join(f"{day(number)}*" for number in days)
    return (
        "params: {DAY: none}\n"
        f"steps: [{{name: a, command: 'echo $DAY; case $DAG_RUN_SCHEDULED_AT in {some}) test -e {marker};; esac'}}]\n"
    )


@pytest.mark.both_engines
@pytest.mark.always
async def test_what_is_missing_is_started_and_what_has_failed_is_retried_or_replaced(
    scene: Scene, tmp_path: Path
) -> None:
    """In place if its text is the current one; the run of an earlier text is replaced by a new one."""
    marker = tmp_path / "marker"
    await scene.store(DAILY + failing(marker, 2, 3, 5))
    first = await scene.backfill(1, 4, params={"DAY": "%F"})
    assert (await scene.ended(first["batchId"]))["counts"] == {
        "planned": 0, "begun": 0, "done": 2, "failed": 2, "leftOut": 0,
    }  # fmt: skip
    await scene.save("# changed\n" + DAILY + failing(marker, 2, 3, 5))
    await scene.ended((await scene.backfill(5, 5))["batchId"])
    assert await scene.outcomes(1, 6) == ["succeeded", "failed", "failed", "succeeded", "failed", "missing"]
    before = [slot.get("dagRunId") for slot in await scene.slots(1, 6)]
    marker.touch()

    dry = await scene.backfill(1, 6, dryRun=True, params={"DAY": "%d.%m."})
    assert dry["slots"] == {"succeeded": 2, "failed": 3, "missing": 1}
    assert dry["steps"] == {"start": 1, "retry": 1, "again": 2}
    assert ([item["step"] for item in dry["items"]], dry["counts"]["planned"]) == (
        ["again", "again", "retry", "start"],
        4,
    )
    assert "batchId" not in dry
    batch = (await scene.backfill(1, 6, expect=4))["batchId"]
    assert (await scene.ended(batch))["counts"]["done"] == 4
    assert await scene.outcomes(1, 6) == ["succeeded"] * 6
    after = [slot["dagRunId"] for slot in await scene.slots(1, 6)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, False, True, True, False]
    assert len(await scene.runs()) == 8
    for number, run_id in enumerate(after, 1):
        ended = await scene.dagbook.finished(run_id)
        assert ended.details["scheduledAt"] == f"{day(number)}T02:00:00Z"
        assert ended.details["trigger"] == "backfill"
        assert ended.details["attempt"] == (2 if number == 5 else 1)
        # A run that is replaced hands its params on; those of a batch are formats of the scheduled time.
        assert await ended.log("a") == (day(number) if number < 5 else "none")


async def test_a_param_may_have_any_usual_name(scene: Scene) -> None:
    await scene.store(DAILY + "steps: [{command: echo a}]")
    for day_of, some in enumerate((USUAL[:50], USUAL[50:]), 1):
        batch = await scene.backfill(day_of, day_of, params=dict.fromkeys(some, "%F"))
        assert (await scene.ended(batch["batchId"]))["counts"]["done"] == 1


async def test_a_dry_run_counts_and_a_wrong_expectation_changes_nothing(scene: Scene) -> None:
    await scene.store(DAILY + QUICK)
    refused = await scene.client.post("/batches", json=scene.body(1, 3, expect=2))
    assert (refused.status_code, "there are 3 items now, not 2" in refused.json()["message"]) == (412, True)
    assert (await scene.ok("GET", "/batches"))["batches"] == []
    assert await scene.runs() == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (None, ""),
        ({"action": None}, "action"),
        ({"action": "burn"}, "action"),
        ({"filter": {"colour": "red"}}, "filter"),
        ({"from": "yesterday"}, "from"),
        ({"from": "0001-01-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"to": None}, "to"),
        ({"from": "2026-03-05", "to": "2026-03-01"}, "from: 2026-03-05 is after to, 2026-03-01"),
        ({"dag": "nothing"}, "dag"),
        ({"parallel": 0}, "parallel"),
        ({"parallel": 101}, "parallel"),
        ({"text": "newest"}, "text"),
        ({"text": 9}, "text"),
        ({"only": "some"}, "only"),
        ({"params": {"A\0": "%F"}}, "params"),
        ({"params": {"DAY": "%F\0"}}, "params"),
        ({"reason": "a\0b"}, "reason"),
        ({"order": "random"}, "order"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_with_its_field(
    scene: Scene, changes: dict[str, Any] | None, field: str
) -> None:
    await scene.store(DAILY + QUICK)
    body = scene.body(1, 3) | (changes or {})
    for sent in ({}, None) if changes is None else ({name: each for name, each in body.items() if each is not None},):
        answer = await scene.client.post("/batches", json=sent)
        assert 400 <= answer.status_code < 500, answer.text
        assert field in answer.json()["message"]
    assert await scene.runs() == []


async def test_a_dag_without_a_schedule_has_nothing_to_backfill(scene: Scene) -> None:
    await scene.store(QUICK)
    answer = await scene.client.post("/batches", json=scene.body(1, 3))
    assert (answer.status_code, "no start times" in answer.json()["message"]) == (400, True)


async def test_never_more_run_than_are_to_run_at_a_time_and_in_order(scene: Scene) -> None:
    await scene.store(f"{DAILY}maxActiveRuns: 9\nsteps: [{{name: a, command: sleep 0.3}}]\n")
    batch = (await scene.backfill(1, 9, parallel=3))["batchId"]
    feeders = [scene.feeder() for _ in range(2)]  # beside that of the server
    while "endedAt" not in await scene.batch(batch):
        await asyncio.gather(*(feeder.run_once() for feeder in feeders))
    spans = [(run["startedAtMillis"], run["finishedAtMillis"]) for run in await scene.runs()]
    at_a_time = [sum(begin <= start < end for begin, end in spans) for start, _ in spans]
    assert (len(spans), max(at_a_time)) == (9, 3)
    ids = [run["dagRunId"] for run in await scene.runs()]
    assert ids == [slot["dagRunId"] for slot in await scene.slots(1, 9)]


@pytest.mark.both_engines
@pytest.mark.always
async def test_several_servers_start_each_time_once(scene: Scene) -> None:
    await scene.store(f"{DAILY}maxActiveRuns: 50\n{QUICK}")
    batch = (await scene.backfill(1, 20, parallel=20))["batchId"]
    feeders = [scene.feeder() for _ in range(4)]
    while "endedAt" not in await scene.batch(batch):
        await asyncio.gather(*(feeder.run_once() for feeder in feeders))
    assert len(await scene.runs()) == 20
    assert {item["state"] for item in await scene.items(batch)} == {"done"}


async def test_after_a_cancel_nothing_begins_and_the_runs_go_on_or_are_stopped(scene: Scene) -> None:
    await scene.store(DAILY + LONG)
    batch = (await scene.backfill(1, 5))["batchId"]
    await scene.counted(batch, begun=1)
    cancelled = await scene.ok("POST", f"/batches/{batch}/cancel")
    assert cancelled["counts"] == {"planned": 0, "begun": 1, "done": 0, "failed": 0, "leftOut": 4}
    assert "endedAt" not in cancelled
    run_id = await scene.stop_running()
    ended = await scene.ended(batch)
    assert (ended["counts"]["failed"], (await scene.items(batch))[1]["why"]) == (1, "the batch was cancelled")
    # Its run is a run like any other.
    await scene.ok("POST", f"/dag-runs/{scene.name}/{run_id}/retry", dagRunId=run_id)
    await scene.stop_running()

    second = (await scene.backfill(2, 5))["batchId"]
    await scene.counted(second, begun=1)
    await scene.ok("POST", f"/batches/{second}/cancel", stopRuns=True)
    assert (await scene.ended(second))["counts"] == {"planned": 0, "begun": 0, "done": 0, "failed": 1, "leftOut": 3}
    refused = await scene.client.post(f"/batches/{second}/pause")
    assert (refused.status_code, "was cancelled" in refused.json()["message"]) == (400, True)


async def test_a_paused_batch_begins_nothing_until_it_is_resumed(scene: Scene) -> None:
    await scene.store(DAILY + QUICK)
    await scene.ok("POST", f"/queues/{scene.name}/pause")  # so that the first run waits
    batch = (await scene.backfill(1, 3))["batchId"]
    await scene.counted(batch, begun=1)
    assert (await scene.ok("POST", f"/batches/{batch}/pause"))["pausedAt"]
    await scene.ok("POST", f"/queues/{scene.name}/resume")
    paused = await scene.counted(batch, done=1)
    await scene.feeder().run_once()
    assert (await scene.batch(batch))["counts"] == paused["counts"] | {"planned": 2, "begun": 0}
    await scene.ok("POST", f"/batches/{batch}/resume")
    assert (await scene.ended(batch))["counts"]["done"] == 3


async def test_a_batch_that_stops_at_a_failure_is_resumed_after_it_or_retried_with_it(
    scene: Scene, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    await scene.store(DAILY + failing(marker, 2, 3))
    batch = (await scene.backfill(1, 4, onFailure="stop"))["batchId"]
    await scene.counted(batch, failed=1, planned=2)
    assert (await scene.batch(batch))["pausedWhy"] == f"{day(2)}T02:00:00+00:00 has failed"
    await scene.ok("POST", f"/batches/{batch}/resume")
    await scene.counted(batch, failed=2, planned=1)
    marker.touch()
    await scene.ok("POST", f"/batches/{batch}/retry")
    assert (await scene.ended(batch))["counts"]["done"] == 4
    runs = [await scene.dagbook.get(run["dagRunId"]) for run in await scene.runs()]
    assert [run["attempt"] for run in runs] == [1, 2, 2, 1]
    refused = await scene.client.post(f"/batches/{batch}/retry")
    assert (refused.status_code, "no failed items" in refused.json()["message"]) == (400, True)


async def test_two_open_batches_never_have_one_time(scene: Scene) -> None:
    await scene.store(DAILY + LONG)
    first = (await scene.backfill(1, 3))["batchId"]
    second = await scene.backfill(2, 5)
    assert (second["held"], second["counts"]["planned"]) == ({str(first): 2}, 2)
    third = await scene.backfill(1, 5)
    assert ("batchId" in third, third["held"]) == (False, {str(first): 3, str(second["batchId"]): 2})
    assert [slot.get("batchId") for slot in await scene.slots(1, 5)] == [first] * 3 + [second["batchId"]] * 2


async def test_a_dag_that_is_renamed_goes_on_and_one_that_is_deleted_says_why(scene: Scene) -> None:
    await scene.store(DAILY + LONG)
    batch = (await scene.backfill(1, 3))["batchId"]
    await scene.counted(batch, begun=1)
    await scene.ok("POST", f"/batches/{batch}/pause")
    await scene.stop_running()
    await scene.counted(batch, failed=1, begun=0)
    await scene.ok("POST", f"/dags/{scene.name}/rename", newFileName=f"{scene.name}-b")
    await scene.ok("POST", f"/batches/{batch}/resume")
    await scene.counted(batch, failed=1, begun=1)
    assert (await scene.batch(batch))["dag"] == f"{scene.name}-b"
    await scene.ok("DELETE", f"/dags/{scene.name}-b")
    await scene.stop_running(f"{scene.name}-b")
    await scene.counted(batch, leftOut=1)
    assert (await scene.items(batch))[2]["why"] == "the DAG was deleted"


async def test_a_text_that_is_broken_meanwhile_fails_the_items_that_are_left(scene: Scene) -> None:
    await scene.store(DAILY + LONG)
    batch = (await scene.backfill(1, 2))["batchId"]
    await scene.counted(batch, begun=1)

    def break_text(connection: WriteConnection) -> None:
        """Store a text as only a version that can read less would find it."""
        added = "INSERT INTO definitions (hash, spec, created_at) SELECT :hash, 'steps: 7', created_at FROM definitions"
        run_sql(connection, f"{added} LIMIT 1", hash="f" * 64)
        run_sql(connection, "UPDATE dags SET definition_hash = :hash", hash="f" * 64)

    await scene.server.services.runs.database.write(break_text)
    await scene.stop_running()
    await scene.ended(batch)
    assert "steps" in (await scene.items(batch))[1]["why"]


async def test_the_time_of_a_run_that_was_deleted_is_unknown_and_started_only_if_that_is_asked(scene: Scene) -> None:
    await scene.store(DAILY + QUICK)
    await scene.ended((await scene.backfill(1, 2))["batchId"])
    await scene.server.services.runs.database.write(lambda connection: run_sql(connection, "DELETE FROM runs"))
    assert await scene.outcomes(1, 3) == ["unknown", "unknown", "missing"]
    assert (await scene.backfill(1, 3, dryRun=True))["counts"]["planned"] == 1
    again = await scene.backfill(1, 3, unknown=True)
    assert (await scene.ended(again["batchId"]))["counts"]["done"] == 3


async def test_live_starts_go_before_the_runs_of_a_batch_and_none_is_skipped(scene: Scene) -> None:
    """Of a DAG that allows one run at a time: each waits for one run of the batch at most."""
    await scene.store("schedule: '* * * * *'\nsteps: [{name: a, command: sleep 0.5}]\n")
    begin = datetime.now(UTC).replace(second=0, microsecond=0)
    span = {"from": (begin - timedelta(minutes=40)).isoformat(), "to": (begin - timedelta(minutes=10)).isoformat()}
    batch = (await scene.ok("POST", "/batches", action="start", dag=scene.name, parallel=5, **span))["batchId"]
    await scene.counted(batch, begun=5)
    for number in range(1, 4):
        await scene.server.scheduler.tick(begin + timedelta(hours=1, minutes=number))
        answer = await scene.client.get("/schedules/slots", params={"dag": scene.name, "perPage": 1})
        (slot,) = answer.json()["slots"]
        assert slot["outcome"] == "queued"
        live = await scene.dagbook.finished(slot["dagRunId"])
        assert live.details["trigger"] == "schedule"
        runs = {run["dagRunId"]: run for run in await scene.runs()}
        queued, started = (runs[slot["dagRunId"]][name] for name in ("queuedAt", "startedAt"))
        between = [run for run in runs.values() if queued < run["startedAt"] < started]
        assert len(between) <= 1
    await scene.ok("POST", f"/batches/{batch}/cancel")


async def test_what_is_done_to_a_batch_is_audited_once_and_each_of_its_runs(scene: Scene) -> None:
    await scene.store(DAILY + QUICK)
    batch = (await scene.backfill(1, 2, reason="lost the last row"))["batchId"]
    await scene.ended(batch)
    entries = (await scene.ok("GET", "/audit"))["entries"]
    of_batch = [entry for entry in entries if entry["action"].startswith("batch.")]
    assert [(entry["action"], entry["object"]) for entry in of_batch] == [("batch.create", str(batch))]
    assert of_batch[0]["after"]["reason"] == "lost the last row"
    assert [entry["action"] for entry in entries].count("run.enqueue") == 2


async def test_batches_and_items_come_in_pages(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagbook.api.controllers.batches.batches._MOST", 2)
    monkeypatch.setattr("dagbook.api.controllers.batches.batches._MOST_ITEMS", 2)
    await scene.store(DAILY + QUICK)
    ids = [(await scene.backfill(number, number + 2, only="all"))["batchId"] for number in (1, 4, 7)]
    page = await scene.ok("GET", "/batches")
    assert [batch["id"] for batch in page["batches"]] == ids[:0:-1]
    answer = await scene.client.get("/batches", params={"cursor": page["nextCursor"]})
    assert [batch["id"] for batch in answer.json()["batches"]] == ids[:1]
    first = await scene.ok("GET", f"/batches/{ids[0]}/items")
    rest = await scene.client.get(f"/batches/{ids[0]}/items", params={"cursor": first["nextCursor"]})
    assert [item["place"] for item in (*first["items"], *rest.json()["items"])] == [1, 2, 3]
    for path, status in (("/batches/0", 404), ("/batches/99999999999999999999", 404), ("/batches?cursor=x", 400)):
        assert (await scene.client.get(path)).status_code == status
