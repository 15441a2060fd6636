"""Finished runs from a file of JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dagbook.db.database import Database
from dagbook.db.repositories.runs import run_history, runs
from dagbook.db.repositories.runs.run_filter import RunFilter
from dagbook.engine.history import Change, fold
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from tests.conftest import ROOT
from tests.db.rows import find_runs
from tests.process import invariants

BEGAN = 1_767_225_600.0


def _line(run_id: str, status: int = 4, last: int = 4, **values: Any) -> str:
    steps = [
        {"name": "a", "command": "true", "status": 4, "startedAt": BEGAN, "finishedAt": BEGAN + 1.25},
        {"name": "b", "command": "false", "status": last, "startedAt": BEGAN + 1.25, "finishedAt": BEGAN + 2},
    ]
    run = {"name": "etl", "dagRunId": run_id, "status": status, "startedAt": BEGAN, "finishedAt": BEGAN + 2}
    return json.dumps(run | {"steps": steps} | values) + "\n"


async def _seed(url: str, file: Path) -> tuple[int, str]:
    env = {**os.environ, "DAGBOOK_DATABASE_URL": url, "DAGBOOK_HOME": str(file.parent), "PYTHONPATH": str(ROOT)}
    script = ROOT / "scripts" / "measuring" / "seed_history.py"
    pipe, out = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    process = await asyncio.create_subprocess_exec(sys.executable, script, file, env=env, stdout=pipe, stderr=out)
    told, _ = await process.communicate()
    return process.returncode or 0, told.decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "history.jsonl"
    lines = [_line("r1"), _line("r2", 2, 2), _line("r3", 6, 5), _line("r4", 3, 0), _line("r5", 2, 3, steps=[])]
    path.write_text("".join(lines))
    return path


async def test_runs_are_there_with_their_steps_and_nothing_is_wrong_with_them(
    database_url: str, database: Database, file: Path
) -> None:
    status, told = await _seed(database_url, file)
    assert (status, told.split(" in ")[0]) == (0, "5 runs"), told
    found = await database.read(lambda connection: run_history.find_newest(connection, "etl", 9))
    assert [(run.run_id, run.status) for run in found] == [("r5", 2), ("r4", 3), ("r3", 6), ("r2", 2), ("r1", 4)]
    nodes = await database.read(lambda connection: run_history.find_nodes(connection, [run.id for run in found]))
    assert [[node.status for node in nodes[run.id]] for run in found] == [[], [4, 0], [4, 5], [4, 2], [4, 4]]
    started, finished = found[0].started_at, found[0].finished_at
    assert started is not None
    assert finished is not None
    assert (finished - started).total_seconds() == 2
    assert await asyncio.to_thread(invariants.find_violations, database_url) == []
    left = "SELECT count(*) FROM nodes JOIN runs ON runs.id = nodes.run_id WHERE due_at IS NOT NULL OR pid IS NOT NULL"
    left += " OR runs.attempt <> 1"
    assert await database.read(lambda connection: connection.exec_driver_sql(left).scalar()) == 0


async def test_a_history_leads_to_what_is_in_the_rows(database_url: str, database: Database, file: Path) -> None:
    await _seed(database_url, file)
    (name,) = [run.dag_name for run in await database.read(lambda c: find_runs(c, RunFilter())) if run.run_id == "r2"]
    run = await database.read(lambda connection: runs.get(connection, name, "r2"))
    assert run is not None
    events = await database.read(lambda connection: runs.get_events(connection, run.id))
    changes = [Change(event.position, event.data) for event in events[1:]]
    state = fold(RunState(steps=(NodeState(), NodeState())), changes)
    assert (state.status, state.phase, state.finished_at) == (RunStatus.FAILED, Phase.CLOSED, run.finished_at)
    assert [node.status for node in state.steps] == [NodeStatus.SUCCEEDED, NodeStatus.FAILED]


async def test_runs_that_are_there_are_passed_over(database_url: str, file: Path) -> None:
    await _seed(database_url, file)
    with file.open("a") as lines:
        lines.write(_line("r6"))
    assert (await _seed(database_url, file))[1].startswith("1 runs in ")


async def test_nothing_is_stored_of_a_file_with_a_line_that_makes_no_run(
    database_url: str, database: Database, file: Path
) -> None:
    with file.open("a") as lines:
        lines.write("{}\n")
    assert await _seed(database_url, file) == (
        1,
        "line 6: Object missing required field `name`; 0 runs are stored\n",
    )
    assert await database.read(lambda connection: find_runs(connection, RunFilter())) == []
