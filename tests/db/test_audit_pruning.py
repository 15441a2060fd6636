"""Pruning the audit, so that the rest can still be verified."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dagbook.auth.audit_context import ANONYMOUS, Action, AuditAction
from dagbook.db.database import Database
from dagbook.db.models import AuditEntry
from dagbook.db.repositories import audit
from dagbook.errors import BadRequestError
from dagbook.maintenance.audit import audit_pruning
from dagbook.maintenance.audit.audit_chain import seal_context
from dagbook.maintenance.audit.audit_pruning import AuditPruning, Pruned
from dagbook.maintenance.audit.audit_sealing import make_signed_seal
from dagbook.maintenance.audit.audit_verification import Limit
from dagbook.runs.secrets.encryption import Encrypter, EncryptionError
from tests.db.audit_scene import ANN, Audit
from tests.db.rows import NOW

LATER = NOW + timedelta(days=30)
BETWEEN = NOW + timedelta(days=15)
DELETE = "DELETE FROM audit WHERE id <= 5"


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
    return await AuditPruning(scene.database, scene.signer, scene.now).prune(before, ANONYMOUS)


async def ids(scene: Audit) -> list[int]:
    statement = select(AuditEntry.id).order_by(AuditEntry.id)
    return await scene.database.read(lambda connection: list(connection.execute(statement).scalars()))


async def test_a_preview_deletes_nothing(scene: Audit) -> None:
    assert await AuditPruning(scene.database, scene.signer, scene.now).preview(BETWEEN) == Pruned(5, 5)
    assert len(await ids(scene)) == 11


async def test_entries_sealed_before_a_time_are_deleted_and_the_rest_is_verified(scene: Audit) -> None:
    assert await prune(scene, BETWEEN) == Pruned(5, 5)
    assert await ids(scene) == [6, 7, 8, 9, 10, 11, 12]  # the last one tells of this
    found = await scene.verify()
    assert (found.broken, found.pruned_up_to, found.entries, found.unsealed) == ("", 5, 7, 0)


async def test_unsealed_entries_are_never_deleted(scene: Audit) -> None:
    assert await prune(scene, LATER + timedelta(days=1)) == Pruned(9, 9)
    assert await ids(scene) == [10, 11, 12]
    await scene.encrypter.run_once()
    assert (await scene.verify()).broken == ""


async def test_pruning_is_audited_with_the_number_of_entries(scene: Audit) -> None:
    await prune(scene, BETWEEN)
    rows = await scene.database.read(lambda connection: audit.find(connection, audit.AuditFilter(), 1))
    after = rows[0].after or {}
    assert (rows[0].action, after["entries"], after["upTo"]) == ("audit.prune", 5, 5)


async def test_without_old_entries_nothing_happens(scene: Audit) -> None:
    assert await prune(scene, NOW) == Pruned(0, 0)
    assert len(await ids(scene)) == 11


async def test_many_entries_are_deleted_in_several_commits(scene: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_pruning, "_MOST_PRUNED", 1)
    assert await prune(scene, LATER + timedelta(days=1)) == Pruned(9, 9)
    assert await ids(scene) == [10, 11, 12]
    assert (await scene.verify()).broken == ""


async def test_concurrent_prunings_do_not_conflict(scene: Audit) -> None:
    await asyncio.gather(*(prune(scene, BETWEEN) for _ in range(3)))
    assert (await ids(scene))[:6] == [6, 7, 8, 9, 10, 11]
    assert (await scene.verify()).broken == ""


async def test_a_deletion_that_only_looks_like_pruning_is_named(scene: Audit) -> None:
    await scene.tamper("UPDATE audit_seals SET pruned_at = sealed_at, marks = NULL WHERE number <= 2", DELETE)
    assert await scene.broken() == (
        "the entries 1 to 5 were deleted, and seal 1 over the first of them is marked as pruned, "
        "but no sealed audit.prune entry covers that"
    )


async def test_more_deleted_than_was_pruned_is_named(scene: Audit) -> None:
    await prune(scene, BETWEEN)
    await scene.tamper(
        "UPDATE audit_seals SET pruned_at = sealed_at, marks = NULL WHERE number = 3", "DELETE FROM audit WHERE id <= 9"
    )
    assert (await scene.broken()).startswith("the entries 6 to 9 were deleted, and seal 3")


async def test_a_forged_entry_of_a_pruning_covers_nothing(scene: Audit) -> None:
    entry = ANN.entry(AuditAction(action=Action.AUDIT_PRUNE, kind="audit", name="5", after={"upTo": 5}), NOW)
    await scene.database.write(lambda connection: audit.add(connection, entry))
    await scene.encrypter.run_once()
    await scene.tamper("UPDATE audit_seals SET pruned_at = sealed_at, marks = NULL WHERE number <= 2", DELETE)
    assert (await scene.broken()).startswith("the entries 1 to 5 were deleted")


async def test_a_forged_head_breaks_the_chain(scene: Audit) -> None:
    await scene.tamper(
        "UPDATE audit_seals SET pruned_at = sealed_at, marks = NULL WHERE number <= 2",
        DELETE,
        "UPDATE audit_seals SET pruned_up_to = 5 WHERE number = 3",
    )
    assert (await scene.broken()).startswith("seal 3 was changed")


async def test_a_head_without_its_entry_is_named(scene: Audit) -> None:
    """A seal that only a program with the key can make."""
    rows = await scene.database.read(lambda connection: audit.read_range(connection, 9, 11))
    last = await scene.database.read(audit.get_last_seal)
    seal = make_signed_seal(last, rows, scene.signer, scene.now(), 5)
    await scene.database.write(lambda connection: audit.add_seal(connection, seal))
    assert await scene.broken() == "seal 4 has no audit.prune entry of the pruning in its head"


async def test_what_version_0_1_0_has_pruned_stays_pruned(scene: Audit) -> None:
    """It wrote the entry and not the head; its last entry is in the first seal of the next version."""
    await as_the_first_release(scene)
    entry = ANN.entry(AuditAction(action=Action.AUDIT_PRUNE, kind="audit", name="5", after={"upTo": 5}), NOW)
    await scene.database.write(lambda connection: audit.add(connection, entry))
    await scene.tamper("UPDATE audit_seals SET pruned_at = sealed_at, marks = NULL WHERE number <= 2", DELETE)
    assert (await scene.broken()).startswith("the entries 1 to 5 were deleted")  # until its entry is sealed
    await scene.encrypter.run_once()
    found = await scene.verify()
    assert (found.broken, found.pruned_up_to, Limit.OLD_PRUNING in found.limits) == ("", 5, True)
    await prune(scene, LATER + timedelta(days=1))
    found = await scene.verify()
    assert (found.broken, found.pruned_up_to, Limit.OLD_PRUNING in found.limits) == ("", 12, False)


async def as_the_first_release(scene: Audit) -> None:
    await scene.tamper("UPDATE audit_seals SET pruned_up_to = NULL")
    for number in (1, 2, 3):
        await scene.seal_again(number)
        seal = (await scene.database.read(lambda connection: audit.find_seals(connection, 0, 9)))[number - 1]
        signature = scene.signer.encrypt(bytes.fromhex(seal.hash), seal_context(number))
        await scene.tamper("UPDATE audit_seals SET signature = :sign WHERE number = :key", sign=signature, key=number)
    assert await scene.broken() == ""


async def test_nothing_is_pruned_that_is_younger_than_its_least_age(scene: Audit) -> None:
    pruning = AuditPruning(scene.database, scene.signer, scene.now, keep_days=20)
    for work in (pruning.preview(BETWEEN), pruning.prune(BETWEEN, ANONYMOUS)):
        with pytest.raises(BadRequestError, match="before: audit_keep_days keeps the entries of the last 20 days"):
            await work
    assert len(await ids(scene)) == 11
    assert await pruning.prune(LATER - timedelta(days=20), ANONYMOUS) == Pruned(5, 5)


async def test_without_the_key_nothing_is_pruned(scene: Audit, tmp_path: Path) -> None:
    (tmp_path / "secret.key").mkdir()
    with pytest.raises(EncryptionError):
        await AuditPruning(scene.database, Encrypter("", tmp_path), scene.now).prune(BETWEEN, ANONYMOUS)
    assert len(await ids(scene)) == 11


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
