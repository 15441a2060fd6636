"""What users do with the events of a trigger: look into them, try one out, replay and discard them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.trigger_scene import PUSH, SHOW, TriggerScene, trigger_scene

STRICT = "params: {SHA: x}\nrunConfig: {disableParamEdit: true}\n" + SHOW
OPEN = "params: {SHA: x}\n" + SHOW


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[TriggerScene]:
    async with trigger_scene(database_url, tmp_path) as opened:
        yield opened


async def dead(scene: TriggerScene) -> Any:
    """Return an event whose params the DAG refuses."""
    await scene.dag("build", STRICT)
    await scene.trigger(params={"SHA": "json:/after"})
    await scene.accepted()
    (event,) = await scene.until_settled()
    assert event["state"] == "dead"
    return event


def path_of(event: Any, what: str = "") -> str:
    return f"/triggers/push/events/{event['id']}{what}"


async def save(scene: TriggerScene, spec: str) -> None:
    await scene.ok("PUT", "/dags/build/spec", spec=spec)


# -- bodies ----------------------------------------------------------------------------------------------------------


async def test_a_body_is_downloaded_byte_by_byte_whatever_its_sender_calls_it(scene: TriggerScene) -> None:
    await scene.trigger()
    sent = b"<script>alert(1)</script>\0\xff"
    await scene.accepted(sent, Content_Type="text/html")
    (event,) = await scene.events()
    answer = await scene.client.get(path_of(event, "/body"))
    assert answer.content == sent
    found = [answer.headers[name] for name in ("content-type", "content-disposition", "x-content-type-options")]
    assert found == ["application/octet-stream", f"attachment; filename*=UTF-8''{event['id']}", "nosniff"]


async def test_an_event_without_a_body_says_so(scene: TriggerScene) -> None:
    await scene.trigger()
    missing = await scene.client.get("/triggers/push/events/nothing/body")
    assert (missing.status_code, "has no event 'nothing'" in missing.text) == (404, True)


# -- trials ----------------------------------------------------------------------------------------------------------


async def test_a_trial_says_what_would_start_and_stores_nothing(scene: TriggerScene) -> None:
    await scene.dag("build", "params: {SHA: none, MODE: quick}\nqueue: builds\n" + SHOW)
    await scene.trigger(params={"SHA": "json:/after"}, filters=["json:/ref = refs/heads/main"], priority=3)
    found = await scene.ok("POST", "/triggers/push/test", body=json.dumps(PUSH))
    assert found == {
        "matches": True,
        "params": {"SHA": "4f1c"},
        "plan": {
            "dag": "build",
            "revision": 1,
            "queue": "builds",
            "priority": 3,
            "params": {"SHA": "4f1c", "MODE": "quick"},
            "steps": ["show"],
        },
    }
    assert (await scene.events(), await scene.runs()) == ([], [])


async def test_a_trial_names_the_filter_or_what_makes_the_event_dead(scene: TriggerScene) -> None:
    await scene.dag("build", STRICT)
    await scene.trigger(params={"SHA!": "json:/after"}, filters=["header:X-Kind = a"])

    async def trial(body: str, kind: str = "a") -> Any:
        return await scene.ok("POST", "/triggers/push/test", body=body, headers={"X-Kind": kind})

    assert await trial("{}", "b") == {
        "matches": False,
        "filter": "the filter 'header:X-Kind = a' does not hold",
        "params": {},
    }
    assert (await trial("{}"))["problem"] == "the param SHA is required, and there is nothing at json:/after"
    assert (await trial("no"))["problem"] == "the body is not JSON"
    refused = await trial('{"after": "1"}')
    assert (refused["params"], "runs with its own params alone" in refused["problem"]) == ({"SHA": "1"}, True)
    await scene.ok("PATCH", "/triggers/push", maxBytes=3)
    long = await scene.client.post("/triggers/push/test", json={"body": "1234"})
    assert (long.status_code, long.json()["message"].split(":")[0]) == (400, "body")


# -- replays ---------------------------------------------------------------------------------------------------------


@pytest.mark.both_engines
async def test_a_dead_event_is_replayed_once_its_dag_is_corrected(scene: TriggerScene) -> None:
    event = await dead(scene)
    await save(scene, OPEN)
    answer = await scene.client.post(path_of(event, "/replay"))
    assert answer.status_code == 202, answer.text
    run = await scene.finished(answer.json())
    assert await run.log("show") == "4f1c"
    before, after = await scene.until_settled()
    assert (before["state"], before["replays"], after["state"]) == ("replayed", 1, "started")
    assert after["key"].startswith(f"replay/{event['id']}/")
    assert after["dagRunId"] == answer.json()["dagRunId"] == answer.json()["eventId"]
    assert len(await scene.runs()) == 1


async def test_a_replay_runs_the_revision_that_it_names_else_the_current_one(scene: TriggerScene) -> None:
    await scene.trigger()
    await scene.finished(await scene.accepted())
    await save(scene, OPEN)
    (event,) = await scene.events()
    found: list[int] = []
    bodies: tuple[dict[str, Any], ...] = ({}, {"revision": 1})
    for body in bodies:
        answer = await scene.ok("POST", path_of(event, "/replay"), replayId=f"r{len(found)}", **body)
        found.append((await scene.finished(answer)).details["revision"])
    assert found == [2, 1]
    assert [each["state"] for each in await scene.until_settled()] == ["started"] * 3
    for revision, status in ((3, 400), (0, 400), (2**31, 400), ("1", 400)):
        refused = await scene.client.post(path_of(event, "/replay"), json={"revision": revision})
        assert (refused.status_code, "revision" in refused.text) == (status, True), refused.text


async def test_a_replay_of_a_revision_that_is_redacted_meanwhile_is_dead(scene: TriggerScene) -> None:
    await scene.trigger()
    await scene.finished(await scene.accepted())
    await save(scene, OPEN)
    await scene.ok("POST", "/triggers/push/pause")
    (event,) = await scene.events()
    await scene.ok("POST", path_of(event, "/replay"), revision=1)
    await scene.ok("POST", "/dags/build/revisions/1/redact")
    await scene.ok("POST", "/triggers/push/resume")
    _, dead = await scene.until_settled()
    reason = "the revision 1 of the DAG build was redacted"
    assert (dead["state"], dead["reason"]) == ("dead", reason)
    refused = await scene.client.post(path_of(event, "/replay"), json={"revision": 1})
    assert (refused.status_code, refused.json()["message"]) == (400, f"revision: {reason}")


async def test_a_dry_replay_has_the_plan_and_stores_nothing(scene: TriggerScene) -> None:
    event = await dead(scene)
    await save(scene, OPEN)
    entries = len((await scene.ok("GET", "/audit"))["entries"])
    first, again, old = [
        await scene.client.post(path_of(event, "/replay"), json={"dry": True} | body)
        for body in ({}, {}, {"revision": 1})
    ]
    assert (first.status_code, first.json()) == (200, again.json())
    assert (first.json()["plan"]["revision"], first.json()["plan"]["params"]) == (2, {"SHA": "4f1c"})
    assert "runs with its own params alone" in old.json()["problem"]
    assert (await scene.events(), await scene.runs()) == ([event], [])
    assert len((await scene.ok("GET", "/audit"))["entries"]) == entries


@pytest.mark.both_engines
async def test_replays_with_one_id_are_one_run(scene: TriggerScene) -> None:
    event = await dead(scene)
    await save(scene, OPEN)
    answers = await asyncio.gather(
        *(scene.client.post(path_of(event, "/replay"), json={"replayId": "r1"}) for _ in range(8))
    )
    assert {each.status_code for each in answers} == {202}
    assert len({each.json()["eventId"] for each in answers}) == 1
    assert sum("duplicate" not in each.json() for each in answers) == 1
    await scene.finished(answers[0].json())
    assert ((await scene.events())[0]["replays"], len(await scene.runs())) == (1, 1)


async def test_what_cannot_be_replayed_or_discarded_says_why(scene: TriggerScene) -> None:
    await scene.trigger()
    await scene.ok("POST", "/triggers/push/pause")
    await scene.accepted()
    (event,) = await scene.events()
    waiting = await scene.client.post(path_of(event, "/replay"))
    assert (waiting.status_code, "still waits" in waiting.text) == (400, True)
    await scene.ok("POST", "/triggers/push/resume")
    (event,) = await scene.until_settled()
    started = await scene.client.post(path_of(event, "/discard"))
    assert (started.status_code, "is started" in started.text) == (400, True)
    for replay_id in ("", "a b", "x" * 65):
        refused = await scene.client.post(path_of(event, "/replay"), json={"replayId": replay_id})
        assert (refused.status_code, "replayId" in refused.text) == (400, True)
    await scene.ok("DELETE", "/dags/build")
    gone = await scene.client.post(path_of(event, "/replay"))
    assert (gone.status_code, "the DAG was deleted" in gone.text) == (400, True)


async def test_an_event_that_waits_or_is_dead_is_discarded(scene: TriggerScene) -> None:
    event = await dead(scene)
    await scene.ok("POST", "/triggers/push/pause")
    await scene.accepted({"after": "2"})
    for each in await scene.events():
        assert (await scene.ok("POST", path_of(each, "/discard")))["state"] == "discarded"
    assert await scene.runs() == []
    again = await scene.client.post(path_of(event, "/discard"))
    assert (again.status_code, again.json()["code"]) == (400, "not_running")
