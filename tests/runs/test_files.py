"""The files of runs in the spool, and whose they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dagbook.runs.output.spool import RunSpool, spooled_runs


def _fill(spool: Path, key: int, attempt: int) -> list[str]:
    """Make what an attempt may leave."""
    files = RunSpool(spool, key, attempt)
    files.log.touch()
    files.work.mkdir()
    (files.work / "inner").touch()
    node = Path(f"{files.node_base(0, 'a b')}.out")
    node.touch()
    return sorted(path.name for path in (files.log, files.work, node))


def _left(spool: Path) -> list[str]:
    return sorted(path.name for path in spool.iterdir())


@pytest.mark.parametrize(("attempt", "kept"), [(1, (2, 11)), (2, (11,)), (11, ())])
def test_clearing_up_after_an_attempt_leaves_those_that_follow(
    tmp_path: Path, attempt: int, kept: tuple[int, ...]
) -> None:
    made = {number: _fill(tmp_path, 5, number) for number in (1, 2, 11)}
    RunSpool(tmp_path, 5, attempt).remove_all()
    assert _left(tmp_path) == sorted(name for number in kept for name in made[number])


def test_clearing_up_after_a_run_leaves_those_whose_keys_begin_alike(tmp_path: Path) -> None:
    _fill(tmp_path, 5, 1)
    other = _fill(tmp_path, 51, 1)
    RunSpool(tmp_path, 5, 9).remove_all()
    assert _left(tmp_path) == other


def test_the_runs_that_have_files_are_told_once_each(tmp_path: Path) -> None:
    for key, attempt in ((5, 1), (5, 2), (51, 1)):
        _fill(tmp_path, key, attempt)
    (tmp_path / "strange").touch()
    assert spooled_runs(tmp_path) == [5, 51]


def test_a_note_is_open_until_its_execution_has_ended(tmp_path: Path) -> None:
    files = RunSpool(tmp_path, 5, 1)
    ended, open_one = (Path(f"{files.node_base(position, 'a')}.1.note") for position in (0, 1))
    for note in (ended, open_one, files.run_note, RunSpool(tmp_path, 51, 1).run_note):
        note.touch()
    ended.with_suffix(".started").write_text("000\ninside\n")
    open_one.with_suffix(".started").touch()
    assert sorted(files.pending_notes()) == sorted([open_one, files.run_note])


def test_the_note_of_what_could_not_be_ended_yet_is_kept_for_a_day(tmp_path: Path) -> None:
    files = RunSpool(tmp_path, 5, 1)
    files.run_note.touch()
    files.remove_all()
    assert files.run_note.exists()
    os.utime(files.run_note, (0, 0))
    files.remove_all()
    assert not files.run_note.exists()
