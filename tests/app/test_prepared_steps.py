"""Steps that follow others are prepared while it is stored that they begin, and run nothing before (house design 7)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.url import parse_url
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.shims import shim_of
from tests.waiting import until_gone

Execute = Callable[[str], Awaitable[object]]


@pytest.fixture
async def alone(database_url: str, tmp_path: Path, name: str) -> AsyncIterator[Dagbook]:
    """A server whose commits nobody else waits for."""
    async with serving(database_url, tmp_path / "home") as server, client_of(server) as client:
        yield Dagbook(client, name)


@asynccontextmanager
async def nobody_else_writes(url: str) -> AsyncIterator[Execute]:
    """Let commits of the server wait until the end of the block, whose own statements are committed then."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        file.execute("BEGIN IMMEDIATE")

        async def execute(statement: str) -> object:
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


def spec_of(directory: Path, *steps: str) -> str:
    first = f"{{name: a, command: 'echo ready; while [ ! -e {directory}/go ]; do sleep 0.02; done'}}"
    return "\n".join(["type: graph", "steps:", f"  - {first}", *(f"  - {step}" for step in steps)])


async def test_what_is_prepared_runs_when_its_beginning_is_stored(
    alone: Dagbook, database_url: str, tmp_path: Path
) -> None:
    step = f"b{alone.name}"
    spec = spec_of(tmp_path, f"{{name: {step}, command: 'touch {tmp_path}/ran', depends: a}}")
    run_id = await alone.start(spec)
    await alone.running(run_id, "a", "ready")
    async with nobody_else_writes(database_url):
        (tmp_path / "go").touch()
        await shim_of(step)
        assert not (tmp_path / "ran").exists()
    assert (await alone.finished(run_id)).statuses == ["succeeded", "succeeded"]
    assert (tmp_path / "ran").exists()


async def test_commands_inside_texts_wait_until_the_beginning_is_stored(
    alone: Dagbook, database_url: str, tmp_path: Path
) -> None:
    plain = f"c{alone.name}"
    spec = spec_of(
        tmp_path,
        f"{{name: b, command: 'echo `touch {tmp_path}/ran`', depends: a}}",
        f"{{name: {plain}, command: 'true', depends: a}}",
    )
    run_id = await alone.start(spec)
    await alone.running(run_id, "a", "ready")
    async with nobody_else_writes(database_url):
        (tmp_path / "go").touch()
        await shim_of(plain)  # prepared after the other
        assert not (tmp_path / "ran").exists()
    assert (await alone.finished(run_id)).statuses == ["succeeded"] * 3
    assert (tmp_path / "ran").exists()


async def test_what_is_prepared_is_dropped_when_the_run_was_lost_meanwhile_and_runs_once(
    alone: Dagbook, database_url: str, tmp_path: Path
) -> None:
    step = f"b{alone.name}"
    spec = spec_of(tmp_path, f"{{name: {step}, command: 'echo ran >>{tmp_path}/ran', depends: a}}")
    run_id = await alone.start(spec)
    await alone.running(run_id, "a", "ready")
    async with nobody_else_writes(database_url) as execute:
        (tmp_path / "go").touch()
        shim = await shim_of(step)
        await execute("UPDATE run_attempts SET token = token + 1, owner = NULL")
    await until_gone(shim)
    await alone.finished(run_id)
    assert (tmp_path / "ran").read_text() == "ran\n"
