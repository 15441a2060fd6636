"""The fault of a commit: at the number that is asked for, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagbook.db.errors import DatabaseUnavailable
from tests.chaos.faulty import FAILED, Fault, plant


def test_the_commit_with_the_number_has_the_fault_once(tmp_path: Path) -> None:
    order = tmp_path / "order"
    fault = Fault(order)
    assert [fault.at_next() for _ in range(3)] == ["", "", ""]
    order.write_text("2 after")
    assert [fault.at_next() for _ in range(3)] == ["", "after", ""]
    assert not order.exists()
    order.write_text("1 before")
    assert fault.at_next() == "before"


def test_commits_are_counted_again_for_each_order(tmp_path: Path) -> None:
    order = tmp_path / "order"
    fault = Fault(order)
    order.write_text("5 after")
    assert [fault.at_next() for _ in range(3)] == ["", "", ""]
    order.write_text("3 failed")
    assert [fault.at_next() for _ in range(3)] == ["", "", "failed"]


async def test_a_commit_that_is_reported_as_failed_was_applied(tmp_path: Path) -> None:
    class Backend:
        async def write(self, work: Any, committed: Any, *, durable: bool) -> str:
            assert durable
            return str(work(committed))

    plant(Fault(tmp_path / "order"), Backend)
    (tmp_path / "order").write_text(f"2 {FAILED}")
    applied: list[int] = []
    for number in range(3):
        work = lambda _, number=number: applied.append(number)  # noqa: E731
        if number == 1:
            with pytest.raises(DatabaseUnavailable):
                await Backend().write(work, None, durable=True)
        else:
            await Backend().write(work, None, durable=True)
    assert applied == [0, 1, 2]
