"""The torture of scripts/torture in a size that every change can afford."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process import conftest
from tests.process.torture import Size, Torture


@pytest.mark.timeout(120)
def test_servers_killed_at_random_lose_nothing_and_begin_nothing_twice(
    tmp_path: Path, make_url: Callable[[Path], str]
) -> None:
    torture = Torture(tmp_path, make_url(tmp_path / "home"), Size(kills=4, runs=10, seed=20_260_801, longest_life=0.8))
    try:
        assert torture.run() == []
    finally:
        conftest.end(torture.program)
    assert torture.hit > 0, "no kill met a running step: the test has shown nothing"
