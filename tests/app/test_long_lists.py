"""A list of runs without ``limit`` has the 1,000 newest, and its cursor continues it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from dagbook.db.database import WriteConnection
from dagbook.db.models import Run
from tests.app.dagbook import client_of, serving
from tests.db.rows import NOW, add_definition, run_sql, table_of

pytestmark = pytest.mark.both_engines

RUNS = 1100


def fill(connection: WriteConnection) -> None:
    """Store finished runs of successive seconds."""
    add_definition(connection)
    row: dict[str, Any] = {"dag_name": "busy", "definition_hash": "a" * 64, "queue": "busy", "trigger": "api"}
    row |= {"params": [], "params_text": "", "tags": [], "status": 0, "attempt": 1, "max_active_runs": 1}
    times = [NOW + timedelta(seconds=second) for second in range(RUNS)]
    connection.execute(
        insert(table_of(Run)), [{**row, "run_id": f"r{n}", "created_at": at} for n, at in enumerate(times)]
    )
    for status in (1, 4):
        run_sql(connection, "UPDATE runs SET status = :status WHERE status < 2", status=status)


@pytest.mark.parametrize("path", ["/dag-runs?name=busy", "/dag-runs?name=us", "/dag-runs/busy?", "/dag-runs?"])
async def test_a_list_without_limit_has_a_thousand_runs_and_goes_on_behind_them(
    database_url: str, tmp_path: Path, path: str
) -> None:
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        await server.services.runs.database.write(fill)
        first = (await client.get(f"{path}&fromDate=0")).json()
        assert [run["dagRunId"] for run in first["dagRuns"]] == [f"r{n}" for n in reversed(range(100, RUNS))]
        rest = (await client.get(f"{path}&cursor={first['nextCursor']}")).json()
        assert [run["dagRunId"] for run in rest["dagRuns"]] == [f"r{n}" for n in reversed(range(100))]
        assert "nextCursor" not in rest
