"""Batches in the live feed, in the details of their runs, in ``dagbook why``, and at the end of their retention."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from dagbook.api.schemas.runs import DAGRunDetails
from dagbook.cli.runs.why import explain_batch
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.models import BatchItem
from dagbook.db.repositories import changes
from dagbook.db.repositories.changes import FeedCursor
from dagbook.maintenance.retention.retention import Kept, Retention
from tests.app.dagbook import client_of, serving
from tests.app.program import CommandResult
from tests.app.test_batches import DAILY, LONG, QUICK, Scene, day
from tests.statements import noting_statements

Command = Callable[..., CommandResult]


@pytest.fixture
async def scene(database_url: str, tmp_path: Path, name: str) -> AsyncIterator[Scene]:
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        yield Scene(server, client, name)
        for run in (await client.get("/dag-runs", params={"status": 1})).json()["dagRuns"]:
            await client.post(f"/dag-runs/{run['name']}/{run['dagRunId']}/stop")


def database_of(scene: Scene) -> Database:
    return scene.server.services.runs.database


async def told(scene: Scene) -> int:
    """How often clients were told of a batch of the DAG."""
    found = await database_of(scene).read(changes.find_after, FeedCursor(), 10_000)
    return sum(change.kind == changes.BATCH and change.dag_name == scene.name for change in found.changes)


@pytest.mark.both_engines
async def test_clients_are_told_of_each_change_of_a_batch_and_of_its_items(scene: Scene) -> None:
    await scene.store(DAILY + LONG)
    batch = (await scene.backfill(1, 2))["batchId"]
    await scene.counted(batch, begun=1)
    seen = await told(scene)
    assert seen > 0
    for path in ("pause", "resume"):
        await scene.ok("POST", f"/batches/{batch}/{path}")
        seen, before = await told(scene), seen
        assert seen == before + 1
    await scene.stop_running()
    await scene.counted(batch, failed=1)
    assert await told(scene) > seen
    await scene.ok("POST", f"/batches/{batch}/cancel", stopRuns=True)
    await scene.ended(batch)
    refused = await told(scene)
    assert (await scene.client.post(f"/batches/{batch}/pause")).status_code == 400
    assert await told(scene) == refused


async def test_items_are_listed_by_state(scene: Scene) -> None:
    await scene.store(DAILY + LONG)
    batch = (await scene.backfill(1, 4))["batchId"]
    await scene.counted(batch, begun=1)
    path = f"/batches/{batch}/items"
    begun = (await scene.client.get(path, params={"state": "begun"})).json()["items"]
    assert [(item["place"], item["dagName"]) for item in begun] == [(1, scene.name)]
    first = (await scene.client.get(path, params={"state": "planned", "perPage": 2})).json()
    rest = (await scene.client.get(path, params={"state": "planned", "cursor": first["nextCursor"]})).json()
    assert [[item["place"] for item in page["items"]] for page in (first, rest)] == [[2, 3], [4]]
    assert (await scene.client.get(path, params={"state": "lost"})).status_code == 400
    await scene.ok("POST", f"/batches/{batch}/cancel", stopRuns=True)
    await scene.ended(batch)


@pytest.mark.both_engines
async def test_a_run_names_its_batch_and_a_running_one_of_none_costs_no_statement_for_that(scene: Scene) -> None:
    await scene.store(DAILY + QUICK)
    batch = (await scene.backfill(1, 1, reason="lost rows"))["batchId"]
    await scene.ended(batch)
    (run,) = await scene.runs()
    details = await scene.dagbook.get(run["dagRunId"])
    assert (details["batch"]["id"], details["batch"]["reason"]) == (batch, "lost rows")
    (sentence,) = explain_batch(msgspec.convert(details, DAGRunDetails))
    assert (sentence.startswith(f"it is a run of batch {batch}"), sentence.endswith(": lost rows")) == (True, True)
    spec = f"name: {scene.name}\n{LONG}"
    started = await scene.ok("POST", "/dag-runs", spec=spec)
    statements: list[str] = []
    with noting_statements(lambda statement, *_: statements.append(statement)):
        running = await scene.dagbook.get(started["dagRunId"])
    assert ("batch" in running, running["statusLabel"]) == (False, "running")
    assert statements
    assert [statement for statement in statements if "batch" in statement] == []
    await scene.ok("POST", f"/dag-runs/{scene.name}/{started['dagRunId']}/stop")


# -- retention --------------------------------------------------------------------------------------------------------


async def clean(scene: Scene, days: int) -> None:
    """Apply the retention of batches as it is in so many days; that of runs is the default."""
    policies = scene.server.services.dags.retention.policies
    kept = Kept(batches=timedelta(days=30))
    await Retention(database_of(scene), policies, lambda: now() + timedelta(days=days), 3600, kept=kept).run_once()


@pytest.mark.both_engines
async def test_a_batch_is_deleted_after_its_last_run_unless_it_is_open(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagbook.maintenance.retention.retention._MAX_ROWS", 2)  # so that one has several transactions
    await scene.store(DAILY + QUICK)
    ended = (await scene.backfill(1, 5))["batchId"]
    await scene.ended(ended)
    await scene.save(DAILY + LONG)
    is_open = (await scene.backfill(6, 7))["batchId"]
    await scene.counted(is_open, begun=1)
    await scene.ok("POST", f"/batches/{is_open}/pause")

    async def listed() -> list[int]:
        return [batch["id"] for batch in (await scene.ok("GET", "/batches"))["batches"]]

    await scene.ok("PUT", f"/dags/{scene.name}/retention", days=-1)  # its runs stay, and so does what they name
    await clean(scene, 31)
    assert await listed() == [is_open, ended]
    await scene.ok("PUT", f"/dags/{scene.name}/retention", days=20)  # its runs go before it
    await clean(scene, 29)
    assert [item.get("dagRunId") for item in await scene.items(ended)] == [None] * 5
    assert await listed() == [is_open, ended]
    await clean(scene, 31)
    assert await listed() == [is_open]
    left = await database_of(scene).read(lambda found: found.scalars(select(BatchItem.batch_id)).all())
    assert left == [is_open] * 2
    await scene.ok("POST", f"/batches/{is_open}/cancel", stopRuns=True)
    await scene.ended(is_open)


# -- dagbook why ------------------------------------------------------------------------------------------------------


def test_why_says_which_batch_has_the_scheduled_times_of_a_dag(command: Command, tmp_path: Path) -> None:
    (tmp_path / "etl.yaml").write_text("schedule: 'CRON_TZ=UTC 0 2 * * *'\nsteps: [{name: a, command: 'true'}]\n")
    assert command("dag", "save", tmp_path / "etl.yaml").status == 0
    assert command("backfill", "etl", "--from", day(1), "--to", day(3)).status == 0
    at = f"{day(2)}T02:00:00Z"
    held = "batch 1 of "
    planned = ", of which 3 are planned and 0 have begun"
    said = command("why", "etl").out
    assert ("scheduled times of it are items of " + held in said, planned in said) == (True, True)
    head, *reasons = command("why", "etl", at).out.splitlines()
    assert head == f"etl  {at}  missing"
    assert reasons[0] == "- no run of it was started"
    assert (reasons[1].startswith("- it is an item of " + held), reasons[1].endswith(planned)) == (True, True)
    command("batch", "pause", "1")
    assert "it is paused since" in command("why", "etl", at).out
    found = json.loads(command("why", "etl", at, "--json").out)
    assert (found["slot"]["batchId"], found["batch"]["id"]) == (1, 1)
    command("batch", "cancel", "1")
    assert "no batch has it; `dagbook backfill` starts it" in command("why", "etl", at).out
    assert "batch" not in command("why", "etl").out
    refused = command("why", "etl", f"{day(2)}T03:00:00Z")
    assert (refused.status, "has no start at" in refused.err) == (1, True)
    assert "is no day, or time with a zone" in command("why", "etl", f"{day(2)}T03:00").err
