"""The one history of both engines."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from dagbook.db.database import Database, WriteConnection
from dagbook.db.migrations.check import _describe_postgresql, _describe_sqlite, check, split_definition
from dagbook.db.migrations.upgrade import (
    ObsoleteDatabase,
    UnknownRevision,
    build_config,
    current,
    downgrade,
    head,
    open_for_migration,
    require_head,
    revisions,
    upgrade,
)
from dagbook.db.models.run import Run, RunAttempt, RunInput
from dagbook.db.models.trigger import Trigger
from dagbook.db.types import Base
from dagbook.db.url import sqlite_path
from tests.conftest import ROOT
from tests.db.later_version import LATER, copy_migrations, install, install_later
from tests.db.rows import FILLED, NOW, add, add_definition, fill, run_sql, stored
from tests.db.test_trigger_constraints import TRIGGER

UPGRADE = "import asyncio, sys; from dagbook.db.migrations.upgrade import upgrade; asyncio.run(upgrade(sys.argv[1]))"


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


FIRST = "0100"  # the oldest revision


def test_the_names_of_files_give_the_history_that_alembic_reads_in_them() -> None:
    scripts = ScriptDirectory.from_config(build_config(None)).walk_revisions()
    assert revisions() == [script.revision for script in scripts][::-1]


async def test_a_revision_as_the_template_writes_it_keeps_the_triggers(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = head()
    install(monkeypatch, copy_migrations(tmp_path))
    command.revision(build_config(None), "Nothing yet.", rev_id=LATER)
    await upgrade(database_url)
    assert (await current(database_url), await check(database_url)) == (LATER, [])
    await downgrade(database_url, before)
    monkeypatch.undo()
    assert (await current(database_url), await check(database_url)) == (before, [])


async def test_a_database_without_tables_is_at_no_revision(empty_url: str) -> None:
    assert await current(empty_url) is None
    path = sqlite_path(empty_url)
    assert path is None or not path.exists()


async def test_an_upgrade_that_is_to_end_does_so_between_two_revisions(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install_later(monkeypatch, tmp_path)
    await upgrade(empty_url, "0100")
    caplog.set_level(logging.INFO, "dagbook.db.migrations.upgrade")
    upgrading = asyncio.create_task(upgrade(empty_url))
    with watching("dagbook.db.migrations.upgrade", upgrading.cancel), pytest.raises(asyncio.CancelledError):
        await upgrading
    assert await current(empty_url) == "0101"
    await upgrade(empty_url)
    assert await current(empty_url) == LATER
    assert await check(empty_url) == []


async def test_each_step_of_an_upgrade_is_logged_and_of_a_new_database_the_last(
    empty_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dagbook.db.migrations.upgrade")
    await upgrade(empty_url, "0102")
    await upgrade(empty_url, "0105")
    told = [record.getMessage().rpartition(" ")[2] for record in caplog.records]
    assert told == ["0102", "0103", "0105"]


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


_HUNDRED_THOUSAND = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
INSERT INTO runs (dag_name, run_id, definition_hash, queue, trigger, params, params_text, tags, status, attempt,
  created_at, max_active_runs)
SELECT 'etl', 'r' || n, :hash, 'etl', 'manual', '[]', '', '[]', 0, 1, :at, 1 FROM numbers
"""


@pytest.mark.full
async def test_the_tables_of_alerts_come_and_go_with_a_hundred_thousand_runs_inside(empty_url: str) -> None:
    await upgrade(empty_url, "0118")

    def work(connection: WriteConnection) -> None:
        run_sql(connection, _HUNDRED_THOUSAND, hash=add_definition(connection), at=stored(connection, NOW))

    await run_in(empty_url, work)
    count = select(func.count()).select_from(Run)
    for way, revision in ((upgrade, "0119"), (downgrade, "0118"), (upgrade, head())):
        await way(empty_url, revision)
        database = await Database.open(empty_url)
        assert await database.read(lambda connection: connection.scalar(count)) == 100_000
        await database.close()
    assert await check(empty_url) == []


_INPUTS = """
INSERT INTO run_inputs (run_id, params, env, dotenv, work_dir, keep_dir, variables)
SELECT id, '[]', '[]', '[]', '', false, '[["TRIGGER_NAME","push"]]' FROM runs
"""
_EVENTS = """
INSERT INTO trigger_events (id, trigger_id, key, state, received_at, settled_at, run_id, headers, body)
SELECT run_id, :trigger, run_id, 'started', :at, :at, id, '{}', :body FROM runs
"""
_MOST_SECONDS = 60.0  # of a revision, while which nothing is stored; SQLite needs some 3 s of a core


@pytest.mark.full
async def test_the_tables_of_triggers_go_and_come_with_a_hundred_thousand_events_inside(
    empty_url: str, record_property: Callable[[str, object], None]
) -> None:
    await upgrade(empty_url, "0120")

    def work(connection: WriteConnection) -> None:
        at = stored(connection, NOW)
        run_sql(connection, _HUNDRED_THOUSAND, hash=add_definition(connection), at=at)
        run_sql(connection, _INPUTS)
        run_sql(connection, _EVENTS, trigger=add(connection, Trigger, **TRIGGER), at=at, body=bytes(200))

    await run_in(empty_url, work)
    for way, revision in ((downgrade, "0119"), (upgrade, "0120")):
        begin = monotonic()
        await way(empty_url, revision)
        record_property(way.__name__, seconds := monotonic() - begin)
        assert seconds < _MOST_SECONDS
        async with open_for_migration(empty_url, writes=False) as connection:
            for model in (Run, RunInput):
                assert await connection.scalar(select(func.count()).select_from(model)) == 100_000
    await upgrade(empty_url)
    assert await check(empty_url) == []


async def test_rows_outlive_the_way_to_a_later_revision_and_back(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = head()
    await run_in(database_url, fill)
    install_later(monkeypatch, tmp_path)
    await upgrade(database_url)
    assert await check(database_url) == []
    await downgrade(database_url, before)
    assert await current(database_url) == before
    async with open_for_migration(database_url, writes=False) as connection:
        filled = [
            table.name
            for table in Base.metadata.sorted_tables
            if await connection.scalar(select(func.count()).select_from(table)) == 1
        ]
    assert set(filled) == FILLED


async def test_an_attempt_of_the_version_before_has_killed_no_owner(database_url: str) -> None:
    await run_in(database_url, fill)
    await run_in(database_url, lambda connection: run_sql(connection, "UPDATE run_attempts SET takeovers = 2"))
    await downgrade(database_url, "0100")
    await upgrade(database_url)
    async with open_for_migration(database_url, writes=False) as connection:
        assert list(await connection.scalars(select(RunAttempt.takeovers))) == [0]


async def test_upgrading_what_is_up_to_date_changes_nothing(database_url: str) -> None:
    await run_in(database_url, fill)
    await upgrade(database_url)
    assert await check(database_url) == []
    assert backups(database_url) == []


@pytest.mark.always
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


@pytest.mark.parametrize("work", [upgrade, check, require_head])
@pytest.mark.parametrize("revision", ["0001", "0018"])
async def test_a_database_from_before_the_first_release_is_refused(
    database_url: str, revision: str, work: Callable[[str], Awaitable[object]]
) -> None:
    await run_in(
        database_url,
        lambda connection: run_sql(connection, "UPDATE alembic_version SET version_num = :old", old=revision),
    )
    remedy = "move that file away" if sqlite_path(database_url) else "use an empty schema"
    with pytest.raises(ObsoleteDatabase, match=f"made before Dagbook 0.1.0 .*{revision}.* {remedy}"):
        await work(database_url)
    assert await current(database_url) == revision
    assert backups(database_url) == []


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
