"""Files of an execution, as a run lays them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.executors import process
from app.executors.contract import ExecutionFiles


@pytest.fixture
def files(tmp_path: Path) -> ExecutionFiles:
    """The prepared files of an execution."""
    laid_out = ExecutionFiles(f"{tmp_path}/1_0-a.1", tmp_path / "1_0-a.out", tmp_path / "1_0-a.err")
    process.prepare(laid_out)
    return laid_out
