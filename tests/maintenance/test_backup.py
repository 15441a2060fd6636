"""A backup restored elsewhere has what the original had, is held, and starts nothing before it is resumed."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select

from dagbook.auth.audit_context import Actor
from dagbook.clock import now
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.migrations.check import check
from dagbook.db.migrations.upgrade import UnknownRevision, build_config, current, downgrade, open_for_migration, upgrade
from dagbook.db.models import Dag, Node, QueueEntry, Run, RunAttempt, ScheduleSlot, Service
from dagbook.db.repositories import audit, holds, schedules
from dagbook.db.repositories.audit import AuditFilter
from dagbook.db.repositories.invariants.findings import find_broken
from dagbook.db.repositories.schedules import Slot, SlotKey, SlotOutcome
from dagbook.db.types import Base
from dagbook.db.url import PUBLIC, sqlite_path
from dagbook.engine.status import RunStatus
from dagbook.errors import NotRunningError
from dagbook.maintenance.backup import backup as backups
from dagbook.maintenance.backup.files import BackupError, Kind, kind_of
from dagbook.maintenance.backup.restore import restore, restored_keys
from dagbook.runs.recovery.hold import end_hold
from tests.conftest import Copies
from tests.db.rows import NOW, add, rehearse
from tests.maintenance import scene
from tests.maintenance.scene import CALLED, RUNS, WAITS, furnish, furnish_runs

ANN = Actor(via="cli", actor="ann")
GRACE = timedelta(minutes=3)


async def back_up(url: str, target: Path) -> backups.Made:
    return await backups.back_up(url, PUBLIC, target, replaces=False)


class Place(NamedTuple):
    """A database with rows of every kind, a backup of it, and that backup in another place."""

    original: str
    backup: Path
    restored: str


@pytest.fixture(scope="module")
async def place(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async for original in copies.copy():
        database = await Database.open(original)
        await database.write(furnish)
        await database.close()
        made = await back_up(original, tmp_path_factory.mktemp("backups") / "backup")
        async for other in copies.empty():
            await restore(other, PUBLIC, made.file, ANN)
            yield Place(original, made.file, other)


@pytest.fixture(scope="module")
async def restored(place: Place) -> AsyncIterator[Database]:
    """The restored database, which tests change in transactions that they take back."""
    database = await Database.open(place.restored)
    yield database
    await database.close()


def counts(connection: ReadConnection) -> dict[str, int]:
    tables = {name: table for name, table in Base.metadata.tables.items() if name not in ("holds", "audit", "changes")}
    return {name: connection.scalar(select(func.count()).select_from(table)) or 0 for name, table in tables.items()}


def broken(connection: ReadConnection) -> list[str]:
    return [finding.name for finding in find_broken(connection, now(), GRACE) if finding.count]


async def test_a_backup_is_one_private_file_that_the_engine_knows(place: Place) -> None:
    backup = place.backup
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert kind_of(backup) is (Kind.ARCHIVE if sqlite_path(place.original) is None else Kind.SQLITE)
    assert [file.name for file in backup.parent.iterdir()] == ["backup"]


async def test_every_row_is_there_and_the_schema_is_that_of_a_new_database(place: Place, restored: Database) -> None:
    original = await Database.open(place.original)
    assert await restored.read(counts) == await original.read(counts)
    await original.close()
    assert await check(place.restored) == []


async def test_nothing_of_the_original_lives_in_the_restored_place(restored: Database) -> None:
    (stopped,) = await restored.read(lambda connection: connection.scalars(select(Service.stopped_at)).all())
    assert stopped is not None
    assert await restored.read(broken) == []


async def test_the_end_of_the_hold_fails_what_ran_and_leaves_what_waits(restored: Database) -> None:
    def resume(connection: WriteConnection) -> None:
        state = end_hold(connection, ANN, now())
        assert (state.unfinished, state.queued) == (2, 1)
        runs = {row.id: row for row in connection.execute(select(Run.id, Run.status, Run.error))}
        assert {runs[key].status for key in (RUNS, CALLED)} == {RunStatus.FAILED}
        assert "it had not finished when the backup was taken" in runs[RUNS].error
        assert (runs[WAITS].status, runs[WAITS].error) == (RunStatus.QUEUED, None)
        assert connection.scalars(select(Node.run_id).where(Node.status == RunStatus.RUNNING)).all() == []
        still_open = select(RunAttempt.run_id).where(RunAttempt.closed_at.is_(None))
        assert connection.scalars(still_open).all() == [WAITS]
        assert broken(connection) == []
        with pytest.raises(NotRunningError, match="not held"):
            end_hold(connection, ANN, now())

    await rehearse(restored, resume)


async def test_a_sub_run_that_waits_for_a_worker_ends_with_its_caller(restored: Database) -> None:
    def resume(connection: WriteConnection) -> None:
        scene._add(connection, 9, "waits-for-worker", status=5, root_id=RUNS, parent_id=RUNS, queue="called run x")
        add(connection, QueueEntry, run_id=9, queue="called run x", priority=0, queued_at=NOW)
        state = end_hold(connection, ANN, now())
        assert (state.unfinished, state.queued) == (3, 1)
        assert connection.scalars(select(QueueEntry.run_id)).all() == [WAITS]

    await rehearse(restored, resume)


async def test_schedules_begin_at_the_end_of_the_hold_and_make_up_for_nothing(restored: Database) -> None:
    minute = NOW.replace(second=0, microsecond=0)

    def resume(connection: WriteConnection) -> None:
        dag = connection.scalar(select(Dag.id)) or 0
        slot = Slot(key=SlotKey(dag, schedules.RESTART, minute), file_name="etl")
        schedules.claim(connection, SlotOutcome(slot, schedules.RESTARTING, NOW, restarts=RUNS))
        schedules.set_mark(connection, minute)
        at = now()
        end_hold(connection, ANN, at)
        assert schedules.get_mark(connection) == at.replace(second=0, microsecond=0)
        found = connection.execute(select(ScheduleSlot.outcome, ScheduleSlot.reason)).one()
        assert (found.outcome, "restored from a backup" in found.reason) == ("failed", True)

    await rehearse(restored, resume)


async def test_restore_and_resume_are_in_the_audit(restored: Database) -> None:
    def resume(connection: WriteConnection) -> None:
        end_hold(connection, ANN, now())
        rows = audit.find(connection, AuditFilter(), 2)
        assert [(row.action, row.actor, row.name) for row in rows] == [
            ("database.resume", "ann", "backup"),
            ("database.restore", "ann", "backup"),
        ]
        assert rows[0].after == {
            "failedRuns": 2,
            "queuedRuns": 1,
            "droppedDeliveries": 0,
            "closedAlerts": 0,
            "deadEvents": 1,  # of a trigger that follows a DAG
        }

    await rehearse(restored, resume)


@pytest.mark.full
async def test_a_backup_of_a_held_place_can_be_restored_too(place: Place, empty_url: str, tmp_path: Path) -> None:
    again = (await back_up(place.restored, tmp_path / "again")).file
    await restore(empty_url, PUBLIC, again, ANN)
    database = await Database.open(empty_url)
    row = await database.read(holds.get)
    await database.close()
    assert row is not None
    assert row.origin == "again"


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_a_file_that_is_there_is_replaced_only_on_demand(place: Place) -> None:
    furnished, backup = place.original, place.backup
    before = backup.read_bytes()
    with pytest.raises(BackupError, match="exists already"):
        await back_up(furnished, backup)
    assert backup.read_bytes() == before
    await backups.back_up(furnished, PUBLIC, backup, replaces=True)


async def test_a_backup_that_fails_leaves_the_old_one_and_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnished, backup = place.original, place.backup
    before, files = backup.read_bytes(), sorted(file.name for file in backup.parent.iterdir())
    monkeypatch.setattr("dagbook.maintenance.backup.sqlite_copy.check_copy", _fail)
    monkeypatch.setattr("dagbook.maintenance.backup.backup.run_program", _fail)
    with pytest.raises(BackupError, match="as a test"):
        await backups.back_up(furnished, PUBLIC, backup, replaces=True)
    assert (backup.read_bytes(), sorted(file.name for file in backup.parent.iterdir())) == (before, files)


def _fail(*_: object, **__: object) -> None:
    raise BackupError("as a test")


async def test_a_place_with_a_database_is_left_as_it_is(place: Place) -> None:
    furnished, backup = place.original, place.backup
    with pytest.raises(BackupError, match=r"is there; a backup is restored where|is not empty"):
        await restore(furnished, PUBLIC, backup, ANN)
    database = await Database.open(furnished)
    assert await database.read(holds.get) is None
    await database.close()


async def test_a_restore_that_was_killed_is_repeated(
    place: Place, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise KeyboardInterrupt  # after the tables are there, before the hold is

    if sqlite_path(empty_url) is not None:
        return  # the file has its name when it is whole
    monkeypatch.setattr("dagbook.maintenance.backup.restore._finish_postgres", die)
    with pytest.raises(KeyboardInterrupt):
        await restore(empty_url, PUBLIC, place.backup, ANN)
    monkeypatch.undo()
    assert await current(empty_url) is None
    await restore(empty_url, PUBLIC, place.backup, ANN)
    database = await Database.open(empty_url)
    assert await database.read(holds.get) is not None
    await database.close()
    assert await check(empty_url) == []


async def test_tables_of_others_are_not_taken_for_those_of_a_restore(place: Place, empty_url: str) -> None:
    if sqlite_path(empty_url) is not None:
        return
    for table in ("alembic_version (version_num text)", "others (x text)"):
        async with open_for_migration(empty_url) as connection:
            await connection.exec_driver_sql(f"CREATE TABLE {table}")
            await connection.commit()
    with pytest.raises(BackupError, match="is not empty"):
        await restore(empty_url, PUBLIC, place.backup, ANN)


async def test_what_is_no_backup_is_refused(empty_url: str, tmp_path: Path) -> None:
    (text := tmp_path / "text").write_text("steps: []")
    with pytest.raises(BackupError, match="is neither a SQLite database nor an archive of pg_dump"):
        await restore(empty_url, PUBLIC, text, ANN)
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    expected = "not a database of Dagbook" if sqlite_path(empty_url) else "needs an archive of pg_dump"
    with pytest.raises(BackupError, match=expected):
        await restore(empty_url, PUBLIC, tmp_path / "other", ANN)


async def test_a_backup_of_a_newer_version_is_refused(place: Place, empty_url: str, tmp_path: Path) -> None:
    path = sqlite_path(empty_url)
    if path is None:
        return  # an archive cannot be changed, and no server of this version makes one of a newer revision
    newer = Path(shutil.copy(place.backup, tmp_path / "newer"))
    with closing(sqlite3.connect(newer)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnknownRevision, match="9999"):
        await restore(empty_url, PUBLIC, newer, ANN)
    assert list(path.parent.iterdir()) == []


async def test_an_archive_is_for_the_schema_that_it_is_of(place: Place, empty_url: str) -> None:
    backup = place.backup
    if sqlite_path(empty_url) is not None:
        return
    with pytest.raises(BackupError, match="is of the schema public; set database_schema to public"):
        await restore(empty_url, "other", backup, ANN)


async def test_without_the_programs_of_postgresql_the_error_names_what_to_install(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnished = place.original
    if sqlite_path(furnished) is not None:
        return
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match=r"pg_dump was not found in PATH; install .* postgresql-client-"):
        await back_up(furnished, tmp_path / "backup")
    (old := tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    old.chmod(0o755)
    with pytest.raises(BackupError, match="is of version 9, older than the server"):
        await back_up(furnished, tmp_path / "backup")


# -- keys --------------------------------------------------------------------------------------------------------------


def test_the_key_goes_with_a_backup_only_on_demand_and_to_a_home_without_one(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for home in (old, new):
        home.mkdir()
    file = tmp_path / "backup"

    def told(file: Path, secret_key: str, home: Path) -> str:
        with restored_keys(file, secret_key, home) as text:
            return text

    assert backups.write_keys(file, "", old, replaces=False) is None
    assert "no key is beside the backup" in told(file, "", new)
    (old / "secret.key").write_text("k" * 64)
    keys = backups.write_keys(file, "", old, replaces=False)
    assert keys is not None
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert "was restored" in told(file, "", new)
    assert (new / "secret.key").read_text().strip() == "k" * 64
    assert "is that of this place" in told(file, "", new)
    with pytest.raises(BackupError, match="another key"):
        told(file, "x" * 64, new)


def test_a_restore_that_fails_leaves_no_key(tmp_path: Path) -> None:
    (tmp_path / "backup.keys").write_text("k" * 64)
    (home := tmp_path / "home").mkdir()
    with pytest.raises(BackupError), restored_keys(tmp_path / "backup", "", home):
        raise BackupError("as a test")
    assert list(home.iterdir()) == []


@pytest.mark.full
async def test_the_revision_adds_the_table_and_takes_only_it_away(empty_url: str) -> None:
    def names(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names())

    async def tables() -> set[str]:
        async with open_for_migration(empty_url, writes=False) as connection:
            return await connection.run_sync(names)

    await upgrade(empty_url, "0115")
    database = await Database.open(empty_url)
    await database.write(furnish_runs)
    await database.close()
    after = await tables()
    before = ScriptDirectory.from_config(build_config(None)).get_revision("0115").down_revision
    await downgrade(empty_url, str(before))
    assert after - await tables() == {"holds"}
    await upgrade(empty_url)
    assert await check(empty_url) == []


async def test_a_copy_of_an_earlier_revision_is_upgraded_and_held(empty_url: str, tmp_path: Path) -> None:
    if sqlite_path(empty_url) is None:
        return
    old = f"sqlite:///{tmp_path / 'old.sqlite3'}"
    await upgrade(old, "0113")
    await restore(empty_url, PUBLIC, tmp_path / "old.sqlite3", ANN)
    database = await Database.open(empty_url)
    assert await database.read(holds.get) is not None
    entries = select(func.count()).select_from(QueueEntry)
    assert await database.read(lambda connection: connection.scalar(entries)) == 0
    await database.close()
    path = sqlite_path(empty_url)
    assert path is not None
    assert [file.name for file in path.parent.iterdir()] == [path.name]
