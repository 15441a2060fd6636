"""The copies that upgrades leave beside a SQLite database: found by their names, and removed by their age."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dagbook.clock import now
from dagbook.db.sqlite.upgrade_copies import find_copies, make_copy, remove_copies


@pytest.fixture
def path(tmp_path: Path) -> Path:
    database = tmp_path / "dag[b]ook.sqlite3"
    with closing(sqlite3.connect(database)) as raw, raw:
        raw.execute("CREATE TABLE t (x)")
        raw.execute("INSERT INTO t VALUES (1)")
    return database


def test_a_copy_is_whole_and_private_and_is_found_with_its_revision_and_time(path: Path) -> None:
    before = now()
    make_copy(path, "0113")
    (copy,) = find_copies(path)
    assert (copy.revision, copy.size) == ("0113", copy.file.stat().st_size)
    assert before <= copy.made_at <= now()
    assert stat.S_IMODE(copy.file.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy.file)) as raw:
        assert raw.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_a_copy_that_fails_leaves_nothing(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough to be read as one" * 20)
    with pytest.raises(sqlite3.DatabaseError):
        make_copy(path, "0113")
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_has_left_is_removed_by_the_next_copy(path: Path) -> None:
    path.with_name(f"{path.name}.0112.20260101T120000.000000Z.backup.part").write_text("x")
    make_copy(path, "0113")
    (copy,) = find_copies(path)
    assert sorted(path.parent.iterdir()) == [path, copy.file]


def test_only_old_copies_of_this_database_are_removed(path: Path) -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    names = ["0111.20260101T120000.000000Z", "0112.20260129T115959.999999Z", "0113.20260131T120000.000000Z"]
    for name in names:
        path.with_name(f"{path.name}.{name}.backup").write_text(name)
    others = [path.with_name(f"other.{names[0]}.backup"), path.with_name(f"{path.name}.mine.backup")]
    for other in others:
        other.write_text("x")
    assert [copy.revision for copy in find_copies(path)] == ["0111", "0112", "0113"]
    assert [copy.revision for copy in remove_copies(path, 30, at)] == ["0111", "0112"]
    assert [copy.revision for copy in find_copies(path)] == ["0113"]
    assert all(other.exists() for other in (path, *others))
    assert remove_copies(path, 30, at + timedelta(days=1, seconds=1))[0].revision == "0113"
