"""Receivers of alerts that fail, hang, flood or cannot read a message, and many alerts at once.

The times of retries are divided, and are otherwise the real ones.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from dagbook import tries
from dagbook.alerts import outbox
from dagbook.clock import now
from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.models import AlertChannel, AlertDelivery
from dagbook.db.repositories import changes
from dagbook.db.repositories.alerts import events
from dagbook.db.repositories.alerts.events import NewEvent
from dagbook.db.repositories.changes import FeedCursor
from tests.app.alert_scene import BAD, GOOD, AlertScene, alert_scene
from tests.app.dagbook import Dagbook
from tests.executors.web import Web, plain
from tests.waiting import wait_until

SPEED = 20
CHUNK = b"x" * 65_536


@pytest.fixture
async def scene(
    database_url: str, tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AlertScene]:
    monkeypatch.setattr(tries, "SPEED", SPEED)
    async with alert_scene(database_url, tmp_path / "home", web) as found:
        yield found


async def test_a_receiver_that_is_down_gets_the_same_message_until_it_is_up(scene: AlertScene) -> None:
    await scene.channel("hook", answer=plain(500, "no"))
    await scene.rule()
    await scene.run("nightly")
    await scene.until_told(3)
    scene.web.answers["/hook"] = plain(200)
    await scene.until_state("ok")
    asked = scene.told()
    assert len({each.headers["webhook-id"] for each in asked}) == 1
    stamps = [int(each.headers["webhook-timestamp"]) for each in asked]
    assert stamps == sorted(stamps)
    (receipt,) = await scene.receipts()
    codes = [each["code"] for each in receipt["attempts"]]
    assert (set(codes[:-1]), codes[-1], receipt["tries"]) == ({500}, 200, len(asked))


@pytest.mark.both_engines
async def test_the_feed_has_that_a_channel_begins_to_fail_and_that_it_fails_no_more(scene: AlertScene) -> None:
    await scene.channel("hook", answer=plain(500))
    await scene.rule()
    await scene.run("nightly")
    await scene.until_told(3)
    scene.web.answers["/hook"] = plain(200)
    await scene.until_state("ok")
    await scene.run("other")
    await scene.until_routed()
    found = await scene.database.read(lambda connection: changes.find_after(connection, FeedCursor(), 500))
    assert [change.kind for change in found.changes].count(changes.CHANNEL) == 2


@pytest.mark.both_engines
async def test_a_channel_is_asked_once_however_many_messages_wait(scene: AlertScene) -> None:
    await scene.channel("hook", answer=plain(404, "nothing here", "Retry-After: 120"))
    await scene.rule()
    await scene.run("first")
    await scene.until_state("failing")
    for number in range(4):
        await scene.run(f"other-{number}")
    assert len(scene.told()) == 1
    shown = await scene.ok("GET", "/alert-channels/hook")
    assert (shown["enabled"], shown["nextTryAt"] > shown["failingSince"]) == (True, True)
    scene.web.answers["/hook"] = plain(200)
    await scene.change(AlertChannel, next_try_at=now())
    await scene.until_told(6)
    assert (await scene.ok("GET", "/alert-channels/hook"))["state"] == "ok"


@pytest.mark.both_engines
@pytest.mark.parametrize(("work", "applied"), [("_claim", True), ("store", True), ("store", False)])
async def test_a_message_is_sent_once_though_a_commit_about_it_is_reported_as_failed(
    scene: AlertScene, monkeypatch: pytest.MonkeyPatch, work: str, applied: bool
) -> None:
    write, failed = scene.database.write, 0

    async def write_with_a_fault(function: Callable[..., Any], *arguments: Any, **options: bool) -> Any:
        nonlocal failed
        fails = function.__name__ == work and not failed
        failed += fails
        result = await write(function, *arguments, **options) if applied or not fails else None
        if fails:
            raise DatabaseUnavailable("the connection was lost", "by the test")
        return result

    monkeypatch.setattr(scene.database, "write", write_with_a_fault)
    await scene.channel("hook")
    await scene.rule()
    await scene.run("nightly")
    await scene.until_told(1)
    await scene.until_routed()
    (receipt,) = await scene.receipts()
    assert (receipt["status"], len(receipt["attempts"]), len(scene.told()), failed) == ("sent", 1, 1, 1)
    due_at, sent_at = (datetime.fromisoformat(receipt[name]) for name in ("dueAt", "sentAt"))
    assert sent_at - due_at < timedelta(seconds=30)  # a lease lasts for 60


async def test_a_receiver_that_drips_holds_up_no_other(scene: AlertScene) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 Fine\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)  # it never ends, but something always comes

    await scene.channel("drip")
    await scene.channel("hook")
    scene.web.answers["/drip"] = drip
    await scene.rule(to="drip")
    await scene.rule("other", to="hook")
    await scene.run("nightly")
    await scene.until_state("ok", "hook")
    await scene.until_state("failing", "drip")
    (attempt,) = [each["attempts"][0] for each in await scene.receipts() if each["channel"] == "drip"]
    assert attempt["text"] == "no complete answer within 15 s"
    assert 15_000 / SPEED <= attempt["ms"] < 16_000 / SPEED + 1_000


async def test_of_a_huge_answer_only_the_start_is_read(scene: AlertScene) -> None:
    written = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 Fine\r\nContent-Length: 1073741824\r\nSet-Cookie: a=b\r\n\r\n")
        while written < 2**30:
            writer.write(CHUNK)
            await writer.drain()
            written += len(CHUNK)

    await scene.channel("hook")
    scene.web.answers["/hook"] = flood
    await scene.rule()
    await scene.run("nightly")
    await scene.run("other")
    await scene.until_told(2)
    await scene.until_routed()
    first, second = scene.told()
    assert (first.headers["accept-encoding"], "cookie" in second.headers) == ("identity", False)
    assert written < 2**25  # what buffers of the system take
    assert [len(each["attempts"][0]["text"]) for each in await scene.receipts()] == [200, 200]


async def test_an_answer_that_repeats_the_address_of_a_chat_is_masked(scene: AlertScene) -> None:
    async def repeat(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(404, f"there is no {scene.web.asked[-1].target} here"))
        await writer.drain()

    await scene.channel("secret-token-of-a-chat", "slack")
    scene.web.answers["/secret-token-of-a-chat"] = repeat
    await scene.rule(to="secret-token-of-a-chat")
    await scene.run("nightly")
    await scene.until_state("failing", "secret-token-of-a-chat")
    (receipt,) = await scene.receipts()
    assert receipt["attempts"][0]["text"] == "there is no ******* here"


async def test_one_body_that_a_receiver_cannot_read_holds_up_nothing_else(scene: AlertScene) -> None:
    async def refuse_one(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        poisoned = json.loads(scene.web.asked[-1].body)["data"]["dag"] == "poisoned"
        writer.write(plain(500 if poisoned else 200))
        await writer.drain()

    await scene.channel("hook")
    scene.web.answers["/hook"] = refuse_one
    await scene.rule()
    await scene.run("poisoned")
    for name in ("a", "b"):
        await scene.run(name)

    async def look() -> bool:
        sent = {each["dag"] for each in await scene.receipts() if each["status"] == "sent"}
        return sent == {"a", "b"}

    await wait_until(look)


async def test_fifty_failures_are_three_messages_of_a_chat_and_fifty_of_a_webhook(scene: AlertScene) -> None:
    await scene.channel("chat", "slack", intervalSeconds=1)
    await scene.channel("hook")
    await scene.rule(to="chat")
    await scene.rule("programs", to="hook")
    names = [f"dag-{number}" for number in range(50)]
    started = [await Dagbook(scene.client, name).start(BAD) for name in names]
    for name, run_id in zip(names, started, strict=True):
        await Dagbook(scene.client, name).finished(run_id)

    async def look() -> bool:
        lines = "\n".join(json.loads(each.body)["text"] for each in scene.told("chat")).splitlines()
        named = {line.split()[0] for line in lines if " failed " in line}
        return named == set(names) and len({each.headers["webhook-id"] for each in scene.told()}) == 50

    await wait_until(look)
    assert len(scene.told("chat")) < 25  # one a second, not one for each failure


async def test_an_end_is_sent_at_once_though_its_server_has_a_fast_clock(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule()
    await scene.run("nightly")
    await scene.until_told(1)
    at = now() + timedelta(hours=1)
    event = NewEvent(key="run/2/1", at=at, kind="succeeded", subject_kind="dag", subject="nightly", data={})
    await scene.database.write(lambda connection: events.add(connection, event))
    await scene.until_told(2)
    assert scene.types() == ["alert.opened", "alert.closed"]


async def test_a_burst_is_routed_in_short_transactions_which_others_wait_for(database: Database) -> None:
    about: dict[str, Any] = {"kind": "failed", "subject_kind": "dag", "subject": "nightly", "data": {}}

    def add(connection: WriteConnection) -> None:
        for number in range(60):
            events.add(connection, NewEvent(key=f"run/{number}/1", at=now(), **about))

    await database.write(add)
    counts = [await database.write(outbox.route, now()) for _ in range(4)]
    assert (sum(counts), max(counts) <= 30) == (60, True)


@pytest.mark.both_engines
async def test_quiet_hours_end_before_anything_is_sent(scene: AlertScene) -> None:
    at = now()
    span = f"{at:%H}:00-{(at.hour + 2) % 24:02}:00"
    await scene.channel("hook")
    await scene.rule(quiet=span)
    await scene.run("nightly")
    await scene.run("nightly", GOOD)
    await scene.until_routed_only()
    opened, closed = sorted(await scene.receipts(), key=lambda each: str(each["purpose"]), reverse=True)
    assert (opened["purpose"], closed["purpose"], scene.told()) == ("opened", "closed", [])
    assert opened["dueAt"] == closed["dueAt"]
    await scene.change(AlertDelivery, due_at=now())
    first, second = await scene.until_told(2)
    assert [json.loads(each.body)["type"] for each in (first, second)] == ["alert.opened", "alert.closed"]


@pytest.mark.both_engines
async def test_alerts_beyond_the_most_are_one_that_says_so(scene: AlertScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_OPEN", 2)
    await scene.channel("hook")
    await scene.rule()
    for name in ("a", "b", "c", "d"):
        await scene.run(name)
    await scene.until_told(3)
    await scene.until_routed_only()
    opened = {each["kind"]: each for each in await scene.open() if each["subjectKind"] == "alerts"}
    assert {kind: each["count"] for kind, each in opened.items()} == {"limit": 2}
    for name in ("a", "b"):
        await scene.run(name, GOOD)
    await scene.until_told(6)
    await scene.until_routed()
    assert await scene.open() == []


@pytest.mark.both_engines
async def test_an_alert_ends_with_its_dag(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule()
    await scene.ok("POST", "/dags", name="gone", spec=BAD)
    started = await scene.ok("POST", "/dags/gone/start", params="")
    await Dagbook(scene.client, "gone").finished(started["dagRunId"])
    await scene.run("inline")  # which has no stored DAG
    await scene.until_told(2)
    await scene.ok("DELETE", "/dags/gone")
    await scene.until_told(3)
    assert [each["subject"] for each in await scene.open()] == ["inline"]
    (ended,) = (await scene.ok("GET", "/alerts?open=false"))["alerts"]
    assert (ended["subject"], ended["closedBy"]) == ("gone", "deleted")


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "localhost"])
async def test_an_address_in_another_spelling_is_denied_too(
    database_url: str, tmp_path: Path, web: Web, host: str
) -> None:
    async with alert_scene(database_url, tmp_path / "home", web, egress_deny="127.0.0.0/8, ::1/128") as scene:
        port = web.url.rpartition(":")[2]
        await scene.ok("POST", "/alert-channels", name="hook", type="webhook", url=f"http://{host}:{port}/hook")
        await scene.rule()
        await scene.run("nightly")
        await scene.until_state("failing")
        (receipt,) = await scene.receipts()
        assert "egress_deny" in receipt["attempts"][0]["text"]
        assert web.asked == []


async def test_an_end_that_could_not_be_sent_is_dropped_when_the_alert_goes_on(
    scene: AlertScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await goes_on.wait()
        scene.web.answers["/chat"] = plain(200)
        writer.write(plain(500))
        await writer.drain()

    await scene.channel("chat", "slack", plain(500))
    await scene.rule(to="chat")
    await scene.run("nightly")
    await scene.until_told(1, "chat")
    await scene.run("nightly", GOOD)
    await scene.until_routed_only()
    monkeypatch.setattr(tries, "SPEED", 1)  # a request may be held for 15 seconds
    scene.web.answers["/chat"] = hold
    await asked.wait()
    before = len(scene.told("chat"))
    await scene.run("nightly")  # while both messages are being sent
    await scene.until_routed_only()
    monkeypatch.setattr(tries, "SPEED", SPEED)
    goes_on.set()
    await scene.until_told(before + 1, "chat")
    await scene.until_idle()
    await scene.run("nightly", GOOD)
    await scene.until_told(before + 2, "chat")
    texts = [json.loads(each.body)["text"] for each in scene.told("chat")[before:]]
    assert [text.split(" at ")[0] for text in texts] == ["nightly failed", "nightly succeeded"]
    assert "after 2 failures" in texts[1]


async def test_a_webhook_is_verified_by_a_shell(scene: AlertScene, tmp_path: Path) -> None:
    secret = (await scene.channel("hook"))["secret"]
    await scene.rule()
    await scene.run("nightly")
    (asked,) = await scene.until_told(1)
    (tmp_path / "body").write_bytes(asked.body)
    script = """
    key=$(printf %s "${SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \\n')
    { printf '%s.%s.' "$ID" "$TIMESTAMP"; cat body; } |
        openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64
    """
    variables = {"SECRET": secret, "ID": asked.headers["webhook-id"], "TIMESTAMP": asked.headers["webhook-timestamp"]}
    done = subprocess.run(  # noqa: ASYNC221 - the server has nothing to do
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        check=True,
    )
    assert asked.headers["webhook-signature"] == f"v1,{done.stdout.decode().strip()}"


async def test_a_test_that_nobody_answers_says_why_and_when_it_is_tried_again(
    scene: AlertScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagbook.alerts.service._TEST_SECONDS", 3.0)
    monkeypatch.setattr(tries, "SPEED", 1)
    await scene.channel("hook", answer=plain(503, "closed"))
    await scene.rule()
    done = await scene.ok("POST", "/alert-rules/all/test", dag="nightly")
    (receipt,) = done["receipts"]
    assert (done["told"], receipt["status"], receipt["attempts"][0]["code"]) == (False, "pending", 503)
    assert receipt["nextTryAt"] >= receipt["dueAt"]


@pytest.mark.both_engines
async def test_servers_that_died_hold_no_message(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(to="hook +1h")
    await scene.run("nightly")
    await scene.until_routed_only()
    begin = now()  # 25 seconds after the message was leased: nothing is sent for as long
    lease = {"lease_owner": "another", "lease_until": begin + timedelta(seconds=35), "due_at": begin}
    await scene.database.write(lambda connection: connection.execute(update(AlertDelivery).values(lease)))
    scene.server.deliverer.wake()
    await scene.until_told(1)
    assert now() - begin < timedelta(seconds=30)


@pytest.mark.both_engines
async def test_a_server_that_seems_to_be_dead_by_its_clock_is_not_interrupted(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(to="hook +1h")
    await scene.run("nightly")
    await scene.until_routed_only()
    lease = {"lease_owner": "another", "lease_until": now() + timedelta(seconds=60)}
    await scene.database.write(lambda connection: connection.execute(update(AlertDelivery).values(lease)))
    await scene.server.deliverer.run_once()
    owner = await scene.database.read(lambda connection: connection.scalar(select(AlertDelivery.lease_owner)))
    # A SQLite file has one process, so that no other one is alive.
    assert owner == ("another" if scene.database.dialect == "postgresql" else None)
