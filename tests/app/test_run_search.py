"""Runs looked for through the API: our own filters and pages (docs/reference/api-extensions.md)."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.app.dagbook import Dagbook, client_of, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.both_engines

QUICK = "steps: [{name: a, command: 'true'}]\n"
PASSWORD = "secret word"  # noqa: S105 - of a test
INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE runs; --",
    '" OR ""="',
    "%",
    "_",
    "\\",
    "a\\' OR 1=1",
    "$1",
    ":tag",
    "{}",
    "(select 1)",
    "x\ny",
    "\0",
    "\ud7ff",
    "é" * 500,
    "\U0001f600" * 300,
]
FILTERS = ("tag", "param", "trigger", "actor", "error", "name", "dagRunId")


async def _ids(client: httpx.AsyncClient, path: str, **query: Any) -> list[str]:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [run["dagRunId"] for run in answer.json()["dagRuns"]]


async def test_runs_are_found_by_what_they_were_started_with(dagbook: Dagbook) -> None:
    path, client = f"/dag-runs/{dagbook.name}", dagbook.client
    spec = "tags: [Nightly, team=a]\nparams: [{ENV: dev}, {NOTE: 'a b'}]\n" + QUICK
    await dagbook.run(spec, dagRunId="one")
    await dagbook.run(spec, dagRunId="two", params="ENV=prod")
    await dagbook.run("tags: weekly\n" + QUICK, dagRunId="three", params="first")
    assert await _ids(client, path, tag="nightly") == ["two", "one"]
    assert await _ids(client, path, tag=[" NIGHTLY ", "team=a"]) == ["two", "one"]
    assert await _ids(client, path, tag=["nightly", "weekly"]) == []
    assert await _ids(client, path, param="ENV=prod") == ["two"]
    assert await _ids(client, path, param=["ENV=dev", "NOTE=a b"]) == ["one"]
    assert await _ids(client, path, param="1=first") == ["three"]
    assert await _ids(client, path, trigger="api") == ["three", "two", "one"]
    assert await _ids(client, "/dag-runs", trigger="schedule", name=dagbook.name) == []
    assert await _ids(client, path, tag="", param="", trigger="", actor="", error="") == ["three", "two", "one"]


async def test_runs_are_found_by_how_they_ended(dagbook: Dagbook) -> None:
    path, client = f"/dag-runs/{dagbook.name}", dagbook.client
    await dagbook.run(QUICK, dagRunId="good")
    await dagbook.run("steps: [{name: a, command: 'echo Disk is full >&2; exit 3'}]\n", dagRunId="bad")
    assert await _ids(client, path, error="disk is FULL") == ["bad"]
    assert await _ids(client, path, error="disk is empty") == []
    assert await _ids(client, path, maxDuration="59m") == ["bad", "good"]
    assert await _ids(client, path, minDuration=3600) == []
    assert await _ids(client, path, minDuration="0s", maxDuration="1h", status=2) == ["bad"]


async def test_an_error_goes_when_the_run_is_tried_again_with_success(dagbook: Dagbook, tmp_path: Any) -> None:
    path, client = f"/dag-runs/{dagbook.name}", dagbook.client
    gate = tmp_path / "gate"
    await dagbook.run(f"steps: [{{name: a, command: 'test -e {gate} || (echo no gate >&2; exit 1)'}}]\n", dagRunId="r1")
    assert await _ids(client, path, error="no gate") == ["r1"]
    gate.touch()
    assert (await client.post(f"{path}/r1/retry", json={"dagRunId": "r1"})).status_code == 200

    async def succeeded() -> bool:
        return bool((await dagbook.get("r1"))["statusLabel"] == "succeeded")

    await wait_until(succeeded)
    assert await _ids(client, path, error="no gate") == []


async def test_a_queued_run_is_found_by_its_params_before_and_after_its_turn(dagbook: Dagbook) -> None:
    path, client = f"/dag-runs/{dagbook.name}", dagbook.client
    body = {"name": dagbook.name, "spec": "params: [{ENV: dev}]\n" + QUICK, "dagRunId": "q", "params": "ENV=stage"}
    assert (await client.post("/dag-runs/enqueue", json=body)).status_code == 200
    assert await _ids(client, path, param="ENV=stage") == ["q"]
    await dagbook.finished("q")
    assert await _ids(client, path, param="ENV=stage") == ["q"]


async def test_sub_runs_are_listed_when_asked_for_with_root_and_caller(dagbook: Dagbook) -> None:
    child = f"{dagbook.name}-c"
    spec = f"steps: [{{name: a, call: {child}, params: X=1}}]\n---\nname: {child}\nsteps: [{{command: 'true'}}]\n"
    await dagbook.run(spec, dagRunId="top")
    answer = (await dagbook.client.get(f"/dag-runs/{child}", params={"subRuns": "only"})).json()
    (run,) = answer["dagRuns"]
    assert (run["rootDAGRunName"], run["rootDAGRunId"]) == (dagbook.name, "top")
    assert (run["parentDAGRunName"], run["parentDAGRunId"]) == (dagbook.name, "top")
    assert await _ids(dagbook.client, f"/dag-runs/{child}") == []
    both = await _ids(dagbook.client, "/dag-runs", name=dagbook.name, subRuns="include")
    assert both == [run["dagRunId"], "top"]


async def test_runs_of_a_revision_are_found(dagbook: Dagbook) -> None:
    name, client = dagbook.name, dagbook.client
    assert (await client.post("/dags", json={"name": name, "spec": QUICK})).status_code == 201
    for number in (1, 2):
        assert (await client.post(f"/dags/{name}/start", json={"dagRunId": f"r{number}"})).status_code == 200
        await dagbook.finished(f"r{number}")
        assert (await client.put(f"/dags/{name}/spec", json={"spec": QUICK + f"# {number}\n"})).status_code == 200
    assert await _ids(client, f"/dag-runs/{name}", revision=2) == ["r2"]
    assert await _ids(client, f"/dag-runs/{name}", revision=9) == []


async def test_pages_continue_where_they_ended_though_runs_were_added(dagbook: Dagbook) -> None:
    path, client = f"/dag-runs/{dagbook.name}", dagbook.client
    for number in range(5):
        await dagbook.run(QUICK, dagRunId=f"r{number}")
    first = (await client.get(path, params={"limit": 2})).json()
    assert [run["dagRunId"] for run in first["dagRuns"]] == ["r4", "r3"]
    await dagbook.run(QUICK, dagRunId="new")
    second = (await client.get(path, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    third = (await client.get(path, params={"limit": 2, "cursor": second["nextCursor"]})).json()
    assert [run["dagRunId"] for page in (second, third) for run in page["dagRuns"]] == ["r2", "r1", "r0"]
    assert "nextCursor" not in third


async def test_a_list_without_more_has_no_cursor_and_one_cut_by_the_contract_has_one(dagbook: Dagbook) -> None:
    await dagbook.run(QUICK)
    assert (await dagbook.client.get(f"/dag-runs/{dagbook.name}")).json().keys() == {"dagRuns"}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "cursor=x",
        "param=x",
        "param==x",
        "revision=0",
        "revision=99999999999",
        "revision=x",
        "minDuration=soon",
        "minDuration=-1",
        "maxDuration=1d",
        "maxDuration=99999999999999h",
        "subRuns=some",
        "error=" + "x" * 1001,
        "tag=a" + "&tag=a" * 10,
        "trigger=a&trigger=b",
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused_by_its_name(client: httpx.AsyncClient, query: str) -> None:
    for path in ("/dag-runs", "/dag-runs/etl"):
        answer = await client.get(f"{path}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), answer.text
        assert answer.json()["message"].startswith(query.partition("=")[0] + ":")


@pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))
async def test_no_text_of_a_filter_is_taken_for_sql(dagbook: Dagbook, text: str) -> None:
    await dagbook.run("tags: a\nparams: [{A: b}]\n" + QUICK, dagRunId="plain")
    for name in FILTERS:
        value = quote(f"A={text}" if name == "param" else text)
        path = "/dag-runs?" if name == "name" else f"/dag-runs/{dagbook.name}?"
        answer = await dagbook.client.get(f"{path}{name}={value}&fromDate=0")
        assert (answer.status_code, answer.json().get("dagRuns")) == (200, []), (name, answer.text)
    assert await _ids(dagbook.client, f"/dag-runs/{dagbook.name}") == ["plain"]


@pytest.mark.parametrize("text", [text for text in INJECTIONS if text.isprintable() and "'" in text])
async def test_a_param_like_sql_is_kept_and_found(dagbook: Dagbook, text: str) -> None:
    await dagbook.run("params: [{A: b}]\n" + QUICK, dagRunId="r", params=json.dumps({"A": text}))
    params = (await dagbook.get("r"))["params"].removeprefix("A=")
    assert await _ids(dagbook.client, f"/dag-runs/{dagbook.name}", param=f"A={params}") == ["r"]


async def test_who_started_a_run_finds_it_by_that(database_url: str, tmp_path: Any) -> None:
    async with (
        serving(database_url, tmp_path, auth_basic_username="Ann", auth_basic_password=PASSWORD) as server,
        client_of(server) as client,
    ):
        client.auth = httpx.BasicAuth("Ann", PASSWORD)
        ann = Dagbook(client, "by-ann")
        await ann.run(QUICK, dagRunId="r1")
        assert await _ids(client, "/dag-runs", actor="Ann") == ["r1"]
        assert await _ids(client, "/dag-runs", actor="ann") == []


# -- a DAG's outlook -------------------------------------------------------------------------------------------------


async def test_statistics_count_ends_and_give_the_usual_duration(dagbook: Dagbook) -> None:
    name, client = dagbook.name, dagbook.client
    assert (await client.post("/dags", json={"name": name, "spec": QUICK})).status_code == 201
    for run_id, spec in (("a", QUICK), ("b", "steps: [{command: exit 1}]\n"), ("c", QUICK)):
        await dagbook.run(spec, dagRunId=run_id)
    found = (await client.get(f"/dags/{name}/statistics")).json()
    assert (found["runs"], found["succeeded"], found["failed"], found["truncated"]) == (3, 2, 1, False)
    assert 0 <= found["p50Seconds"] <= found["p95Seconds"] < 60
    assert [run["dagRunId"] for run in found["lastRuns"]] == ["c", "b", "a"]
    assert (await client.get(f"/dags/{name}/statistics?last=1")).json()["truncated"]
    assert (await client.get(f"/dags/{name}/statistics?days=1")).json()["runs"] == 3


async def test_runs_are_counted_by_day_and_status(dagbook: Dagbook) -> None:
    name, client = dagbook.name, dagbook.client
    assert (await client.post("/dags", json={"name": name, "spec": QUICK})).status_code == 201
    for run_id, spec in (("a", QUICK), ("b", "steps: [{command: exit 1}]\n"), ("c", QUICK)):
        await dagbook.run(spec, dagRunId=run_id)
    found = (await client.get(f"/dags/{name}/days?days=3&zone=Pacific/Chatham")).json()
    assert (found["dagName"], found["zone"], found["truncated"]) == (name, "Pacific/Chatham", False)
    days = found["days"]
    assert [one["toDate"] for one in days[:-1]] == [one["fromDate"] for one in days[1:]]
    total: Counter[str] = Counter()
    for day in days:  # midnight may have passed
        total.update({one["statusLabel"]: one["count"] for one in day["counts"]})
        dates = f"fromDate={day['fromDate']}&toDate={day['toDate']}"
        listed = (await client.get(f"/dag-runs/{name}?{dates}")).json()["dagRuns"]
        assert len(listed) == sum(one["count"] for one in day["counts"])
    assert (total, len(days)) == ({"failed": 1, "succeeded": 2}, 3)


async def test_the_next_starts_are_in_order_and_in_the_zone_of_their_schedule(dagbook: Dagbook) -> None:
    name, client = dagbook.name, dagbook.client
    spec = "schedule: ['0 3 * * *', 'CRON_TZ=Asia/Tokyo 30 12 * * *', '0 3 * * *']\n" + QUICK
    assert (await client.post("/dags", json={"name": name, "spec": spec})).status_code == 201
    found = (await client.get(f"/dags/{name}/schedule/next?count=4")).json()
    assert not found["suspended"]
    assert sorted(start["at"][10:] for start in found["starts"]) == [
        "T03:00:00Z",
        "T03:00:00Z",
        "T12:30:00+09:00",
        "T12:30:00+09:00",
    ]
    assert len({start["expression"] for start in found["starts"]}) == 2


async def test_a_dag_without_a_schedule_has_no_next_start(dagbook: Dagbook) -> None:
    assert (await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": QUICK})).status_code == 201
    assert (await dagbook.client.get(f"/dags/{dagbook.name}/schedule/next")).json() == {
        "suspended": False,
        "starts": [],
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dags/never-heard/statistics", 404),
        ("/dags/never-heard/days", 404),
        ("/dags/never-heard/schedule/next", 404),
        ("/dags/x/statistics?last=0", 400),
        ("/dags/x/statistics?days=99999", 400),
        ("/dags/x/days?days=0", 400),
        ("/dags/x/days?days=367", 400),
        ("/dags/x/days?zone=Nowhere", 400),
        ("/dags/x/days?zone=America", 400),
        ("/dags/x/days?zone=../../../etc/passwd", 400),
        ("/dags/x/days?zone=%00", 400),
        ("/dags/x/schedule/next?count=101", 400),
    ],
)
async def test_an_outlook_that_makes_no_sense_is_refused(client: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await client.get(path)).status_code == status
