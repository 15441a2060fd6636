"""Pruning the audit, so that the rest can still be verified."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dagbook.auth.audit_context import ANONYMOUS
from dagbook.db.database import Database
from dagbook.db.models import AuditEntry
from dagbook.db.repositories import audit
from dagbook.maintenance.audit import audit_sealing
from dagbook.maintenance.audit.audit_sealing import AuditPruning, Pruned
from tests.db.audit_scene import Audit
from tests.db.rows import NOW

LATER = NOW + timedelta(days=30)
BETWEEN = NOW + timedelta(days=15)


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Audit:
    """Nine entries under three seals, the last of them a month younger, and two that are not sealed."""
    made = Audit(database, tmp_path)
    await made.seal(3, 2)
    made.time = LATER
    await made.seal(4)
    await made.note(2)
    return made


async def prune(scene: Audit, before: datetime) -> Pruned:
    return await AuditPruning(scene.database, scene.now).prune(before, ANONYMOUS)


async def ids(scene: Audit) -> list[int]:
    statement = select(AuditEntry.id).order_by(AuditEntry.id)
    return await scene.database.read(lambda connection: list(connection.execute(statement).scalars()))


async def test_a_preview_deletes_nothing(scene: Audit) -> None:
    assert await AuditPruning(scene.database, scene.now).preview(BETWEEN) == Pruned(5, 5)
    assert len(await ids(scene)) == 11


async def test_entries_sealed_before_a_time_are_deleted_and_the_rest_is_verified(scene: Audit) -> None:
    assert await prune(scene, BETWEEN) == Pruned(5, 5)
    assert await ids(scene) == [6, 7, 8, 9, 10, 11, 12]  # the last one tells of this
    found = await scene.verify()
    assert (found.broken, found.pruned_up_to, found.entries, found.unsealed) == ("", 5, 7, 3)


async def test_unsealed_entries_are_never_deleted(scene: Audit) -> None:
    assert await prune(scene, LATER + timedelta(days=1)) == Pruned(9, 9)
    assert await ids(scene) == [10, 11, 12]
    await scene.encrypter.run_once()
    assert (await scene.verify()).broken == ""


async def test_pruning_is_audited_with_the_number_of_entries(scene: Audit) -> None:
    await prune(scene, BETWEEN)
    rows = await scene.database.read(lambda connection: audit.find(connection, audit.AuditFilter(), 1))
    assert (rows[0].action, rows[0].after["entries"], rows[0].after["upTo"]) == ("audit.prune", 5, 5)


async def test_without_old_entries_nothing_happens(scene: Audit) -> None:
    assert await prune(scene, NOW) == Pruned(0, 0)
    assert len(await ids(scene)) == 11


async def test_many_entries_are_deleted_in_several_commits(scene: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_sealing, "_MOST_PRUNED", 1)
    assert await prune(scene, LATER + timedelta(days=1)) == Pruned(9, 9)
    assert await ids(scene) == [10, 11, 12]
    assert (await scene.verify()).broken == ""


async def test_concurrent_prunings_do_not_conflict(scene: Audit) -> None:
    await asyncio.gather(*(prune(scene, BETWEEN) for _ in range(3)))
    assert (await ids(scene))[:6] == [6, 7, 8, 9, 10, 11]
    assert (await scene.verify()).broken == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE audit SET actor = 'bob' WHERE id = 7", "entry 7 was changed"),
        ("DELETE FROM audit WHERE id = 6", "entry 6 is missing"),
        ("UPDATE audit_seals SET digest = hash WHERE number = 1", "seal 1 was changed"),
        ("DELETE FROM audit_seals WHERE number = 1", "seal 1 is missing"),
        ("UPDATE audit SET id = 4 WHERE id = 7", "entry 4 exists, but seal 2 over it is marked as pruned"),
    ],
)
async def test_after_pruning_a_change_by_hand_is_still_found(scene: Audit, change: str, says: str) -> None:
    await prune(scene, BETWEEN)
    await scene.tamper(change)
    assert (await scene.broken()).startswith(says)
