from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
LOCKS = ["runtime", "dev", "build", "release", "docs"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    shutil.copytree(CHECKOUT / "requirements", tmp_path / "requirements")
    return tmp_path


def check(folder: Path) -> tuple[int, str]:
    script = CHECKOUT / "scripts" / "locks.py"
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_locks_hold_what_the_project_asks_for(folder: Path) -> None:
    assert check(folder) == (0, "")


def test_a_dependency_that_is_not_locked_is_named(folder: Path) -> None:
    edit(folder / "pyproject.toml", "dependencies = [\n", 'dependencies = [\n  "left-pad>=1",\n')
    status, message = check(folder)
    assert status == 1
    assert "requirements/runtime.txt: left-pad is missing" in message


def test_a_locked_version_outside_of_its_range_is_named(folder: Path) -> None:
    edit(folder / "pyproject.toml", '"click>=8.5,<9"', '"click>=9"')
    assert "requirements/runtime.txt: click 8." in check(folder)[1]


def test_two_locks_that_disagree_are_named(folder: Path) -> None:
    edit(folder / "requirements/dev.txt", "\naiosqlite==", "\naiosqlite==0.")
    assert "requirements/dev.txt: aiosqlite is not locked to" in check(folder)[1]


def test_an_entry_without_hashes_is_refused(folder: Path) -> None:
    with (folder / "requirements/build.txt").open("a") as lock:
        lock.write("wheel==0.48.0\n")
    assert check(folder)[0] == 1


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_no_address(name: str) -> None:
    text = (CHECKOUT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
