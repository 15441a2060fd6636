"""Metrics, the machine's load and the processes behind the server (api-behaviour 3.2)."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from dagbook import __version__
from dagbook.db.database import Database, WriteConnection
from dagbook.db.migrations import upgrade
from dagbook.db.repositories import holds, services
from dagbook.db.repositories.holds import HoldRow
from dagbook.db.repositories.runs import run_history
from dagbook.engine.status import RunStatus
from dagbook.main import Server
from dagbook.runs.queries import RunTotals
from dagbook.telemetry.metrics import MAX_NAMES, OTHERS, RunMetrics
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.test_statements import recorded
from tests.db.rows import NOW, add_attempt, add_definition, add_run, bring_run_to, run_sql
from tests.runs.scene import IDENTITY, register
from tests.waiting import wait_until

GAUGES = (
    "dagu_info",
    "dagu_uptime_seconds",
    "dagu_dag_runs_currently_running",
    "dagu_dag_runs_queued_total",
    "dagu_dags_total",
    "dagu_scheduler_running",
)
HISTOGRAMS = ("dagu_dag_run_duration_seconds", "dagu_queue_wait_seconds", "dagbook_http_request_duration_seconds")
Samples = dict[str, dict[tuple[str, ...], float]]


async def _metrics(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels[name] for name in sorted(sample.labels))] = (
                sample.value
            )
    return found


# -- metrics ---------------------------------------------------------------------------------------------------------


async def test_the_page_has_the_names_that_dashboards_look_for(dagbook: Dagbook) -> None:
    await dagbook.run("steps: []\n")
    found = await _metrics(dagbook.client)
    assert found["dagu_info"] == {(platform.python_version(), __version__): 1}
    assert found["dagu_uptime_seconds"][()] > 0
    assert found["dagu_scheduler_running"] == {(): 0}
    assert {"dagu_dag_runs_currently_running", "dagu_dag_runs_queued_total", "dagu_dags_total"} <= found.keys()
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "python_info"} <= found.keys()


async def test_what_has_happened_is_counted(dagbook: Dagbook, server: Server) -> None:
    before = await _metrics(dagbook.client)
    await dagbook.client.post("/dags", json={"name": dagbook.name})
    await dagbook.run("steps: [{name: a, command: 'false'}]\n")
    run_id = await dagbook.start("steps: [{name: a, command: sleep 30}]\n")
    server.services.system.run_totals._fresh_until = 0
    after = await _metrics(dagbook.client)
    assert after["dagu_dags_total"][()] == before["dagu_dags_total"][()] + 1
    failed = before["dagu_dag_runs_total"].get(("failed",), 0)
    assert after["dagu_dag_runs_total"]["failed",] == failed + 1
    running = after["dagu_dag_runs_currently_running"][()]
    assert running == before["dagu_dag_runs_currently_running"][()] + 1 == after["dagu_dag_runs_total"]["running",]
    await dagbook.stop(run_id)


@pytest.fixture
async def fresh(database_url: str, tmp_path: Path, name: str) -> AsyncIterator[Dagbook]:
    """A server that has counted nothing yet: on the shared one there may be a hundred names already."""
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        yield Dagbook(client, name)


async def test_how_long_runs_took_is_told_by_the_name_of_their_dag(fresh: Dagbook) -> None:
    for _ in range(2):
        await fresh.run("steps: [{name: a, command: 'true'}]\n")

    async def look() -> Samples | None:
        found = await _metrics(fresh.client)
        return found if found.get("dagu_dag_run_duration_seconds_count", {}).get((fresh.name,)) == 2 else None

    found = await wait_until(look)  # a run is counted when its driver has left, a little after its end is stored
    assert found["dagu_dag_run_duration_seconds_bucket"][fresh.name, "+Inf"] == 2
    assert 0 <= found["dagu_dag_run_duration_seconds_sum"][fresh.name,] < 60
    assert (fresh.name,) not in found.get("dagu_queue_wait_seconds_count", {})


async def test_how_long_a_run_waited_in_its_queue_is_told(fresh: Dagbook) -> None:
    body = {"spec": "steps: []\n", "name": fresh.name}
    run_id = (await fresh.client.post("/dag-runs/enqueue", json=body)).json()["dagRunId"]
    await fresh.finished(run_id)
    found = await _metrics(fresh.client)
    assert found["dagu_queue_wait_seconds_count"][fresh.name,] == 1
    assert 0 <= found["dagu_queue_wait_seconds_sum"][fresh.name,] < 60


async def test_sub_runs_are_not_counted(fresh: Dagbook) -> None:
    spec = f"steps: [{{name: a, call: {fresh.name}-child}}]\n---\nname: {fresh.name}-child\nsteps: []\n"
    ended = await fresh.run(spec)
    assert ended.status == "succeeded"

    async def is_counted() -> bool:
        return (fresh.name,) in (await _metrics(fresh.client)).get("dagu_dag_run_duration_seconds_count", {})

    await wait_until(is_counted)
    counted = (await _metrics(fresh.client))["dagu_dag_run_duration_seconds_count"]
    assert (f"{fresh.name}-child",) not in counted


def test_names_of_dags_beyond_the_first_hundred_are_one_label() -> None:
    registry = CollectorRegistry()
    counted = RunMetrics(registry)
    for number in range(MAX_NAMES + 50):
        counted.observe_duration(f"d{number}", 1)
        counted.observe_wait("d0", 1)
    of_others = {"dag": OTHERS}
    assert registry.get_sample_value("dagu_dag_run_duration_seconds_count", of_others) == 50
    assert registry.get_sample_value("dagu_queue_wait_seconds_count", {"dag": "d0"}) == MAX_NAMES + 50


async def test_the_page_tells_the_kinds_that_dashboards_expect(client: httpx.AsyncClient) -> None:
    page = (await client.get("/metrics")).text
    kinds = dict(line.split()[2:] for line in page.splitlines() if line.startswith("# TYPE "))
    assert kinds["dagu_dag_runs_total"] == "counter"
    assert {kinds[name] for name in GAUGES} == {"gauge"}
    assert {kinds[name] for name in HISTOGRAMS} == {"histogram"}


async def test_totals_are_counted_again_only_after_a_rest(database: Database) -> None:
    totals = RunTotals(database)
    with recorded() as statements:
        await totals.read()
        await totals.read()
    assert len(statements) == 1


async def test_a_count_that_fails_leaves_the_others_on_the_page(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A real failure would have to take away a table of the server that all tests share.
    def fail(_connection: object) -> int:
        raise TimeoutError

    monkeypatch.setattr(run_history, "count_dags", fail)
    found = await _metrics(client)
    assert "dagu_dags_total" not in found
    assert "dagu_scheduler_running" in found


# -- load ------------------------------------------------------------------------------------------------------------


async def test_the_load_has_four_series_of_one_length(client: httpx.AsyncClient) -> None:
    answer = await client.get("/services/resources/history")
    found = answer.json()
    assert answer.status_code == 200
    assert set(found) == {"cpu", "memory", "disk", "load"}
    assert len({len(series) for series in found.values()}) == 1
    assert found["memory"][0]["value"] > 0
    assert abs(found["cpu"][0]["timestamp"] - datetime.now(UTC).timestamp()) < 3600


@pytest.mark.parametrize(
    ("duration", "some"), [("1ns", False), ("48h", True), ("soon", True), ("-1h", True), ("", True)]
)
async def test_the_load_is_told_since_then_or_for_an_hour(
    client: httpx.AsyncClient, server: Server, duration: str, some: bool
) -> None:
    server.services.system.resources.run_once()
    found = (await client.get("/services/resources/history", params={"duration": duration})).json()
    assert bool(found["load"]) is some


async def test_the_figures_count_runs_and_describe_the_database(dagbook: Dagbook, client: httpx.AsyncClient) -> None:
    before = (await client.get("/services/figures")).json()
    await dagbook.run("steps: [{name: a, command: 'false'}]\n")
    after = (await client.get("/services/figures")).json()
    assert after["runsOfLastHour"] >= before["runsOfLastHour"] + 1
    assert after["failedOfLastHour"] >= before["failedOfLastHour"] + 1
    assert after["database"] in ("sqlite", "postgresql")
    assert after["databaseBytes"] > 0
    assert after["schemaRevision"] == upgrade.head()


# -- processes -------------------------------------------------------------------------------------------------------


async def test_nobody_is_listed_where_nobody_is_registered(client: httpx.AsyncClient) -> None:
    assert (await client.get("/services/scheduler")).json() == {"schedulers": []}
    assert (await client.get("/workers")).json() == {"workers": [], "errors": []}


def _close(connection: WriteConnection, key: int) -> None:
    """Let no sweep find what a test has left."""
    bring_run_to(connection, key, RunStatus.FAILED)
    run_sql(connection, "UPDATE run_attempts SET status = 2 WHERE run_id = :id", id=key)
    run_sql(connection, "UPDATE run_attempts SET closed_at = opened_at WHERE run_id = :id", id=key)


@pytest.fixture
async def registered(server: Server) -> Any:
    """Register processes with the server that all tests share, and strike them off again."""
    names: list[str] = []

    async def register_as(kind: str, key: str, /, **values: Any) -> None:
        names.append(key)
        await register(server.services.runs.database, IDENTITY, id=key, kind=kind, **values)

    yield register_as
    now = datetime.now(UTC)
    for name in names:
        await server.services.runs.database.write(partial(services.stop, service=name, at=now, lease_until=now))


async def test_a_scheduler_is_active_while_its_lease_holds(client: httpx.AsyncClient, registered: Any) -> None:
    now = datetime.now(UTC)
    await registered("scheduler", "s1", started_at=NOW, pid=7)
    await registered("scheduler", "s2", started_at=NOW, pid=8, lease_until=now - timedelta(seconds=1))
    await registered("scheduler", "s3", heartbeat_at=now - timedelta(seconds=31))
    found = (await client.get("/services/scheduler")).json()["schedulers"]
    stamp = int(NOW.timestamp())
    assert [(one["instanceId"], one["status"]) for one in found] == [
        (f"here-7-{stamp}", "active"),
        (f"here-8-{stamp}", "inactive"),
    ]
    assert found[0]["startedAt"] == "2026-03-01T12:30:15Z"
    assert (await _metrics(client))["dagu_scheduler_running"] == {(): 1}


async def test_servers_that_hand_out_are_told_apart_by_their_machines(
    client: httpx.AsyncClient, server: Server, registered: Any
) -> None:
    shared = server.services.runs.database.dialect == "postgresql"
    now = datetime.now(UTC)
    for name, host, age in (("a", "box-1", 60), ("b", "box-2", 50), ("c", "box-1", 9)):  # the third replaces the first
        at = {"started_at": now - timedelta(seconds=age), "lease_until": now + timedelta(seconds=10 - age)}
        await registered("server", name, host=host, address="http://127.0.0.1:50055", **at)
    listed = (await client.get("/services/coordinator")).json()["coordinators"]
    found = {(one["instanceId"], one["host"], one["port"], one["status"]) for one in listed if "box" in one["host"]}
    expected = {("box-1@50055", "box-1", 50055, "active"), ("box-2@50055", "box-2", 50055, "inactive")}
    assert found == (expected if shared else set())  # nobody hands out the runs of a file, whose server drives them all


async def test_a_worker_is_listed_with_the_runs_it_drives(
    client: httpx.AsyncClient, server: Server, registered: Any, name: str
) -> None:
    keys = []

    def work(connection: WriteConnection) -> None:
        definition = add_definition(connection, hash=name)
        key = add_run(connection, dag_name=name, definition_hash=definition)
        add_attempt(connection, key, owner=f"w-{name}")
        bring_run_to(connection, key, RunStatus.RUNNING)
        keys.append(key)

    beat = datetime.now(UTC) - timedelta(seconds=7)
    known = {"name": name, "labels": {"gpu": "true"}, "capacity": 3}
    await registered(
        "worker", f"old-{name}", heartbeat_at=beat, **known | {"capacity": 9}, started_at=beat - timedelta(1)
    )
    await registered("worker", f"w-{name}", heartbeat_at=beat, started_at=beat, **known)
    await server.services.runs.database.write(work)
    (found,) = (await client.get("/workers")).json()["workers"]
    assert (found["id"], found["healthStatus"], found["labels"]) == (name, "warning", {"gpu": "true"})
    assert (found["totalPollers"], found["busyPollers"]) == (3, 1)
    (task,) = found["runningTasks"]
    await server.services.runs.database.write(lambda connection: _close(connection, keys[0]))
    assert (task["dagName"], task["rootDagRunName"], task["parentDagRunId"]) == (name, "", "")


@pytest.mark.parametrize(("lease", "note"), [(-1, ""), (60, None), (60, ", stopped")], ids=["over", "holds", "stopped"])
async def test_a_run_whose_owner_has_fallen_silent_says_since_when(
    client: httpx.AsyncClient, server: Server, registered: Any, name: str, lease: int, note: str | None
) -> None:
    keys = []

    def work(connection: WriteConnection) -> None:
        definition = add_definition(connection, hash=name)
        key = add_run(connection, dag_name=name, run_id="r1", definition_hash=definition)
        add_attempt(connection, key, owner=f"o-{name}")
        bring_run_to(connection, key, RunStatus.RUNNING)
        keys.append(key)

    beat = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
    until = datetime.now(UTC) + timedelta(seconds=lease)
    known = {"host": "elsewhere", "heartbeat_at": beat, "lease_until": until, "stopped_at": beat if note else None}
    await registered("server", f"o-{name}", **known)
    await server.services.runs.database.write(work)
    run = (await client.get(f"/dag-runs/{name}/r1")).json()["dagRunDetails"]
    hold = HoldRow(held_at=beat, held_by="ann", origin="backup")
    await server.services.runs.database.write(lambda connection: holds.add(connection, hold))
    held = (await client.get(f"/dag-runs/{name}/r1")).json()["dagRunDetails"]
    assert await server.services.runs.database.write(holds.remove)
    assert held.get("reason", "").endswith("and `dagbook resume` fails it") is (note is not None)
    await server.services.runs.database.write(lambda connection: _close(connection, keys[0]))
    told = f"owner lost since 2026-03-01T12:30:15Z (o-{name}{note}); "
    assert run["statusLabel"] == "running"
    assert run.get("reason", "").startswith(told) if note is not None else "reason" not in run
