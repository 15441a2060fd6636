"""Alerts through a restore, renames, changes at once and the end of their retention; what monitoring sees of them."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from dagbook.alerts import outbox
from dagbook.alerts.requests import ChangeAlertChannel
from dagbook.auth.audit_context import Actor
from dagbook.clock import now
from dagbook.db.models import AlertChannel, AlertDelivery, AlertEvent
from dagbook.db.types import Base
from dagbook.db.url import PUBLIC
from dagbook.maintenance.backup import backup as backups
from dagbook.maintenance.backup.restore import restore
from tests.app.alert_scene import BAD, GOOD, AlertScene, alert_scene
from tests.app.dagbook import Dagbook, client_of, serving
from tests.executors.web import Web, plain
from tests.mailserver import HOST, mail_server
from tests.waiting import wait_until

pytestmark = pytest.mark.both_engines
ANN = Actor(via="cli", actor="ann")


@pytest.fixture
async def scene(database_url: str, tmp_path: Path, web: Web) -> AsyncIterator[AlertScene]:
    async with alert_scene(database_url, tmp_path / "home", web) as found:
        yield found


async def outcomes(scene: AlertScene) -> list[str | None]:
    statement = select(AlertEvent.outcome).order_by(AlertEvent.id)
    return await scene.database.read(lambda connection: list(connection.scalars(statement)))


async def metric(scene: AlertScene, name: str) -> float:
    """Return the value of a metric with its labels; 0 for one that was not counted."""
    page = (await scene.client.get("/metrics")).text
    return next((float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"{name} ")), 0.0)


# -- a restored database ----------------------------------------------------------------------------------------------


@pytest.fixture
async def restored(database_url: str, empty_url: str, tmp_path: Path, web: Web) -> AsyncIterator[AlertScene]:
    """A held place with an open alert, and a message of it for each of three channels whose receivers were away."""
    async with alert_scene(database_url, tmp_path / "old", web) as original:
        for name in ("a", "b", "c"):
            await original.channel(name, answer=plain(503, "later"))
        await original.ok("POST", "/alert-rules", name="all", match=["*"], on=["failed"], to=["a", "b", "c"])
        await original.run("nightly")
        for name in ("a", "b", "c"):
            await original.until_state("failing", name)
    made = await backups.back_up(database_url, PUBLIC, tmp_path / "backup", replaces=False)
    await restore(empty_url, PUBLIC, made.file, ANN)
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "old" / "secret.key", tmp_path / "new")
    for name in ("a", "b", "c"):
        web.answers[f"/{name}"] = plain(200, "thanks")
    web.asked.clear()
    async with alert_scene(empty_url, tmp_path / "new", web) as found:
        yield found


async def resume(scene: AlertScene) -> Any:
    """End the hold, and wait until the server starts runs."""
    done = await scene.ok("POST", "/hold/resume")

    async def look() -> bool:
        return "runs" not in (await scene.client.get("/health")).json()

    await wait_until(look)
    return done


async def test_what_the_original_sends_is_dropped_at_the_resume_and_can_be_sent_by_hand(restored: AlertScene) -> None:
    pending = [each["id"] for each in await restored.receipts() if each["status"] == "pending"]
    done = await resume(restored)
    assert (len(pending), done["droppedDeliveries"], done["closedAlerts"]) == (3, 3, 1)
    await restored.run("other")
    for name in ("a", "b", "c"):
        await restored.until_told(1, name)
    await restored.until_routed()
    assert [json.loads(each.body)["data"]["dag"] for each in restored.web.asked] == ["other"] * 3
    dropped = (await restored.ok("GET", "/alert-deliveries?status=dropped"))["deliveries"]
    assert {each["id"]: each["reason"] for each in dropped} == dict.fromkeys(pending, "restored")
    assert [each["subject"] for each in await restored.open()] == ["other"]
    sent = next(each for each in dropped if each["channel"] == "a")
    await restored.ok("POST", f"/alert-deliveries/{sent['id']}/resend")
    again = json.loads((await restored.until_told(2, "a"))[-1].body)
    assert (again["data"]["dag"], again["data"]["alert"]["closedAt"] is None) == ("nightly", False)
    await restored.until_routed()
    assert len(restored.web.asked) == 4


async def test_a_failure_after_the_resume_is_news(restored: AlertScene) -> None:
    await resume(restored)
    await restored.run("nightly")
    (told,) = await restored.until_told(1, "a")
    body = json.loads(told.body)
    assert (body["type"], body["data"]["alert"]["count"]) == ("alert.opened", 1)


async def test_a_held_database_sends_no_test_and_says_so(restored: AlertScene) -> None:
    sent = (await restored.receipts())[0]["id"]
    for path, body in (
        ("/alert-channels/a/test", None),
        ("/alert-rules/all/test", {"dag": "nightly"}),
        (f"/alert-deliveries/{sent}/resend", None),
    ):
        answer = await restored.client.post(path, json=body)
        assert (answer.status_code, "is held" in answer.json()["message"]) == (503, True), path
    assert (len(await outcomes(restored)), restored.web.asked) == (1, [])


# -- a renamed DAG ----------------------------------------------------------------------------------------------------


async def test_the_alert_of_a_renamed_dag_goes_on_and_its_own_rule_follows(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.ok("POST", "/dags", name="old", spec=BAD)
    await scene.ok("POST", "/alert-rules", name="own", dag="old", on=["failed"], to=["hook"])
    await scene.ok("POST", "/dags/old/start", dagRunId="one")
    await scene.until_told(1)
    await scene.ok("POST", "/dags/old/rename", newFileName="new")
    await scene.database.write(outbox.end_over, now())
    assert [(each["subject"], each["count"]) for each in await scene.open()] == [("new", 1)]
    assert (await scene.ok("GET", "/alert-rules/own"))["match"] == ["new"]
    await scene.ok("PUT", "/dags/new/spec", spec=f"name: newer\n{GOOD}")
    started = await scene.ok("POST", "/dags/new/start", dagRunId="two")
    await Dagbook(scene.client, "newer").finished(started["dagRunId"])
    await scene.until_told(2)
    assert scene.types() == ["alert.opened", "alert.closed"]
    assert json.loads(scene.told()[-1].body)["data"]["dag"] == "newer"


async def test_the_alert_of_a_name_that_another_dag_has_stays(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule()
    for file_name in ("one", "two"):
        await scene.ok("POST", "/dags", name=file_name, spec=f"name: both\n{BAD}")
    await scene.ok("POST", "/dags/one/start", dagRunId="one")
    await scene.until_told(1)
    await scene.ok("PUT", "/dags/one/spec", spec=f"name: alone\n{BAD}")
    assert [each["subject"] for each in await scene.open()] == ["both"]


# -- changes at once --------------------------------------------------------------------------------------------------


async def test_a_change_beside_a_rotation_keeps_the_new_secret(scene: AlertScene) -> None:
    await scene.channel("hook")
    channels = scene.server.services.alerts.channels
    for shared in (True, False, True):
        rotated, _ = await asyncio.gather(
            channels.rotate("hook", ANN), channels.change("hook", ChangeAlertChannel(shared=shared), ANN)
        )
        row = await channels.require("hook")
        assert (channels.open(row).signing, row.shared) == (rotated[1], shared)


# -- monitoring -------------------------------------------------------------------------------------------------------


async def test_health_and_metrics_show_a_receiver_that_is_away(scene: AlertScene) -> None:
    await scene.channel("hook", answer=plain(503, "later"))
    await scene.rule()
    assert "alerts" not in (await scene.client.get("/health")).json()
    await scene.run("nightly")
    await scene.until_state("failing")
    answer = await scene.client.get("/health")
    assert (answer.status_code, answer.json()["status"], answer.json()["alerts"]) == (200, "healthy", "failing")
    tried = 'dagbook_alert_deliveries_total{outcome="%s",type="webhook"}'
    assert await metric(scene, tried % "retried") == 1
    await scene.change(AlertDelivery, due_at=now() - timedelta(hours=1))
    assert await metric(scene, "dagbook_alert_oldest_due_seconds") >= 3600
    scene.web.answers["/hook"] = plain(200, "thanks")
    await scene.change(AlertChannel, next_try_at=now())
    await scene.until_routed()
    assert await metric(scene, tried % "sent") == 1
    assert await metric(scene, "dagbook_alert_oldest_due_seconds") == 0
    assert "alerts" not in (await scene.client.get("/health")).json()


async def test_mails_of_definitions_are_counted_as_messages(scene: AlertScene) -> None:
    async with mail_server() as sink:
        mails = "errorMail: {from: a@example.org, to: b@example.org}\nmailOn: {failure: true}\n"
        await scene.run("mailed", f"smtp: {{host: {HOST}, port: {sink.port}}}\n{mails}{BAD}")

        async def look() -> bool:
            return await metric(scene, 'dagbook_alert_deliveries_total{outcome="sent",type="mail"}') == 1

        await wait_until(look)


# -- many runs --------------------------------------------------------------------------------------------------------


@pytest.mark.full
async def test_a_hundred_runs_leave_no_row_without_a_rule(scene: AlertScene) -> None:
    await asyncio.gather(*(scene.run(f"d{number}", (BAD, GOOD)[number % 2]) for number in range(100)))
    tables = [table for name, table in Base.metadata.tables.items() if name.startswith("alert")]
    counts = [select(func.count()).select_from(table) for table in tables]
    found = await scene.database.read(lambda connection: [connection.scalar(count) for count in counts])
    assert found == [0] * 6


async def test_what_failed_while_the_rule_was_disabled_needs_no_event(scene: AlertScene) -> None:
    await scene.channel("hook")
    rule = {"match": ["*"], "on": ["failed"], "to": ["hook"]}
    await scene.ok("POST", "/alert-rules", name="all", **rule)
    for enabled in (True, False, True):
        await scene.ok("PUT", "/alert-rules/all", enabled=enabled, **rule)
        await scene.run("nightly")
        await scene.until_routed()
    assert await outcomes(scene) == ["opened", "counted"]  # and the scene asks the doctor


async def test_the_doctor_names_the_attempt_of_an_event_that_somebody_deletes(
    database_url: str, tmp_path: Path, web: Web
) -> None:
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        scene = AlertScene(server, client, web)
        await scene.channel("hook")
        await scene.rule()
        run_id = await scene.run("nightly")
        await scene.until_routed()
        await scene.database.write(lambda connection: connection.execute(delete(AlertEvent)))
        report = (await client.get("/doctor")).json()
        broken = {finding["name"]: finding["rows"] for finding in report["findings"] if finding["count"]}
        assert broken == {"failure-has-its-event": [{"dag_name": "nightly", "run_id": run_id, "attempt": 1}]}
