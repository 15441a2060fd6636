"""Alerts of runs: told once, until the receiver has them, and ended by a success."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from standardwebhooks import Webhook, WebhookVerificationError

from dagbook.clock import now
from dagbook.db.database import ReadConnection
from dagbook.db.models import AlertChannel, AlertDelivery
from dagbook.db.types import Base
from tests.app.alert_scene import BAD, GOOD, AlertScene, alert_scene
from tests.app.dagbook import Dagbook
from tests.executors.web import Web, plain
from tests.mailserver import mail_server
from tests.waiting import wait_until

pytestmark = pytest.mark.both_engines
PARTIAL = """
steps:
  - {name: a, command: exit 1, continueOn: {failure: true}}
  - {name: b, command: 'true', depends: a}
"""
_TABLES = [name for name in Base.metadata.tables if name.startswith("alert")]


@pytest.fixture
async def scene(database_url: str, tmp_path: Path, web: Web) -> AsyncIterator[AlertScene]:
    async with alert_scene(database_url, tmp_path / "home", web) as found:
        yield found


async def count(scene: AlertScene, *tables: str) -> int:
    def read(connection: ReadConnection) -> int:
        return sum(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in tables)  # noqa: S608

    return await scene.database.read(read)


async def test_a_failure_is_told_once_and_its_end_after_how_many(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule()
    run_id = await scene.run("nightly")
    (first,) = await scene.until_told(1)
    body = json.loads(first.body)
    assert (body["type"], body["data"]["dag"], body["data"]["run"]["dagRunId"]) == ("alert.opened", "nightly", run_id)
    assert (body["data"]["run"]["failedStep"], body["data"]["run"]["status"]) == ("a", "failed")
    await scene.until_routed()  # the receipt is stored after the receiver has answered
    found = await scene.ok("GET", f"/dag-runs/nightly/{run_id}/alerts")
    assert (found["covered"], found["rules"]) == (True, ["all"])
    (receipt,) = found["receipts"]
    assert (receipt["channel"], receipt["status"], receipt["attempts"][0]["code"]) == ("hook", "sent", 200)
    for _ in range(2):
        second = await scene.run("nightly")
    await scene.until_routed()
    assert [each["count"] for each in await scene.open()] == [3]
    assert len(scene.told()) == 1
    assert len((await scene.ok("GET", f"/dag-runs/nightly/{second}/alerts"))["receipts"]) == 1
    await scene.run("nightly", GOOD)
    await scene.until_told(2)
    last = json.loads(scene.told()[-1].body)
    assert (last["type"], last["data"]["alert"]["count"]) == ("alert.closed", 3)
    assert await scene.open() == []


async def test_a_success_without_a_told_failure_is_not_told(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule()
    await scene.run("nightly", GOOD)
    await scene.until_routed()
    assert (scene.told(), await count(scene, "alert_events", "alerts", "alert_deliveries")) == ([], 0)


async def test_without_a_rule_runs_leave_no_row(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.run("nightly")
    await scene.run("nightly", GOOD)
    assert await count(scene, *(name for name in _TABLES if name != "alert_channels")) == 0


async def test_the_number_of_a_rule_counts_failures_in_a_row(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(after=2)
    for spec in (BAD, GOOD, BAD):
        await scene.run("other", spec)
    await scene.run("nightly")
    await scene.until_routed()
    assert scene.told() == []
    await scene.run("nightly")
    await scene.until_told(1)
    await scene.run("nightly", GOOD)
    await scene.until_told(2)
    assert scene.types() == ["alert.opened", "alert.closed"]


async def test_a_retry_that_fails_counts_and_one_that_succeeds_ends_the_alert(
    scene: AlertScene, tmp_path: Path
) -> None:
    await scene.channel("hook")
    await scene.rule()
    flag = tmp_path / "flag"
    run_id = await scene.run("nightly", f"steps: [{{name: a, command: test -e {flag}}}]\n")
    await scene.until_told(1)
    for expected in ([2], []):
        await scene.ok("POST", f"/dag-runs/nightly/{run_id}/retry", dagRunId=run_id)
        await Dagbook(scene.client, "nightly").finished(run_id)
        await scene.until_routed()
        assert [each["count"] for each in await scene.open()] == expected
        flag.touch()
    await scene.until_told(2)
    assert scene.types() == ["alert.opened", "alert.closed"]


async def test_a_step_that_is_retried_and_succeeds_is_not_told(scene: AlertScene, tmp_path: Path) -> None:
    await scene.channel("hook")
    await scene.rule()
    flag = tmp_path / "flag"
    command = f"test -e {flag} || {{ touch {flag}; exit 1; }}"
    step = f"{{name: a, command: '{command}', retryPolicy: {{limit: 1, intervalSec: 0}}}}"
    await scene.run("nightly", f"steps: [{step}]\n")
    await scene.until_routed()
    assert scene.told() == []


async def test_two_rules_that_lead_to_one_channel_make_one_message(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule("all")
    await scene.rule("mine", match=["nightly"])
    await scene.run("nightly")
    await scene.until_routed()
    assert len(scene.told()) == 1


async def test_an_alert_that_reopens_soon_goes_on_silently(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule()
    for spec, told in ((BAD, 1), (GOOD, 2), (BAD, 2), (GOOD, 2)):
        await scene.run("nightly", spec)
        await scene.until_told(told)
        await scene.until_routed()
    assert scene.types() == ["alert.opened", "alert.closed"]
    assert await count(scene, "alerts") == 1


async def test_kinds_that_do_not_open_are_told_once(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["succeeded", "partial"])
    await scene.run("nightly", GOOD)
    await scene.until_told(1)
    await scene.run("nightly", PARTIAL)
    await scene.until_told(2)
    assert scene.types() == ["alert.told", "alert.told"]
    assert await scene.open() == []


async def test_an_approval_that_is_asked_for_is_told_and_ends_with_the_decision(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["waiting"])
    run_id = await Dagbook(scene.client, "deploy").start("steps: [{name: gate, type: hitl}]\n")
    (told,) = await scene.until_told(1)
    assert json.loads(told.body)["data"]["alert"]["kind"] == "waiting"
    await scene.ok("POST", f"/dag-runs/deploy/{run_id}/steps/gate/approve")
    await Dagbook(scene.client, "deploy").finished(run_id)
    await scene.until_told(2)
    assert scene.types() == ["alert.opened", "alert.closed"]


async def test_a_webhook_is_signed_and_both_secrets_sign_during_a_rotation(scene: AlertScene) -> None:
    first = (await scene.channel("hook"))["secret"]
    assert "secret" not in await scene.ok("GET", "/alert-channels/hook")
    await scene.rule()
    await scene.run("a")
    (asked,) = await scene.until_told(1)
    Webhook(first).verify(asked.body, asked.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(first).verify(asked.body + b" ", asked.headers)
    second = (await scene.ok("POST", "/alert-channels/hook/secret"))["secret"]
    await scene.run("b")
    asked = (await scene.until_told(2))[-1]
    for secret in (first, second):
        Webhook(secret).verify(asked.body, asked.headers)
    await scene.change(AlertChannel, sealed_before_until=now())
    await scene.run("c")
    asked = (await scene.until_told(3))[-1]
    Webhook(second).verify(asked.body, asked.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(first).verify(asked.body, asked.headers)


async def test_a_receiver_that_fails_gets_the_same_message_again(scene: AlertScene) -> None:
    await scene.channel("hook", answer=plain(503, "later"))
    await scene.rule()
    await scene.run("nightly")
    await scene.until_told(1)
    await scene.until_state("failing")
    for name in ("b", "c"):
        await scene.run(name)
    assert len(scene.told()) == 1
    scene.web.answers["/hook"] = plain(200, "thanks")
    await scene.change(AlertChannel, next_try_at=now())
    await scene.until_told(4)
    ids = [each.headers["webhook-id"] for each in scene.told()]
    assert (ids[0] == ids[1], len(set(ids))) == (True, 3)
    (receipt,) = [each for each in await scene.receipts() if each["tries"] == 2]
    assert [each["code"] for each in receipt["attempts"]] == [503, 200]
    assert (await scene.ok("GET", "/alert-channels/hook"))["state"] == "ok"


async def test_a_redirect_is_not_followed_and_retry_after_is_kept_within_an_hour(scene: AlertScene) -> None:
    head = (
        f"HTTP/1.1 302 Found\r\nLocation: {scene.web.url}/other\r\nRetry-After: 1000000000\r\nContent-Length: 0\r\n\r\n"
    )
    await scene.channel("hook", answer=head.encode())
    await scene.rule()
    await scene.run("nightly")
    await scene.until_told(1)
    await scene.until_state("failing")
    (receipt,) = await scene.receipts()
    assert receipt["attempts"][0]["text"] == "302, not followed"
    assert scene.told("other") == []

    def wait(connection: ReadConnection) -> float:
        since, until = connection.execute(select(AlertChannel.failing_since, AlertChannel.next_try_at)).one()
        assert since is not None
        assert until is not None
        return (until - since).total_seconds()

    assert await scene.database.read(wait) == pytest.approx(3600, abs=5)


async def test_a_message_that_is_refused_holds_up_no_other(scene: AlertScene) -> None:
    await scene.channel("hook", answer=plain(400, "bad"))
    await scene.rule()
    await scene.run("a")
    await scene.until_told(1)
    scene.web.answers["/hook"] = plain(200, "thanks")
    await scene.run("b")
    await scene.until_told(2)
    scene.web.answers["/hook"] = plain(400, "bad")
    for count_ in (3, 4):
        await scene.change(AlertDelivery, due_at=now())
        await scene.until_told(count_)

    async def failed() -> list[Any]:
        return [each for each in await scene.receipts() if each["status"] == "failed"]

    (receipt,) = await wait_until(failed)
    assert (receipt["reason"], receipt["tries"]) == ("the receiver refuses it", 3)


async def test_a_resend_sends_under_the_same_id(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule()
    await scene.run("nightly")
    await scene.until_told(1)
    await scene.until_routed()
    (receipt,) = await scene.receipts()
    await scene.ok("POST", f"/alert-deliveries/{receipt['id']}/resend")
    first, second = await scene.until_told(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == receipt["id"]


async def test_an_escalation_is_dropped_when_the_alert_is_acknowledged_or_ends(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(to="hook +1h")
    for name in ("a", "b", "c"):
        await scene.run(name)
    await scene.until_routed()
    alerts = {each["subject"]: each for each in await scene.open()}
    found = await scene.ok("POST", f"/alerts/{alerts['a']['id']}/acknowledge", note="disk ordered")
    assert (found["note"], found["told"][0]["status"], found["told"][0]["reason"]) == (
        "disk ordered",
        "dropped",
        "acknowledged",
    )
    await scene.run("b", GOOD)
    await scene.until_routed()
    await scene.change(AlertDelivery, due_at=now())
    await scene.until_told(1)
    await scene.until_routed()
    assert [json.loads(each.body)["data"]["dag"] for each in scene.told()] == ["c"]


async def test_a_test_goes_the_real_way(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(match=["*", "!play-*"])
    done = await scene.ok("POST", "/alert-rules/all/test", dag="nightly")
    assert (done["told"], done["receipts"][0]["purpose"], scene.types()) == (True, "test", ["alert.test"])
    done = await scene.ok("POST", "/alert-rules/all/test", dag="play-1")
    assert (done["told"], done["outcome"], done["receipts"], len(scene.told())) == (
        False,
        "'!play-*' excludes it",
        [],
        1,
    )
    assert (await scene.ok("POST", "/alert-channels/hook/test"))["told"] is True
    assert await count(scene, "alerts") == 0


async def test_a_run_that_no_rule_covers_says_so(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(match=["*", "!play-*"])
    await scene.ok("POST", "/dags", name="play-1", spec=BAD)
    found = await scene.ok("GET", "/dags/play-1/alerts")
    assert (found["rules"], found["reasons"]) == ([], ["'!play-*' of the rule all excludes it"])
    run_id = await scene.run("play-1")
    found = await scene.ok("GET", f"/dag-runs/play-1/{run_id}/alerts")
    assert found == {"covered": False, "rules": [], "receipts": []}
    # A mail of the definition covers it.
    mail = "smtp: {host: 127.0.0.1, port: '1'}\nmailOn: {failure: true}\nerrorMail: {from: a@b.ch, to: c@d.ch}\n"
    run_id = await scene.run("play-2", f"{mail}{BAD}")
    assert (await scene.ok("GET", f"/dag-runs/play-2/{run_id}/alerts"))["covered"] is True


async def test_a_chat_gets_what_waits_in_one_message(scene: AlertScene) -> None:
    await scene.channel("chat", "slack", answer=plain(500, "no"))
    await scene.rule(to="chat")
    for name in ("a", "b", "c"):
        await scene.run(name)
    await scene.until_told(1, "chat")
    await scene.until_routed_only()
    scene.web.answers["/chat"] = plain(200, "ok")
    await scene.change(AlertChannel, next_try_at=now())
    said = json.loads((await scene.until_told(2, "chat"))[-1].body)["text"].splitlines()
    assert [line.split()[0] for line in said] == ["a", "b", "c"]
    shown = await scene.ok("GET", "/alert-channels/chat")
    assert (shown["host"], "url" in shown) == ("127.0.0.1", False)


async def test_a_mail_is_sent_with_the_id_of_the_delivery(scene: AlertScene) -> None:
    async with mail_server() as sink:
        smtp = {"host": "127.0.0.1", "port": str(sink.port)}
        body = {"to": ["ops@example.org"], "from": "dagbook@example.org", "smtp": smtp}
        await scene.ok("POST", "/alert-channels", name="ops", type="mail", **body)
        await scene.rule(to="ops")
        await scene.run("nightly")
        (mail,) = await sink.received()
        await scene.until_routed()
    (receipt,) = await scene.receipts()
    assert receipt["status"] == "sent"
    assert f"<{receipt['id']}@dagbook>".encode() in mail.raw
    assert b"Subject: nightly failed" in mail.raw


async def test_a_password_goes_to_no_other_mail_server(scene: AlertScene) -> None:
    smtp = {"host": "mail.example.org", "username": "ops"}
    body = {"to": ["ops@example.org"], "from": "dagbook@example.org", "smtp": smtp, "secret": "hunter2"}
    await scene.ok("POST", "/alert-channels", name="ops", type="mail", **body)
    elsewhere = {"smtp": {**smtp, "host": "mail.example.net"}}
    answer = await scene.client.patch("/alert-channels/ops", json=elsewhere)
    assert (answer.status_code, answer.json()["message"].partition(":")[0]) == (400, "secret")
    await scene.ok("PATCH", "/alert-channels/ops", smtp=smtp, to=["dev@example.org"])
    await scene.ok("PATCH", "/alert-channels/ops", **elsewhere, secret="new")  # noqa: S106 - of a test


async def test_an_egress_rule_is_named_by_the_attempt(database_url: str, tmp_path: Path, web: Web) -> None:
    async with alert_scene(database_url, tmp_path / "home", web, egress_deny="127.0.0.0/8") as scene:
        await scene.channel("hook")
        await scene.rule()
        await scene.run("nightly")
        await scene.until_state("failing")
        (receipt,) = await scene.receipts()
        assert "egress_deny" in receipt["attempts"][0]["text"]
        assert web.asked == []


async def test_a_run_that_is_stopped_is_told_as_aborted(scene: AlertScene) -> None:
    await scene.channel("hook")
    await scene.rule(on=["aborted"])
    slow = Dagbook(scene.client, "slow")
    run_id = await slow.start("steps: [{name: a, command: sleep 60}]\n")  # it does not end before it is stopped
    await slow.stop(run_id)
    (told,) = await scene.until_told(1)
    assert (scene.types(), json.loads(told.body)["data"]["alert"]["kind"]) == (["alert.told"], "aborted")


async def test_a_server_that_starts_tells_what_another_left(database_url: str, tmp_path: Path, web: Web) -> None:
    async with alert_scene(database_url, tmp_path / "home", web) as scene:
        await scene.channel("hook", answer=plain(500, "no"))
        await scene.rule()
        await scene.run("nightly")
        await scene.until_state("failing")
        await scene.change(AlertChannel, next_try_at=now())
    web.answers["/hook"] = plain(200, "thanks")
    async with alert_scene(database_url, tmp_path / "home", web) as scene:
        await scene.until_told(2)
        ids = {each.headers["webhook-id"] for each in scene.told()}
        assert len(ids) == 1
