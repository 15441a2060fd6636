"""Files of an execution, as a run lays them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.executors.blanks import Blanks
from app.executors.contract import ExecutionFiles


@pytest.fixture
def blanks(tmp_path: Path) -> Blanks:
    """The source of files in the spool."""
    return Blanks(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> ExecutionFiles:
    """The files of an execution."""
    return ExecutionFiles(f"{tmp_path}/7_1_0-a.1", tmp_path / "7_1_0-a.out", tmp_path / "7_1_0-a.err")
