"""``dagbook enqueue``, ``dequeue`` and ``queue``."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from dagbook.identifiers import new_run_id
from tests.app.dagbook import Dagbook
from tests.app.program import CommandLine, CommandResult

Command = Callable[..., CommandResult]
SPEC = "queue: shared\nparams: N=0\nsteps: [{name: a, command: cat word}]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flow.yaml"
    path.write_text(SPEC)
    (tmp_path / "word").write_text("here")
    return path


def _waiting(command: Command, name: str = "shared") -> list[list[str]]:
    lines = command("queue", "show", name).out.splitlines()
    return [line.split()[:4] for line in lines if line[:1].isdecimal()]


def test_without_a_server_runs_are_queued_and_can_be_reordered(command: Command, file: Path) -> None:
    for run_id, priority in (("r1", "0"), ("r2", "5"), ("r3", "0")):
        said = command("enqueue", str(file), "-r", run_id, "--priority", priority)
        assert (said.status, said.out) == (0, f"run {run_id} is queued until a server starts it\n")
    assert _waiting(command) == [["1", "5", "flow", "r2"], ["2", "0", "flow", "r1"], ["3", "0", "flow", "r3"]]
    assert command("queue", "priority", "flow", "r3", "--front").status == 0
    assert command("queue", "priority", "flow", "r2", "--", "-1").status == 0
    assert [run_id for *_, run_id in _waiting(command)] == ["r3", "r1", "r2"]


def test_the_first_or_a_named_run_is_dequeued(command: Command, file: Path) -> None:
    for run_id in ("r1", "r2", "r3"):
        assert command("enqueue", str(file), "-r", run_id).status == 0
    assert command("dequeue", "shared").out == "run r1 of DAG flow is removed from its queue\n"
    assert command("dequeue", "shared", "-d", "flow:r3").status == 0
    assert [run_id for *_, run_id in _waiting(command)] == ["r2"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("dequeue", "nothing"), "queue 'nothing' is empty"),
        (("dequeue", "shared", "-d", "flow"), "'flow' is not a run; write NAME:RUN_ID"),
        (("dequeue", "shared", "-d", "flow:r9"), "there is no run 'r9' of DAG 'flow'"),
        (("dequeue", "other", "-d", "flow:r1"), "run flow:r1 is in queue 'shared', not in 'other'"),
        (("enqueue", "no/such"), "there is no file 'no/such', and no DAG can have that name"),
        (("enqueue", "nosuch"), "there is no file and no stored DAG named 'nosuch'"),
        (("enqueue", "{file}", "-r", "r1"), "run 'r1' of DAG 'flow' exists already"),
        (("queue", "show", "nothing"), "queue 'nothing' has no runs and is not configured"),
        (("queue", "clear", "shared", "--confirm", "share"), "name: 'share' is not the queue of the path"),
        (("queue", "priority", "flow", "r1"), "priority: is missing"),
    ],
)
def test_an_impossible_request_is_a_clear_error(
    command: Command, file: Path, arguments: tuple[str, ...], told: str
) -> None:
    command("enqueue", str(file), "-r", "r1")
    said = command(*(word.format(file=file) for word in arguments))
    assert said.status == 1
    assert told in said.err
    assert [run_id for *_, run_id in _waiting(command)] == ["r1"]


def test_a_queue_is_paused_listed_cleared_and_resumed(command: Command, file: Path) -> None:
    command("enqueue", str(file), "-r", "r1")
    assert command("queue", "pause", "shared").out.startswith("queue shared is paused since 2")
    (line,) = command("queue", "list").out.splitlines()[1:]
    assert line.startswith("shared  1      0        1       since 2")
    assert "queue 'shared' is paused since" in line
    assert command("queue", "clear", "shared", "--confirm", "shared").out == "removed from queue shared: 1\n"
    assert command("queue", "resume", "shared").out == "queue shared is resumed\n"
    assert command("queue", "list").out.splitlines()[1:] == []


async def test_runs_queued_without_a_server_are_started_by_the_next_one(tmp_path: Path, file: Path) -> None:
    line = CommandLine(tmp_path)
    assert (await line.run("enqueue", file, "-r", "r1", "--", "N=1")).status == 0
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        flow = Dagbook(client, "flow")
        ended = await flow.finished("r1")
        assert (ended.status, ended.details["params"], await ended.log("a")) == ("succeeded", "N=1", "here")
        spec = f"name: flow\n{SPEC}"
        assert (await client.post("/dags", json={"name": "stored", "spec": spec})).status_code == 201
        run_id = new_run_id()
        said = await line.run("enqueue", "stored", "-r", run_id, "-u", "elsewhere", "-p", "N=2")
        assert (said.status, said.out) == (0, f"run {run_id} is queued\n"), said.err
        assert (await flow.finished(run_id)).details["params"] == "N=2"


def test_an_unanswered_question_is_reported_and_changes_nothing(
    command: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("enqueue", str(file), "-r", "r1")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    said = command("queue", "clear", "shared")
    assert said.status == 1
    assert said.err.endswith("\nError: no input to read the answer from; --help lists the option for it\n")
    assert [run_id for *_, run_id in _waiting(command)] == ["r1"]
