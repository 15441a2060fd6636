"""``dagbook stop``, ``restart`` and ``retry``: runs that exist stopped, started again and retried."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from dagbook.unix import proc
from tests.app.program import CommandLine, CommandResult, end
from tests.conftest import PostgresCopies
from tests.waiting import until_written, wait_until

Command = Callable[..., CommandResult]
LONG = "name: flow\nmaxActiveRuns: -1\nsteps: [{name: a, command: echo on; sleep 30}]\n"
# The first run goes on until it is stopped, the one that takes its place ends by itself.
FIRST_LONG = """
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
FAILING = """
steps:
  - {{name: first, command: echo kept-output}}
  - {{name: second, command: test -e {mark} && echo second-output}}
  - {{name: third, command: echo third-output}}
"""


async def _start(client: httpx.AsyncClient, spec: str, run_id: str, params: str = "") -> None:
    body = {"name": "flow", "spec": spec, "dagRunId": run_id, "params": params}
    answer = await client.post("/dag-runs", json=body)
    assert answer.status_code == 200, answer.text


async def _labels(client: httpx.AsyncClient) -> dict[str, str]:
    runs = (await client.get("/dag-runs/flow", params={"fromDate": 0})).json()["dagRuns"]
    return {run["dagRunId"]: run["statusLabel"] for run in runs}


async def _settled(client: httpx.AsyncClient, running: int = 0) -> dict[str, str]:
    """Wait until so many runs are running; return the labels of all."""

    async def look() -> dict[str, str] | None:
        labels = await _labels(client)
        return labels if list(labels.values()).count("running") == running else None

    return await wait_until(look)


async def test_a_server_stops_one_run_or_all_runs_of_a_dag_which_a_file_or_a_stored_dag_names(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    (tmp_path / "file.yaml").write_text(LONG)
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        await client.post("/dags", json={"name": "stored", "spec": LONG})
        for run_id in ("one", "two", "three", "four", "five"):
            await _start(client, LONG, run_id)
        for left, words in enumerate(
            (("flow", "one"), ("file.yaml", "-r", "two"), ("./file.yaml", "-r=three"), ("stored.yaml", "four"))
        ):
            said = await line.run("stop", *words)
            run_id = ("one", "two", "three", "four")[left]
            assert said == CommandResult(0, f"run {run_id} of DAG flow was asked to stop\n", "")
            assert (await _settled(client, 4 - left))[run_id] == "aborted"
        assert (await line.run("stop", "stored")).out == "run five of DAG flow was asked to stop\n"
        assert set((await _settled(client)).values()) == {"aborted"}


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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished run; one process is one server of a database, and only once."""
    home = tmp_path_factory.mktemp("finished")
    (home / "flow.yaml").write_text("steps: [{command: 'true'}]\n")
    assert asyncio.run(CommandLine(home).run("run", "flow.yaml", "-r", "r1")).status == 0
    return home


@pytest.fixture
def over(finished: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    (tmp_path / "broken.yaml").write_text("name: [\n")
    monkeypatch.chdir(tmp_path)
    return command


def test_what_is_not_running_needs_no_stop_which_is_no_error(over: Command) -> None:
    assert over("stop", "flow") == CommandResult(0, "DAG flow has no running run\n", "")
    assert over("stop", "./flow.yaml", "-r=r1") == CommandResult(
        0, "run r1 of DAG flow is already finished: succeeded\n", ""
    )
    assert over("enqueue", "flow.yaml", "-r=q1").status == 0
    said = over("stop", "flow", "q1")
    assert (said.status, "dagbook dequeue" in said.err) == (1, True), said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("stop", "nobody"), "there is no DAG named 'nobody', and no run of it"),
        (("stop", "nobody", "r1"), "there is no run 'r1' of DAG 'nobody'"),
        (("stop", "nobody.yaml"), "there is no DAG named 'nobody.yaml', and no run of it"),
        (("stop", "a/b"), "there is no file 'a/b', and no DAG can have that name"),
        (("stop", "broken.yaml"), "give the name of the DAG instead of its file, or correct the file"),
        (("restart", "flow"), "DAG flow has no running run"),
        (("restart", "flow", "r1"), "run r1 of DAG flow is not running, it is succeeded; start another instead"),
        (("restart", "flow", "r9"), "there is no run 'r9' of DAG 'flow'"),
        (("restart", "other"), "there is no DAG named 'other', and no run of it"),
        (("restart", "a/b"), "there is no file 'a/b', and no DAG can have that name"),
        (("retry", "flow"), "DAG 'flow' has no failed run; give the id of the run to retry"),
        (("retry", "flow", "-r", "r9"), "there is no run 'r9' of DAG 'flow'"),
        (("retry", "flow", "r1", "--step", "nobody"), "'nobody'"),
        (("retry", "fl/ow", "r1"), "there is no file 'fl/ow', and no DAG can have that name"),
    ],
    ids=str,
)
def test_what_is_not_there_is_told_in_a_sentence(over: Command, words: tuple[str, ...], told: str) -> None:
    said = over(*words)
    assert (said.status, said.out, told in said.err, "Traceback" in said.err) == (1, "", True, False), said.err


def _write(folder: Path, wait: int = 0) -> Path:
    file = folder / "flow.yaml"
    file.write_text(FIRST_LONG.format(folder=folder, wait=wait))
    return file


async def test_a_new_run_takes_the_place_of_the_old_when_the_restart_wait_has_passed(tmp_path: Path) -> None:
    line, ready = CommandLine(tmp_path), tmp_path / "ready"
    spec = _write(tmp_path, wait=1).read_text()
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        await _start(client, spec, "r1", "A=7")
        await until_written(ready)
        await _start(client, LONG, "other")  # the limit of the DAG does not hold up the new run
        said = await line.run("restart", "flow", "r1")
        assert (said.status, "  <7>\n" in said.out, "succeeded" in said.out) == (0, True, True), said
        assert said.err == (
            "run r1 of DAG flow was asked to stop\nrun r1 of DAG flow is finished; the new one starts in 1 s\n"
        )
        new = said.out.splitlines()[0].split()[1]
        assert await _labels(client) == {new: "succeeded", "r1": "aborted", "other": "running"}
        runs = [(await client.get(f"/dag-runs/flow/{run}")).json()["dagRunDetails"] for run in (new, "r1")]
        assert runs[0]["startedAtMillis"] - runs[1]["finishedAtMillis"] >= 1000
        ready.unlink()
        await _start(client, _write(tmp_path).read_text().replace("Runs: 1", "Runs: -1"), "r2")
        await until_written(ready)
        said = await line.run("restart", "flow.yaml")  # the newest of those that are running
        assert (said.status, said.err) == (0, "run r2 of DAG flow was asked to stop\n"), said


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
            await _start(client, _write(tmp_path).read_text(), "r1", "A=7")
            await until_written(tmp_path / "ready")
            said = await line.run("restart", "flow")
            assert (said.status, "  <7>\n" in said.out) == (0, True), said
            assert sorted((await _settled(client)).values()) == ["aborted", "succeeded"]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Run a definition that fails until the returned file is there."""
    mark, file = tmp_path / "mark", tmp_path / "flow.yaml"
    file.write_text(FAILING.format(mark=mark))
    said = asyncio.run(CommandLine(tmp_path).run("run", file, "--run-id", "r1"))
    assert said.status == 1, said
    return mark


def test_a_retry_shows_what_it_runs_and_not_what_it_keeps(command: Command, mark: Path, tmp_path: Path) -> None:
    assert command("run", tmp_path / "flow.yaml", "-r", "newer").status == 1
    failed = command("retry", "flow", "r1")
    assert (failed.status, "failed" in failed.out) == (1, True)
    mark.touch()
    one = command("retry", "flow", "r1", "--step", "first")
    assert (one.status, "kept-output" in one.out, "second-output" in one.out) == (1, True, False)
    said = command("retry", "flow")  # the newest failed run
    assert (said.status, said.out.splitlines()[0], said.out.splitlines()[-1]) == (0, "flow  newer", "succeeded")
    shown = [f"{word}-output" in said.out for word in ("kept", "second", "third")]
    assert shown == [False, True, True]
    assert command("retry", "flow", "r").out.splitlines()[0] == "flow  r1"
    assert "has no failed run" in command("retry", "flow").err


async def test_beside_a_server_a_retry_goes_through_it(tmp_path: Path) -> None:
    line, mark = CommandLine(tmp_path), tmp_path / "mark"
    (tmp_path / "flow.yaml").write_text(FAILING.format(mark=mark))
    async with line.server():
        assert (await line.run("run", tmp_path / "flow.yaml", "--run-id", "r1")).status == 1
        mark.touch()
        said = await line.run("retry", "flow.yaml", "-r=r1")
    assert (said.status, "second-output" in said.out) == (0, True), said
