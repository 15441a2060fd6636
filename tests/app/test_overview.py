"""The overview of all DAGs through the API: outcomes by time, failures by reason and whether they are fixed, queues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.dagbook import Dagbook

pytestmark = pytest.mark.both_engines


async def _overview(client: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    answer = await client.get("/overview", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _failures(dagbook: Dagbook) -> list[dict[str, Any]]:
    found = await _overview(dagbook.client)
    return [group for group in found["failures"] if group["name"] == dagbook.name]


def _failed(found: dict[str, Any]) -> int:
    return sum(one["count"] for bar in found["bars"] for one in bar["counts"] if one["status"] == 2)


async def test_failures_are_one_row_per_reason_until_a_run_succeeds(dagbook: Dagbook, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    spec = (
        "params: [{WHY: no room for 17 rows}]\n"
        f"steps: [{{name: load, script: 'test -e {mended} && exit; echo \"$WHY\" >&2; exit 3'}}]\n"
    )
    before = _failed(await _overview(dagbook.client))
    first = await dagbook.run(spec)
    last = await dagbook.run(spec, params='WHY="no room for 4 rows"')
    other = await dagbook.run(spec, params='WHY="no network"')
    assert {first.status, last.status, other.status} == {"failed"}
    network, room = await _failures(dagbook)
    assert [group["count"] for group in (network, room)] == [1, 2]
    assert room["reason"] == "load: exit status 3 \N{EN DASH} no room for 4 rows"
    assert room["dagRunId"] == last.details["dagRunId"]
    assert room["latest"]["dagRunId"] == other.details["dagRunId"]
    assert (room["fixed"], room["mayRetry"], "lastGood" in room, "latest" in network) == (False, True, False, False)
    assert _failed(await _overview(dagbook.client)) >= before + 3
    mended.touch()
    good = await dagbook.run(spec)
    again = await _failures(dagbook)
    assert [group["id"] for group in again] == [network["id"], room["id"]]
    assert [(group["fixed"], group["lastGood"]["dagRunId"]) for group in again] == [
        (True, good.details["dagRunId"])
    ] * 2
    retried = await dagbook.client.post(f"{other.path}/retry", json={"dagRunId": other.details["dagRunId"]})
    assert retried.status_code == 200, retried.text
    await dagbook.finished(other.details["dagRunId"])
    assert [group["id"] for group in await _failures(dagbook)] == [room["id"]], "what a retry mended is no failure"


async def test_a_paused_queue_with_a_run_is_stuck_for_its_reason(dagbook: Dagbook) -> None:
    name = dagbook.name
    assert (await dagbook.client.post(f"/queues/{name}/pause")).status_code == 200
    body = {"name": name, "spec": "steps: [{name: a, command: 'true'}]\n"}
    run_id = (await dagbook.client.post("/dag-runs/enqueue", json=body)).json()["dagRunId"]
    (queue,) = [one for one in (await _overview(dagbook.client))["queues"] if one["name"] == name]
    assert (queue["queued"], queue["stuck"], queue["waitingFor"]["reason"]) == (1, True, "paused")
    assert (await dagbook.client.post(f"/queues/{name}/resume")).status_code == 200
    await dagbook.finished(run_id)
    (queue,) = [one for one in (await _overview(dagbook.client))["queues"] if one["name"] == name]
    assert (queue["queued"], queue["started"], "stuck" in queue) == (0, 1, False)
    assert 0 <= queue["medianWait"] <= queue["longestWait"]


@pytest.mark.parametrize(("range_", "unit", "bars"), [("24h", "hour", 24), ("7d", "day", 7), ("30d", "day", 30)])
async def test_a_range_is_of_hours_or_days(client: httpx.AsyncClient, range_: str, unit: str, bars: int) -> None:
    found = await _overview(client, range=range_, zone="Europe/Berlin")
    assert (found["range"], found["unit"], len(found["bars"])) == (range_, unit, bars)
    assert (found["bars"][0]["fromDate"], found["bars"][-1]["toDate"]) == (found["fromDate"], found["toDate"])
    assert found["dags"] >= 0
    assert found["sources"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [({"range": "1y"}, "range"), ({"zone": "Mars/Olympus"}, "zone"), ({"zone": "../etc/passwd"}, "zone")],
)
async def test_an_unknown_range_or_zone_is_refused(
    client: httpx.AsyncClient, query: dict[str, str], field: str
) -> None:
    answer = await client.get("/overview", params=query)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(field)
