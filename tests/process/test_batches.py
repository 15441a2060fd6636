"""Servers that are killed while they work off a batch: each time gets one run or one attempt, and none is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.process import conftest, invariants, store
from tests.process.postgres import Cluster
from tests.process.program import Program
from tests.process.waiting import wait_for

_DAYS, _FAILED = 24, 8
_KILLS = 5
_LAST = datetime.now(UTC).date() - timedelta(days=5)
_SETTLED = "SELECT count(*) AS number FROM batch_items WHERE batch_id = 2 AND state <> 'planned'"


def _span(days: int) -> dict[str, str]:
    return {"from": str(_LAST - timedelta(days=days - 1)), "to": str(_LAST)}


def _post(program: Program, **body: Any) -> int:
    answer = program.api.client.post("/batches", json={"action": "start", "dag": "etl", **body})
    assert answer.is_success, answer.text
    return int(answer.json()["batchId"])


def _ended(program: Program, batch: int) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = program.api.client.get(f"/batches/{batch}").json()
        return found if "endedAt" in found else None

    return wait_for(f"the end of batch {batch}", look, seconds=120)


def _work_off(servers: Sequence[Program], directory: Path) -> None:
    """Let a batch start and retry while its servers are killed, one after the other, and compare what has run."""
    first = servers[0]
    step = f"echo $DAG_RUN_SCHEDULED_AT $DAG_RUN_ID >>{directory}/witness; sleep 0.5; test -e {directory}/marker"
    spec = f"schedule: 'CRON_TZ=UTC 0 2 * * *'\nmaxActiveRuns: 4\nsteps: [{{name: a, command: '{step}'}}]\n"
    first.api.store("etl", spec)
    assert _ended(first, _post(first, parallel=8, **_span(_FAILED)))["counts"]["failed"] == _FAILED
    before = {row.run_id for row in store.query(first.database_url, "SELECT run_id FROM runs")}
    (directory / "witness").unlink()
    (directory / "marker").touch()
    batch = _post(first, parallel=4, **_span(_DAYS))
    met = [0]
    while met[-1] < _DAYS and len(met) <= _KILLS:
        wait_for("another item", lambda: _settled(first) > met[-1], seconds=60)
        server = servers[len(met) % len(servers)]
        server.kill()
        met.append(_settled(first))
        server.start()
    assert met[1] < _DAYS, "no kill met the batch half done: the test has shown nothing"
    counts = _ended(servers[0], batch)["counts"]
    assert counts["done"] == _DAYS, counts
    lines = [line.split() for line in (directory / "witness").read_text().splitlines()]
    days = {f"{_LAST - timedelta(days=number)}T02:00:00+00:00" for number in range(_DAYS)}
    assert {day for day, _ in lines} == days
    assert max(Counter(run for _, run in lines).values()) == 1  # of the second batch: of a retried run its new attempt
    attempts = {row.run_id: row.attempt for row in store.query(first.database_url, "SELECT run_id, attempt FROM runs")}
    assert attempts == {run: 2 if run in before else 1 for run in {run for _, run in lines}}
    assert len(attempts) == _DAYS


def _settled(program: Program) -> int:
    return int(store.query(program.database_url, _SETTLED)[0].number)


@pytest.fixture
def program(tmp_path: Path, make_url: Callable[[Path], str]) -> Iterator[Program]:
    home = tmp_path / "home"
    server = Program(home, make_url(home), schedules=False)
    yield server.start()
    conftest.end(server)
    assert invariants.find_violations(server.database_url) == []


@pytest.mark.timeout(300)
def test_a_server_that_is_killed_again_and_again_does_each_time_of_a_batch_once(
    program: Program, tmp_path: Path
) -> None:
    _work_off([program], tmp_path)


@pytest.mark.timeout(300)
def test_of_three_servers_that_are_killed_in_turn_the_others_go_on_with_a_batch(
    tmp_path: Path, cluster: Cluster
) -> None:
    url, home = cluster.make_database(), tmp_path / "home"
    servers = [Program(home, url, log=tmp_path / f"{number}.log", schedules=False) for number in range(3)]
    try:
        for server in servers:
            server.start()
        _work_off(servers, tmp_path)
    finally:
        for server in servers:
            conftest.end(server)
    assert invariants.find_violations(url) == []
