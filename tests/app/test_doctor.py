"""The doctor from outside: ``dagbook doctor`` and ``GET /doctor``, on databases that servers may be working on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.models import Run
from dagbook.db.repositories.invariants.findings import all_checks
from dagbook.db.url import sqlite_path
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.program import CommandResult
from tests.maintenance.scene import furnish, run_lawlessly, without_guards

Command = Callable[..., CommandResult]


def _write(url: str, work: Callable[[WriteConnection], None]) -> None:
    async def written() -> None:
        database = await Database.open(url)
        try:
            await database.write(work)
        finally:
            await database.close()

    asyncio.run(written())


def _break(connection: WriteConnection) -> None:
    furnish(connection)
    with without_guards(connection):
        run_lawlessly(connection, "DELETE FROM run_inputs WHERE run_id = :over")


def test_a_healthy_database_is_told_check_by_check(database_url: str, command: Command) -> None:
    said = command("doctor", "--database-url", database_url)
    assert said.status == 0, said.err
    assert said.out.count("\nok  ") == len(all_checks()) - 1
    assert said.out.endswith(f"{len(all_checks())} checks, none of them broken\n")


def test_a_broken_database_is_told_with_its_rows_and_exit_status_one(database_url: str, command: Command) -> None:
    _write(database_url, _break)
    said = command("doctor", "--database-url", database_url)
    assert said.status == 1
    assert "BROKEN  run-has-inputs: A run has the inputs that it was started with." in said.out
    assert "        dag_name=etl run_id=over\n" in said.out


def test_the_report_as_json_tells_findings_damage_and_storage(database_url: str, command: Command) -> None:
    _write(database_url, _break)
    said = command("doctor", "--json", "--quick", "--database-url", database_url)
    assert said.status == 1
    report = json.loads(said.out)
    broken = {finding["name"]: finding for finding in report["findings"] if finding["count"]}
    assert broken["run-has-inputs"]["rows"] == [{"dag_name": "etl", "run_id": "over"}]
    assert (report["healthy"], report["damage"]) == (False, [])
    rows = {table["name"]: table["rows"] for table in report["storage"]["tables"]}
    assert (rows["runs"], rows["run_inputs"]) == (5, 4)
    assert report["storage"]["bytes"] > 0


def test_a_database_that_is_not_there_is_not_made(command: Command, tmp_path: Path) -> None:
    said = command("doctor", "--database-url", f"sqlite:///{tmp_path}/none.db")
    assert (said.status, "dagbook db upgrade" in said.err) == (1, True)
    assert not (tmp_path / "none.db").exists()


def test_a_damaged_file_is_told(database_url: str, command: Command) -> None:
    path = sqlite_path(database_url)
    if path is None:
        pytest.skip("PostgreSQL checks its own pages, which cannot be damaged from here")
    _write(database_url, furnish)
    data = bytearray(path.read_bytes())
    found = data.rfind(b"etl")  # in an index or a table, whichever lies last
    data[found : found + 3] = b"ltr"
    path.write_bytes(data)
    said = command("doctor", "--database-url", database_url)
    assert (said.status, "the database reports: " in said.out) == (1, True), said.out


async def test_a_server_examines_the_database_that_it_works_on(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as server, client_of(server) as client:
        dagbook = Dagbook(client, "sleeper")
        running = await dagbook.start("steps:\n  - sleep 30\n")
        await dagbook.finished(await dagbook.start("steps:\n  - echo hello\n", name="other"), "other")
        answer = await client.get("/doctor", params={"integrity": "true"})
        await dagbook.stop(running)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert [finding for finding in report["findings"] if finding["count"]] == []
    assert (report["healthy"], report["damage"]) == (True, [])


async def test_the_command_reads_beside_a_server(database_url: str, tmp_path: Path, command: Command) -> None:
    async with serving(database_url, tmp_path / "home"):
        said = await asyncio.to_thread(command, "doctor", "--database-url", database_url)
    assert said.status == 0, said.out


async def test_an_examination_changes_nothing(database: Database) -> None:
    with pytest.raises(Exception, match=r"read-?only"):
        await database.snapshot(lambda connection: connection.exec_driver_sql("DELETE FROM runs"))


async def test_an_examination_sees_one_state_whatever_is_committed_meanwhile(database: Database) -> None:
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    async def write() -> None:
        await begun.wait()
        await database.write(furnish)

    written = asyncio.create_task(write())

    def look(connection: ReadConnection) -> tuple[int, int]:
        before = _count_runs(connection)
        loop.call_soon_threadsafe(begun.set)
        while not written.done():
            _count_runs(connection)
        return before, _count_runs(connection)

    assert await database.snapshot(look) == (0, 0)
    assert await database.read(_count_runs) == 5


def _count_runs(connection: ReadConnection) -> int:
    return connection.scalar(select(func.count()).select_from(Run)) or 0
