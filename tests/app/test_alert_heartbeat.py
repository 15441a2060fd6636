"""Signs of life to a ping channel, and why one is a failure instead; limits are divided, as those of rules are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from dagbook import tries
from dagbook.alerts.watch.heartbeat import Heartbeat
from dagbook.clock import now
from dagbook.db.models import AlertChannel, AlertDelivery
from dagbook.db.repositories import holds, schedules
from dagbook.db.repositories.holds import HoldRow
from dagbook.scheduling.due import floor_minute
from tests.app.alert_scene import BAD, GOOD, AlertScene, alert_scene
from tests.executors.web import Asked, Web, plain
from tests.waiting import wait_until

pytestmark = pytest.mark.both_engines
SPEED = 20
SCHEDULED = f"schedule: '0 2 * * *'\n{GOOD}"


@pytest.fixture
async def scene(
    database_url: str, tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AlertScene]:
    monkeypatch.setattr(tries, "SPEED", SPEED)
    async with alert_scene(database_url, tmp_path / "home", web) as found:
        web.answers |= {"/alive": plain(200), "/alive/fail": plain(200)}
        yield found


async def add(scene: AlertScene, **body: Any) -> Any:
    """Add a ping channel that expects a heartbeat each half second."""
    body = {"url": f"{scene.web.url}/alive", "everySeconds": 10} | body
    return await scene.ok("POST", "/alert-channels", name="alive", type="ping", **body)


async def until_asked(scene: AlertScene, count: int, target: str = "/alive") -> list[Asked]:
    async def look() -> list[Asked] | None:
        found = [each for each in scene.web.asked if each.target == target]
        return found if len(found) >= count else None

    return await wait_until(look)


async def test_a_heartbeat_is_sent_by_one_server_at_a_time(scene: AlertScene) -> None:
    services = scene.server.services
    others = [Heartbeat(scene.database, services.dags.timetable, scene.server.heartbeat._sender, now) for _ in range(2)]
    for other in others:
        other.start()
    began = now()
    await add(scene)
    asked = await until_asked(scene, 4)
    assert now() - began >= 3 * tries.lasting(10)
    assert {(each.method, each.body) for each in asked} == {("GET", b"")}
    for other in others:
        await other.stop()
    shown = await scene.ok("GET", "/alert-channels/alive")
    assert (shown["state"], shown["everySeconds"], shown["fail"]) == ("ok", 10, True)


async def test_with_a_secret_it_is_signed(scene: AlertScene) -> None:
    await add(scene)
    secret = (await scene.ok("POST", "/alert-channels/alive/secret"))["secret"]

    async def look() -> Asked | None:
        return next((each for each in scene.web.asked if "webhook-signature" in each.headers), None)

    first = await wait_until(look)
    body = Webhook(secret).verify(first.body, first.headers)
    assert (first.method, body["type"], body["data"]) == ("POST", "ping", {"failure": None})


async def test_a_secret_address_is_shown_to_nobody(scene: AlertScene) -> None:
    shown = await scene.ok(
        "POST", "/alert-channels", name="alive", type="ping", everySeconds=10, secret=f"{scene.web.url}/alive"
    )
    await until_asked(scene, 1)
    assert (shown["host"], "url" in shown, "secret" in shown) == ("127.0.0.1", False, False)
    assert "/alive" not in json.dumps(await scene.ok("GET", "/alert-channels"))


async def test_while_no_server_handles_schedules_it_reports_a_failure(scene: AlertScene) -> None:
    await scene.ok("POST", "/dags", name="nightly", spec=SCHEDULED)
    await add(scene)
    failed = await until_asked(scene, 1, "/alive/fail")
    assert (failed[0].method, failed[0].body) == ("POST", b"no server has started what is due by schedule")
    assert not [each for each in scene.web.asked if each.target == "/alive"]
    await scene.database.write(schedules.set_mark, floor_minute(now()) + timedelta(minutes=1))
    await until_asked(scene, 1)


async def test_while_a_message_waits_it_reports_a_failure_unless_that_is_switched_off(scene: AlertScene) -> None:
    await scene.channel("hook", answer=plain(500))
    await scene.rule()
    await scene.run("nightly")
    await scene.until_state("failing")
    await scene.change(AlertDelivery, due_at=now() - timedelta(hours=1))
    await add(scene)
    failed = await until_asked(scene, 1, "/alive/fail")
    assert failed[0].body.startswith(b"a message is due since ")
    await scene.ok("PATCH", "/alert-channels/alive", fail=False)
    await scene.change(AlertChannel, last_alert_at=None)
    asked = len(scene.web.asked)
    await scene.server.heartbeat.run_once()
    assert not [each for each in scene.web.asked[asked:] if each.target.startswith("/alive")]


async def test_a_receiver_that_does_not_answer_is_a_channel_that_fails(scene: AlertScene) -> None:
    scene.web.answers["/alive"] = plain(404)
    await add(scene)
    await scene.until_state("failing", "alive")
    scene.web.answers["/alive"] = plain(200)
    await scene.until_state("ok", "alive")


async def test_a_held_database_sends_none(scene: AlertScene) -> None:
    held = HoldRow(held_at=now(), held_by=None, origin="backup")
    await scene.database.write(lambda connection: holds.add(connection, held))
    await add(scene)
    await scene.server.heartbeat.run_once()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("heartbeat of channel")]
    assert scene.web.asked == []


async def test_as_the_target_of_a_rule_it_is_told_each_success_and_failure(scene: AlertScene) -> None:
    await scene.ok("POST", "/alert-channels", name="alive", type="ping", url=f"{scene.web.url}/alive?tag=x")
    await scene.rule(to="alive")
    await scene.run("nightly", GOOD)
    await scene.run("nightly", BAD)
    await until_asked(scene, 1, "/alive/fail?tag=x")
    await scene.run("nightly", GOOD)
    await scene.until_routed()
    asked = [(each.method, each.target) for each in scene.web.asked]
    assert asked == [("GET", "/alive?tag=x"), ("POST", "/alive/fail?tag=x"), ("GET", "/alive?tag=x")]
    assert scene.web.asked[1].body.startswith(b"nightly failed at ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"type": "ping"}, "secret: is not the address of a receiver"),
        ({"type": "ping", "url": "http://a/b", "secret": "x"}, "secret: does not sign webhooks"),
        ({"type": "ping", "url": "http://a/b", "everySeconds": 9}, "everySeconds"),
        ({"type": "webhook", "url": "http://a/b", "everySeconds": 60}, "everySeconds: a channel of type webhook has"),
    ],
)
async def test_what_is_no_ping_is_refused(scene: AlertScene, body: dict[str, Any], message: str) -> None:
    answer = await scene.client.post("/alert-channels", json={"name": "alive", **body})
    assert answer.status_code == 400
    assert message in answer.json()["message"]
