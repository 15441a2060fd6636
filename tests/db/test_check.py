"""What the comparison with a fresh database finds."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.migrations.check import check
from dagbook.db.migrations.upgrade import downgrade, head
from tests.db.rows import run_sql

OTHER_TRIGGER = "CREATE TRIGGER guard_run_events_update BEFORE UPDATE ON run_events BEGIN SELECT 1;END"


async def test_a_fresh_database_is_as_it_should_be(database_url: str) -> None:
    assert await check(database_url) == []


@pytest.mark.parametrize(
    ("on_sqlite", "on_postgresql", "finding"),
    [
        (
            "DROP TRIGGER guard_runs_status",
            "DROP TRIGGER guard_runs_status ON runs",
            "trigger guard_runs_status of runs is missing",
        ),
        ("ALTER TABLE runs DROP COLUMN max_active_runs",) * 2 + ("column max_active_runs of runs is missing",),
        ("DROP INDEX uq_run_attempts_open",) * 2 + ("index uq_run_attempts_open of run_attempts is missing",),
        ("DROP TABLE run_inputs",) * 2 + ("table run_inputs is missing",),
        ("ALTER TABLE runs ADD COLUMN colour TEXT",) * 2 + ("column colour of runs does not belong to Dagbook",),
        ("CREATE INDEX mine ON runs (error)",) * 2 + ("index mine of runs does not belong to Dagbook",),
        (
            "DROP INDEX ix_runs_active_queue; CREATE INDEX ix_runs_active_queue ON runs (queue) WHERE status = 1",
            "DROP INDEX ix_runs_active_queue; CREATE INDEX ix_runs_active_queue ON runs (queue) WHERE status = 1",
            "index ix_runs_active_queue of runs differs from the migrations",
        ),
        (
            "DROP TRIGGER guard_run_events_update; " + OTHER_TRIGGER,
            "ALTER TABLE run_events DISABLE TRIGGER guard_run_events_update",
            "trigger guard_run_events_update of run_events differs from the migrations",
        ),
    ],
)
async def test_what_was_changed_by_hand_is_found(
    database_url: str, database: Database, on_sqlite: str, on_postgresql: str, finding: str
) -> None:
    def change(connection: WriteConnection) -> None:
        for statement in (on_sqlite if connection.dialect.name == "sqlite" else on_postgresql).split("; "):
            run_sql(connection, statement)

    await database.write(change)
    assert finding in await check(database_url)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("ALTER TABLE runs DROP CONSTRAINT ck_runs_status_known", "constraint ck_runs_status_known of runs is missing"),
        ("ALTER TABLE nodes ALTER COLUMN name DROP NOT NULL", "column name of nodes differs from the migrations"),
        (
            "CREATE OR REPLACE FUNCTION guard_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "function guard_refuse differs from the migrations",
        ),
    ],
)
async def test_what_only_postgresql_can_change_is_found_too(
    database_url: str, database: Database, statement: str, finding: str
) -> None:
    if database.dialect == "sqlite":
        finding = "table runs differs from the migrations"
        statement = "ALTER TABLE runs RENAME COLUMN error TO mistake"
    await database.write(lambda connection: run_sql(connection, statement))
    assert finding in await check(database_url)


async def test_tables_of_others_are_left_alone(database_url: str, database: Database) -> None:
    await database.write(lambda connection: run_sql(connection, "CREATE TABLE mine (id INTEGER PRIMARY KEY)"))
    assert await check(database_url) == []


async def test_another_revision_is_told_and_nothing_else(database_url: str) -> None:
    await downgrade(database_url, "base")
    assert await check(database_url) == [f"the database is at revision none, this version of Dagbook requires {head()}"]


def left_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_checking_leaves_nothing_behind(
    database_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    await check(database_url)
    assert left_in(tmp_path) == []
    names = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'dagbook%'"
    if database.dialect == "postgresql":
        assert await database.read(lambda connection: connection.exec_driver_sql(names).all()) == []
