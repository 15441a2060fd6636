"""Wait reasons of queued runs; queues are paused, resumed, cleared and reordered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from dagbook.db.repositories import queue
from dagbook.main import Server
from dagbook.runs.wakeups import ALL_QUEUES
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.people import People
from tests.conftest import Copies
from tests.waiting import wait_until

pytestmark = pytest.mark.both_engines

QUICK = "params: N=0\nsteps: [{name: a, command: 'echo $N >> %s'}]\n"
GATED = """
{more}
steps: [{{name: a, command: "echo ready; while [ ! -e {gate} ]; do sleep 0.01; done"}}]
"""


@pytest.fixture(scope="module")
async def limited(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with queues of its own: ``one`` to ``four`` have room for one run, ``pair`` for two."""
    async for url in copies.copy():
        queues = "one=1,two=1,three=1,four=1,pair=2"
        async with serving(url, tmp_path_factory.mktemp("home"), queues=queues) as opened:
            yield opened


@pytest.fixture
async def beside(limited: Server, name: str) -> AsyncIterator[Dagbook]:
    async with client_of(limited) as client:
        yield Dagbook(client, name)


def _gated(directory: Path, more: str = "") -> str:
    return GATED.format(gate=directory / "gate", more=more)


async def _enqueue(dagbook: Dagbook, spec: str, **body: Any) -> str:
    answer = await dagbook.client.post("/dag-runs/enqueue", json={"spec": spec, "name": dagbook.name, **body})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["dagRunId"])


async def _post(client: httpx.AsyncClient, path: str, body: Any = None) -> Any:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _items(client: httpx.AsyncClient, name: str, **params: Any) -> dict[str, Any]:
    answer = await client.get(f"/queues/{quote(name)}/items", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _order(client: httpx.AsyncClient, name: str) -> list[str]:
    return [run["dagRunId"] for run in (await _items(client, name))["items"]]


async def _move(dagbook: Dagbook, run_id: str, body: Any) -> httpx.Response:
    waiting = (await dagbook.get(run_id))["waitingFor"]
    return await dagbook.client.patch(f"/queues/{waiting['queue']}/items/{waiting['item']}", json=body)


async def _paused(dagbook: Dagbook) -> str:
    name = f"{dagbook.name}.q"
    await _post(dagbook.client, f"/queues/{name}/pause")
    return name


async def _written(path: Path, lines: int) -> list[str]:
    async def look() -> list[str] | None:
        found = path.read_text().split() if path.exists() else []
        return found if len(found) == lines else None

    return await wait_until(look)


# -- reasons -----------------------------------------------------------------------------------------------------------


async def test_the_wait_reason_names_the_limit_and_the_active_runs(beside: Dagbook, tmp_path: Path) -> None:
    spec = _gated(tmp_path, "queue: one")
    ids = [await _enqueue(beside, spec) for _ in range(3)]
    await beside.running(ids[0], "a", "ready")
    holder = await beside.get(ids[0])
    first, second = [(await beside.get(run_id))["waitingFor"] for run_id in ids[1:]]
    same = ("queue", "reason", "limit", "running", "heldBy")
    assert {name: first[name] for name in same} == {
        "queue": "one",
        "reason": "limit",
        "limit": 1,
        "running": 1,
        "heldBy": [{"name": beside.name, "dagRunId": ids[0], "startedAt": holder["startedAt"]}],
    }
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    assert [first["position"], second["position"]] == [1, 2]
    full = f"queue 'one' is at its limit: 1 of 1 runs active (limit of the queue): {beside.name}/{ids[0]} since "
    assert first["message"].startswith(full)
    assert second["message"].startswith(f"1 ahead in queue 'one'; {full}")
    assert "waitingFor" not in holder
    (tmp_path / "gate").touch()
    for run_id in ids:
        await beside.finished(run_id)


@pytest.mark.parametrize("path", ["/dag-runs?status=5", "/dag-runs/{name}", "/queues", "/queues/{queue}/items"])
async def test_lists_have_the_wait_reason_of_every_queued_run(beside: Dagbook, path: str) -> None:
    name = await _paused(beside)
    ids = [await _enqueue(beside, QUICK % "/dev/null", queue=name) for _ in range(3)]
    answer = (await beside.client.get(path.format(name=beside.name, queue=name))).json()
    if path == "/queues":
        (answer,) = [one for one in answer["queues"] if one["name"] == name]
    runs = [run for run in answer.get("dagRuns", answer.get("queued", answer.get("items"))) if run["dagRunId"] in ids]
    found = {run["dagRunId"]: (run["waitingFor"]["reason"], run["waitingFor"]["position"]) for run in runs}
    assert found == {run_id: ("paused", position) for position, run_id in enumerate(ids, 1)}
    assert await _post(beside.client, f"/queues/{name}/clear", {"name": name}) == {"removed": 3}


async def test_a_lasting_reason_is_stored_for_the_head_of_the_queue(beside: Dagbook, limited: Server) -> None:
    name = await _paused(beside)
    run_id = await _enqueue(beside, QUICK % "/dev/null", queue=name)

    async def look() -> str | None:
        (entry,) = await limited.services.runs.database.read(lambda connection: queue.find_next(connection, name, 9))
        return str(entry.reason) if entry.reason else None

    assert (await wait_until(look)).startswith(f"queue '{name}' is paused since 2")
    await _post(beside.client, f"/queues/{name}/resume")
    await beside.finished(run_id)


# -- pauses ------------------------------------------------------------------------------------------------------------


async def test_no_run_leaves_a_paused_queue(beside: Dagbook, tmp_path: Path) -> None:
    name = await _paused(beside)
    ids = [await _enqueue(beside, QUICK % (tmp_path / "order"), queue=name, params=f"N={n}") for n in range(3)]
    other = await _enqueue(beside, QUICK % "/dev/null", queue=f"{name}2")
    await beside.finished(other)
    assert await _order(beside.client, name) == ids
    shown = await _items(beside.client, name)
    assert (shown["type"], shown["running"], "since" in shown["paused"]) == ("dag-based", [], True)
    assert await _post(beside.client, f"/queues/{name}/resume") == {"name": name}
    for run_id in ids:
        await beside.finished(run_id)
    assert await _written(tmp_path / "order", 3) == ["0", "1", "2"]


async def test_a_queue_that_is_paused_twice_is_paused_since_the_first_time(beside: Dagbook) -> None:
    name = f"{beside.name}.q"
    first, second = [await _post(beside.client, f"/queues/{name}/pause") for _ in range(2)]
    assert first == second
    assert name in {one["name"] for one in (await beside.client.get("/queues")).json()["queues"]}
    for _ in range(2):
        assert await _post(beside.client, f"/queues/{name}/resume") == {"name": name}


async def test_a_paused_queue_names_the_user(people: People, name: str) -> None:
    ann = await people.add("operator")
    async with people.client(await people.login(ann.name)) as client:
        shown = await _post(client, f"/queues/{name}/pause")
        assert shown["paused"]["by"] == ann.name
        await _post(client, f"/queues/{name}/resume")


async def test_a_start_is_queued_in_a_paused_shared_queue(beside: Dagbook) -> None:
    await _post(beside.client, "/queues/two/pause")
    run_id = await beside.start("queue: two\n" + QUICK % "/dev/null")
    assert (await beside.get(run_id))["waitingFor"]["reason"] == "paused"
    await _post(beside.client, "/queues/two/resume")
    assert (await beside.finished(run_id)).status == "succeeded"


# -- order -------------------------------------------------------------------------------------------------------------


async def test_runs_start_by_priority_then_by_age(beside: Dagbook, tmp_path: Path) -> None:
    name = await _paused(beside)
    wanted = [0, 5, -3, 5, 0]
    for number, priority in enumerate(wanted):
        await _enqueue(beside, QUICK % (tmp_path / "order"), queue=name, params=f"N={number}", priority=priority)
    shown = (await _items(beside.client, name))["items"]
    assert [run["waitingFor"]["priority"] for run in shown] == [5, 5, 0, 0, -3]
    await _post(beside.client, f"/queues/{name}/resume")
    assert await _written(tmp_path / "order", 5) == ["1", "3", "0", "4", "2"]


async def test_a_run_is_moved_to_the_front_and_by_priority(beside: Dagbook) -> None:
    name = await _paused(beside)
    a, b, c, d = [await _enqueue(beside, QUICK % "/dev/null", queue=name, priority=n) for n in (1, 0, 0, 0)]
    assert (await _move(beside, d, {"toFront": True})).status_code == 200
    assert await _order(beside.client, name) == [d, a, b, c]
    assert (await beside.get(d))["waitingFor"]["priority"] == 1  # that of the one that was first
    assert (await _move(beside, c, {"toFront": True})).status_code == 200
    assert await _order(beside.client, name) == [c, d, a, b]
    assert (await _move(beside, c, {"priority": 0})).status_code == 200
    assert await _order(beside.client, name) == [d, a, b, c]
    assert (await _move(beside, b, {"priority": 1})).status_code == 200
    assert await _order(beside.client, name) == [d, a, b, c]
    assert (await _move(beside, a, {"priority": -1, "toFront": False})).status_code == 200
    assert await _order(beside.client, name) == [d, b, c, a]
    await _post(beside.client, f"/queues/{name}/clear", {"name": name})


async def test_a_run_is_moved_right_behind_another_one(beside: Dagbook) -> None:
    name = await _paused(beside)
    runs = [await _enqueue(beside, QUICK % "/dev/null", queue=name, priority=n) for n in (1, 0, 0, 0, 0)]
    a, b, c, d, e = runs
    item = {run: (await beside.get(run))["waitingFor"]["item"] for run in runs}
    for run, other, order in (
        (e, b, [a, b, e, c, d]),
        (b, d, [a, e, c, d, b]),
        (c, a, [a, c, e, d, b]),  # and has its priority
        (a, b, [c, e, d, b, a]),
        (a, e, [c, e, a, d, b]),
    ):
        assert (await _move(beside, run, {"after": item[other]})).status_code == 200
        assert await _order(beside.client, name) == order
    assert (await beside.get(c))["waitingFor"]["priority"] == 1
    last = await _enqueue(beside, QUICK % "/dev/null", queue=name)
    assert await _order(beside.client, name) == [c, e, a, d, b, last]
    assert (await _move(beside, b, {"after": item[b]})).status_code == 400
    assert (await _move(beside, b, {"after": 10**12})).status_code == 404
    await _post(beside.client, f"/queues/{name}/clear", {"name": name})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"after": 1, "toFront": True}, "after"),
        ({"after": -1}, "after"),
        ({"after": "first"}, "after"),
        ({"after": 2**63}, "after"),
        ({}, "priority"),
        ({"priority": 1001}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"toFront": 3}, "toFront"),
    ],
)
async def test_an_empty_or_invalid_move_is_refused(beside: Dagbook, body: Any, field: str) -> None:
    name = await _paused(beside)
    run_id = await _enqueue(beside, QUICK % "/dev/null", queue=name)
    answer = await _move(beside, run_id, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert field in answer.json()["message"]
    await _post(beside.client, f"/queues/{name}/clear", {"name": name})


@pytest.mark.parametrize("item", ["0", "99", "x", "9" * 30])
async def test_an_unknown_entry_cannot_be_moved(beside: Dagbook, item: str) -> None:
    answer = await beside.client.patch(f"/queues/one/items/{item}", json={"toFront": True})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("priority", [-1001, 1001, 10**30])
async def test_an_invalid_priority_is_refused(beside: Dagbook, priority: int) -> None:
    body = {"spec": QUICK % "/dev/null", "name": beside.name, "priority": priority}
    answer = await beside.client.post("/dag-runs/enqueue", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert "priority" in answer.json()["message"]


async def test_concurrent_runs_are_queued_in_the_order_of_their_numbers(beside: Dagbook, limited: Server) -> None:
    name = await _paused(beside)
    await asyncio.gather(*(_enqueue(beside, QUICK % "/dev/null", queue=name) for _ in range(20)))
    entries = await limited.services.runs.database.read(lambda connection: queue.find_next(connection, name, 99))
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries)
    assert len(entries) == 20
    await _post(beside.client, f"/queues/{name}/clear", {"name": name})


async def test_a_start_does_not_overtake_queued_runs(beside: Dagbook, tmp_path: Path) -> None:
    """The queue has room for two, but the one that is next allows no run beside it."""
    name = f"{beside.name}.q"
    busy = await _enqueue(beside, _gated(tmp_path), queue=name)
    await beside.running(busy, "a", "ready")
    narrow = await _enqueue(beside, QUICK % "/dev/null", queue=name)
    other = Dagbook(beside.client, f"{beside.name}.b")
    late = await other.start(f"queue: {name}\nmaxActiveRuns: 5\n" + QUICK % "/dev/null")
    assert (await other.get(late))["waitingFor"]["position"] == 2
    (tmp_path / "gate").touch()
    for dagbook, run_id in ((beside, busy), (beside, narrow), (other, late)):
        assert (await dagbook.finished(run_id)).status == "succeeded"


# -- pages and clearing ------------------------------------------------------------------------------------------------


async def test_a_queue_is_shown_page_by_page(beside: Dagbook) -> None:
    name = await _paused(beside)
    ids = [await _enqueue(beside, QUICK % "/dev/null", queue=name) for _ in range(5)]
    page = await _items(beside.client, name, page=2, perPage=2)
    assert [(run["dagRunId"], run["waitingFor"]["position"]) for run in page["items"]] == [(ids[2], 3), (ids[3], 4)]
    assert page["pagination"]["totalRecords"] == 5
    await _post(beside.client, f"/queues/{name}/clear", {"name": name})


async def test_an_empty_queue_is_shown_only_if_configured(beside: Dagbook) -> None:
    shown = await _items(beside.client, "pair")
    assert (shown["type"], shown["maxConcurrency"], shown["items"]) == ("global", 2, [])
    for name in ("nothing-here", "\0"):
        answer = await beside.client.get(f"/queues/{quote(name)}/items")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_queue_is_cleared_only_with_its_name_typed(beside: Dagbook) -> None:
    name = await _paused(beside)
    run_id = await _enqueue(beside, QUICK % "/dev/null", queue=name)
    answer = await beside.client.post(f"/queues/{name}/clear", json={"name": name[:-1]})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert await _order(beside.client, name) == [run_id]
    assert await _post(beside.client, f"/queues/{name}/clear", {"name": name}) == {"removed": 1}
    assert (await beside.client.get(f"/dag-runs/{beside.name}/{run_id}")).status_code == 404
    await _post(beside.client, f"/queues/{name}/resume")


async def test_clearing_a_long_queue_dequeues_all_runs(beside: Dagbook) -> None:
    name = await _paused(beside)
    await asyncio.gather(*(_enqueue(beside, QUICK % "/dev/null", queue=name) for _ in range(230)))
    assert await _post(beside.client, f"/queues/{name}/clear", {"name": name}) == {"removed": 230}
    assert (await _items(beside.client, name))["items"] == []


# -- retries and runs started anew -------------------------------------------------------------------------------------


async def test_a_retry_is_queued_in_a_full_queue_and_keeps_its_results(beside: Dagbook, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    spec = f"""
queue: three
maxActiveRuns: 9
steps:
  - {{name: a, command: echo once >> {tmp_path}/a}}
  - {{name: b, command: test -e {flag}, depends: a}}
"""
    failed = await beside.run(spec, dagRunId="r1")
    assert failed.status == "failed"
    other = Dagbook(beside.client, f"{beside.name}.b")
    busy = await other.start(_gated(tmp_path, "queue: three"))
    await other.running(busy, "a", "ready")
    flag.touch()
    answer = await beside.client.post(f"/dag-runs/{beside.name}/r1/retry", json={"dagRunId": "r1"})
    assert (answer.status_code, answer.content) == (200, b"")
    waiting = await beside.get("r1")
    assert (waiting["statusLabel"], waiting["waitingFor"]["heldBy"][0]["dagRunId"]) == ("queued", busy)
    assert [node["statusLabel"] for node in waiting["nodes"]] == ["succeeded", "not_started"]
    assert waiting["queuedAt"]
    (tmp_path / "gate").touch()
    ended = await beside.finished("r1")
    assert (ended.status, ended.statuses) == ("succeeded", ["succeeded", "succeeded"])
    assert (tmp_path / "a").read_text() == "once\n"


async def test_a_dequeued_retry_has_no_queue_time(beside: Dagbook) -> None:
    failed = await beside.run("queue: four\nmaxActiveRuns: 9\nsteps: [{name: a, command: 'false'}]\n", dagRunId="r1")
    await _post(beside.client, "/queues/four/pause")
    await beside.client.post(f"/dag-runs/{beside.name}/r1/retry", json={"dagRunId": "r1"})
    assert (await beside.get("r1"))["statusLabel"] == "queued"
    assert await _post(beside.client, "/queues/four/clear", {"name": "four"}) == {"removed": 1}
    await _post(beside.client, "/queues/four/resume")
    after = await beside.get("r1")
    assert (after["statusLabel"], after["nodes"]) == ("failed", failed.details["nodes"])
    assert "queuedAt" not in after


async def test_a_restarted_run_is_shown_as_queued(beside: Dagbook) -> None:
    before = await beside.run("queue: four\n" + QUICK % "/dev/null", dagRunId="r1")
    await _post(beside.client, "/queues/four/pause")
    shown = await _post(beside.client, f"{before.path}/reschedule", {"dagRunId": "r2"})
    assert shown == {"dagRunId": "r2", "queued": True}
    assert (await beside.get("r2"))["statusLabel"] == "queued"
    await _post(beside.client, "/queues/four/resume")
    assert (await beside.finished("r2")).status == "succeeded"


async def test_when_runs_of_many_queues_finish_at_once_queued_runs_start(
    copies: Copies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queues in which nobody waits are left out by one look at all of them; without it nobody else would wake these."""
    monkeypatch.setattr("dagbook.queues.dispatcher._FALLBACK_SECONDS", 600.0)
    async for url in copies.copy():
        async with serving(url, tmp_path / "home") as server, client_of(server) as client:
            dags = [Dagbook(client, f"many{number}") for number in range(8)]
            for dag in dags:
                await dag.start(_gated(tmp_path, f"queue: {dag.name}"))
            waiting = [await _enqueue(dag, _gated(tmp_path, f"queue: {dag.name}")) for dag in dags[::2]]
            worth = await server.dispatcher._with_entries({ALL_QUEUES, *(dag.name for dag in dags)})
            assert worth == {ALL_QUEUES, *(dag.name for dag in dags[::2])}
            (tmp_path / "gate").touch()
            for dag, run_id in zip(dags[::2], waiting, strict=True):
                assert (await dag.finished(run_id)).status == "succeeded"
