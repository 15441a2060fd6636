"""The copy of the audit in a file, and what a comparison with it finds."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path

import pytest

from dagbook.auth.audit_context import ANONYMOUS
from dagbook.db.database import Database
from dagbook.maintenance.audit.audit_copy import AuditCopy, Compared, compare
from dagbook.maintenance.audit.audit_pruning import AuditPruning
from tests.db.audit_scene import Audit
from tests.db.rows import NOW


class CopiedAudit(Audit):
    """An audit, and a file that it is copied to."""

    def __init__(self, database: Database, home: Path) -> None:
        super().__init__(database, home)
        self.path = home / "audit.copy"

    async def copy(self) -> str:
        """Copy what the file lacks; returns the problem."""
        copy = AuditCopy(self.database, self.path)
        await copy.run_once()
        return copy.problem

    async def compare(self) -> Compared:
        found, size = await self.verify(), self.path.stat().st_size
        return await self.database.read(lambda connection: compare(connection, self.path, size, found.covered_up_to))

    async def differences(self) -> list[str]:
        return (await self.compare()).differences

    def lines(self) -> list[str]:
        """The entries and seals of the complete lines, such as e1 and s1."""
        found = []
        for line in self.path.read_text().splitlines():
            try:
                ((kind, row),) = json.loads(line).items()
            except ValueError:
                continue
            found.append(f"e{row['id']}" if kind == "entry" else f"s{row['number']}")
        return found


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> CopiedAudit:
    return CopiedAudit(database, tmp_path)


@pytest.fixture
async def copied(scene: CopiedAudit) -> CopiedAudit:
    """Three seals over three entries each, which are copied, and two entries that are not sealed."""
    await scene.seal(3, 3, 3)
    await scene.note(2)
    assert await scene.copy() == ""
    return scene


async def test_sealed_entries_are_copied_in_order_before_their_seal(copied: CopiedAudit) -> None:
    assert copied.lines() == ["e1", "e2", "e3", "s1", "e4", "e5", "e6", "s2", "e7", "e8", "e9", "s3"]
    found = await copied.compare()
    assert (found.differences, found.last_entry, found.last_seal, found.later_entries) == ([], 9, 3, 2)
    assert copied.path.stat().st_mode & 0o777 == 0o600
    await copied.encrypter.run_once()
    await copied.copy()
    assert copied.lines()[12:] == ["e10", "e11", "s4"]
    assert await copied.differences() == []


async def test_a_server_copies_from_its_start_to_its_end(scene: CopiedAudit) -> None:
    copy = AuditCopy(scene.database, scene.path)
    copy.start()
    copy.start()
    await scene.seal(2)
    await copy.stop()
    await copy.stop()
    assert scene.lines() == ["e1", "e2", "s1"]


async def test_many_seals_are_copied(scene: CopiedAudit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagbook.maintenance.audit.audit_copy._SEALS", 2)
    monkeypatch.setattr("dagbook.maintenance.audit.audit_copy._TAIL_BYTES", 100)
    for _ in range(2):
        await scene.seal(2, 1, 1, 1, 1)
        await scene.copy()
    assert (len(scene.lines()), await scene.differences()) == (22, [])


@pytest.mark.parametrize("lost", [1, 40, 500, 1000])
async def test_what_was_cut_off_is_written_again(copied: CopiedAudit, lost: int) -> None:
    os.truncate(copied.path, copied.path.stat().st_size - lost)
    await copied.copy()
    found = await copied.compare()
    assert (found.differences, found.last_entry, found.last_seal) == ([], 9, 3)


async def test_an_entry_that_is_changed_before_it_is_written_again_is_named(copied: CopiedAudit) -> None:
    os.truncate(copied.path, copied.path.stat().st_size - 40)  # the end of seal 3
    await copied.tamper("UPDATE audit SET name = 'other' WHERE id = 8")
    await copied.copy()
    assert await copied.differences() == ["entry 8 was changed: its name differ from the copy"]


async def test_a_copy_of_an_earlier_build_which_has_entries_before_they_are_sealed_is_continued(
    copied: CopiedAudit,
) -> None:
    lines = copied.path.read_bytes().splitlines(keepends=True)
    copied.path.write_bytes(b"".join([*lines[:3], *lines[4:6], lines[3], *lines[6:11]]))  # seal 1 behind entry 5
    assert await copied.differences() == []
    await copied.copy()
    found = await copied.compare()
    assert (found.differences, found.last_entry, found.last_seal) == ([], 9, 3)


# -- disks that fail ---------------------------------------------------------------------------------------------------


async def test_a_full_disk_is_said_once_and_what_it_lacks_is_copied_later(
    scene: CopiedAudit, caplog: pytest.LogCaptureFixture
) -> None:
    scene.path.symlink_to("/dev/full")
    copy = AuditCopy(scene.database, scene.path)
    await scene.seal(3)
    for _ in range(3):
        await copy.run_once()
    assert copy.problem == os.strerror(errno.ENOSPC)
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    scene.path.unlink()
    await copy.run_once()
    assert (copy.problem, len(scene.lines()), await scene.differences()) == ("", 4, [])


async def test_a_missing_disk_is_said_and_is_not_replaced_by_a_folder(scene: CopiedAudit, tmp_path: Path) -> None:
    scene.path = tmp_path / "disk" / "audit.copy"
    await scene.seal(3)
    assert await scene.copy() == os.strerror(errno.ENOENT)
    scene.path.parent.mkdir()
    assert (await scene.copy(), len(scene.lines())) == ("", 4)


async def test_a_file_that_is_moved_away_is_followed_by_a_new_one(copied: CopiedAudit) -> None:
    copied.path.rename(copied.path.with_name("old"))
    assert (await copied.copy(), len(copied.lines())) == ("", 12)


async def test_two_servers_with_the_same_file_write_each_entry_once(scene: CopiedAudit) -> None:
    await scene.seal(3, 3)
    assert await asyncio.gather(*(scene.copy() for _ in range(4))) == [""] * 4
    assert len(scene.lines()) == 8


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM audit_seals WHERE number = 3", "UPDATE audit_seals SET hash = digest WHERE number = 3"],
)
async def test_a_copy_of_another_history_is_left_as_it_is(copied: CopiedAudit, change: str) -> None:
    before = copied.path.read_bytes()
    await copied.tamper(change)
    assert "dagbook audit verify --copy" in await copied.copy()
    assert copied.path.read_bytes() == before


# -- comparison --------------------------------------------------------------------------------------------------------

_SWAP = (
    "UPDATE audit SET id = -1 WHERE id = 4",
    "UPDATE audit SET id = 4 WHERE id = 5",
    "UPDATE audit SET id = 5 WHERE id = -1",
)
_LOST = "is missing, and no sealed audit.prune entry covers it"
_CHANGED = "differ from the copy"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["UPDATE audit SET actor = 'bob' WHERE id = 2"], [f"entry 2 was changed: its actor {_CHANGED}"]),
        (["DELETE FROM audit WHERE id = 2"], [f"entry 2 {_LOST}"]),
        (["DELETE FROM audit WHERE id > 7"], [f"entry 8 {_LOST}", f"entry 9 {_LOST}"]),
        (
            ["UPDATE audit SET id = -5 WHERE id = 9"],
            ["entry -5 is in the database, but not in the copy", f"entry 9 {_LOST}"],
        ),
        (
            _SWAP,
            [f"entry 4 was changed: its name, before {_CHANGED}", f"entry 5 was changed: its name, before {_CHANGED}"],
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
            [f"entry {number} {_LOST}" for number in (1, 2, 3)],
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


async def test_a_line_of_the_copy_that_was_changed_or_lost_is_a_difference(copied: CopiedAudit) -> None:
    lines = copied.path.read_bytes().splitlines(keepends=True)
    copied.path.write_bytes(b"".join([lines[0], b"{}\n", *lines[3:5], lines[5].replace(b"ann", b"bob"), *lines[6:]]))
    assert await copied.differences() == [
        "entry 2 is in the database, but not in the copy",
        "entry 3 is in the database, but not in the copy",
        "entry 5 was changed: its actor differ from the copy",
    ]


async def test_a_line_that_is_being_written_is_no_difference(copied: CopiedAudit) -> None:
    with copied.path.open("ab") as file:
        file.write(b'{"entry":{"id":1')
    assert await copied.differences() == []
