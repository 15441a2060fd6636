"""The one history of both engines."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from app.db.base import Base
from app.db.check import _describe_postgresql, _describe_sqlite, check, split_definition
from app.db.database import Database, WriteConnection
from app.db.models import DagRetention, DagSetting, ScheduleMark
from app.db.packing import pack
from app.db.repositories import run_keys
from app.db.repositories.run_filter import RunFilter
from app.db.upgrade import UnknownRevision, current, downgrade, head, open_for_migration, upgrade
from app.db.url import sqlite_path
from app.engine.status import NodeStatus, RunStatus
from tests.conftest import ROOT
from tests.db.rows import (
    NOW,
    add,
    add_attempt,
    add_chunk,
    add_dag,
    add_definition,
    add_node,
    add_run,
    add_run_in,
    add_slot,
    add_whole_run,
    bring_node_to,
    bring_run_to,
    fill,
    run_sql,
    stored,
)

UPGRADE = "import asyncio, sys; from app.db.upgrade import upgrade; asyncio.run(upgrade(sys.argv[1]))"


async def start(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=pipe, stderr=pipe)


async def finish(process: asyncio.subprocess.Process) -> None:
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


async def run_in(url: str, work: Callable[[WriteConnection], None]) -> None:
    database = await Database.open(url)
    await database.write(work)
    await database.close()


def backups(url: str) -> list[Path]:
    path = sqlite_path(url)
    return list(path.parent.glob("*.backup")) if path else []


async def test_a_database_without_tables_is_at_no_revision(empty_url: str) -> None:
    assert await current(empty_url) is None
    path = sqlite_path(empty_url)
    assert path is None or not path.exists()


async def test_an_upgrade_that_is_to_end_does_so_between_two_revisions(
    empty_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.db.upgrade")
    upgrading = asyncio.create_task(upgrade(empty_url))
    with watching("app.db.upgrade", upgrading.cancel), pytest.raises(asyncio.CancelledError):
        await upgrading
    assert await current(empty_url) == "0001"
    await upgrade(empty_url)
    assert await check(empty_url) == []


@contextmanager
def watching(logger: str, then: Callable[[], object]) -> Iterator[None]:
    """Do something whenever something is told."""

    def heard(_: logging.LogRecord) -> bool:
        then()
        return True

    logging.getLogger(logger).addFilter(heard)
    try:
        yield
    finally:
        logging.getLogger(logger).removeFilter(heard)


async def test_up_down_and_up_again_with_rows_inside(empty_url: str) -> None:
    await upgrade(empty_url)
    assert await current(empty_url) == head()
    await run_in(empty_url, fill)
    await downgrade(empty_url, "base")
    assert await current(empty_url) is None
    await upgrade(empty_url)
    assert await check(empty_url) == []
    await run_in(empty_url, fill)


async def test_requests_that_0001_does_not_know_go_with_0002(empty_url: str) -> None:
    await upgrade(empty_url, "0001")
    await run_in(empty_url, lambda connection: add_requests(connection, "stop"))
    await upgrade(empty_url)
    await run_in(empty_url, lambda connection: add_requests(connection, "kill"))
    await downgrade(empty_url, "0001")
    assert await kinds(empty_url) == ["stop"]
    await upgrade(empty_url)
    assert await kinds(empty_url) == ["stop"]
    assert await check(empty_url) == []


async def test_what_0003_lets_an_edit_leave_goes_with_it(empty_url: str) -> None:
    await upgrade(empty_url)
    await run_in(empty_url, add_edited_node)
    await downgrade(empty_url, "0002")
    async with open_for_migration(empty_url, writes=False) as connection:
        rows = await connection.exec_driver_sql("SELECT status, finished_at FROM nodes")
        assert [tuple(row) for row in rows] == [(0, None)]
    await upgrade(empty_url)
    assert await check(empty_url) == []


async def test_users_go_with_0004_and_nothing_else(empty_url: str) -> None:
    await upgrade(empty_url)
    await run_in(empty_url, fill)
    await downgrade(empty_url, "0003")
    async with open_for_migration(empty_url, writes=False) as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM log_chunks")).scalar() == 1
    await upgrade(empty_url)
    async with open_for_migration(empty_url, writes=False) as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM users")).scalar() == 0
    assert await check(empty_url) == []


async def test_packed_logs_are_texts_again_before_0007(empty_url: str) -> None:
    text = "a line of a long log\n" * 2_000
    await upgrade(empty_url)
    await run_in(empty_url, lambda connection: add_packed(connection, text))
    await downgrade(empty_url, "0006")
    async with open_for_migration(empty_url, writes=False) as connection:
        rows = await connection.exec_driver_sql("SELECT text FROM log_chunks ORDER BY seq")
        assert [row[0] for row in rows] == [text] * 20
    await upgrade(empty_url)
    assert await check(empty_url) == []


async def test_what_is_set_for_dags_and_marked_to_go_goes_with_0012_and_no_run(empty_url: str) -> None:
    await upgrade(empty_url)
    await run_in(empty_url, add_limits)
    await downgrade(empty_url, "0007")
    await upgrade(empty_url)
    async with open_for_migration(empty_url, writes=False) as connection:
        counts = [
            (await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar()  # noqa: S608  # its own tables
            for table in ("runs", "log_chunks", "dags", "dag_retention", "removals")
        ]
    assert counts == [1, 1, 1, 0, 0]
    assert await check(empty_url) == []


def add_limits(connection: WriteConnection) -> None:
    fill(connection)
    add(connection, DagRetention, dag_id=add_dag(connection), days=-1, set_at=NOW)
    run_sql(connection, "INSERT INTO removals (run_id, begun_at) SELECT id, created_at FROM runs")


def add_packed(connection: WriteConnection, text: str) -> None:
    run_id = add_whole_run(connection)
    for seq in range(20):
        add_chunk(connection, run_id, seq, text="", packed=pack(text))


async def test_the_order_of_a_queue_outlives_0013(empty_url: str) -> None:
    await upgrade(empty_url, "0012")
    await run_in(empty_url, lambda connection: add_waiting(connection, "low", priority=1))
    await run_in(empty_url, lambda connection: add_waiting(connection, "high", priority=0))
    await upgrade(empty_url)
    await run_in(empty_url, lambda connection: add_waiting(connection, "higher", priority=7))
    assert await waiting(empty_url, "ORDER BY priority DESC, place, q.id") == [("higher", 7), ("high", 1), ("low", 0)]
    await downgrade(empty_url, "0012")
    assert await waiting(empty_url, "ORDER BY priority, q.id") == [("high", 0), ("higher", 0), ("low", 1)]
    await upgrade(empty_url)
    assert await check(empty_url) == []


def add_waiting(connection: WriteConnection, run_id: str, priority: int) -> None:
    if run_id == "low":
        add_definition(connection)
    key = add_run(connection, run_id=run_id, status=5)
    add_attempt(connection, key, status=5)
    statement = "INSERT INTO queue_entries (run_id, queue, priority, queued_at) VALUES (:run, 'q', :priority, :at)"
    run_sql(connection, statement, run=key, priority=priority, at=stored(connection, NOW))


async def waiting(url: str, order: str) -> list[tuple[str, int]]:
    statement = f"SELECT r.run_id, q.priority FROM queue_entries q JOIN runs r ON r.id = q.run_id {order}"  # noqa: S608 - of this file
    async with open_for_migration(url, writes=False) as connection:
        return [(row.run_id, row.priority) for row in await connection.exec_driver_sql(statement)]


async def test_runs_from_before_0016_are_found_by_how_long_they_took(empty_url: str) -> None:
    await upgrade(empty_url, "0015")
    await run_in(empty_url, add_long_run)
    await upgrade(empty_url)
    assert await check(empty_url) == []
    database = await Database.open(empty_url)
    found = await database.read(
        lambda connection: [
            run_keys.find_few(connection, RunFilter(shortest_seconds=wanted), bounded=True) for wanted in (60, 61)
        ]
    )
    await database.close()
    assert [len(keys or ()) for keys in found] == [1, 0]
    await downgrade(empty_url, "0015")
    async with open_for_migration(empty_url, writes=False) as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM runs")).scalar() == 1


def add_long_run(connection: WriteConnection) -> None:
    add_definition(connection)
    key = add_run(connection)
    bring_run_to(connection, key, RunStatus.SUCCEEDED)
    times = {"begin": stored(connection, NOW), "over": stored(connection, NOW + timedelta(seconds=60))}
    run_sql(connection, "UPDATE runs SET started_at = :begin, finished_at = :over WHERE id = :id", id=key, **times)


async def test_the_index_of_names_knows_the_status_since_0015_and_no_run_is_lost(empty_url: str) -> None:
    await upgrade(empty_url, "0014")
    await run_in(empty_url, fill)
    assert "status" not in await index_of_names(empty_url)
    await upgrade(empty_url)
    assert "created_at, status" in await index_of_names(empty_url)
    assert await check(empty_url) == []
    await downgrade(empty_url, "0014")
    assert "status" not in await index_of_names(empty_url)


async def index_of_names(url: str) -> str:
    catalogue = (
        "SELECT sql FROM sqlite_master WHERE name"
        if sqlite_path(url)
        else "SELECT indexdef FROM pg_indexes WHERE indexname"
    )
    async with open_for_migration(url, writes=False) as connection:
        found = await connection.exec_driver_sql(f"{catalogue} = 'ix_runs_root_name'")
        return str(found.scalar_one())


async def test_slots_and_settings_go_with_0011_and_nothing_else(empty_url: str) -> None:
    await upgrade(empty_url)
    await run_in(empty_url, add_slots)
    await downgrade(empty_url, "0010")
    async with open_for_migration(empty_url, writes=False) as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM dags")).scalar() == 1
    await upgrade(empty_url)
    async with open_for_migration(empty_url, writes=False) as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM schedule_slots")).scalar() == 0
    assert await check(empty_url) == []


def add_slots(connection: WriteConnection) -> None:
    run_id = add_whole_run(connection)
    dag_id = add_dag(connection)
    add_slot(connection, dag_id, run_id=run_id)
    add(connection, ScheduleMark, id=1, minute=NOW)
    add(connection, DagSetting, dag_id=dag_id, catchup="all", catchup_window_seconds=60, updated_at=NOW)


def add_edited_node(connection: WriteConnection) -> None:
    run_id = add_run_in(connection, RunStatus.FAILED)
    add_attempt(connection, run_id)
    add_node(connection, run_id)
    bring_node_to(connection, run_id, NodeStatus.SUCCEEDED)
    at = stored(connection, NOW)
    run_sql(connection, "UPDATE nodes SET finished_at = :at", at=at)
    run_sql(connection, "UPDATE nodes SET status = 0, edited_at = :at, edited_by = 'ann'", at=at)


def add_requests(connection: WriteConnection, kind: str) -> None:
    if kind == "stop":
        add_whole_run(connection)
    statement = "INSERT INTO run_requests (run_id, kind, asked_at) SELECT id, :kind, created_at FROM runs"
    run_sql(connection, statement, kind=kind)


async def kinds(url: str) -> list[str]:
    async with open_for_migration(url, writes=False) as connection:
        rows = await connection.exec_driver_sql("SELECT kind FROM run_requests ORDER BY id")
        return [kind for (kind,) in rows]


async def test_upgrading_what_is_up_to_date_changes_nothing(database_url: str) -> None:
    await run_in(database_url, fill)
    await upgrade(database_url)
    assert await check(database_url) == []
    assert backups(database_url) == []


async def test_two_programs_may_upgrade_at_once(empty_url: str) -> None:
    processes = [await start("-c", UPGRADE, empty_url) for _ in range(3)]
    await asyncio.gather(*(finish(process) for process in processes))
    assert await check(empty_url) == []


async def test_alembic_on_the_command_line_does_the_same(empty_url: str) -> None:
    await finish(await start("-m", "alembic", "-x", f"url={empty_url}", "upgrade", "head"))
    assert await check(empty_url) == []


async def test_a_sqlite_file_with_rows_is_copied_before_it_is_changed(database_url: str) -> None:
    await run_in(database_url, fill)
    await downgrade(database_url, "base")
    copies = backups(database_url)
    assert len(copies) == (1 if sqlite_path(database_url) else 0)
    for copy in copies:
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT count(*) FROM run_events").fetchone() == (1,)
        assert copy.stat().st_mode & 0o077 == 0


async def test_a_sqlite_file_is_for_its_owner_only(empty_url: str) -> None:
    await upgrade(empty_url)
    path = sqlite_path(empty_url)
    assert path is None or path.stat().st_mode & 0o077 == 0


async def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    await run_in(
        database_url, lambda connection: run_sql(connection, "UPDATE alembic_version SET version_num = 'later'")
    )
    with pytest.raises(UnknownRevision, match="later"):
        await upgrade(database_url)


async def test_the_models_say_what_the_migrations_make(empty_url: str, database_url: str) -> None:
    async with open_for_migration(empty_url) as connection, connection.begin():
        await connection.run_sync(Base.metadata.create_all)
        wanted = await connection.run_sync(shape)
    async with open_for_migration(database_url) as connection:
        found = await connection.run_sync(shape)
    assert {name: found.get(name) for name in wanted} == wanted


def parts(sql: str) -> list[str]:
    """Split what a table consists of, however SQLite wrote it down: batch copies quote names and change blanks."""
    body = " ".join(sql[sql.index("(") + 1 : sql.rindex(")")].replace('"', "").split())
    body = body.replace("FOREIGN KEY(", "FOREIGN KEY (").replace("DEFAULT ('')", "DEFAULT ''")
    return split_definition(body)


def shape(connection: Connection) -> dict[str, object]:
    """Everything but what SQLAlchemy does not know: triggers, functions, and on SQLite the order inside a table."""
    if connection.dialect.name == "sqlite":
        described: dict[str, object] = dict(_describe_sqlite(connection))
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        described |= {f"table {name}": sorted(parts(sql)) for name, sql in rows if sql}
    else:
        described = dict(_describe_postgresql(connection))
    ours = {f"table {table.name}" for table in Base.metadata.sorted_tables}
    return {
        name: text for name, text in described.items() if f"table {name.rpartition(' of ')[2]}" in ours or name in ours
    }
