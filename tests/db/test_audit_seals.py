"""Sealing the audit, and finding changes made by hand."""

from __future__ import annotations

import asyncio
import json
import logging
from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import asdict
from sqlalchemy import insert

from dagbook.auth.audit_context import Action, dag_action
from dagbook.db.database import Database
from dagbook.db.models import AuditEntry
from dagbook.db.repositories import audit
from dagbook.maintenance.audit import audit_sealing
from dagbook.maintenance.audit.audit_chain import seal_head
from dagbook.maintenance.audit.audit_sealing import AuditSealer
from dagbook.maintenance.audit.audit_verification import KnownSeal, Limit
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.telemetry.logging import JsonFormatter
from tests.db.audit_scene import ANN, Audit, numbers
from tests.db.rows import NOW, add_entry
from tests.waiting import wait_until


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Audit:
    return Audit(database, tmp_path)


async def test_an_unchanged_audit_is_verified(scene: Audit) -> None:
    await scene.seal(3, 1, 5)
    await scene.note(2)
    found = await scene.verify()
    assert (found.broken, found.entries, found.sealed_up_to, found.unsealed) == ("", 11, 9, 2)


async def test_an_empty_audit_is_verified(scene: Audit) -> None:
    assert await scene.encrypter.run_once() == 0
    found = await scene.verify()
    assert (found.broken, found.entries, found.sealed_up_to, found.seal) == ("", 0, 0, None)


async def test_sealed_entries_are_not_sealed_again(scene: Audit) -> None:
    await scene.seal(3)
    assert await scene.encrypter.run_once() == 0
    assert (await scene.verify()).seal is not None


async def test_many_entries_make_several_seals(scene: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_sealing, "_MOST_ENTRIES", 4)
    await scene.note(9)
    assert await scene.encrypter.run_once() == 9
    seals = await scene.database.read(lambda connection: audit.find_seals(connection, 0, 9))
    assert numbers(seals, "last_id") == [4, 8, 9]
    assert await scene.broken() == ""


async def test_seals_are_not_made_before_the_last_one_when_the_clock_is_set_back(scene: Audit) -> None:
    await scene.seal(1)
    scene.time = NOW.replace(year=2020)
    await scene.seal(1)
    seals = await scene.database.read(lambda connection: audit.find_seals(connection, 0, 9))
    assert [seal.sealed_at for seal in seals] == [NOW, NOW]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["UPDATE audit SET actor = 'bob' WHERE id = 5"], "entry 5 was changed"),
        (["UPDATE audit SET actor = NULL WHERE id = 5"], "entry 5 was changed"),
        (["UPDATE audit SET after = '{}' WHERE id = 5"], "entry 5 was changed"),
        (["UPDATE audit SET outcome = 'refused' WHERE id = 9"], "entry 9 was changed"),
        (["DELETE FROM audit WHERE id = 5"], "entry 5 is missing"),
        (["DELETE FROM audit WHERE id = 1"], "entry 1 is missing"),
        (["DELETE FROM audit WHERE id = 6"], "entry 6 is missing"),  # the last that a seal covers
        (["DELETE FROM audit WHERE id > 6"], "entry 7 is missing"),
        (["DELETE FROM audit"], "entry 1 is missing"),
        (
            [
                "UPDATE audit SET id = -1 WHERE id = 4",
                "UPDATE audit SET id = 4 WHERE id = 5",
                "UPDATE audit SET id = 5 WHERE id = -1",
            ],
            "entry 4 was changed",
        ),
        (["DELETE FROM audit WHERE id = 4", "UPDATE audit SET id = 4 WHERE id = 5"], "entry 4 was changed"),
        (["DELETE FROM audit_seals WHERE number = 2"], "seal 2 is missing"),
        (["DELETE FROM audit_seals WHERE number = 1"], "seal 1 is missing"),
        (["UPDATE audit_seals SET entries = 2 WHERE number = 2"], "seal 2 was changed"),
        (["UPDATE audit_seals SET digest = hash WHERE number = 1"], "seal 1 was changed"),
        (["UPDATE audit_seals SET last_id = 8 WHERE number = 2"], "seal 2 was changed"),
        (["UPDATE audit_seals SET hash = digest WHERE number = 2"], "seal 2 was changed"),
        (["UPDATE audit_seals SET signature = marks WHERE number = 3"], "seal 3 was not signed with the key"),
        (["UPDATE audit_seals SET pruned_at = sealed_at, marks = NULL WHERE number = 1"], "entry 1 exists, but seal"),
    ],
)
async def test_a_change_by_hand_is_found_and_named(scene: Audit, changes: list[str], says: str) -> None:
    await scene.seal(3, 3, 3)
    await scene.tamper(*changes)
    assert (await scene.broken()).startswith(says)


async def test_an_entry_added_after_its_seal_is_named(scene: Audit) -> None:
    await scene.seal(3)
    await scene.database.write(lambda connection: add_entry(connection, id=7))  # as if a commit had failed
    await scene.encrypter.run_once()
    await scene.database.write(lambda connection: add_entry(connection, id=5))
    assert await scene.broken() == "entry 5 was not there when it was sealed"


async def test_a_forged_seal_has_no_valid_signature(scene: Audit) -> None:
    await scene.seal(3, 3, 3)
    await scene.tamper("UPDATE audit SET actor = 'bob' WHERE id = 5")
    await scene.seal_again(2)
    assert await scene.broken() == "seal 2 is not the one that was signed"


async def test_an_old_change_with_only_the_last_seals_forged_is_found(scene: Audit) -> None:
    await scene.seal(3, 3, 3)
    await scene.tamper("UPDATE audit SET actor = 'bob' WHERE id = 2")
    await scene.seal_again(3)
    assert await scene.broken() == "entry 2 was changed"


async def test_a_forged_chain_has_no_valid_signature(scene: Audit) -> None:
    await scene.seal(3, 3)
    await scene.tamper("UPDATE audit SET actor = 'bob' WHERE id = 2")
    await scene.seal_again(1)
    await scene.seal_again(2)
    assert await scene.broken() == "seal 1 is not the one that was signed"


async def test_a_forged_chain_is_found_although_a_server_has_sealed_on_top_of_it(
    scene: Audit, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.seal(3, 3)
    await scene.tamper("UPDATE audit SET actor = 'bob' WHERE id = 2")
    await scene.seal_again(1)
    await scene.seal_again(2)
    await scene.seal(3)
    assert await scene.broken() == "seal 1 is not the one that was signed"
    assert "sealed on top of seal 2, which was not signed with the key of this server" in caplog.text


async def test_after_a_change_of_the_key_earlier_seals_are_told(scene: Audit, tmp_path: Path) -> None:
    await scene.seal(3, 3)
    scene.signer = scene.encrypter._signer = Encrypter("another key that is long enough, too", tmp_path)
    await scene.seal(3)
    found = await scene.verify()
    assert (found.broken, found.other_key_up_to, Limit.OTHER_KEY in found.limits) == ("", 2, True)


async def test_a_seal_that_names_another_key_is_found_among_others(scene: Audit) -> None:
    await scene.seal(3, 3, 3)
    forged = b"\x01another!" + b"x" * 60
    await scene.tamper("UPDATE audit_seals SET signature = :sign WHERE number = 2", sign=forged)
    assert (await scene.broken()).startswith("seal 2 was not signed with the key of this installation")


async def test_without_digests_the_range_is_named(scene: Audit) -> None:
    """Whoever changes an entry may change what the seal remembers of it too."""
    await scene.seal(3, 3)
    fitting = (await scene.database.read(lambda connection: audit.find_seals(connection, 0, 1)))[0]
    await scene.tamper("UPDATE audit SET actor = 'bob' WHERE id = 2")
    await scene.seal_again(1)
    restored = "UPDATE audit_seals SET hash = :hash, digest = :digest WHERE number = 1"
    await scene.tamper(restored, hash=fitting.hash, digest=fitting.digest)
    assert await scene.broken() == "the entries 1 to 3 are not what seal 1 covers"


async def test_a_missing_end_is_found_with_a_recorded_seal(scene: Audit) -> None:
    await scene.seal(3, 3)
    known = (await scene.verify()).seal
    assert known is not None
    await scene.tamper("DELETE FROM audit_seals WHERE number = 2", "DELETE FROM audit WHERE id > 3")
    assert await scene.broken() == ""
    assert (await scene.verify(known)).broken == "seal 2 is missing, which was noted elsewhere"
    await scene.seal(3)
    assert (await scene.verify(known)).broken == "seal 2 is not the one that was noted elsewhere"
    assert (await scene.verify(KnownSeal(9, known.hash))).broken == "seal 9 is missing, which was noted elsewhere"


async def test_a_seal_of_another_key_is_named(scene: Audit, tmp_path: Path) -> None:
    await scene.seal(3)
    scene.signer = Encrypter("another key that is long enough, too", tmp_path)
    assert (await scene.broken()).startswith("seal 1 was not signed with the key of this installation")


async def test_two_servers_seal_each_entry_once(scene: Audit, database_url: str) -> None:
    if scene.database.dialect == "sqlite":
        pytest.skip("a SQLite database has one server")
    other = await Database.open(database_url)
    sealers = [AuditSealer(one, scene.signer, scene.now) for one in (scene.database, other) * 3]
    for _ in range(5):
        await scene.note(4)
        sealed = await asyncio.gather(*(encrypter.run_once() for encrypter in sealers))
        assert sum(sealed) == 4
    await other.close()
    found = await scene.verify()
    assert (found.broken, found.sealed_up_to) == ("", 20)


async def test_an_entry_that_is_committed_late_is_not_overtaken_by_its_seal(
    scene: Audit, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if scene.database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    monkeypatch.setattr(audit_sealing, "_WRITERS_SECONDS", 0.2)
    slow = await Database.open(database_url)
    async with slow._backend._writers.engine.connect() as late:  # type: ignore[attr-defined]  # a transaction that stays open
        entry = ANN.entry(dag_action(Action.DAG_DELETE, "late"), NOW)
        await late.execute(insert(AuditEntry).values(**asdict(entry)))
        await scene.note(2)
        assert await scene.encrypter.run_once() == 0  # entry 1 may yet come
        monkeypatch.setattr(audit_sealing, "_WRITERS_SECONDS", 30.0)
        sealing = asyncio.create_task(scene.encrypter.run_once())
        await scene.note(1)  # nobody waits for the sealer
        await late.commit()
    assert await sealing >= 3
    await slow.close()
    await scene.encrypter.run_once()
    found = await scene.verify()
    assert (found.broken, found.sealed_up_to, found.entries) == ("", 4, 4)


async def test_a_stopping_sealer_seals_all_entries(scene: Audit) -> None:
    scene.encrypter.start()
    scene.encrypter.start()
    await scene.note(3)
    await scene.encrypter.stop()
    await scene.encrypter.stop()
    assert (await scene.verify()).sealed_up_to == 3


async def test_the_sealer_seals_periodically(scene: Audit) -> None:
    encrypter = AuditSealer(scene.database, scene.signer, scene.now, every_seconds=0.01)
    encrypter.start()
    await scene.note(3)

    async def look() -> bool:
        return (await scene.verify()).sealed_up_to == 3

    await wait_until(look)
    await encrypter.stop()


async def test_nothing_is_sealed_while_the_key_cannot_be_read(scene: Audit, tmp_path: Path) -> None:
    (tmp_path / "secret.key").mkdir()
    encrypter = AuditSealer(scene.database, Encrypter("", tmp_path), scene.now)
    encrypter.start()
    await scene.note(1)
    await encrypter.stop()
    assert (await scene.verify()).sealed_up_to == 0


async def test_the_head_of_a_seal_is_a_line_of_the_log_at_every_level(
    scene: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [handler])
    monkeypatch.setattr(root, "level", logging.ERROR)
    await scene.seal(3)
    [seal] = await scene.database.read(lambda connection: audit.find_seals(connection, 0, 9))
    line = json.loads(lines.getvalue())
    assert line["message"] == f"the audit is sealed up to entry 3: seal 1:{seal.hash}"
    assert {name: line[name] for name in seal_head(seal)} == seal_head(seal)
