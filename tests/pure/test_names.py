"""Ids that follow from what they name (runtime 20.3)."""

from __future__ import annotations

import pytest

from dagbook.identifiers import check_run_id, sub_run_id


@pytest.mark.parametrize(
    ("parent", "step", "params", "wanted"),
    [
        ("run-1", "fanout", "a", "A71daJaVHhcJTZb3azXCxiyD56VS5UhSCdaEW3LqP4VU"),
        ("run-1", "child", 'A="1" B="x y"', "9zzmvtKRhSUybbQPzKsengt6VpwKDK3ZZLXfDr4hLhPr"),
    ],
)
def test_the_id_of_a_sub_run_follows_from_its_call(parent: str, step: str, params: str, wanted: str) -> None:
    assert sub_run_id(parent, step, params) == wanted


def test_a_salt_gives_another_id() -> None:
    assert sub_run_id("r", "s", "p", "0123456789abcdef") != sub_run_id("r", "s", "p")


def test_the_id_of_a_sub_run_is_a_run_id() -> None:
    assert check_run_id(sub_run_id("r", "s", "p"))
