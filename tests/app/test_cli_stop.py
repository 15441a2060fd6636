"""``dagbook stop``: one run, or all runs of a DAG, asked to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from dagbook.unix import proc
from tests.app.program import CommandLine, Said, end
from tests.waiting import come_true, until_written

Command = Callable[..., Said]
LONG = "maxActiveRuns: -1\nsteps: [{name: a, command: echo on; sleep 30}]\n"


async def _start(client: httpx.AsyncClient, *run_ids: str) -> None:
    for run_id in run_ids:
        body = {"name": "flow", "spec": LONG, "dagRunId": run_id}
        assert (await client.post("/dag-runs", json=body)).status_code == 200


async def _is_over(client: httpx.AsyncClient, run_id: str) -> str | None:
    run = (await client.get(f"/dag-runs/flow/{run_id}")).json()["dagRunDetails"]
    return None if run["statusLabel"] == "running" else str(run["statusLabel"])


@pytest.mark.parametrize(
    ("arguments", "stopped"), [(("one",), ["one"]), (("-r", "two"), ["two"]), ((), ["one", "two"])]
)
async def test_one_run_or_all_runs_of_a_dag_are_stopped(
    tmp_path: Path, arguments: tuple[str, ...], stopped: list[str]
) -> None:
    line = CommandLine(tmp_path)
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        await _start(client, "one", "two")
        said = await line.run("stop", "flow", *arguments)
        assert said.status == 0, said.err
        for run_id in stopped:
            assert await come_true(lambda run_id=run_id: _is_over(client, run_id)) == "aborted"  # type: ignore[misc]  # bound at once
        left = (await client.get("/dag-runs/flow", params={"status": 1})).json()["dagRuns"]
        assert [run["dagRunId"] for run in left] == [name for name in ("two", "one") if name not in stopped]
        await line.run("stop", "flow")


async def test_without_a_server_the_command_ends_the_run_and_executes_nothing_of_it(tmp_path: Path) -> None:
    line, ready, evaluated = CommandLine(tmp_path), tmp_path / "ready", tmp_path / "evaluated"
    (tmp_path / "flow.yaml").write_text(
        f"handlerOn: {{cancel: {{command: touch {evaluated}}}}}\n"
        f"steps: [{{name: a, command: echo $$ > {ready}; exec sleep 30}}, "
        f"{{name: b, command: 'true', env: [{{B: '`touch {evaluated}`'}}]}}]\n"
    )
    process = await line.begin("run", tmp_path / "flow.yaml", "--run-id", "r1")
    await until_written(ready)
    process.send_signal(signal.SIGKILL)
    await end(process)
    said = await line.run("stop", "flow", "r1")
    assert (said.status, "is finished: aborted" in said.out) == (0, True), said
    assert proc.identify(int(ready.read_text())) is None
    assert not evaluated.exists()
    said = await line.run("status", "flow", "r1")
    assert "while no process ran it" in said.out


async def test_where_nothing_runs_nothing_is_stopped(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    (tmp_path / "flow.yaml").write_text("steps: [{command: 'true'}]\n")
    assert (await line.run("run", tmp_path / "flow.yaml")).status == 0
    said = await line.run("stop", "flow")
    assert (said.status, "no running run" in said.out) == (0, True)


def test_a_run_that_is_over_needs_no_stop_which_is_no_error(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text("name: flow\nsteps: [{command: 'false'}]\n")
    assert asyncio.run(CommandLine(tmp_path).run("run", file, "-r", "r1")).status == 1
    assert command("stop", file, "-r=r1") == Said(0, "run r1 of DAG flow is already finished: failed\n", "")


@pytest.mark.parametrize("what", ["file.yaml", "./file.yaml", "stored", "stored.yaml"])
async def test_a_file_or_a_stored_dag_stands_for_the_name_of_its_dag(tmp_path: Path, what: str) -> None:
    line, spec = CommandLine(tmp_path), f"name: flow\n{LONG}"
    (tmp_path / "file.yaml").write_text(spec)
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        await client.post("/dags", json={"name": "stored", "spec": spec})
        await client.post("/dags/stored/start", json={"dagRunId": "one"})
        said = await line.run("stop", what)
        assert (said.status, said.out) == (0, "run one of DAG flow was asked to stop\n"), said


async def test_a_run_that_waits_is_not_stopped_but_taken_out_of_its_queue(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    (tmp_path / "flow.yaml").write_text("steps: [{command: 'true'}]\n")
    assert (await line.run("enqueue", "flow.yaml", "-r=r1")).status == 0
    said = await line.run("stop", "flow.yaml", "r1")
    assert (said.status, "dagbook dequeue" in said.err) == (1, True), said


def test_a_file_whose_name_cannot_be_read_stops_nothing(command: Command, tmp_path: Path) -> None:
    (tmp_path / "dagbook.sqlite3").unlink()
    file = tmp_path / "flow.yaml"
    file.write_text("name: [\n")
    said = command("stop", file)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"Error: {file}: ")
    assert "give the name of the DAG instead" in said.err
    assert not (tmp_path / "dagbook.sqlite3").exists()


@pytest.mark.parametrize("arguments", [("nobody",), ("nobody", "r1"), ("a/b",), ("nobody.yaml",)])
def test_what_is_not_there_is_told_in_a_sentence(command: Command, arguments: tuple[str, ...]) -> None:
    said = command("stop", *arguments)
    assert (said.status, arguments[0] in said.err, "Traceback" in said.err) == (1, True, False)
