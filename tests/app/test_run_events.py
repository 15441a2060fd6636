"""A run's history through the API (extension of the contract)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.dagbook import Dagbook

SPEC = """\
handlerOn: {exit: {command: 'true'}}
steps:
  - {name: a, command: 'true'}
  - {name: b, command: exit 3, retryPolicy: {limit: 1, intervalSec: 0}, continueOn: {failure: true}}
"""


async def events_of(client: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(f"{path}/events", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_history_of_a_run_is_told_in_the_words_of_the_api(dagbook: Dagbook) -> None:
    run = await dagbook.run(SPEC)
    found = (await events_of(dagbook.client, run.path))["events"]
    assert [event["number"] for event in found] == list(range(1, len(found) + 1))
    assert {event["attempt"] for event in found} == {1}
    assert found[0]["trigger"] == "api"
    of_run = [event["statusLabel"] for event in found if "step" not in event and "statusLabel" in event]
    assert of_run == ["running", "partially_succeeded"]
    steps = {name: [e for e in found if e.get("step") == name] for name in ("a", "b", "onExit")}
    assert [event["statusLabel"] for event in steps["a"] if "status" in event] == ["running", "succeeded"]
    assert [event["statusLabel"] for event in steps["onExit"] if "status" in event] == ["running", "succeeded"]
    assert {event["retryCount"] for event in steps["b"] if "retryCount" in event} == {1}
    last = steps["b"][-1]
    assert (last["statusLabel"], last["status"], last["exitCode"]) == ("failed", 2, 3)
    assert last["finishedAt"].endswith("Z")
    assert len(last["at"].split(".")[1]) == len("123Z")


async def test_pages_of_a_history_meet_without_gap_or_overlap(dagbook: Dagbook) -> None:
    run = await dagbook.run(SPEC)
    whole = await events_of(dagbook.client, run.path)
    after, found = 0, []
    while True:
        page = await events_of(dagbook.client, run.path, after=after, limit=3)
        found += page["events"]
        if "next" not in page:
            break
        after = page["next"]
        assert after == page["events"][-1]["number"]
    assert "next" not in whole
    assert found == whole["events"]


async def test_what_people_did_is_told_with_who_did_it(dagbook: Dagbook) -> None:
    run = await dagbook.run("steps: [{name: a, command: 'false'}]\n", dagRunId="r1")
    await dagbook.client.patch(f"{run.path}/steps/a/status", json={"status": 4})
    edited = (await events_of(dagbook.client, run.path))["events"][-1]
    assert (edited["step"], edited["statusLabel"], edited["setByHand"], edited["actor"]) == (
        "a",
        "succeeded",
        True,
        "anonymous",
    )
    await dagbook.client.post(f"{run.path}/retry", json={"dagRunId": "r1"})
    await dagbook.finished("r1")
    later = [event for event in (await events_of(dagbook.client, run.path))["events"] if event["attempt"] == 2]
    assert later[0]["trigger"] == "retry"


async def test_a_stop_is_told(dagbook: Dagbook) -> None:
    run_id = await dagbook.start("steps: [{name: a, command: echo up; sleep 60}]\n")
    await dagbook.running(run_id, "a", "up")
    run = await dagbook.stop(run_id)
    found = (await events_of(dagbook.client, run.path))["events"]
    assert any("stopRequestedAt" in event for event in found)
    assert found[-1]["statusLabel"] == "aborted"


async def test_an_unmet_precondition_is_told_with_its_reason(dagbook: Dagbook) -> None:
    spec = "steps: [{name: a, command: 'true', preconditions: [{condition: x, expected: y}]}]\n"
    run = await dagbook.run(spec)
    found = (await events_of(dagbook.client, run.path))["events"]
    (skipped,) = [event for event in found if event.get("statusLabel") == "skipped"]
    assert len(skipped["unmetPreconditions"]) == 1


async def test_secrets_are_masked_as_they_are_stored(dagbook: Dagbook, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("very-secret-value")
    named = f"secrets: [{{name: S, provider: file, key: {secret}}}]\n"
    run = await dagbook.run(named + 'steps: [{name: a, command: "true", shell: "/nowhere/${S}"}]\n')
    answer = await dagbook.client.get(f"{run.path}/events")
    assert "/nowhere/*******" in answer.text
    assert "very-secret-value" not in answer.text


async def test_latest_and_sub_runs_are_understood(dagbook: Dagbook) -> None:
    spec = "steps: [{name: call, call: child}]\n---\nname: child\nsteps: [{name: inner, command: 'true'}]\n"
    run = await dagbook.run(spec)
    below = run.nodes["call"]["subRuns"][0]["dagRunId"]
    latest = await events_of(dagbook.client, f"/dag-runs/{dagbook.name}/latest")
    assert latest == await events_of(dagbook.client, run.path)
    found = (await events_of(dagbook.client, f"{run.path}/sub-dag-runs/{below}"))["events"]
    assert "inner" in {event.get("step") for event in found}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dag-runs/nothing/r1/events", 404),
        ("/dag-runs/nothing/latest/events", 404),
        ("/dag-runs/nothing/r1/sub-dag-runs/x/events", 404),
        ("/dag-runs/nothing/r%00/events", 404),
        ("/dag-runs/nothing/r1/events?after=-1", 400),
        ("/dag-runs/nothing/r1/events?after=x", 400),
        ("/dag-runs/nothing/r1/events?after=9999999999", 400),
        ("/dag-runs/nothing/r1/events?limit=0", 400),
        ("/dag-runs/nothing/r1/events?limit=1001", 400),
    ],
)
async def test_what_is_not_there_or_makes_no_sense_is_said(client: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await client.get(path)
    assert answer.status_code == status, answer.text
    if "?" in path:
        assert answer.json()["message"].startswith(path.rpartition("?")[2].partition("=")[0])


async def test_history_and_log_of_a_run_whose_text_was_redacted_are_still_told(dagbook: Dagbook) -> None:
    client, name = dagbook.client, dagbook.name
    own_text = f"# {name}\nsteps: [{{name: a, command: 'true'}}]\n"  # a text that was redacted cannot be saved again
    await client.post("/dags", json={"name": name, "spec": own_text})
    run_id = (await client.post(f"/dags/{name}/start", json={})).json()["dagRunId"]
    run = await dagbook.finished(run_id)
    await client.put(f"/dags/{name}/spec", json={"spec": "steps: []\n"})
    assert (await client.post(f"/dags/{name}/revisions/1/redact")).status_code == 200
    assert "a" in {event.get("step") for event in (await events_of(client, run.path))["events"]}
    assert "step=#1" in (await client.get(f"{run.path}/log")).json()["content"].replace('"', "")
