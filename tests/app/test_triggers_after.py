"""A trigger that follows a DAG starts a run for each run of it that ends so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import delete, select

from dagbook.auth.audit_context import Actor
from dagbook.db import statements
from dagbook.db.models import Run
from dagbook.db.repositories.triggers import upstream_ends
from dagbook.db.url import PUBLIC
from dagbook.maintenance.backup import backup as backups
from dagbook.maintenance.backup.restore import restore
from tests.app.dagbook import Dagbook, FinishedRun
from tests.app.trigger_scene import TriggerScene, trigger_scene
from tests.waiting import wait_until

DAY = "params: {{DAY: none}}\nsteps: [{{name: show, command: {command}}}]\n"
SHOW = DAY.format(command="'printenv DAY UPSTREAM_DAG UPSTREAM_RUN_ID UPSTREAM_STATUS TRIGGER_NAME'")
PRINT = "steps: [{{name: day, command: {command}, output: DAY}}]\n"
NIGHTLY = PRINT.format(command="'echo 2026-11-27'")
FAILING = "steps: [{{name: day, command: 'test -e {gate}'}}]\n"


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[TriggerScene]:
    async with trigger_scene(database_url, tmp_path) as opened:
        yield opened


async def follow(scene: TriggerScene, name: str = "report", *on: str, after: str = "nightly", **body: Any) -> Any:
    """Add a trigger that starts the DAG with its name."""
    settings = {"after": after} | ({"on": list(on)} if on else {})
    return await scene.ok("POST", "/triggers", name=name, dag=name, kind="after", settings=settings, **body)


async def run(scene: TriggerScene, dag: str = "nightly") -> FinishedRun:
    started = await scene.client.post(f"/dags/{dag}/start", json={})
    assert started.is_success, started.text
    return await Dagbook(scene.client, dag).finished(started.json()["dagRunId"])


async def following(scene: TriggerScene, name: str = "report", number: int = 1) -> list[Any]:
    """Wait until a trigger has so many events that are settled; returns these, the oldest first."""

    async def look() -> list[Any] | None:
        found = await scene.events(name)
        return found if len(found) >= number and all(each["state"] != "waiting" for each in found) else None

    return await wait_until(look)


@pytest.mark.both_engines
async def test_the_end_of_a_run_starts_the_next_one_with_its_name_and_its_outputs(scene: TriggerScene) -> None:
    await scene.dag("nightly", NIGHTLY)
    await scene.dag("report", SHOW)
    added = await follow(scene, params={"DAY": "output:DAY"})
    assert (added["kind"], added["settings"]) == ("after", {"after": "nightly", "on": ["succeeded"]})
    upstream = await run(scene)
    (event,) = await following(scene)
    next_run = await scene.finished(event, "report")
    lines = (await next_run.log("show")).splitlines()
    assert lines == ["2026-11-27", "nightly", upstream.details["dagRunId"], "succeeded", "report"]
    assert (next_run.details["trigger"], next_run.details.get("actor")) == ("run", None)
    item = {"dag": "nightly", "dagRunId": upstream.details["dagRunId"], "attempt": 1, "status": "succeeded"}
    shown = await scene.ok("GET", f"/triggers/report/events/{event['id']}")
    assert (shown["item"], shown["params"]) == (item, {"DAY": "2026-11-27"})


@pytest.mark.both_engines
async def test_a_run_that_fails_and_then_succeeds_by_a_retry_is_one_event_of_each_end(
    scene: TriggerScene, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    await scene.dag("nightly", FAILING.format(gate=gate))
    for name, end in (("good", "succeeded"), ("bad", "failed")):
        await scene.dag(name, SHOW)
        await follow(scene, name, end)
    failed = await run(scene)
    assert failed.status == "failed"
    gate.touch()
    await scene.ok("POST", f"{failed.path}/retry", dagRunId=failed.details["dagRunId"])
    await Dagbook(scene.client, "nightly").finished(failed.details["dagRunId"])
    for name, attempt in (("good", 2), ("bad", 1)):
        (event,) = await following(scene, name)
        assert event["item"]["attempt"] == attempt
        lines = (await (await scene.finished(event, name)).log("show")).splitlines()
        assert lines[1:] == ["nightly", failed.details["dagRunId"], {"good": "succeeded", "bad": "failed"}[name], name]


async def test_sub_runs_and_texts_are_not_followed(scene: TriggerScene) -> None:
    await scene.dag("nightly", NIGHTLY)
    await scene.dag("caller", "steps: [{name: call, call: nightly}]\n")
    await scene.dag("report", SHOW)
    await follow(scene)
    await run(scene, "caller")
    text = await scene.ok("POST", "/dag-runs", spec=NIGHTLY, name="nightly")
    await Dagbook(scene.client, "nightly").finished(text["dagRunId"])
    await run(scene)
    assert len(await following(scene)) == 1


async def test_runs_that_start_one_another_in_a_circle_end_with_a_dead_event(scene: TriggerScene) -> None:
    for name in ("one", "two"):
        await scene.dag(name, "steps: []\n")
    await follow(scene, "one", after="two")
    await follow(scene, "two", after="one")
    await run(scene, "one")

    async def dead() -> list[Any]:
        return [each for name in ("one", "two") for each in await scene.events(name, "dead")]

    (event,) = await wait_until(dead)
    assert event["reason"].startswith("20 runs before it have started one another by triggers")
    assert sum([len(await scene.events(name, "started")) for name in ("one", "two")]) == 20
    assert sum([len(await scene.runs(name)) for name in ("one", "two")]) == 21


async def test_a_trigger_follows_renames_and_nothing_once_the_dag_is_deleted(scene: TriggerScene) -> None:
    await scene.dag("nightly", NIGHTLY)
    await scene.dag("report", SHOW)
    await follow(scene)
    await scene.ok("POST", "/dags/nightly/rename", newFileName="daily")
    assert (await scene.ok("GET", "/triggers/report"))["settings"]["after"] == "daily"
    await run(scene, "daily")
    (event,) = await following(scene)
    assert (event["state"], event["item"]["dag"]) == ("started", "daily")
    await scene.ok("DELETE", "/dags/daily")
    shown = await scene.ok("GET", "/triggers/report")
    assert (shown["problem"], "after" in shown["settings"]) == ("the DAG that it follows was deleted", False)
    await scene.dag("daily", NIGHTLY)
    await run(scene, "daily")
    await scene.ok("PATCH", "/triggers/report", settings={"after": "daily"})
    await run(scene, "daily")
    assert len(await following(scene, number=2)) == 2


async def test_an_output_that_is_not_there_is_the_default_or_makes_the_event_dead(scene: TriggerScene) -> None:
    await scene.dag("nightly", NIGHTLY)
    await scene.dag("report", SHOW)
    await follow(scene, params={"DAY": "output:OTHER"})
    await run(scene)
    (event,) = await following(scene)
    assert (await (await scene.finished(event, "report")).log("show")).startswith("none\n")
    await scene.ok("PATCH", "/triggers/report", params={"DAY!": "output:OTHER"})
    await run(scene)
    *_, dead = await following(scene, number=2)
    reason = "the param DAY is required, and there is nothing at output:OTHER"
    assert (dead["state"], dead["reason"]) == ("dead", reason)


async def test_an_event_whose_run_was_deleted_meanwhile_is_dead_if_it_needs_its_outputs(scene: TriggerScene) -> None:
    await scene.dag("nightly", NIGHTLY)
    await scene.dag("report", SHOW)
    await follow(scene, params={"DAY": "output:DAY"})
    await scene.ok("POST", "/triggers/report/pause")
    upstream = await run(scene)
    await scene.database.write(lambda connection: connection.execute(delete(Run).where(Run.dag_name == "nightly")))
    await scene.ok("POST", "/triggers/report/resume")
    (dead,) = await following(scene)
    reason = f"the run {upstream.details['dagRunId']} of the DAG nightly was deleted, and its outputs with it"
    assert (dead["state"], dead["reason"]) == ("dead", reason)


@pytest.mark.both_engines
async def test_a_trigger_that_is_removed_while_a_run_ends_does_not_keep_it_from_ending(
    scene: TriggerScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.dag("nightly", NIGHTLY)
    await scene.dag("report", SHOW)
    await follow(scene)
    read, reads = statements.all_rows, []

    def read_before(*arguments: Any, **values: Any) -> Any:
        """Find, at the first time, a trigger that another server removes before the event is added."""
        found = read(*arguments, **values)
        reads.append(found)
        return [replace(each, trigger_id=each.trigger_id + 1) for each in found] if len(reads) == 1 else found

    monkeypatch.setattr(upstream_ends, "all_rows", read_before)
    assert (await run(scene)).status == "succeeded"
    assert [each["state"] for each in await following(scene)] == ["started"]
    assert len(reads) > 1


async def test_a_queued_run_that_cannot_be_started_ends_as_failed(scene: TriggerScene) -> None:
    await scene.dag("nightly", NIGHTLY)
    await scene.dag("report", SHOW)
    await follow(scene, "report", "failed")
    await scene.ok("POST", "/queues/nightly/pause")
    assert (await scene.client.post("/dags/nightly/enqueue", json={})).is_success
    key = await scene.database.read(lambda connection: connection.execute(select(Run.id)).scalar_one())
    await scene.server.supervisor.active_runs.fail_queued(key, "its definition is gone")
    (event,) = await following(scene)
    assert (event["state"], event["item"]["status"]) == ("started", "failed")


@pytest.mark.both_engines
async def test_a_run_that_a_restored_database_did_not_see_end_is_not_followed(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with trigger_scene(database_url, tmp_path / "old") as original:
        wait = f"while [ ! -e {gate} ]; do sleep 0.05; done"  # until the backup is made
        await original.dag("nightly", f"steps: [{{name: day, command: '{wait}'}}]\n")
        await original.dag("report", SHOW)
        await follow(original, "report", "failed")
        started = (await original.client.post("/dags/nightly/start", json={})).json()["dagRunId"]
        made = await backups.back_up(database_url, PUBLIC, tmp_path / "backup", replaces=False)
        gate.touch()
        await Dagbook(original.client, "nightly").finished(started)
        assert await original.events("report") == []
    await restore(empty_url, PUBLIC, made.file, Actor(via="cli", actor="ann"))
    async with trigger_scene(empty_url, tmp_path / "new") as restored:
        done = await restored.ok("POST", "/hold/resume")
        assert (done["failedRuns"], done["deadEvents"]) == (1, 1)
        (dead,) = await following(restored)
        assert (dead["state"], dead["reason"]) == ("dead", "restored: the original may have started it")


async def test_outputs_are_data_also_where_values_of_callers_are_evaluated(database_url: str, tmp_path: Path) -> None:
    proof, folder = tmp_path / "proof", tmp_path / "files"
    folder.mkdir()
    payloads = [f"`touch {proof}`", f"$(touch {proof})", f"'; touch {proof} #", f'"; touch {proof} "', "${HOME}", "--x"]
    async with trigger_scene(database_url, tmp_path / "home", evaluate_caller_values="true") as scene:
        await scene.dag("nightly", PRINT.format(command=f"cat {folder}/value"))
        await scene.dag("report", DAY.format(command='"printf \'%s\' \\"${DAY}\\""'))
        await follow(scene, params={"DAY": "output:DAY"})
        for number, payload in enumerate(payloads, 1):
            (folder / "value").write_text(payload)
            await run(scene)
            event = (await following(scene, number=number))[-1]
            assert await (await scene.finished(event, "report")).log("show") == payload
    assert not proof.exists()


INVALID: Sequence[tuple[dict[str, Any], str]] = [
    ({"settings": {}}, "settings.after"),
    ({"settings": {"after": "nothing"}}, "settings.after"),
    ({"settings": {"after": "a\0b"}}, "settings.after"),
    ({"settings": {"after": "nightly", "key": "json:/id"}}, "settings"),
    ({"settings": {"after": "nightly", "on": ["queued"]}}, "settings.on[0]"),
    ({"params": {"DAY": "json:/day"}}, "params.DAY"),
    ({"params": {"UPSTREAM_DAG": "output:DAY"}}, "params"),
    ({"filters": ["output:DAY = x"]}, "filters"),
    ({"perMinute": 7}, "perMinute"),
    ({"maxBytes": 7}, "maxBytes"),
    ({"secret": "a secret of somebody"}, "secret"),
    ({"scheme": "github"}, "scheme"),
]


async def test_what_is_invalid_is_refused_by_its_field(scene: TriggerScene) -> None:
    await scene.dag("nightly", NIGHTLY)
    await scene.dag("report", SHOW)
    valid = {"name": "report", "dag": "report", "kind": "after", "settings": {"after": "nightly"}}
    refused = []
    for body, _ in INVALID:
        answer = await scene.client.post("/triggers", json=valid | body)
        assert answer.status_code in (400, 404), answer.text
        refused.append(answer.json()["message"].split(": ")[0])
    assert refused == [field for _, field in INVALID]
    assert (await scene.client.post("/triggers", json=valid)).status_code == 201
    for path in ("/triggers/report/secret", "/hooks/report"):
        assert (await scene.client.post(path, json={})).status_code in (400, 401)
