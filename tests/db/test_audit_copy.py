"""The copy of the audit in a file, and what a comparison with it finds."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dagbook.auth.audit_context import ANONYMOUS
from dagbook.db.database import Database
from dagbook.db.repositories import audit
from dagbook.db.repositories.audit import AuditRow, SealRow
from dagbook.maintenance.audit.audit_copy import AuditCopy
from dagbook.maintenance.audit.audit_pruning import AuditPruning
from dagbook.maintenance.audit.copy_file import decode
from dagbook.maintenance.audit.copy_verification import Compared, Copy, compare
from tests.db.audit_scene import Audit
from tests.db.rows import NOW
from tests.waiting import come_true


class CopiedAudit(Audit):
    """An audit, and a file that it is copied to."""

    def __init__(self, database: Database, home: Path) -> None:
        super().__init__(database, home)
        self.path = home / "audit.copy"
        self.copies: list[AuditCopy] = []

    async def copy(self) -> str:
        """Copy what the file lacks, as a server that has just started; returns its problem."""
        copy = AuditCopy(self.database, self.path)
        await copy.run_once()
        copy.close()
        return copy.problem

    async def compare(self) -> Compared:
        end = Copy.of(self.path)
        found = await self.verify()
        return await self.database.read(lambda connection: compare(connection, end, found))

    async def differences(self) -> list[str]:
        return list((await self.compare()).differences)

    def lines(self) -> list[AuditRow | SealRow | None]:
        found = [decode(line) for line in self.path.read_bytes().splitlines()]
        return [line.entry or line.seal if line else None for line in found]


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> CopiedAudit:
    return CopiedAudit(database, tmp_path)


@pytest.fixture
async def copied(scene: CopiedAudit) -> CopiedAudit:
    """Three seals over three entries each, and two entries that are not sealed, all of them copied."""
    await scene.seal(3, 3, 3)
    await scene.note(2)
    assert await scene.copy() == ""
    return scene


@pytest.fixture
async def running(scene: CopiedAudit) -> AsyncIterator[AuditCopy]:
    copy = AuditCopy(scene.database, scene.path)
    copy.start()
    copy.start()
    yield copy
    await copy.stop()


async def test_entries_and_seals_are_copied_in_order(copied: CopiedAudit) -> None:
    entries = await copied.database.read(lambda connection: audit.read_range(connection, 0, 11))
    lines = copied.lines()
    assert [line for line in lines if isinstance(line, AuditRow)] == entries
    assert [line.number for line in lines if isinstance(line, SealRow)] == [1, 2, 3]
    assert await copied.differences() == []


async def test_a_running_server_copies_what_it_commits(scene: CopiedAudit, running: AuditCopy) -> None:
    for count in (1, 2, 3):
        await scene.seal(1)

        async def is_copied(count: int = count) -> bool:
            return not running.problem and scene.path.exists() and len(scene.lines()) == 2 * count

        await come_true(is_copied)


async def test_a_stopping_server_copies_everything(scene: CopiedAudit) -> None:
    copy = AuditCopy(scene.database, scene.path)
    copy.start()
    await scene.seal(2)
    await copy.stop()
    await copy.stop()
    assert len(scene.lines()) == 3


async def test_what_was_committed_meanwhile_is_copied_at_the_next_start(copied: CopiedAudit) -> None:
    await copied.note(2)
    await copied.encrypter.run_once()
    assert (await copied.compare()).later_entries == 2
    await copied.copy()
    found = await copied.compare()
    assert (found.differences, found.last_entry, found.last_seal, found.later_entries) == ([], 13, 4, 0)


async def test_many_entries_are_copied(scene: CopiedAudit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagbook.maintenance.audit.audit_copy._MOST_ENTRIES", 2)
    monkeypatch.setattr("dagbook.maintenance.audit.audit_copy._MOST_SEALS", 1)
    monkeypatch.setattr("dagbook.maintenance.audit.copy_file._TAIL_BYTES", 100)
    for _ in range(2):
        await scene.seal(5, 2)
        await scene.copy()
    assert (len(scene.lines()), await scene.differences()) == (18, [])


@pytest.mark.parametrize("lost", [1, 40, 500])
async def test_a_line_that_was_cut_off_is_written_again(copied: CopiedAudit, lost: int) -> None:
    os.truncate(copied.path, copied.path.stat().st_size - lost)
    await copied.copy()
    found = await copied.compare()
    assert (found.differences, found.last_entry, found.last_seal) == ([], 11, 3)


async def test_the_file_is_for_its_owner_only(copied: CopiedAudit) -> None:
    assert copied.path.stat().st_mode & 0o777 == 0o600


# -- disks that fail ---------------------------------------------------------------------------------------------------


async def test_a_full_disk_is_said_and_what_it_lacks_is_copied_later(
    scene: CopiedAudit, caplog: pytest.LogCaptureFixture
) -> None:
    scene.path.symlink_to("/dev/full")
    copy = AuditCopy(scene.database, scene.path)
    await scene.seal(3)
    for _ in range(3):
        await copy.run_once()
    assert copy.problem == os.strerror(errno.ENOSPC)
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1  # not every few seconds
    scene.path.unlink()
    await copy.run_once()
    copy.close()
    assert (copy.problem, len(scene.lines()), await scene.differences()) == ("", 4, [])


async def test_a_missing_disk_is_said_and_is_not_replaced_by_a_folder(scene: CopiedAudit, tmp_path: Path) -> None:
    scene.path = tmp_path / "disk" / "audit.copy"
    await scene.seal(3)
    assert await scene.copy() == os.strerror(errno.ENOENT)
    scene.path.parent.mkdir()
    assert (await scene.copy(), len(scene.lines())) == ("", 4)


async def test_a_file_that_is_moved_away_is_followed_by_a_new_one(scene: CopiedAudit) -> None:
    copy = AuditCopy(scene.database, scene.path)
    await scene.seal(2)
    await copy.run_once()
    scene.path.rename(scene.path.with_name("old"))
    await copy.run_once()
    assert copy.problem
    await copy.run_once()
    copy.close()
    assert (copy.problem, len(scene.lines())) == ("", 3)


async def test_two_processes_do_not_write_one_file(scene: CopiedAudit) -> None:
    first = AuditCopy(scene.database, scene.path)
    await first.run_once()
    assert await scene.copy() == "another process writes to it"
    first.close()
    assert await scene.copy() == ""


@pytest.mark.parametrize(
    "change",
    ["UPDATE audit SET actor = 'bob' WHERE id = 11", "UPDATE audit_seals SET hash = digest WHERE number = 3"],
)
async def test_a_copy_of_another_history_is_left_as_it_is(copied: CopiedAudit, change: str) -> None:
    before = copied.path.read_bytes()
    await copied.tamper(change)
    await copied.note(1)
    assert "dagbook audit verify --copy" in await copied.copy()
    assert copied.path.read_bytes() == before


# -- comparison --------------------------------------------------------------------------------------------------------

_SWAP = (
    "UPDATE audit SET id = -1 WHERE id = 4",
    "UPDATE audit SET id = 4 WHERE id = 5",
    "UPDATE audit SET id = 5 WHERE id = -1",
)
_UNCOVERED = "and no sealed audit.prune entry covers"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["UPDATE audit SET actor = 'bob' WHERE id = 2"], ["entry 2 was changed: its actor differ from the copy"]),
        (["UPDATE audit SET name = 'x' WHERE id = 11"], ["entry 11 was changed: its name differ from the copy"]),
        (["DELETE FROM audit WHERE id = 2"], [f"entry 2 is missing, {_UNCOVERED} it"]),
        (["DELETE FROM audit WHERE id > 3"], [f"the entries 4 to 11 are missing, {_UNCOVERED} them"]),
        (
            ["DELETE FROM audit WHERE id IN (2, 9)"],
            [f"entry 2 is missing, {_UNCOVERED} it", f"entry 9 is missing, {_UNCOVERED} it"],
        ),
        (
            ["UPDATE audit SET id = -5 WHERE id = 11"],
            ["entry -5 is in the database, but not in the copy", f"entry 11 is missing, {_UNCOVERED} it"],
        ),
        (
            _SWAP,
            ["entry 4 was exchanged: in the copy it is entry 5", "entry 5 was exchanged: in the copy it is entry 4"],
        ),
        (["DELETE FROM audit_seals WHERE number = 2"], ["seal 2 over the entries 4 to 6 is missing"]),
        (
            ["UPDATE audit_seals SET signature = marks WHERE number = 1"],
            ["seal 1 is another one in the copy: it was made again or changed"],
        ),
        (
            [
                "UPDATE audit_seals SET pruned_at = sealed_at, marks = NULL WHERE number = 1",
                "DELETE FROM audit WHERE id <= 3",
            ],
            [f"the entries 1 to 3 are missing, {_UNCOVERED} them"],
        ),
    ],
)
async def test_every_difference_is_reported(copied: CopiedAudit, changes: list[str], says: list[str]) -> None:
    await copied.tamper(*changes)
    assert sorted(await copied.differences()) == sorted(says)


async def test_what_was_pruned_is_no_difference_and_stays_in_the_copy(copied: CopiedAudit) -> None:
    await AuditPruning(copied.database, copied.signer, copied.now).prune(NOW.replace(year=2999), ANONYMOUS)
    await copied.copy()
    found = await copied.compare()
    assert (found.differences, found.pruned, found.last_entry) == ([], 9, 12)
    assert len(copied.lines()) == 12 + 5


async def test_a_copy_that_was_changed_is_a_difference(copied: CopiedAudit) -> None:
    lines = copied.path.read_bytes().splitlines(keepends=True)
    copied.path.write_bytes(b"".join([lines[1], b"{}\n", lines[0], *lines[3:]]))
    assert await copied.differences() == [
        "entry 1 is in the database, but not in the copy",
        "line 2 of the copy is damaged",
        "line 3 of the copy is not in order: entry 1 is after 2",
        "entry 3 is in the database, but not in the copy",
    ]


async def test_a_line_that_is_being_written_is_no_difference(copied: CopiedAudit) -> None:
    with copied.path.open("ab") as file:
        file.write(b'{"entry":{"id":1')
    assert await copied.differences() == []
