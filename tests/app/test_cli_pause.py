"""``dagbook pause`` and ``unpause``, and commands that meet a pause."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from dagbook.api.schemas.maintenance import EndedPause
from dagbook.cli.server.pause import describe_end
from tests.app.program import CommandLine, CommandResult, end
from tests.waiting import PATIENCE_SECONDS

Command = Callable[..., CommandResult]
MOVE = ("--reason", "move of the database")


def test_a_pause_is_set_shown_and_ended_without_a_server(command: Command) -> None:
    said = command("pause", *MOVE, "--until", "06:00")
    assert said.status == 0, said.err
    first, counts = said.out.splitlines()
    until = datetime.fromisoformat(first.partition(" until ")[2].partition(": ")[0])
    assert (until.hour, until.minute, until > datetime.now().astimezone()) == (6, 0, True)
    assert first.startswith("everything is paused by ")
    assert first.endswith(": move of the database")
    assert counts == "running: 0, queued: 0"
    refused = command("resume")
    assert refused.status == 1
    assert "this database is not held; `dagbook unpause` ends that everything is paused by " in refused.err
    ended = command("unpause", "--json")
    told = json.loads(ended.out)
    assert (ended.status, told["skippedStarts"], told["skipped"]) == (0, 0, {})
    again = command("unpause")
    assert (again.status, "nothing is paused" in again.err) == (1, True)


def test_the_end_of_a_pause_offers_what_it_has_skipped() -> None:
    since, until = "2026-03-01T22:00:00+01:00", "2026-03-02T06:00:07+01:00"
    skipped = {"etl": 2} | {f"dag-{number}": 1 for number in range(25)}
    first, second, *others = describe_end(
        EndedPause(skipped_starts=27, skipped=skipped, since=since, ended_at=until)
    ).splitlines()
    assert first == "the pause has ended; it skipped 27 starts of schedules"
    assert second == f"  dagbook backfill etl --from {since} --to {until}"
    assert (len(others), others[-1]) == (20, "  and 6 more DAGs")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "--reason"),
        (("--reason", "ab"), "reason: "),
        ((*MOVE, "--until", "25:00"), "is not a time"),
        ((*MOVE, "--until", "soon"), "is not a time"),
        ((*MOVE, "--until", "2020-01-31T06:00"), "has passed"),
    ],
)
def test_a_pause_without_a_reason_or_with_a_wrong_end_is_an_error(
    command: Command, words: tuple[str, ...], text: str
) -> None:
    said = command("pause", *words)
    assert (said.status, text in said.err) == (1, True), said.err


def test_why_says_that_everything_is_paused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "etl.yaml").write_text("schedule: '0 3 * * *'\nsteps: [{command: 'true'}]\n")
    assert command("dag", "save", tmp_path / "etl.yaml").status == 0
    assert command("pause", *MOVE).status == 0
    assert command("enqueue", "etl", "--run-id", "r1").status == 0
    said = command("why", "etl")
    assert "- everything is paused by " in said.out
    assert "- its schedule starts nothing: everything is paused by " in said.out
    assert command("unpause").status == 0
    suspended = command("dag", "suspend", "etl", "--reason", "the source is away", "--until", "06:00")
    assert (suspended.status, " are suspended until " in suspended.out) == (0, True)
    said = command("why", "etl")
    assert "its schedules are suspended by " in said.out
    assert "(the source is away), so they start nothing" in said.out


async def _read_until(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while text not in (line := await process.stderr.readline()).decode():
            assert line, "the command ended"


async def test_a_run_waits_says_why_and_is_removed_by_an_interrupt(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, scheduler_enabled="false")
    (tmp_path / "etl.yaml").write_text("steps: [{name: a, command: echo ran}]\n")
    async with cli.server():
        assert (await cli.run("pause", *MOVE)).status == 0
        process = await cli.begin("run", "etl.yaml", "--run-id", "r1")
        await _read_until(process, "waiting: everything is paused by ")
        process.send_signal(signal.SIGINT)
        said = await end(process)
        assert (said.status, "removed from its queue" in said.err) == (1, True)
        assert (await cli.run("status", "etl", "r1")).status == 1
        despite = await cli.run("run", "etl.yaml", "--despite-pause")
        assert (despite.status, "ran" in despite.out) == (0, True), despite.err
        process = await cli.begin("run", "etl.yaml")
        await _read_until(process, "waiting: everything is paused by ")
        assert (await cli.run("unpause")).status == 0
        said = await end(process)
        assert (said.status, "ran" in said.out) == (0, True), said.err


async def test_a_run_without_a_server_waits_too(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    (tmp_path / "etl.yaml").write_text("steps: [{name: a, command: echo ran}]\n")
    assert (await cli.run("pause", *MOVE)).status == 0
    assert "ran" in (await cli.run("run", "etl.yaml", "--despite-pause")).out
    process = await cli.begin("run", "etl.yaml")
    await _read_until(process, "waiting: everything is paused by ")
    assert (await cli.run("unpause")).status == 0
    said = await end(process)
    assert (said.status, "ran" in said.out) == (0, True), said.err


async def test_a_pause_that_waits_returns_when_nothing_is_running(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, scheduler_enabled="false")
    wait = "until [ -e go ]; do sleep 0.02; done"
    (tmp_path / "etl.yaml").write_text(f"workingDir: {tmp_path}\nsteps: [{{name: a, command: '{wait}'}}]\n")
    async with cli.server():
        running = await cli.begin("run", "etl.yaml")
        assert running.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while b"\xe2\x96\xb6" not in await running.stdout.readline():
                pass
        pausing = await cli.begin("pause", *MOVE, "--wait")
        await _read_until(pausing, "waiting for 1 run")
        (tmp_path / "go").touch()
        said = await end(pausing)
        assert (said.status, "running: 0" in said.out) == (0, True), said.err
        assert (await end(running)).status == 0
