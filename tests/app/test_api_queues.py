"""Runs that wait: enqueued, taken out, listed, started in their turn (api-behaviour 3.4, 3.6, 3.7; runtime 22)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.db.repositories import queue
from dagbook.db.repositories.runs import runs
from dagbook.main import Server
from tests.app.dagbook import Dagbook, client_of, serving
from tests.conftest import Copies
from tests.db.rows import run_sql

QUICK = "steps: [{name: a, command: 'true'}]\n"
GATED = """
maxActiveRuns: {most}
{queue}
params: N=0
steps: [{{name: a, command: "echo ready; while [ ! -e {gate} ]; do sleep 0.01; done; echo $N >> {gate}.order"}}]
"""


def _gated(directory: Path, *, most: int = 1, queue: str = "") -> str:
    """Make a definition whose runs go on until the gate is there, and then write their numbers in order."""
    return GATED.format(most=most, gate=directory / "gate", queue=f"queue: {queue}" if queue else "")


async def _enqueue(dagbook: Dagbook, spec: str, name: str = "", **body: Any) -> str:
    answer = await dagbook.client.post("/dag-runs/enqueue", json={"spec": spec, "name": name or dagbook.name, **body})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["dagRunId"])


def _error(answer: httpx.Response) -> tuple[int, str]:
    assert answer.json()["message"]
    return answer.status_code, answer.json()["code"]


async def _queues(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    answer = await client.get("/queues")
    assert answer.status_code == 200, answer.text
    return {found["name"]: found for found in answer.json()["queues"]}


# -- enqueue and the order of turns ------------------------------------------------------------------------------------


async def test_a_run_is_queued_while_another_of_its_dag_is_active(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = _gated(tmp_path)
    first = await _enqueue(dagbook, spec)
    await dagbook.running(first, "a", "ready")
    refused = await dagbook.client.post("/dag-runs", json={"spec": spec, "name": dagbook.name})
    assert refused.json()["message"].endswith("; enqueue the run to start it after that one")
    second = await _enqueue(dagbook, spec, params="N=2")
    waiting = await dagbook.get(second)
    assert (waiting["statusLabel"], waiting["startedAt"], waiting["finishedAt"]) == ("queued", "", "")
    assert waiting["queuedAt"]
    assert waiting["params"] == "N=2"
    assert [(node["statusLabel"], node["startedAt"], node["finishedAt"]) for node in waiting["nodes"]] == [
        ("not_started", "-", "-")
    ]
    assert (await dagbook.client.get(f"/dag-runs/{dagbook.name}/{second}/log")).status_code == 404
    (tmp_path / "gate").touch()
    ended = await dagbook.finished(second)
    assert ended.status == "succeeded"
    assert ended.details["queuedAt"] == waiting["queuedAt"]
    assert ended.details["startedAt"]


async def test_runs_leave_a_queue_in_order(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = _gated(tmp_path)
    ids = [await _enqueue(dagbook, spec, params=f"N={number}") for number in range(5)]
    (tmp_path / "gate").touch()
    for run_id in ids:
        assert (await dagbook.finished(run_id)).status == "succeeded"
    assert (tmp_path / "gate.order").read_text().split() == ["0", "1", "2", "3", "4"]


async def test_as_many_runs_are_active_as_the_dag_allows(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = _gated(tmp_path, most=2)
    ids = [await _enqueue(dagbook, spec) for _ in range(4)]
    for run_id in ids[:2]:
        await dagbook.running(run_id, "a", "ready")
    found = (await _queues(dagbook.client))[dagbook.name]
    assert [run["dagRunId"] for run in found["running"]] == ids[:2]
    assert [run["dagRunId"] for run in found["queued"]] == ids[2:]
    assert (found["type"], found["maxConcurrency"]) == ("dag-based", 2)
    (tmp_path / "gate").touch()
    for run_id in ids:
        await dagbook.finished(run_id)
    assert dagbook.name not in await _queues(dagbook.client)


async def test_a_run_uses_the_definition_that_was_enqueued(dagbook: Dagbook, tmp_path: Path) -> None:
    await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": _gated(tmp_path)})
    first, second = [
        (await dagbook.client.post(f"/dags/{dagbook.name}/enqueue", json={"params": f"N={number}"})).json()["dagRunId"]
        for number in (1, 2)
    ]
    assert (await dagbook.client.delete(f"/dags/{dagbook.name}")).status_code == 204
    (tmp_path / "gate").touch()
    for run_id in (first, second):
        assert (await dagbook.finished(run_id)).status == "succeeded"
    assert (tmp_path / "gate.order").read_text().split() == ["1", "2"]


async def test_a_status_that_is_set_while_a_run_is_queued_is_used_at_its_start(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    first, second = [await _enqueue(dagbook, _gated(tmp_path), params=f"N={number}") for number in (1, 2)]
    path = f"/dag-runs/{dagbook.name}/{second}/steps/a/status"
    assert (await dagbook.client.patch(path, json={"status": 4})).status_code == 200
    (tmp_path / "gate").touch()
    for run_id in (first, second):
        assert (await dagbook.finished(run_id)).status == "succeeded"
    assert (tmp_path / "gate.order").read_text().split() == ["1"]


async def test_a_run_without_steps_passes_through_its_queue(dagbook: Dagbook) -> None:
    assert (await dagbook.finished(await _enqueue(dagbook, "steps: []\n"))).status == "succeeded"


async def test_a_stored_dag_is_enqueued_under_another_name_id_and_queue(dagbook: Dagbook, tmp_path: Path) -> None:
    await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": _gated(tmp_path)})
    other = f"{dagbook.name}.x"
    body = {"dagName": other, "dagRunId": "r1", "queue": f" {other}.q "}
    answer = await dagbook.client.post(f"/dags/{dagbook.name}/enqueue", json=body)
    assert answer.json() == {"dagRunId": "r1"}
    queues = await _queues(dagbook.client)
    assert [run["name"] for run in (*queues[f"{other}.q"]["running"], *queues[f"{other}.q"]["queued"])] == [other]
    (tmp_path / "gate").touch()
    await dagbook.finished("r1", other)


async def test_the_log_of_a_run_names_its_queue(dagbook: Dagbook) -> None:
    run_id = await _enqueue(dagbook, QUICK)
    ended = await dagbook.finished(run_id)
    log = (await dagbook.client.get(f"{ended.path}/log")).json()["content"]
    assert f"queue={dagbook.name}" in log.splitlines()[0]


async def test_dotenv_files_and_secrets_are_read_at_the_start(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = (
        f"workingDir: {tmp_path}\nsecrets: [{{name: SEC, provider: file, key: secret}}]\n"
        'steps: [{name: a, command: "echo $SET in $SEC"}]\n'
    )
    busy = await _enqueue(dagbook, _gated(tmp_path))
    await dagbook.running(busy, "a", "ready")
    late = await _enqueue(dagbook, spec)
    (tmp_path / ".env").write_text("SET=late\n")
    (tmp_path / "secret").write_text("hunter2!\n")
    (tmp_path / "gate").touch()
    ended = await dagbook.finished(late)
    assert (ended.status, await ended.log("a")) == ("succeeded", "late in *******")


async def test_a_queued_run_without_its_secret_fails_with_a_sentence(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"workingDir: {tmp_path}\nsecrets: [{{name: SEC, provider: file, key: nowhere}}]\n{QUICK}"
    ended = await dagbook.finished(await _enqueue(dagbook, spec))
    assert (ended.status, ended.statuses) == ("failed", ["not_started"])
    assert "secret SEC" in (await dagbook.client.get(f"{ended.path}/log")).json()["content"]
    after = await dagbook.finished(await _enqueue(dagbook, QUICK))
    assert after.status == "succeeded"


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_an_id_that_is_used_is_refused(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = _gated(tmp_path)
    await _enqueue(dagbook, spec, dagRunId="r1")
    answers = [
        await dagbook.client.post(path, json={"spec": spec, "name": dagbook.name, "dagRunId": "r1"})
        for path in ("/dag-runs/enqueue", "/dag-runs")
    ]
    assert [_error(answer) for answer in answers] == [(409, "already_exists")] * 2
    (tmp_path / "gate").touch()
    await dagbook.finished("r1")


async def test_one_of_two_runs_enqueued_with_one_id_is_queued(dagbook: Dagbook) -> None:
    body = {"spec": QUICK, "name": dagbook.name, "dagRunId": "r1"}
    answers = await asyncio.gather(*(dagbook.client.post("/dag-runs/enqueue", json=body) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    await dagbook.finished("r1")


async def test_only_the_queue_of_a_dag_limits_its_queued_runs(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = _gated(tmp_path, most=2, queue=f"{dagbook.name}.q")
    ids = [await _enqueue(dagbook, spec) for _ in range(2)]
    answer = await dagbook.client.post("/dag-runs/enqueue", json={"spec": spec, "name": dagbook.name})
    assert _error(answer) == (409, "max_run_reached")
    (tmp_path / "gate").touch()
    for run_id in ids:
        await dagbook.finished(run_id)


async def test_a_start_is_refused_while_a_run_of_its_dag_is_queued(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = _gated(tmp_path)
    ids = [await _enqueue(dagbook, spec) for _ in range(2)]
    answer = await dagbook.client.post("/dag-runs", json={"spec": spec, "name": dagbook.name})
    assert _error(answer) == (409, "max_run_reached")
    (tmp_path / "gate").touch()
    for run_id in ids:
        await dagbook.finished(run_id)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"spec": " "},
        {"spec": QUICK},
        {"spec": "steps: [", "name": "x"},
        {"spec": QUICK, "name": "a b"},
        {"spec": QUICK, "name": "x", "dagRunId": "latest"},
        {"spec": QUICK, "name": "x", "queue": "a\0"},
        {"spec": QUICK, "name": "x", "queue": "a\nb"},
        {"spec": QUICK, "name": "x", "queue": "q" * 129},
        {"spec": QUICK, "name": "x", "queue": 5},
        {"spec": QUICK, "name": "x", "params": "a\0"},
    ],
)
async def test_an_invalid_enqueue_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert _error(await client.post("/dag-runs/enqueue", json=body)) == (400, "bad_request")


async def test_an_unknown_dag_cannot_be_enqueued(client: httpx.AsyncClient) -> None:
    assert _error(await client.post("/dags/nobody/enqueue", json={"queue": "a\0"})) == (404, "not_found")


async def test_the_runs_of_a_dag_called_enqueue_can_be_listed(dagbook: Dagbook) -> None:
    await _enqueue(dagbook, QUICK, name="enqueue", dagRunId=dagbook.name)
    answer = await dagbook.client.get("/dag-runs/enqueue", params={"dagRunId": dagbook.name})
    assert [run["dagRunId"] for run in answer.json()["dagRuns"]] == [dagbook.name]
    await dagbook.finished(dagbook.name, "enqueue")


# -- dequeue -----------------------------------------------------------------------------------------------------------


async def test_a_dequeued_run_is_deleted(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = _gated(tmp_path)
    first, second, third = [await _enqueue(dagbook, spec, params=f"N={number}") for number in (1, 2, 3)]
    await dagbook.running(first, "a", "ready")
    answer = await dagbook.client.get(f"/dag-runs/{dagbook.name}/{second}/dequeue")
    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
    assert (await dagbook.client.get(f"/dag-runs/{dagbook.name}/{second}")).status_code == 404
    assert [run["dagRunId"] for run in (await _queues(dagbook.client))[dagbook.name]["queued"]] == [third]
    assert _error(await dagbook.client.get(f"/dag-runs/{dagbook.name}/{second}/dequeue")) == (404, "not_found")
    (tmp_path / "gate").touch()
    for run_id in (first, third):
        await dagbook.finished(run_id)
    assert (tmp_path / "gate.order").read_text().split() == ["1", "3"]


async def test_one_of_concurrent_dequeues_deletes_the_run_and_the_others_do_not_find_it(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    first, second = [await _enqueue(dagbook, _gated(tmp_path)) for _ in range(2)]
    await dagbook.running(first, "a", "ready")
    path = f"/dag-runs/{dagbook.name}/{second}/dequeue"
    answers = await asyncio.gather(*(dagbook.client.get(path) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    assert {_error(answer) for answer in answers if answer.is_error} == {(404, "not_found")}
    (tmp_path / "gate").touch()
    await dagbook.finished(first)


async def test_only_a_queued_run_can_be_dequeued_and_only_a_running_one_stopped(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    spec = _gated(tmp_path)
    first, second = [await _enqueue(dagbook, spec) for _ in range(2)]
    await dagbook.running(first, "a", "ready")
    answer = await dagbook.client.get(f"/dag-runs/{dagbook.name}/{first}/dequeue")
    assert _error(answer) == (400, "bad_request")
    assert "running" in answer.json()["message"]
    stopped = await dagbook.client.post(f"/dag-runs/{dagbook.name}/{second}/stop")
    assert _error(stopped) == (400, "not_running")
    (tmp_path / "gate").touch()
    for run_id in (first, second):
        await dagbook.finished(run_id)
    for run_id in (first, "latest", "nobody"):
        answer = await dagbook.client.get(f"/dag-runs/{dagbook.name}/{run_id}/dequeue")
        assert _error(answer) == ((400, "bad_request") if run_id == first else (404, "not_found"))


async def test_dequeuing_the_first_run_starts_the_next(dagbook: Dagbook, tmp_path: Path) -> None:
    """The one that is next allows no other run beside it; the one behind it does."""
    name = f"{dagbook.name}.q"
    busy = await _enqueue(dagbook, _gated(tmp_path), queue=name)
    await dagbook.running(busy, "a", "ready")
    narrow = await _enqueue(dagbook, _gated(tmp_path), queue=name)
    wide = await _enqueue(dagbook, _gated(tmp_path, most=5).replace("$N", "wide"), queue=name)
    assert (await dagbook.get(wide))["statusLabel"] == "queued"
    await dagbook.client.get(f"/dag-runs/{dagbook.name}/{narrow}/dequeue")
    await dagbook.running(wide, "a", "ready")
    (tmp_path / "gate").touch()
    for run_id in (busy, wide):
        await dagbook.finished(run_id)


async def test_a_dequeue_and_a_start_exclude_each_other(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = _gated(tmp_path)
    first, second = [await _enqueue(dagbook, spec) for _ in range(2)]
    await dagbook.running(first, "a", "ready")
    (tmp_path / "gate").touch()
    await dagbook.finished(first)
    answer = await dagbook.client.get(f"/dag-runs/{dagbook.name}/{second}/dequeue")
    if answer.status_code == 200:
        assert (await dagbook.client.get(f"/dag-runs/{dagbook.name}/{second}")).status_code == 404
    else:
        assert _error(answer) == (400, "bad_request")
        assert (await dagbook.finished(second)).status == "succeeded"


async def test_a_dequeued_retry_leaves_the_run_unchanged(dagbook: Dagbook, server: Server) -> None:
    """Its rows are made by hand, so that it waits in a queue that nobody serves."""
    ended = await dagbook.run("steps: [{name: a, command: 'false'}]\n", dagRunId="r1")

    def queue_again(connection: Any) -> None:
        run = runs.get(connection, dagbook.name, "r1")
        assert run is not None
        key = run.id
        run_sql(
            connection,
            "UPDATE runs SET attempt = 2, status = 5, started_at = NULL, finished_at = NULL WHERE id = :id",
            id=key,
        )
        run_sql(
            connection,
            "INSERT INTO run_attempts (run_id, number, status, token, opened_at)"
            " SELECT run_id, 2, 5, 0, closed_at FROM run_attempts WHERE run_id = :id",
            id=key,
        )
        run_sql(
            connection,
            "INSERT INTO queue_entries (run_id, queue, priority, queued_at)"
            " SELECT run_id, 'nobody serves this', 1, closed_at FROM run_attempts WHERE run_id = :id AND number = 1",
            id=key,
        )

    await server.services.runs.database.write(queue_again)
    answer = await dagbook.client.get(f"/dag-runs/{dagbook.name}/r1/dequeue")
    assert answer.status_code == 200, answer.text
    after = await dagbook.get("r1")
    assert (after["statusLabel"], after["nodes"]) == ("failed", ended.details["nodes"])
    assert after["startedAt"]
    assert after["finishedAt"]
    log = (await dagbook.client.get(f"{ended.path}/log")).json()["content"]
    assert "attempt taken out of its queue" in log.splitlines()[-1]


# -- configured queues -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def configured(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with two queues that have limits of their own."""
    async for url in copies.copy():
        async with serving(url, tmp_path_factory.mktemp("home"), queues="wide=2,narrow=1") as opened:
            yield opened


@pytest.fixture
async def beside(configured: Server, name: str) -> AsyncIterator[Dagbook]:
    async with client_of(configured) as client:
        yield Dagbook(client, name)


async def test_a_configured_queue_is_listed_even_empty(beside: Dagbook) -> None:
    answer = (await beside.client.get("/queues")).json()
    assert answer["queues"] == [
        {"name": "wide", "type": "global", "maxConcurrency": 2, "running": [], "queued": []},
        {"name": "narrow", "type": "global", "maxConcurrency": 1, "running": [], "queued": []},
    ]
    assert answer["summary"] == {
        "totalQueues": 2,
        "totalRunning": 0,
        "totalQueued": 0,
        "totalCapacity": 3,
        "utilizationPercentage": 0.0,
    }


async def test_a_configured_queue_has_its_own_limit_whatever_its_dags_say(beside: Dagbook, tmp_path: Path) -> None:
    """Runs of two DAGs that each allow one run leave the queue in pairs, in the order in which they came."""
    spec = _gated(tmp_path, queue="wide")
    names = [beside.name, f"{beside.name}.b"] * 2
    ids = [await _enqueue(beside, spec, name=name) for name in names]
    for name, run_id in zip(names[:2], ids[:2], strict=True):
        await Dagbook(beside.client, name).running(run_id, "a", "ready")
    found = (await _queues(beside.client))["wide"]
    assert [run["dagRunId"] for run in found["running"]] == ids[:2]
    assert [run["dagRunId"] for run in found["queued"]] == ids[2:]
    (tmp_path / "gate").touch()
    for name, run_id in zip(names, ids, strict=True):
        await beside.finished(run_id, name)


async def test_a_start_is_queued_when_its_queue_is_full_of_other_dags(beside: Dagbook, tmp_path: Path) -> None:
    spec = _gated(tmp_path, queue="narrow")
    first = await beside.start(spec)
    other = Dagbook(beside.client, f"{beside.name}.b")
    second = await other.start(spec)
    assert (await other.get(second))["statusLabel"] == "queued"
    refused = await other.client.post("/dag-runs", json={"spec": spec, "name": f"{beside.name}.c", "singleton": True})
    assert _error(refused) == (409, "max_run_reached")
    (tmp_path / "gate").touch()
    assert (await beside.finished(first)).status == (await other.finished(second)).status == "succeeded"


async def test_the_head_of_a_queue_has_a_stored_wait_reason(
    beside: Dagbook, configured: Server, tmp_path: Path
) -> None:
    spec = _gated(tmp_path, queue="narrow")
    ids = [await _enqueue(beside, spec) for _ in range(2)]
    await beside.running(ids[0], "a", "ready")
    await configured.dispatcher.run_once({"narrow"})
    (entry,) = await configured.services.runs.database.read(lambda connection: queue.find_next(connection, "narrow", 9))
    full = "queue 'narrow' is at its limit: 1 of 1 runs active (limit of the queue)"
    assert entry.reason is not None
    assert entry.reason.startswith(f"{full}: {beside.name}/{ids[0]} since 2")
    (tmp_path / "gate").touch()
    for run_id in ids:
        await beside.finished(run_id)


# -- switched off, broken ----------------------------------------------------------------------------------------------


async def test_with_queues_switched_off_nothing_is_queued(database_url: str, tmp_path: Path, name: str) -> None:
    settings = {"queues_enabled": "false", "queues": "shared=1"}
    async with serving(database_url, tmp_path, **settings) as server, client_of(server) as client:
        dagbook = Dagbook(client, name)
        spec = _gated(tmp_path, queue="shared")
        answer = await client.post("/dag-runs/enqueue", json={"spec": spec, "name": name})
        assert _error(answer) == (400, "bad_request")
        run_id = await dagbook.start(spec.replace("shared", "else", 1))
        other = await client.post("/dag-runs", json={"spec": spec.replace("shared", "else", 1), "name": f"{name}.b"})
        assert _error(other) == (409, "max_run_reached")
        assert [found["type"] for found in (await _queues(client)).values()] == ["dag-based"]
        assert _error(await client.get(f"/dag-runs/{name}/{run_id}/dequeue")) == (400, "bad_request")
        (tmp_path / "gate").touch()
        await dagbook.finished(run_id)


async def test_a_run_without_its_definition_fails_and_blocks_no_other(
    dagbook: Dagbook, server: Server, tmp_path: Path
) -> None:
    first = await _enqueue(dagbook, _gated(tmp_path))
    await dagbook.running(first, "a", "ready")
    lost = await _enqueue(dagbook, f"# {dagbook.name}\n{QUICK}")
    last = await _enqueue(dagbook, QUICK)

    def redact(connection: Any) -> None:
        run_sql(
            connection,
            "UPDATE definitions SET spec = NULL, redacted_at = created_at, redacted_by = 'me'"
            " WHERE hash = (SELECT definition_hash FROM runs WHERE dag_name = :name AND run_id = :id)",
            name=dagbook.name,
            id=lost,
        )

    await server.services.runs.database.write(redact)
    (tmp_path / "gate").touch()
    assert (await dagbook.finished(last)).status == "succeeded"
    assert (await dagbook.finished(lost)).status == "failed"
    log = (await dagbook.client.get(f"/dag-runs/{dagbook.name}/{lost}/log")).json()["content"]
    assert "could not be started" in log


async def test_runs_of_other_dags_in_the_queue_of_a_dag_do_not_count_for_it(dagbook: Dagbook, tmp_path: Path) -> None:
    other = f"{dagbook.name}-other"
    held = await _enqueue(dagbook, _gated(tmp_path), other, queue=dagbook.name)
    await Dagbook(dagbook.client, other).running(held, "a", "ready")
    assert (await dagbook.finished(await _enqueue(dagbook, QUICK))).status == "succeeded"
    assert (await dagbook.run(QUICK)).status == "succeeded"
    own, behind = await _enqueue(dagbook, _gated(tmp_path)), await _enqueue(dagbook, QUICK)
    await dagbook.running(own, "a", "ready")
    waiting = (await dagbook.get(behind))["waitingFor"]
    assert (waiting["reason"], waiting["running"], waiting["limit"]) == ("limit", 1, 1)
    assert [one["dagRunId"] for one in waiting["heldBy"]] == [own]
    (tmp_path / "gate").touch()
    assert (await dagbook.finished(behind)).status == "succeeded"
