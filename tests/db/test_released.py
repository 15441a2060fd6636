"""Databases that a released version has filled are upgraded, and nothing in them is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select

from dagbook import __version__
from dagbook.auth.audit_context import ANONYMOUS
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.migrations.check import check
from dagbook.db.migrations.upgrade import current, head, open_for_migration, upgrade
from dagbook.db.types import Base
from dagbook.maintenance.audit.audit_pruning import AuditPruning
from dagbook.maintenance.doctor import Doctor, Examination
from dagbook.runs.secrets.encryption import Encrypter
from tests.db import dumps
from tests.db.audit_scene import Audit
from tests.db.later_version import LATER, install_later

# What every version must have left in its dump, besides the tables of users, queues and schedules.
_MUST_BE_FILLED = {"runs", "run_attempts", "nodes", "run_events", "log_chunks", "dag_revisions", "audit", "audit_seals"}
_MUST_BE_FILLED |= {"queue_entries", "schedule_slots", "users", "tokens", "services", "changes"}


async def count_rows(url: str) -> dict[str, int]:
    """Count the rows of each table; one that a later revision adds has none."""
    async with open_for_migration(url, writes=False) as connection:
        there = await connection.run_sync(lambda raw: inspect(raw).get_table_names())
        return {
            table.name: (await connection.scalar(select(func.count()).select_from(table)) or 0)
            if table.name in there
            else 0
            for table in Base.metadata.sorted_tables
        }


async def find_damage(url: str) -> list[str]:
    database = await Database.open(url)
    try:
        report = await Doctor(database, 180, now).examine(Examination())
    finally:
        await database.close()
    return [*(report.damage or ()), *(sentence for finding in report.findings for sentence in finding.sentences)]


def test_this_version_has_its_dumps() -> None:
    assert __version__ in dumps.versions()


@pytest.mark.always
@pytest.mark.parametrize("version", dumps.versions())
async def test_a_database_of_a_released_version_is_upgraded_whole(empty_url: str, version: str) -> None:
    await dumps.restore(version, empty_url)
    before = await count_rows(empty_url)
    assert {name for name in _MUST_BE_FILLED if not before[name]} == set()
    await upgrade(empty_url)
    assert (await current(empty_url), await check(empty_url)) == (head(), [])
    assert (await count_rows(empty_url), await find_damage(empty_url)) == (before, [])


@pytest.mark.parametrize("version", dumps.versions())
async def test_and_by_a_revision_to_come(
    empty_url: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dumps.restore(version, empty_url)
    before = await count_rows(empty_url)
    install_later(monkeypatch, tmp_path)
    await upgrade(empty_url)
    assert (await current(empty_url), await check(empty_url), await count_rows(empty_url)) == (LATER, [], before)


@pytest.mark.parametrize("version", dumps.versions())
async def test_its_audit_is_verified_and_goes_on(empty_url: str, version: str, tmp_path: Path) -> None:
    await dumps.restore(version, empty_url)
    await upgrade(empty_url)
    database = await Database.open(empty_url)
    scene = Audit(database, tmp_path)
    scene.signer = Encrypter(dumps.SECRET_KEY, tmp_path)
    try:
        before = await scene.verify()
        assert (before.broken, before.sealed_up_to > 0, before.pruned_up_to) == ("", True, 0)
        done = await AuditPruning(database, scene.signer, now).prune(now(), ANONYMOUS)
        after = await scene.verify(before.seal)
        assert (after.broken, after.pruned_up_to) == ("", done.up_to)
    finally:
        await database.close()
