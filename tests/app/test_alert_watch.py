"""What no event tells: overdue DAGs, slow runs, waiting queues, missed starts, dead servers and failing channels.

Limits of rules are divided, as the times of retries are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from dagbook import tries
from dagbook.alerts.watch.loop import Watch
from dagbook.clock import now
from dagbook.db.database import WriteConnection
from dagbook.db.models import AlertChannel, AlertEvent, AlertRule, Dag, QueueEntry
from dagbook.db.repositories import holds, schedules, services
from dagbook.db.repositories.holds import HoldRow
from dagbook.scheduling.due import floor_minute
from tests.app.alert_scene import BAD, GOOD, AlertScene, alert_scene
from tests.app.dagbook import Dagbook, command_of
from tests.executors.web import Web, plain
from tests.runs.scene import IDENTITY, register
from tests.statements import noting_statements
from tests.waiting import wait_until

pytestmark = pytest.mark.both_engines
SPEED = 20
LONG = "steps: [{name: a, command: sleep 60}]\n"  # longer than the tests here take


@pytest.fixture
async def scene(
    database_url: str, tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AlertScene]:
    monkeypatch.setattr(tries, "SPEED", SPEED)
    async with alert_scene(database_url, tmp_path / "home", web) as found:
        yield found


async def age(scene: AlertScene) -> None:
    """Let DAGs and rules be two days old."""
    earlier = now() - timedelta(days=2)

    def work(connection: WriteConnection) -> None:
        for model in (Dag, AlertRule):
            connection.execute(update(model).values(created_at=earlier))

    await scene.database.write(work)


async def store(scene: AlertScene, name: str, spec: str) -> None:
    await scene.ok("POST", "/dags", name=name, spec=spec)


def bodies(scene: AlertScene, name: str = "hook") -> list[tuple[str, str, str]]:
    """Type, kind and subject of each message."""
    found = [json.loads(each.body) for each in scene.told(name)]
    return [(body["type"], body["data"]["alert"]["kind"], body["data"]["alert"]["subject"]) for body in found]


async def until_over(scene: AlertScene) -> None:
    """Wait until no alert is open and all is told."""

    async def look() -> bool:
        return not await scene.open()

    await wait_until(look)
    await scene.until_routed()


# -- overdue ---------------------------------------------------------------------------------------------------------


async def test_a_dag_is_overdue_whose_runs_fail_or_never_start_until_one_succeeds(scene: AlertScene) -> None:
    due_at = floor_minute(now()) - timedelta(minutes=1)
    daily = f"schedule: '{due_at.minute} {due_at.hour} * * *'\n"
    await scene.channel("hook")
    await scene.rule(on=["overdue 60s"])
    for name in ("fails", "never", "works", "suspended"):
        await store(scene, name, daily + GOOD)
    await scene.ok("POST", "/dags/suspended/suspend", suspend=True)
    await scene.run("fails")
    await scene.run("works", GOOD)
    await age(scene)
    told = await scene.until_told(2)
    assert sorted(bodies(scene)) == [("alert.opened", "overdue", "fails"), ("alert.opened", "overdue", "never")]
    alert = json.loads(told[0].body)["data"]["alert"]
    assert datetime.fromisoformat(alert["dueAt"]) == due_at
    assert alert["reason"] == "no run that began since then has succeeded within 1m"
    await scene.run("fails", GOOD)
    await scene.ok("POST", "/dags/never/suspend", suspend=True)
    await until_over(scene)
    closed = {each["subject"]: each["closedBy"] for each in (await scene.ok("GET", "/alerts"))["alerts"]}
    assert closed == {"fails": "succeeded", "never": "suspended"}
    assert len(scene.told()) == 4


async def test_a_dag_without_a_schedule_is_overdue_once_until_it_is_watched_no_more(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["overdue 20s"])
    await store(scene, "plain", GOOD)
    await scene.until_told(1)
    another = Watch(scene.database, scene.server.services.dags.timetable, now)
    await asyncio.gather(*(watch.run_once() for watch in (scene.server.watch, another) for _ in range(2)))
    await scene.until_routed()
    assert [each["count"] for each in await scene.open()] == [1]
    await scene.ok("DELETE", "/alert-rules/all")
    await scene.until_told(2)
    (alert,) = (await scene.ok("GET", "/alerts"))["alerts"]
    assert (alert["closedBy"], bodies(scene)[-1]) == ("no rule", ("alert.closed", "overdue", "plain"))


async def test_the_deletion_of_a_dag_ends_that_it_is_overdue(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["overdue 20s"])
    await store(scene, "plain", GOOD)
    await scene.until_told(1)
    await scene.ok("DELETE", "/dags/plain")
    await until_over(scene)
    assert (await scene.ok("GET", "/alerts"))["alerts"][0]["closedBy"] == "deleted"


# -- runs and queues -------------------------------------------------------------------------------------------------


async def test_a_slow_run_is_told_once_and_goes_on_until_its_end(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["slow 20s"])
    dagbook = Dagbook(scene.client, "load")
    run_id = await dagbook.start(LONG)
    (told,) = await scene.until_told(1)
    data = json.loads(told.body)["data"]
    assert (data["alert"]["kind"], data["run"]["dagRunId"], data["run"]["status"]) == ("slow", run_id, "running")
    assert data["alert"]["reason"].endswith("the limit is 20s")
    await scene.server.watch.run_once()
    await scene.until_routed()
    assert len(scene.told()) == 1
    assert (await dagbook.get(run_id))["statusLabel"] == "running"
    await dagbook.stop(run_id)
    await until_over(scene)
    assert bodies(scene)[-1] == ("alert.closed", "slow", "load")


async def test_a_run_is_slow_that_lasts_a_multiple_of_the_usual_time(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["slow x3"])
    for _ in range(5):
        await scene.run("load", GOOD)
    dagbook = Dagbook(scene.client, "load")
    few, run_id = Dagbook(scene.client, "few"), await dagbook.start(LONG)
    other = await few.start(LONG)  # it has no usual time
    await scene.until_told(1)
    await scene.server.watch.run_once()
    await scene.until_routed()
    assert bodies(scene) == [("alert.opened", "slow", "load")]
    await dagbook.stop(run_id)
    await few.stop(other)


async def test_a_waiting_queue_is_told_with_who_paused_it(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["queued 10s"], match=["load"])
    async with command_of(scene.server, "ann") as ann:
        assert (await ann.post("/queues/slow-lane/pause")).is_success
    await scene.ok("POST", "/dag-runs/enqueue", name="load", dagRunId="r1", spec=f"queue: slow-lane\n{GOOD}")
    (told,) = await scene.until_told(1)
    data = json.loads(told.body)["data"]
    assert (data["alert"]["subject"], data["dag"], data["run"]["dagRunId"]) == ("slow-lane", "load", "r1")
    assert data["alert"]["reason"].endswith("the queue is paused by ann")
    assert (await scene.open())[0]["subjectKind"] == "queue"
    await scene.ok("POST", "/queues/slow-lane/resume")
    await until_over(scene)
    assert bodies(scene)[-1] == ("alert.closed", "queued", "slow-lane")


async def test_a_queue_is_told_by_rules_that_cover_the_dag_of_the_run_that_waits(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["queued 10s"], match=["other"])
    await scene.ok("POST", "/queues/lane/pause")
    await scene.ok("POST", "/dag-runs/enqueue", name="load", spec=f"queue: lane\n{GOOD}")
    long_ago = update(QueueEntry).values(queued_at=now() - timedelta(minutes=1))
    await scene.database.write(lambda connection: connection.execute(long_ago))
    await scene.server.watch.run_once()
    await scene.until_routed()
    assert (scene.told(), await scene.open()) == ([], [])


# -- missed starts ---------------------------------------------------------------------------------------------------


async def back_after_ten_minutes(scene: AlertScene, **settings: Any) -> datetime:
    """Let a server begin after ten minutes without one; returns the last minute that it has missed."""
    start = floor_minute(now()) + timedelta(hours=1)
    await store(scene, "nightly", f"schedule: '{(start + timedelta(minutes=7)).minute} * * * *'\n{GOOD}")
    if settings:
        await scene.ok("PUT", "/dags/nightly/settings", **settings)
    await scene.database.write(schedules.set_mark, start)
    await scene.server.scheduler.tick(start + timedelta(minutes=10))
    return start + timedelta(minutes=7)


async def test_a_missed_start_is_told_with_its_time_until_the_next_start(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["missed"])
    missed = await back_after_ten_minutes(scene)
    (told,) = await scene.until_told(1)
    alert = json.loads(told.body)["data"]["alert"]
    assert (alert["kind"], datetime.fromisoformat(alert["dueAt"])) == ("missed", missed)
    assert alert["reason"].startswith("no server ran then")
    await scene.run("nightly", BAD)
    await until_over(scene)
    assert bodies(scene)[-1] == ("alert.closed", "missed", "nightly")


async def test_a_start_that_is_made_up_for_is_not_missed(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["missed"])
    await back_after_ten_minutes(scene, catchup="latest")
    await scene.until_routed()
    assert scene.told() == []


async def test_a_start_that_fails_is_missed(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["missed"])
    await store(scene, "nightly", f"schedule: '* * * * *'\nparams: {{schema: ./none.json}}\n{GOOD}")
    await scene.server.scheduler.tick(floor_minute(now()) + timedelta(hours=1))
    (told,) = await scene.until_told(1)
    assert "none.json" in json.loads(told.body)["data"]["alert"]["reason"]


async def test_without_a_rule_a_missed_start_is_no_event(scene: AlertScene) -> None:
    await back_after_ten_minutes(scene)
    found = await scene.database.read(lambda connection: connection.execute(select(AlertEvent.id)).all())
    assert found == []


# -- the machinery ---------------------------------------------------------------------------------------------------


async def register_dead(scene: AlertScene, number: int = 1, **values: Any) -> None:
    """Register a server that was killed some minutes ago."""
    at = now()
    times = {"started_at": at - timedelta(hours=1), "heartbeat_at": at - timedelta(minutes=5)}
    fields = {"id": f"dead-{number}", "host": "db-2", "lease_until": at - timedelta(minutes=4)} | times | values
    await register(scene.database, IDENTITY, **fields)


async def test_a_server_that_was_not_stopped_is_told_until_one_of_its_host_is_alive(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["server"])
    await age(scene)
    await register_dead(scene)
    await register_dead(scene, 2, host="db-3", stopped_at=now())
    await register_dead(scene, 3, host="db-4", kind=services.SCHEDULER)
    await register_dead(scene, 4, host="db-5", lease_until=now() - timedelta(days=2))
    (told,) = await scene.until_told(1)
    assert bodies(scene) == [("alert.opened", "server", "server on db-2")]
    assert "it was not stopped" in json.loads(told.body)["data"]["alert"]["reason"]
    await register(scene.database, IDENTITY, id="next", host="db-2")
    await until_over(scene)
    assert bodies(scene)[-1] == ("alert.closed", "server", "server on db-2")


async def test_a_server_that_is_acknowledged_is_told_no_more(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["server"])
    await age(scene)
    await register(scene.database, IDENTITY, id="beside", host="db-2", started_at=now() - timedelta(minutes=30))
    await register_dead(scene)  # one beside it on the same host has not taken its place
    await scene.until_told(1)
    (alert,) = await scene.open()
    await scene.ok("POST", f"/alerts/{alert['id']}/acknowledge", note="replaced")
    await scene.server.watch.run_once()
    await scene.until_routed()
    assert bodies(scene) == [("alert.opened", "server", "server on db-2"), ("alert.closed", "server", "server on db-2")]


async def test_a_channel_that_fails_is_told_on_the_others_and_stays_enabled(scene: AlertScene) -> None:
    await scene.channel("dead", answer=plain(404))
    await scene.channel("hook")
    rule = {"match": ["*"], "on": ["failed", "channel"], "to": ["dead", "hook"], "remindSeconds": 0}
    await scene.ok("POST", "/alert-rules", name="both", **rule)
    await scene.run("nightly")
    await scene.until_state("failing", "dead")
    await scene.until_told(1)
    long_ago = update(AlertChannel).where(AlertChannel.name == "dead").values(failing_since=now() - timedelta(hours=1))
    await scene.database.write(lambda connection: connection.execute(long_ago))
    await scene.until_told(2)
    assert bodies(scene) == [("alert.opened", "failed", "nightly"), ("alert.opened", "channel", "dead")]
    shown = await scene.ok("GET", "/alert-channels/dead")
    assert (shown["state"], shown["enabled"]) == ("failing", True)
    scene.web.answers["/dead"] = plain(200)
    await scene.until_told(3)
    assert bodies(scene)[-1] == ("alert.closed", "channel", "dead")
    assert ("alert.opened", "channel", "dead") not in bodies(scene, "dead")


# -- what it costs, and when nothing is watched ----------------------------------------------------------------------


async def test_without_a_rule_a_round_is_one_statement(scene: AlertScene) -> None:
    await scene.server.watch.stop()
    await store(scene, "plain", GOOD)
    statements: list[str] = []
    noted = noting_statements(lambda text, _values, _many: statements.append(text))
    with noted:
        await scene.server.watch.run_once()
    assert len([text for text in statements if "alert_rules" in text]) == 1


async def test_a_held_database_is_not_watched(scene: AlertScene) -> None:
    await scene.server.watch.stop()
    await scene.channel("hook")
    await scene.rule(on=["overdue 20s"])
    await store(scene, "plain", GOOD)
    await age(scene)
    held = HoldRow(held_at=now(), held_by=None, origin="backup")
    await scene.database.write(lambda connection: holds.add(connection, held))
    await scene.server.watch.run_once()
    await scene.until_routed()
    assert (scene.told(), await scene.open()) == ([], [])


@pytest.mark.parametrize("body", [{"dag": "plain"}, {"match": ["plain"]}])
async def test_a_rule_for_one_dag_names_nothing_that_is_about_none(scene: AlertScene, body: dict[str, Any]) -> None:
    await scene.channel("hook")
    await store(scene, "plain", GOOD)
    rule = {"name": "one", "on": ["failed", "server"], "to": ["hook"]} | body
    answer = await scene.client.post("/alert-rules", json=rule)
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "on: server is not about DAGs; leave it out of a rule for 'plain' alone",
    )


async def test_a_rule_shows_its_limits_as_they_are_stored(scene: AlertScene) -> None:
    await scene.channel("hook")
    stored = await scene.rule(on=["overdue 120m", "slow x3", "slow 5m", "Slow  X3"])
    assert stored["on"] == ["overdue 2h", "slow x3", "slow 5m"]
