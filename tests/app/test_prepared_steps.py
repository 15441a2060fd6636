"""Steps that follow others are prepared while it is stored that they begin, and run nothing before (house design 7)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from dagbook.db.url import parse_url
from dagbook.executors.capture import Captured, capture
from dagbook.executors.process.process import GatedProcess
from dagbook.runs import evaluate
from dagbook.runs.runner import execution
from dagbook.runs.runner.nodes import OpenedNode
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.shims import shim_of
from tests.waiting import until_gone, wait_until

Execute = Callable[[str], Awaitable[Any]]


@pytest.fixture
async def alone(database_url: str, tmp_path: Path, name: str) -> AsyncIterator[Dagbook]:
    """A server whose commits nobody else waits for."""
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        yield Dagbook(client, name)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands inside texts that were started."""
    started: list[str] = []

    async def note(argv: Sequence[str], **rest: Any) -> Captured:
        started.append(argv[-1])
        return await capture(argv, **rest)

    monkeypatch.setattr(evaluate, "capture", note)
    return started


@asynccontextmanager
async def nobody_else_writes(url: str) -> AsyncIterator[Execute]:
    """Let commits of the server wait until the end of the block, whose own statements are committed then."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        file.execute("BEGIN IMMEDIATE")

        async def execute(statement: str) -> Any:
            return file.execute(statement)

        yield execute
        file.execute("COMMIT")
        file.close()
    else:
        engine = create_async_engine(parse_url(url), poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.exec_driver_sql("LOCK TABLE run_attempts IN EXCLUSIVE MODE")
            yield connection.exec_driver_sql
        await engine.dispose()


async def until_stored(url: str, dagbook: Dagbook, run_id: str) -> None:
    """Wait until step a runs and all of that is stored: a later commit of it would hold up those of its end."""
    await dagbook.running(run_id, "a", "ready")

    async def look() -> bool:
        async with nobody_else_writes(url) as execute:
            found = await execute("SELECT 1 FROM nodes WHERE executed_at IS NOT NULL")
            return bool(found.fetchall())

    await wait_until(look)


def spec_of(directory: Path, *steps: str) -> str:
    first = f"{{name: a, command: 'echo ready; while [ ! -e {directory}/go ]; do sleep 0.02; done'}}"
    return "\n".join(["type: graph", "steps:", f"  - {first}", *(f"  - {step}" for step in steps)])


async def test_what_is_prepared_runs_when_its_beginning_is_stored(
    alone: Dagbook, database_url: str, tmp_path: Path
) -> None:
    step = f"b{alone.name}"
    spec = spec_of(tmp_path, f"{{name: {step}, command: 'touch {tmp_path}/ran', depends: a}}")
    run_id = await alone.start(spec)
    await until_stored(database_url, alone, run_id)
    async with nobody_else_writes(database_url):
        (tmp_path / "go").touch()
        await shim_of(step)
        assert not (tmp_path / "ran").exists()
    assert (await alone.finished(run_id)).statuses == ["succeeded", "succeeded"]
    assert (tmp_path / "ran").exists()


async def test_no_command_inside_a_text_runs_before_the_commit_that_starts_the_step(
    alone: Dagbook, database_url: str, tmp_path: Path, captured: list[str]
) -> None:
    plain, texts = f"c{alone.name}", tmp_path / "texts"
    texts.mkdir()
    steps = {
        "command": "command: 'echo `touch {0}`'",
        "env": "command: 'true', env: [{{A: '`touch {0}`'}}]",
        "shell": "command: 'true', shell: '/bin/sh -e`touch {0}`'",
        "limit": "command: 'true', retryPolicy: {{limit: '`touch {0}; echo 1`', intervalSec: 1}}",
    }
    spec = spec_of(
        tmp_path,
        *(f"{{name: {name}, {fields.format(texts / name)}, depends: a}}" for name, fields in steps.items()),
        f"{{name: {plain}, command: 'true', depends: a}}",
    )
    run_id = await alone.start(spec)
    await until_stored(database_url, alone, run_id)
    async with nobody_else_writes(database_url):
        (tmp_path / "go").touch()
        await shim_of(plain)  # prepared after the others
        assert captured == []
    assert (await alone.finished(run_id)).statuses == ["succeeded"] * 6
    assert {path.name for path in texts.iterdir()} == set(steps)


async def test_no_process_exists_for_a_step_that_has_not_been_ordered(
    alone: Dagbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []
    prepare = execution.prepare

    def note(opened: OpenedNode, *rest: Any) -> GatedProcess:
        prepared.append(opened.node.step.name)
        return prepare(opened, *rest)

    monkeypatch.setattr(execution, "prepare", note)
    waits = f"echo ready; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    commands = {"a": "true", "b": waits, "c": "true"}
    steps = [f"  - {{name: {name}, command: '{command}'}}" for name, command in commands.items()]
    run_id = await alone.start("\n".join(["type: chain", "steps:", *steps]))
    await alone.running(run_id, "b", "ready")
    assert prepared == ["a", "b"]
    (tmp_path / "go").touch()
    assert (await alone.finished(run_id)).statuses == ["succeeded"] * 3
    assert prepared == ["a", "b", "c"]


async def test_what_is_prepared_is_dropped_when_the_run_was_lost_meanwhile_and_runs_once(
    alone: Dagbook, database_url: str, tmp_path: Path
) -> None:
    step = f"b{alone.name}"
    spec = spec_of(tmp_path, f"{{name: {step}, command: 'echo ran >>{tmp_path}/ran', depends: a}}")
    run_id = await alone.start(spec)
    await until_stored(database_url, alone, run_id)
    async with nobody_else_writes(database_url) as execute:
        (tmp_path / "go").touch()
        shim = await shim_of(step)
        await execute("UPDATE run_attempts SET token = token + 1, owner = NULL")
    await until_gone(shim)
    await alone.finished(run_id)
    assert (tmp_path / "ran").read_text() == "ran\n"
