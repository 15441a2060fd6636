"""The files of runs in the spool, and whose they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.runs.files import RunFiles, list_keys


def _fill(spool: Path, key: int, attempt: int) -> list[str]:
    """Make what an attempt may leave."""
    files = RunFiles(spool, key, attempt)
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
    RunFiles(tmp_path, 5, attempt).remove_all()
    assert _left(tmp_path) == sorted(name for number in kept for name in made[number])


def test_clearing_up_after_a_run_leaves_those_whose_keys_begin_alike(tmp_path: Path) -> None:
    _fill(tmp_path, 5, 1)
    other = _fill(tmp_path, 51, 1)
    RunFiles(tmp_path, 5, 9).remove_all()
    assert _left(tmp_path) == other


def test_the_runs_that_have_files_are_told_once_each(tmp_path: Path) -> None:
    for key, attempt in ((5, 1), (5, 2), (51, 1)):
        _fill(tmp_path, key, attempt)
    (tmp_path / "strange").touch()
    assert list_keys(tmp_path) == [5, 51]
