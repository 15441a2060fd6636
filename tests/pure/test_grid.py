"""The grid of a history (api-behaviour op 19)."""

from __future__ import annotations

from typing import Any

from dagbook.api.presenters.history import grid
from dagbook.db.repositories.runs.run_history import HistoryNode
from dagbook.engine.event import ABORT, EXIT, FAILURE, HANDLER_NAMES, INIT, SUCCESS


def _node(position: int, status: int, name: str = "") -> HistoryNode:
    values: dict[str, Any] = dict.fromkeys(HistoryNode.__struct_fields__)
    return HistoryNode(**values | {"position": position, "name": name or HANDLER_NAMES[position], "status": status})


def _lines(runs: list[list[HistoryNode]]) -> list[tuple[str, list[int]]]:
    return [(item.name, [int(status) for status in item.history]) for item in grid(runs)]


def test_no_runs_have_no_lines() -> None:
    assert _lines([]) == []


def test_a_step_that_a_run_did_not_have_is_not_started_in_it() -> None:
    assert _lines([[_node(0, 4, "a")], [], [_node(0, 2, "b")]]) == [("a", [4, 0, 0]), ("b", [0, 0, 2])]


def test_steps_are_sorted_by_name_and_capitals_come_first() -> None:
    assert [name for name, _ in _lines([[_node(0, 4, "b"), _node(1, 4, "a"), _node(2, 4, "B")]])] == ["B", "a", "b"]


def test_handlers_follow_the_steps_in_their_own_order_without_init() -> None:
    nodes = [_node(key, 4) for key in (EXIT, ABORT, FAILURE, SUCCESS, INIT)]
    names = [name for name, _ in _lines([[*nodes, _node(0, 4, "zz")]])]
    assert names == ["zz", "onSuccess", "onFailure", "onCancel", "onExit"]


def test_a_step_called_like_a_handler_has_a_line_of_its_own() -> None:
    assert _lines([[_node(0, 2, "onExit"), _node(EXIT, 4)]]) == [("onExit", [2]), ("onExit", [4])]
