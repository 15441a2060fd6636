"""What the reads of pages cost the database: they use indexes, and read no more rows when the history is longer."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.models import Approval, LogChunk, Run
from dagbook.main import Server
from scripts.measuring.seed_history import SeededRun, SeededStep, Seeder
from tests.app.dagbook import client_of, serving
from tests.app.test_statements import recording
from tests.conftest import Copies
from tests.db.rows import NOW

pytestmark = pytest.mark.both_engines

DAGS, FEW, MANY = 10, 400, 4_000
SPEC = "tags: [bench]\nsteps: [{name: a, command: 'true'}, {name: b, command: 'true'}]\n"
# Tables that grow with the history.
GROWING = {
    "runs",
    "run_attempts",
    "nodes",
    "run_events",
    "run_tags",
    "run_params",
    "run_errors",
    "log_chunks",
    "audit",
    "approvals",
}
DAY = 86_400
# What each read uses of the indexes of runs, and of those of output.
READS = {
    "/dags": {"ix_runs_root_name", "pk_runs"},
    "/dags?recent=10": {"ix_runs_root_name", "pk_runs"},
    "/dags?sort=nextRun": {"ix_runs_root_name", "pk_runs"},
    "/dags?name=dag3": {"ix_runs_root_name", "pk_runs"},
    "/dag-runs?limit=20&{since}": {"ix_runs_root"},
    "/dag-runs?status=2&limit=20&{since}": {"ix_runs_status"},
    "/dag-runs?waitingForApproval=true&limit=20&{since}": {"ix_runs_status"},
    "/dag-runs?name=dag3&limit=20&{since}": {"ix_runs_root_name"},
    "/dag-runs/dag3?limit=20&{since}": {"ix_runs_root_name"},
    "/dag-runs?tag=bench&limit=20&{since}": {"ix_run_tags_tag"},
    "/dag-runs?dagRunId={run}&{since}": {"uq_runs_root", "ix_runs_long_id"},
    "/dag-runs/dag3/{run}": {"uq_runs_root"},
    "/dag-runs/dag3/latest": {"ix_runs_root_name"},
    "/dag-runs/dag3/{run}/log": {"uq_runs_root"},
    "/dag-runs/dag3/{run}/steps/a/log?tail=1": {"uq_runs_root"},
    "/dag-runs/dag3/{run}/steps/a/log?tail=20": {"uq_runs_root"},
    "/dag-runs/dag3/{run}/steps/a/log?head=20": {"uq_runs_root"},
    "/dag-runs/dag3/{run}/steps/a/log/lines?limit=20": {"uq_runs_root"},
    "/dag-runs/dag3/{run}/steps/a/log/lines?of=stdout&offset=1000000&limit=20": {"uq_runs_root"},
    "/dag-runs/dag3/{run}/steps/a/log/lines?execution=1&limit=20": {"uq_runs_root"},
    "/dag-runs/dag3/{run}/log/pieces?limit=20": {"uq_runs_root"},
    "/dag-runs/dag3/{run}/log/pieces?limit=20&subRuns=true": {"uq_runs_root"},
    "/dag-runs/dag3/{run}/log/pieces?limit=20&subRuns=true&before=end": {"uq_runs_root"},
    "/dag-runs/dag3/{run}/events": {"uq_runs_root"},
    "/dags/dag3": {"ix_runs_root_name", "pk_runs"},
    "/dags/dag3/dag-runs": {"ix_runs_root_name"},
    "/dags/dag3/dag-runs/{run}": {"uq_runs_root"},
    "/dags/dag3/dag-runs/latest": {"ix_runs_root_name", "pk_runs"},
    "/dags/dag3/statistics?last=20": {"ix_runs_root_name"},
    "/queues": {"ix_runs_status", "ix_runs_active_queue"},
    "/approvals": {"ix_approvals_open"},
    "/approvals/count": {"ix_approvals_open"},
    "/approvals/decided?perPage=20": {"ix_approvals_decided"},
    "/dags/search?q=true": set(),
    "/dags/tags": set(),
    "/health": set(),
}


class History:
    """A server whose DAGs have runs of the last days."""

    def __init__(self, server: Server, client: httpx.AsyncClient) -> None:
        self.database: Database = server.services.runs.database
        self.client = client
        self.run = ""
        self._numbers = count()
        self._begin = datetime.now(UTC).timestamp() - 9 * DAY

    async def grow(self, runs: int) -> None:
        """Add runs of the last nine days, and output of the last one of a DAG."""
        seeder = Seeder(self.database)
        await seeder.learn()
        made = [self._made(next(self._numbers), at / runs) for at in range(runs)]
        await seeder.store(made)
        self.run = next(run.dag_run_id for run in reversed(made) if run.name == "dag3")
        await self.database.write(_add_decisions)
        await self.database.write(_add_output, [run.dag_run_id for run in made[-DAGS:]], runs // 10)

    def _made(self, number: int, place: float) -> SeededRun:
        begin = self._begin + place * (9 * DAY - 60)
        status = 2 if number // DAGS % 10 == 0 else 4
        steps = [SeededStep(name, "true", 4 if name == "a" else status, begin, begin + 1) for name in "ab"]
        return SeededRun(f"dag{number % DAGS}", f"run-{number:032}", status, begin, begin + 1, steps)

    async def costs(self, path: str) -> Cost:
        """Request a path, and return what its statements cost."""
        since = f"fromDate={int(self._begin) - 1}"
        with recording() as statements:
            answer = await self.client.get(path.format(run=self.run, since=since))
        assert answer.status_code == 200, answer.text
        return await self.database.read(_cost_of, statements)


def _add_decisions(connection: WriteConnection) -> None:
    """Give each run that has none an approval that was decided."""
    decided = {"request": {}, "decided_by": "ann", "decision": {"approved": True}}
    missing = select(Run.id, Run.created_at).where(Run.id.not_in(select(Approval.run_id)))
    rows = [{"run_id": key, "asked_at": at, "decided_at": at} for key, at in connection.execute(missing)]
    connection.execute(insert(Approval).values(attempt=1, position=0, **decided), rows)


def _add_output(connection: WriteConnection, run_ids: Sequence[str], chunks: int) -> None:
    """Give a step of each run so many chunks of a line."""
    text = {"text": "a line\n", "line_count": 1, "byte_count": 7, "execution": 1, "received_at": NOW, "stream": 1}
    rows = [
        {"run_id": key, "seq": seq, "ordinal": seq, "first_line": seq + 1, "byte_offset": 7 * seq}
        for key in connection.scalars(select(Run.id).where(Run.run_id.in_(run_ids)))
        for seq in range(chunks)
    ]
    connection.execute(insert(LogChunk).values(attempt=1, position=0, **text), rows)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ANALYZE")


class Cost:
    """Rows that statements read, or steps of SQLite's virtual machine, and how the database finds the rows."""

    def __init__(self) -> None:
        self.rows = 0
        self.plan: list[str] = []
        self.scanned: set[str] = set()


def _cost_of(connection: ReadConnection, statements: Sequence[tuple[str, Any]]) -> Cost:
    cost = Cost()
    for statement, values in statements:
        if connection.dialect.name == "postgresql":
            _add_postgres(cost, connection, statement, values)
        else:
            _add_sqlite(cost, connection, statement, values)
    return cost


def _add_postgres(cost: Cost, connection: ReadConnection, statement: str, values: Any) -> None:
    explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    found: Any = connection.exec_driver_sql(explain, values).scalar_one()
    for node in _nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]):
        relation, index = node.get("Relation Name", ""), node.get("Index Name", "")
        cost.plan.append(f"{node['Node Type']} {relation} {index}")
        if node["Node Type"] == "Seq Scan":
            cost.scanned.add(relation)
        if relation:
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            cost.rows += int((node["Actual Rows"] + removed) * node["Actual Loops"])


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _add_sqlite(cost: Cost, connection: ReadConnection, statement: str, values: Any) -> None:
    driver: Any = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", values):
        cost.plan.append(row[-1].replace("INTEGER PRIMARY KEY", "pk_runs"))
        cost.scanned.update(re.findall(r"SCAN (\w+)$", row[-1]))

    def step() -> None:
        cost.rows += 1

    driver.set_progress_handler(step, 1)
    try:
        driver.execute(statement, values).fetchall()
    finally:
        driver.set_progress_handler(None, 1)


@pytest.fixture(scope="module")
async def history(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[History]:
    async for url in copies.copy():
        async with serving(url, tmp_path_factory.mktemp("home")) as server, client_of(server) as client:
            for number in range(DAGS):
                body = {"name": f"dag{number}", "spec": SPEC}
                assert (await client.post("/dags", json=body)).status_code == 201
            yield History(server, client)


async def test_reads_use_indexes_and_cost_no_more_when_the_history_is_longer(history: History) -> None:
    await history.grow(FEW)
    before = {path: await history.costs(path) for path in READS}
    await history.grow(MANY)
    after = {path: await history.costs(path) for path in READS}
    for path, indexes in READS.items():
        plan = "\n".join(after[path].plan)
        assert not after[path].scanned & GROWING, f"{path}\n{plan}"
        assert not indexes or any(index in plan for index in indexes), f"{path}\n{plan}"
        rows = (before[path].rows, after[path].rows)
        assert rows[1] <= 1.3 * rows[0] + 200, f"{path}: {rows}\n{plan}"
