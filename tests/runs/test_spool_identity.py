"""The identity of a spool: it stays while the folder is the same one, and no copy has it."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dagbook.runs.output.spool_identity import is_identity, open_spool, read_id


def test_a_spool_keeps_its_identity(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    assert open_spool(tmp_path) == read_id(tmp_path) == first


def test_a_spool_that_is_moved_keeps_its_identity(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    first = open_spool(home)
    assert open_spool(home.rename(tmp_path / "moved")) == first


def test_a_new_folder_at_the_same_path_has_another_identity(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    first = open_spool(home)
    home.rename(tmp_path / "away")
    home.mkdir()
    assert open_spool(home) != first


def test_the_files_of_a_copy_are_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    home.mkdir()
    first = open_spool(home)
    (home / "1_1_0-step.1.started").write_text("of the original")
    shutil.copytree(home, copy)
    assert read_id(copy) is None
    assert open_spool(copy) not in (first, None)
    assert all(is_identity(path) for path in copy.iterdir())
    (aside,) = [path for path in copy.iterdir() if path.is_dir()]
    assert (aside / "1_1_0-step.1.started").read_text() == "of the original"
    assert str(aside) in caplog.text
    assert (home / "1_1_0-step.1.started").exists()


def test_a_copy_without_files_of_runs_is_a_new_spool_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    home.mkdir()
    first = open_spool(home)
    shutil.copytree(home, copy)
    assert open_spool(copy) != first
    assert not caplog.records
    assert len(list(copy.iterdir())) == 1


def test_servers_that_open_a_new_spool_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(open_spool, [tmp_path] * 8))
    assert len(found) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", ["", "no-inode", "\0" * 300])
def test_a_file_without_an_id_is_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / ".identity").write_text(content)
    assert open_spool(tmp_path) == open_spool(tmp_path)
