"""Files of the spool that are used again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from app.executors import blanks as module
from app.executors.blanks import Blanks


def _given(blanks: Blanks, path: Path, text: str = "secret") -> int:
    """Make a file, write to it and give it away; returns its inode."""
    blanks.create(path)
    path.write_text(text)
    inode = path.stat().st_ino
    blanks.give(path)
    return inode


def test_a_file_is_made_with_its_content_and_for_nobody_else(tmp_path: Path, blanks: Blanks) -> None:
    blanks.create(tmp_path / "a", b"text")
    assert (tmp_path / "a").read_bytes() == b"text"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize("content", [b"", b"new"])
def test_what_is_there_is_not_replaced(tmp_path: Path, blanks: Blanks, content: bytes, ready: bool) -> None:
    if ready:
        _given(blanks, tmp_path / "before")
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileExistsError):
        blanks.create(tmp_path / "a", content)
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_that_was_given_is_used_again_and_is_empty(tmp_path: Path, blanks: Blanks) -> None:
    inode = _given(blanks, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    blanks.create(tmp_path / "b")
    assert ((tmp_path / "b").stat().st_ino, (tmp_path / "b").read_text()) == (inode, "")


@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_file_that_somebody_holds_open_is_not_used_again(tmp_path: Path, blanks: Blanks, mode: str) -> None:
    (tmp_path / "a").touch()
    with (tmp_path / "a").open(mode):
        blanks.give(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_has_another_name_is_not_used_again(tmp_path: Path, blanks: Blanks) -> None:
    (tmp_path / "a").touch(0o600)
    (tmp_path / "kept").hardlink_to(tmp_path / "a")
    blanks.give(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_file_that_others_may_read_is_not_used_again(tmp_path: Path, blanks: Blanks) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "a").chmod(0o644)
    blanks.give(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_removed_and_what_it_leads_to_is_not_touched(tmp_path: Path, blanks: Blanks) -> None:
    (tmp_path / "kept").write_text("text")
    (tmp_path / "a").symlink_to(tmp_path / "kept")
    blanks.give(tmp_path / "a")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("kept", "text")]


def test_what_is_not_there_can_be_given(tmp_path: Path, blanks: Blanks) -> None:
    blanks.give(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_no_more_files_are_kept_than_are_of_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    blanks = Blanks(tmp_path)
    for name in "abc":
        (tmp_path / name).touch(0o600)
        blanks.give(tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_another_server_has_removed_is_not_missed(tmp_path: Path, blanks: Blanks) -> None:
    _given(blanks, tmp_path / "a")
    Blanks(tmp_path).clear()
    blanks.create(tmp_path / "b", b"text")
    assert (tmp_path / "b").read_text() == "text"


def test_the_files_that_lie_ready_can_be_removed_and_no_others(tmp_path: Path, blanks: Blanks) -> None:
    _given(blanks, tmp_path / "a")
    (tmp_path / "1_1_0-a.out").touch()
    blanks.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["1_1_0-a.out"]


def test_where_there_are_no_links_a_file_is_made_all_the_same(
    tmp_path: Path, blanks: Blanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    _given(blanks, tmp_path / "a")
    monkeypatch.setattr(os, "link", refuse)  # no file system without links can be mounted here
    blanks.create(tmp_path / "b", b"text")
    with pytest.raises(FileExistsError):
        blanks.create(tmp_path / "b", b"other")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("b", "text")]


def test_an_output_file_is_appended_to(tmp_path: Path, blanks: Blanks) -> None:
    for text in (b"one\n", b"two\n"):
        descriptor = blanks.open_to_append(tmp_path / "a")
        os.write(descriptor, text)
        os.close(descriptor)
    assert (tmp_path / "a").read_text() == "one\ntwo\n"
