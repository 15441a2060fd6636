"""An event that can have no run is an alert, until the trigger works again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from dagbook import tries
from dagbook.db.models import AlertEvent
from tests.app.alert_scene import AlertScene
from tests.app.look_scene import Watcher
from tests.app.trigger_scene import SHOW, TriggerScene, trigger_scene
from tests.executors.web import Web

pytestmark = pytest.mark.both_engines
REQUIRED = {"SHA!": "json:/after"}


class Scene(TriggerScene):
    """A server with triggers, and a receiver of alerts."""

    alerts: AlertScene

    def said(self) -> list[tuple[str, str, str]]:
        data = [(each["type"], each["data"]["alert"]) for each in (json.loads(one.body) for one in self.alerts.told())]
        return [(kind, alert["subject"], alert["reason"]) for kind, alert in data]


@pytest.fixture
async def scene(database_url: str, tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(tries, "SPEED", 100)
    async with trigger_scene(database_url, tmp_path / "home") as opened:
        scene = Scene(opened.server, opened.client)
        scene.alerts = AlertScene(opened.server, opened.client, web)
        await scene.alerts.channel("hook")
        yield scene


async def die(scene: Scene, **body: Any) -> Any:
    """Send an event without the param that it must have; returns it."""
    await scene.accepted(body)
    *_, event = await scene.until_settled()
    assert event["state"] == "dead"
    return event


async def test_a_dead_event_is_told_and_so_is_that_its_trigger_works_again(scene: Scene) -> None:
    await scene.alerts.rule(match=["build"], on=["trigger"])
    await scene.dag("build", "params: {SHA: x}\nrunConfig: {disableParamEdit: true}\n" + SHOW)
    await scene.trigger(params=REQUIRED)
    event = await die(scene, after="4f1c")
    await scene.alerts.until_told(1)
    ((kind, subject, reason),) = scene.said()
    assert (kind, subject, "runs with its own params alone" in reason) == ("alert.opened", "push", True)
    await scene.ok("PUT", "/dags/build/spec", spec="params: {SHA: x}\n" + SHOW)
    await scene.finished(await scene.ok("POST", f"/triggers/push/events/{event['id']}/replay"))
    await scene.alerts.until_told(2)
    assert scene.said()[1][:2] == ("alert.closed", "push")
    assert await scene.alerts.open() == []
    assert len(await scene.runs()) == 1


async def test_an_alert_of_a_trigger_ends_when_its_dead_events_are_discarded_or_it_is_deleted(scene: Scene) -> None:
    await scene.alerts.rule(on=["trigger"])
    for name in ("push", "other"):
        await scene.trigger(name, params=REQUIRED)
    event = await die(scene)
    await scene.accepted(b"no", "other")
    await scene.until_settled("other")
    await scene.alerts.until_told(2)
    await scene.ok("POST", f"/triggers/push/events/{event['id']}/discard")
    await scene.ok("DELETE", "/triggers/other")
    await scene.alerts.until_told(4)
    assert sorted(subject for kind, subject, _ in scene.said() if kind == "alert.closed") == ["other", "push"]


async def test_a_dead_event_is_for_rules_that_cover_the_dag_and_of_a_deleted_one_for_those_of_all(
    scene: Scene,
) -> None:
    await scene.alerts.channel("second")
    await scene.alerts.rule("one", match=["other"], on=["trigger"])
    await scene.alerts.rule("all", to="second", on=["trigger"], match=["*"])
    await scene.trigger(params=REQUIRED)
    await scene.ok("DELETE", "/dags/build")
    await die(scene, after="4f1c")
    await scene.alerts.until_told(1, "second")
    await scene.alerts.until_routed()
    assert scene.said() == []


async def test_without_a_rule_a_dead_event_is_no_event_of_alerts(scene: Scene) -> None:
    await scene.trigger(params=REQUIRED)
    await die(scene)
    assert await scene.database.read(lambda connection: connection.scalar(select(func.count(AlertEvent.id)))) == 0


async def test_looks_that_fail_are_told_and_so_is_that_they_work_again(scene: Scene, tmp_path: Path) -> None:
    await scene.alerts.rule(match=["build"], on=["trigger"])
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    await scene.trigger("inbox", kind="files", scheme="", settings={"files": f"{inbox}/*"})
    await scene.server.looks.stop()
    watcher = Watcher(scene.server)
    inbox.rmdir()
    for _ in range(4):
        await watcher.look(after=61)
    await scene.alerts.until_told(1)
    assert scene.said() == [("alert.opened", "inbox", f"{inbox} cannot be listed: No such file or directory")]
    inbox.mkdir()
    await watcher.look(after=61)
    await scene.alerts.until_told(2)
    assert scene.said()[1][:2] == ("alert.closed", "inbox")
    await watcher.looks.stop()
