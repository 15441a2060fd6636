"""Events of triggers through a restore and at the end of their retention; what monitoring sees of them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from dagbook.auth.audit_context import Actor
from dagbook.clock import now
from dagbook.db.url import PUBLIC
from dagbook.maintenance.backup import backup as backups
from dagbook.maintenance.backup.restore import restore
from dagbook.maintenance.retention.retention import Kept, Retention
from tests.app.trigger_scene import PUSH, TriggerScene, trigger_scene

pytestmark = pytest.mark.both_engines
ANN = Actor(via="cli", actor="ann")


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[TriggerScene]:
    async with trigger_scene(database_url, tmp_path) as opened:
        yield opened


# -- a restored database ----------------------------------------------------------------------------------------------


@pytest.fixture
async def restored(database_url: str, empty_url: str, tmp_path: Path) -> AsyncIterator[TriggerScene]:
    """A held place with an event that waited when the backup was taken."""
    async with trigger_scene(database_url, tmp_path / "old") as original:
        await original.trigger()
        await original.ok("POST", "/triggers/push/pause")
        await original.accepted({"n": "old"})
        secrets = original.secrets
    made = await backups.back_up(database_url, PUBLIC, tmp_path / "backup", replaces=False)
    await restore(empty_url, PUBLIC, made.file, ANN)
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "old" / "secret.key", tmp_path / "new")
    async with trigger_scene(empty_url, tmp_path / "new") as found:
        found.secrets = secrets
        await found.ok("POST", "/triggers/push/resume")
        yield found


async def test_of_a_held_database_what_is_received_since_the_restore_starts_and_what_waited_is_dead(
    restored: TriggerScene,
) -> None:
    new = await restored.accepted({"n": "new"})
    waiting = await restored.events()
    assert [each["state"] for each in waiting] == ["waiting"] * 2
    assert [each.get("reason") for each in waiting] == ["restored: the original may have started it", None]
    assert await restored.runs() == []
    assert (await restored.ok("POST", "/hold/resume"))["deadEvents"] == 1
    await restored.finished(new)
    dead, started = await restored.until_settled()
    assert (dead["state"], dead["reason"]) == ("dead", "restored: the original may have started it")
    assert started["state"] == "started"
    await restored.finished(await restored.ok("POST", f"/triggers/push/events/{dead['id']}/replay"))
    assert len(await restored.runs()) == 2


# -- retention --------------------------------------------------------------------------------------------------------


async def clean(scene: TriggerScene, days: int) -> None:
    """Apply the default limits as they are in so many days."""
    kept = Kept(trigger_bodies=timedelta(days=30), trigger_events=timedelta(days=90))
    policies = scene.server.services.dags.retention.policies
    await Retention(scene.database, policies, lambda: now() + timedelta(days=days), 3600, kept=kept).run_once()


async def test_bodies_are_deleted_before_keys_and_keys_before_they_are_taken_again(scene: TriggerScene) -> None:
    await scene.trigger()
    await scene.finished(await scene.accepted(X_GitHub_Delivery="d-1"))
    await scene.ok("POST", "/triggers/push/pause")
    waiting = await scene.accepted({"n": 2})
    (event, _) = await scene.events()
    path = f"/triggers/push/events/{event['id']}"

    async def body_of(name: str) -> int:
        return (await scene.client.get(f"/triggers/push/events/{name}/body")).status_code

    await clean(scene, 29)
    assert (await body_of(event["id"]), "bodyGone" in await scene.ok("GET", path)) == (200, False)
    await clean(scene, 31)
    assert (await body_of(event["id"]), (await scene.ok("GET", path))["bodyGone"]) == (404, True)
    assert await body_of(waiting["eventId"]) == 200
    assert (await scene.send(PUSH, X_GitHub_Delivery="d-1")).json()["duplicate"] is True
    refused = await scene.client.post(f"{path}/replay")
    assert (refused.status_code, "is gone" in refused.text) == (400, True)
    await clean(scene, 91)
    assert [each["id"] for each in await scene.events()] == [waiting["eventId"]]
    assert (await scene.send(PUSH, X_GitHub_Delivery="d-1")).status_code == 202


# -- monitoring -------------------------------------------------------------------------------------------------------


async def test_the_metrics_have_events_by_state_and_the_oldest_that_waits(scene: TriggerScene) -> None:
    async def metrics() -> dict[str, float]:
        page = (await scene.client.get("/metrics")).text
        lines = [line.rpartition(" ") for line in page.splitlines() if line.startswith("dagbook_trigger_")]
        return {
            name.removeprefix("dagbook_trigger_"): float(value) for name, _, value in lines if "created" not in name
        }

    assert (await metrics())["oldest_waiting_seconds"] == 0
    await scene.trigger(filters=["json:/n != 2"], params={"SHA!": "json:/after"})
    for body in ({"after": "1"}, {"n": 2}, {"n": 3}):
        await scene.accepted(body)
    await scene.send({"n": 2})
    await scene.until_settled()
    await scene.ok("POST", "/triggers/push/pause")
    await scene.accepted({"n": 4})
    found = await metrics()
    assert found["oldest_waiting_seconds"] > 0
    states = {"waiting": 3, "filtered": 1, "started": 1, "dead": 1}
    assert {name: found[f'events_total{{state="{name}"}}'] for name in states} == states
    await scene.ok("POST", "/triggers/push/resume", discard=True)
    assert (await metrics())['events_total{state="discarded"}'] == 1
    assert (await metrics())["oldest_waiting_seconds"] == 0
