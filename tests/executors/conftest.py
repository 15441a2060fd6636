"""Files of an execution, as a run lays them out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dagbook.executors.contract import ExecutionFiles
from tests.executors.docker_scene import Scene
from tests.executors.docker_stand_in import standing_in


@pytest.fixture
def files(tmp_path: Path) -> ExecutionFiles:
    """The files of an execution."""
    return ExecutionFiles(f"{tmp_path}/7_1_0-a.1", tmp_path / "7_1_0-a.out", tmp_path / "7_1_0-a.err")


@pytest.fixture
async def docker(files: ExecutionFiles, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A stand-in for the Docker daemon, and the files of an execution."""
    async with standing_in(tmp_path_factory.mktemp("docker")) as daemon:
        yield Scene.of(daemon, files)
