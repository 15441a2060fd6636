"""The pause of everything: nothing starts on any server, what runs goes on, and what is started meanwhile waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy import func, select, update

from dagbook.auth.roles import Role
from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.queue import QueuePause, TotalPause
from dagbook.db.models.run import Run, RunEvent
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import AuditFilter
from dagbook.engine.status import RunStatus
from dagbook.main import Server
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.people import serving_people
from tests.waiting import wait_until

QUICK = "maxActiveRuns: -1\nsteps: [{name: a, command: 'true'}]\n"
REASON = "move of the database"
_RUNS = 40


class Site(NamedTuple):
    """Servers on one database: several on PostgreSQL."""

    servers: list[Server]
    clients: list[httpx.AsyncClient]

    @property
    def client(self) -> httpx.AsyncClient:
        return self.clients[0]

    @property
    def dagbook(self) -> Dagbook:
        return Dagbook(self.client, "etl")

    async def pause(self, **body: Any) -> dict[str, Any]:
        answer = await self.client.put("/pause", json={"reason": REASON, **body})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def unpause(self) -> int:
        answer = await self.clients[-1].delete("/pause")
        assert answer.status_code == 200, answer.text
        return int(answer.json()["skippedStarts"])

    async def state(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get("/pause")).json()
        return found

    async def count_runs(self) -> dict[RunStatus, int]:
        """Count all runs by status."""
        statement = select(Run.status, func.count()).group_by(Run.status)
        database = self.servers[0].services.runs.database
        rows = await database.read(lambda connection: connection.execute(statement).all())
        return {row[0]: row[1] for row in rows}

    async def let_pass(self, model: type[QueuePause | TotalPause]) -> None:
        """Let the end of a pause have come a second ago."""

        def end(connection: WriteConnection) -> None:
            connection.execute(update(model).values(until=datetime.now(UTC) - timedelta(seconds=1)))

        await self.servers[0].services.runs.database.write(end)


@asynccontextmanager
async def opened(database_url: str, home: Path, number: int = 1, **settings: str) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        count = 1 if database_url.startswith("sqlite") else number
        servers = [
            await stack.enter_async_context(serving(database_url, home / str(each), **settings))
            for each in range(count)
        ]
        yield Site(servers, [await stack.enter_async_context(client_of(server)) for server in servers])


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(database_url, tmp_path) as made:
        yield made


async def test_a_start_waits_with_the_sentence_and_runs_when_the_pause_has_ended(site: Site) -> None:
    assert (await site.state()) == {"paused": False}
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    state = await site.pause(until=until.isoformat())
    assert (state["paused"], state["reason"], state["running"], state["queued"]) == (True, REASON, 0, 0)
    assert datetime.fromisoformat(state["until"]) == until
    started = await site.dagbook.start(QUICK)
    enqueued = await site.client.post("/dag-runs/enqueue", json={"spec": QUICK, "name": "etl", "dagRunId": "second"})
    assert enqueued.status_code == 200
    first = await site.dagbook.get(started)
    assert first["statusLabel"] == "queued"
    sentence = f"everything is paused until {until:%Y-%m-%dT%H:%M:%SZ}: {REASON}"
    waits = first["waitingFor"]
    assert (waits["reason"], waits["message"], waits["everything"]) == ("paused", sentence, True)
    assert (await site.state())["queued"] == 2
    await site.unpause()
    assert (await site.dagbook.finished(started)).status == "succeeded"
    assert (await site.dagbook.finished("second")).status == "succeeded"
    assert (await site.state()) == {"paused": False}


async def test_what_may_not_wait_is_refused_and_a_limit_is_told_with_the_pause(site: Site) -> None:
    running = await site.dagbook.start("maxActiveRuns: 1\nsteps: [{name: a, command: echo ready; sleep 60}]\n")
    await site.dagbook.running(running, "a", "ready")
    await site.pause()
    body = {"spec": QUICK, "name": "other", "singleton": True}
    refused = await site.client.post("/dag-runs", json=body)
    assert (refused.status_code, refused.json()["message"]) == (503, f"everything is paused: {REASON}")
    limited = await site.client.post("/dag-runs", json={**body, "name": "etl"})
    assert limited.status_code == 409
    assert "allows one run at a time" in limited.json()["message"]
    assert limited.json()["message"].endswith(f"; everything is paused: {REASON}")
    await site.dagbook.stop(running)


async def test_with_queues_switched_off_a_start_is_refused(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, queues_enabled="false") as site:
        await site.pause()
        refused = await site.client.post("/dag-runs", json={"spec": QUICK, "name": "etl"})
        assert (refused.status_code, REASON in refused.json()["message"]) == (503, True)
        await site.unpause()
        assert (await site.dagbook.run(QUICK)).status == "succeeded"


async def test_active_runs_go_on_with_their_sub_runs_retries_and_approvals(site: Site) -> None:
    await site.client.post("/dags", json={"name": "child", "spec": QUICK})
    spec = (
        "type: graph\nsteps:\n"
        "  - {name: gate, type: hitl}\n"
        "  - {name: call, call: child, depends: gate}\n"
        "  - {name: again, command: 'test -e again || { touch again; false; }', depends: gate,\n"
        "     retryPolicy: {limit: 1, intervalSec: 0}}\n"
    )
    run = await site.dagbook.start(spec)

    async def asks() -> bool:
        return bool((await site.client.get("/approvals/count")).json()["open"] == 1)

    await wait_until(asks)
    assert (await site.pause())["running"] == 1
    answer = await site.client.post(f"/dag-runs/etl/{run}/steps/gate/approve", json={})
    assert answer.status_code == 200, answer.text
    assert (await site.dagbook.finished(run)).status == "succeeded"
    assert (await site.state())["running"] == 0


async def test_a_retry_waits_and_a_dequeue_gives_back_the_state_before(site: Site) -> None:
    failed = await site.dagbook.run("steps: [{name: a, command: 'false'}]\n")
    await site.pause()
    run_id = failed.details["dagRunId"]
    retried = await site.client.post(f"{failed.path}/retry", json={"dagRunId": run_id})
    assert retried.status_code == 200, retried.text
    assert (await site.dagbook.get(run_id))["statusLabel"] == "queued"
    assert (await site.client.get(f"{failed.path}/dequeue")).status_code == 200
    assert (await site.dagbook.get(run_id))["statusLabel"] == "failed"


async def test_what_was_paused_and_suspended_by_itself_stays_so(site: Site) -> None:
    for name in ("one", "two"):
        await site.client.post("/dags", json={"name": name, "spec": QUICK})
        assert (await site.client.post(f"/dags/{name}/suspend", json={"suspend": True})).status_code == 200
    assert (await site.client.post("/queues/nightly/pause")).status_code == 200
    await site.pause()
    await site.unpause()
    found = (await site.client.get("/dags")).json()["dags"]
    assert {dag["fileName"]: dag["suspended"] for dag in found} == {"one": True, "two": True}
    assert [each["name"] for each in (await site.client.get("/queues")).json()["queues"] if each.get("paused")] == [
        "nightly"
    ]


async def test_a_pause_whose_end_has_passed_counts_as_absent_and_queued_runs_start(site: Site) -> None:
    await site.pause(until=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    run = await site.dagbook.start(QUICK)
    await site.let_pass(TotalPause)
    assert await site.state() == {"paused": False}
    refused = await site.client.delete("/pause")
    assert (refused.status_code, refused.json()["code"]) == (400, "not_running")
    site.servers[0].supervisor.active_runs.changed.notify()  # instead of half a minute
    assert (await site.dagbook.finished(run)).status == "succeeded"
    assert (await site.dagbook.run(QUICK)).status == "succeeded"


async def test_the_end_wakes_the_queues(site: Site) -> None:
    await site.pause(until=(datetime.now(UTC) + timedelta(seconds=2)).isoformat())
    begun = asyncio.get_running_loop().time()
    run = await site.dagbook.start(QUICK)
    assert (await site.dagbook.finished(run)).status == "succeeded"
    assert asyncio.get_running_loop().time() - begun < 10  # half a minute without


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": "  "}, "reason"),
        ({"reason": "ab"}, "reason"),
        ({"reason": "a\nb\nc"}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": REASON, "until": "2020-01-01T00:00:00Z"}, "until"),
        ({"reason": REASON, "until": "2999-01-01T00:00:00Z"}, "until"),
        ({"reason": REASON, "until": "tomorrow"}, "until"),
        ({"reason": REASON, "until": "2030-01-01T00:00:00"}, "until"),
    ],
)
async def test_a_pause_without_a_reason_or_with_an_end_in_the_past_is_refused(
    client: httpx.AsyncClient, body: dict[str, str], field: str
) -> None:
    answer = await client.put("/pause", json=body)
    assert (answer.status_code, field in answer.json()["message"]) == (400, True), answer.text
    assert (await client.get("/pause")).json() == {"paused": False}


async def test_a_second_pause_replaces_reason_and_end_and_the_audit_has_both(site: Site) -> None:
    first = await site.pause(until=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    second = await site.pause(reason="the network")
    assert (second["since"], second["reason"], "until" in second) == (first["since"], "the network", False)
    await site.unpause()
    rows = await site.servers[0].services.runs.database.read(
        lambda connection: audit.find(connection, AuditFilter(actions=["pause.set", "pause.end"]), 10)
    )
    end, change, begin = rows
    reasons = [(values or {}).get("reason") for values in (begin.before, begin.after, change.before, change.after)]
    assert reasons == [None, REASON, REASON, "the network"]
    assert (end.action, end.after) == ("pause.end", {"skippedStarts": 0})


async def test_managers_start_despite_the_pause_and_operators_do_not(database_url: str, tmp_path: Path) -> None:
    async with serving_people(database_url, tmp_path) as people:
        async with people.client((await people.add(Role.ADMIN)).token) as admin:
            assert (await admin.put("/pause", json={"reason": REASON})).status_code == 200
            assert (await admin.post("/dags", json={"name": "etl", "spec": QUICK})).status_code == 201
        body = {"despitePause": True, "dagRunId": "itself"}
        async with people.client((await people.add(Role.OPERATOR)).token) as operator:
            refused = await operator.post("/dags/etl/start", json=body)
            assert (refused.status_code, "despitePause" in refused.json()["message"]) == (403, True)
            assert (await operator.put("/pause", json={"reason": REASON})).status_code == 403
        async with people.client((await people.add(Role.MANAGER)).token) as manager:
            assert (await manager.delete("/pause")).status_code == 403
            assert (await manager.post("/dags/etl/start", json=body)).status_code == 200
            assert (await Dagbook(manager, "etl").finished("itself")).status == "succeeded"
        rows = await people.server.services.runs.database.read(
            lambda connection: audit.find(connection, AuditFilter(actions=["run.start"]), 10)
        )
        done = [row for row in rows if row.outcome == "done"]
        assert [(row.after or {}).get("despitePause") for row in done] == [True]


async def test_a_caller_with_grants_sees_since_when_why_and_until_when(database_url: str, tmp_path: Path) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    async with serving_people(database_url, tmp_path) as people:
        person = await people.add(Role.MANAGER)
        async with people.client((await people.add(Role.ADMIN, "ann")).token) as admin:
            shown = (await admin.put("/pause", json={"reason": REASON, "until": until})).json()
            assert (shown["by"], shown["running"], shown["queued"], shown["skippedStarts"]) == ("ann", 0, 0, 0)
            assert (await admin.patch(f"/users/{person.id}", json={"scope": "granted"})).status_code == 200
        async with people.client(person.token) as granted:
            found = (await granted.get("/pause")).json()
            assert set(found) == {"paused", "since", "reason", "until"}
            assert (await granted.put("/pause", json={"reason": REASON})).status_code == 403


async def test_a_queue_and_a_dag_are_resumed_by_themselves(site: Site) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    paused = await site.client.post("/queues/etl/pause", json={"reason": "full disk", "until": until})
    assert (paused.json()["paused"]["reason"], "until" in paused.json()["paused"]) == ("full disk", True)
    await site.client.post("/dag-runs/enqueue", json={"spec": QUICK, "name": "etl", "dagRunId": "r1"})
    waits = (await site.dagbook.get("r1"))["waitingFor"]
    assert waits["message"].endswith(": full disk")
    assert (waits["pauseReason"], "everything" in waits) == ("full disk", False)
    await site.let_pass(QueuePause)
    site.servers[0].supervisor.active_runs.changed.notify()  # instead of half a minute
    assert (await site.dagbook.finished("r1")).status == "succeeded"
    assert (await site.client.post("/queues/etl/pause", json={"until": "2020-01-01T00:00:00Z"})).status_code == 400


async def test_metrics_and_the_overview_say_that_everything_is_paused(site: Site) -> None:
    assert "dagbook_paused 0.0" in (await site.client.get("/metrics")).text
    await site.pause()
    assert "dagbook_paused 1.0" in (await site.client.get("/metrics")).text
    assert "pausedSince" not in (await site.client.get("/overview")).json()

    def age(connection: WriteConnection) -> None:
        connection.execute(update(TotalPause).values(paused_at=datetime.now(UTC) - timedelta(hours=25)))

    await site.servers[0].services.runs.database.write(age)
    assert "pausedSince" in (await site.client.get("/overview")).json()


def _count_begun(connection: ReadConnection) -> int:
    """Count the runs that have an event beside that of their acceptance."""
    return connection.scalar(select(func.count(RunEvent.run_id.distinct())).where(RunEvent.seq > 1)) or 0


async def _pause_amid_starts(site: Site, number: int) -> None:
    """Start runs on all servers, pause amid them, and see that none begins after the answer and none is lost."""

    async def start(each: int) -> None:
        client = site.clients[each % len(site.clients)]
        body = {"spec": QUICK, "name": f"etl{each % 5}", "dagRunId": f"r{number}-{each}"}
        path = "/dag-runs" if each % 2 else "/dag-runs/enqueue"
        assert (await client.post(path, json=body)).status_code == 200

    starts = [asyncio.create_task(start(each)) for each in range(_RUNS)]
    await asyncio.gather(*starts[: (number * 7) % 30 + 1])
    await site.pause()
    database = site.servers[0].services.runs.database
    begun = await database.read(_count_begun)
    await asyncio.gather(*starts)
    for server in site.servers:
        server.supervisor.active_runs.changed.notify()
        await server.dispatcher.run_once({""})
    assert await database.read(_count_begun) == begun
    assert (await site.count_runs())[RunStatus.QUEUED] == _RUNS * (number + 1) - begun
    await site.unpause()

    async def all_ran() -> bool:
        return await site.count_runs() == {RunStatus.SUCCEEDED: _RUNS * (number + 1)}

    await wait_until(all_ran)


@pytest.mark.both_engines
async def test_no_run_begins_after_a_pause_was_answered_on_any_server(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, 3) as site:
        for number in range(2):
            await _pause_amid_starts(site, number)


@pytest.mark.full
@pytest.mark.both_engines
@pytest.mark.timeout(900)
async def test_no_run_begins_after_a_pause_was_answered_fifty_times(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, 3) as site:
        for number in range(50):
            await _pause_amid_starts(site, number)
