"""The states in which a power loss may leave a SQLite database: all that is synchronised is in each of them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos.power_loss import Files, Loss, lose_power

_PAD = "x" * 700


class Writer:
    """A database whose log is not merged by itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        for statement in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0", "cache_size=5"):
            self._connection.execute(f"PRAGMA {statement}")
        self._connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, pad TEXT)")

    def insert(self, count: int) -> None:
        for _ in range(count):
            self._connection.execute("INSERT INTO t (pad) VALUES (?)", (_PAD,))

    def insert_without_commit(self, count: int) -> None:
        """Write more than the cache holds, which goes to the log before the commit."""
        self._connection.execute("BEGIN")
        self.insert(count)

    def checkpoint(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def files(self) -> Files:
        return Files(*(Path(f"{self._path}{suffix}").read_bytes() for suffix in ("", "-wal", "-shm")))

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with closing(Writer(tmp_path / "original")) as writer:
        yield writer


def open_copy(loss: Loss, folder: Path) -> tuple[str, int]:
    """Return the result of the integrity check and the number of rows."""
    path = folder / "copy"
    path.write_bytes(loss.main)
    Path(f"{path}-wal").write_bytes(loss.wal)
    with closing(sqlite3.connect(path)) as connection:
        (intact,) = connection.execute("PRAGMA integrity_check").fetchone()
        return intact, connection.execute("SELECT count(*) FROM t").fetchone()[0]


def test_no_loss_takes_what_is_committed(writer: Writer, tmp_path: Path) -> None:
    writer.insert(20)
    files = writer.files()
    assert files.committed == len(files.wal)
    assert not files.has_unsynchronised_frames
    for seed in range(10):
        assert open_copy(lose_power(files, None, random.Random(seed)), tmp_path) == ("ok", 20)


def test_a_cut_into_what_is_committed_would_be_seen(writer: Writer, tmp_path: Path) -> None:
    writer.insert(20)
    files = writer.files()
    assert open_copy(Loss(files.main, files.wal[: files.committed - 1], 0), tmp_path) == ("ok", 19)


def test_frames_behind_the_last_commit_may_be_lost_in_any_part(writer: Writer, tmp_path: Path) -> None:
    writer.insert(20)
    writer.insert_without_commit(50)
    files = writer.files()
    assert files.has_unsynchronised_frames
    losses = [lose_power(files, None, random.Random(seed)) for seed in range(20)]
    assert len({loss.wal for loss in losses}) > 10
    assert {open_copy(loss, tmp_path) for loss in losses} == {("ok", 20)}


def test_pages_of_a_checkpoint_may_be_written_in_any_part(writer: Writer, tmp_path: Path) -> None:
    writer.insert(20)
    earlier = writer.files()
    writer.checkpoint()
    files = writer.files()
    losses = [lose_power(files, earlier, random.Random(seed)) for seed in range(20)]
    assert all(loss.torn > 10 for loss in losses)
    assert len({loss.main for loss in losses}) == 20
    assert {open_copy(loss, tmp_path) for loss in losses} == {("ok", 20)}
    # Without the log they are damaged: the test does see what is torn.
    assert any(_is_damaged(loss._replace(wal=b""), tmp_path) for loss in losses)


def _is_damaged(loss: Loss, folder: Path) -> bool:
    try:
        return open_copy(loss, folder) != ("ok", 20)
    except sqlite3.Error:
        return True


def test_pages_from_before_the_log_began_again_are_not_mixed_in(writer: Writer, tmp_path: Path) -> None:
    writer.insert(20)
    earlier = writer.files()
    writer.checkpoint()
    writer.insert(20)
    files = writer.files()
    assert files.log_id != earlier.log_id
    for seed in range(10):
        loss = lose_power(files, earlier, random.Random(seed))
        assert loss.torn == 0
        assert open_copy(loss, tmp_path) == ("ok", 40)
