"""``dagbook restart``: a run that is under way stopped, and another one in its place."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.program import CommandLine, Said, end
from tests.conftest import PostgresCopies
from tests.waiting import come_true, until_written

# The first run goes on until it is stopped, the one that takes its place ends by itself.
SPEC = """
maxActiveRuns: 1
restartWaitSec: {wait}
params: A=1
steps:
  - name: a
    command: |
      echo "<$A>"
      if [ -e {folder}/ready ]; then exit 0; fi
      echo on > {folder}/ready
      sleep 60
"""


def _write(folder: Path, wait: int = 0) -> Path:
    file = folder / "flow.yaml"
    file.write_text(SPEC.format(folder=folder, wait=wait))
    return file


async def _start(client: httpx.AsyncClient, folder: Path, wait: int = 0, **body: str) -> None:
    spec = SPEC.format(folder=folder, wait=wait)
    (folder / "ready").unlink(missing_ok=True)
    answer = await client.post("/dag-runs", json={"name": "flow", "spec": spec, **body})
    assert answer.status_code == 200, answer.text
    await until_written(folder / "ready")


async def _runs(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = (await client.get("/dag-runs/flow", params={"fromDate": 0})).json()["dagRuns"]
    return runs


@pytest.mark.parametrize(("which", "wait"), [(("flow",), 1), (("flow.yaml", "-r=r1"), 0)], ids=str)
async def test_through_a_server_a_new_run_takes_the_place_of_the_old_when_the_restart_wait_has_passed(
    tmp_path: Path, which: tuple[str, ...], wait: int
) -> None:
    line = CommandLine(tmp_path)
    _write(tmp_path)
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        await _start(client, tmp_path, wait, dagRunId="r1", params="A=7")
        said = await line.run("restart", *which)
        assert (said.status, "  <7>\n" in said.out, "succeeded" in said.out) == (0, True, True), said
        assert said.err.startswith("run r1 of DAG flow was asked to stop\n")
        assert ("the new one starts in 1 s\n" in said.err) is bool(wait)
        new, old = [(await client.get(f"/dag-runs/flow/{run['dagRunId']}")).json() for run in await _runs(client)]
        new, old = new["dagRunDetails"], old["dagRunDetails"]
        assert (old["dagRunId"], old["statusLabel"]) == ("r1", "aborted")
        assert new["dagRunId"] == said.out.splitlines()[0].split()[1] != "r1"
        assert new["startedAtMillis"] - old["finishedAtMillis"] >= 1000 * wait


async def test_the_limit_of_the_dag_does_not_hold_up_the_new_run(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        await _start(client, tmp_path, dagRunId="r1")
        spec = f"maxActiveRuns: -1\nsteps: [{{command: 'while [ ! -e {tmp_path}/end ]; do sleep 0.05; done'}}]\n"
        other = await client.post("/dag-runs", json={"name": "flow", "spec": spec, "dagRunId": "other"})
        assert other.status_code == 200, other.text
        said = await line.run("restart", "flow", "r1")
        assert said.status == 0, said
        (tmp_path / "end").touch()


async def test_of_several_running_runs_the_newest_is_restarted(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    spec = SPEC.format(folder=tmp_path, wait=0).replace("maxActiveRuns: 1", "maxActiveRuns: -1")
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        for run_id in ("r1", "r2"):
            (tmp_path / "ready").unlink(missing_ok=True)
            await client.post("/dag-runs", json={"name": "flow", "spec": spec, "dagRunId": run_id})
            await until_written(tmp_path / "ready")
        assert (await line.run("restart", "flow")).status == 0
        statuses = {run["dagRunId"]: run["statusLabel"] for run in await _runs(client)}
        assert (statuses["r1"], statuses["r2"]) == ("running", "aborted")
        await client.post("/dag-runs/flow/r1/stop")


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a home with a run that is over."""
    home = tmp_path_factory.mktemp("over")
    (home / "flow.yaml").write_text("steps: [{command: 'true'}]\n")
    assert asyncio.run(CommandLine(home).run("run", "flow.yaml", "-r", "r1")).status == 0
    return home


@pytest.mark.parametrize(
    ("which", "told"),
    [
        (("flow",), "DAG flow has no running run"),
        (("flow", "r1"), "run r1 of DAG flow is not running, it is succeeded; start another instead"),
        (("flow", "r9"), "there is no run 'r9' of DAG 'flow'"),
        (("other",), "there is no DAG named 'other', and no run of it"),
        (("a/b",), "there is no file 'a/b', and no DAG can have that name"),
    ],
    ids=str,
)
def test_what_does_not_run_is_not_restarted(
    over: Path, command: Callable[..., Said], tmp_path: Path, which: tuple[str, ...], told: str
) -> None:
    shutil.copytree(over, tmp_path, dirs_exist_ok=True)  # one process is one server of a database, and only once
    assert command("restart", *which) == Said(1, "", f"Error: {told}\n")


async def test_a_run_that_a_killed_command_has_left_is_restarted_without_a_server(tmp_path: Path) -> None:
    line, file = CommandLine(tmp_path), _write(tmp_path)
    process = await line.begin("run", file, "-r", "r1")
    await until_written(tmp_path / "ready")
    process.kill()
    await end(process)
    said = await line.run("restart", file)
    assert (said.status, "succeeded" in said.out) == (0, True), said


async def test_on_postgresql_the_run_of_another_process_is_stopped_and_a_new_one_driven_here(
    tmp_path: Path, postgres_url: str
) -> None:
    async for url in PostgresCopies(postgres_url).empty():
        line = CommandLine(tmp_path, url)
        async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
            await _start(client, tmp_path, dagRunId="r1", params="A=7")
            said = await line.run("restart", "flow")
            assert (said.status, "  <7>\n" in said.out) == (0, True), said
            statuses = await come_true(lambda: _statuses(client))
            assert sorted(statuses) == ["aborted", "succeeded"]


async def _statuses(client: httpx.AsyncClient) -> list[str] | None:
    statuses = [run["statusLabel"] for run in await _runs(client)]
    return None if "running" in statuses else statuses
