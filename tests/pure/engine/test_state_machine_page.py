"""The drawn state machine says the same as the tables the code is held to."""

from __future__ import annotations

import re
from enum import IntEnum
from pathlib import Path

import pytest

from dagbook.engine.state import Phase
from dagbook.engine.status import NODE_INSERTS, NODE_TRANSITIONS, RUN_INSERTS, RUN_TRANSITIONS, NodeStatus, RunStatus

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "state-machine.md").read_text()
NEW = "(new)"


def table(title: str) -> dict[str, set[str]]:
    """Read the table whose first column has this heading."""
    rows = re.search(rf"^\| {title} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert rows is not None
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows[1].splitlines()]
    return {first: {word for word in second.split(", ") if word} for first, second, *_ in cells}


def labels(statuses: frozenset[RunStatus] | frozenset[NodeStatus]) -> set[str]:
    return {status.label for status in statuses}


@pytest.mark.parametrize(
    ("title", "kind", "inserts", "transitions"),
    [
        ("run", RunStatus, RUN_INSERTS, RUN_TRANSITIONS),
        ("node", NodeStatus, NODE_INSERTS, NODE_TRANSITIONS),
    ],
)
def test_the_page_lists_what_the_code_allows(
    title: str,
    kind: type[IntEnum],
    inserts: frozenset[RunStatus] | frozenset[NodeStatus],
    transitions: frozenset[tuple[IntEnum, IntEnum]],
) -> None:
    allowed = {status.name.lower(): {b.name.lower() for a, b in transitions if a is status} for status in kind}
    assert table(title) == {NEW: labels(inserts), **allowed}


def test_the_page_names_every_phase_in_order() -> None:
    assert list(table("phase")) == [phase.value for phase in Phase]
