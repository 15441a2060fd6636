"""Table of step statuses in several runs (api-behaviour op 19). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dagbook.api.schemas.dags import DAGGridItem
from dagbook.db.repositories.runs.run_history import HistoryNode
from dagbook.engine.event import ABORT, EXIT, FAILURE, SUCCESS
from dagbook.engine.status import NodeStatus

_HANDLERS = (SUCCESS, FAILURE, ABORT, EXIT)
_Key = tuple[int, str]  # sort key of a line: steps before handlers in their own order, then the name


def grid(runs: Sequence[Iterable[HistoryNode]]) -> list[DAGGridItem]:
    """Make a line for each step and handler that any of the runs has, its statuses in the order of the runs."""
    lines: dict[_Key, list[NodeStatus]] = {}
    for number, nodes in enumerate(runs):
        for node in nodes:
            if (key := _key(node)) is not None:
                line = lines.setdefault(key, [NodeStatus.NOT_STARTED] * len(runs))
                line[number] = NodeStatus(node.status)
    return [DAGGridItem(name=name, history=lines[rank, name]) for rank, name in sorted(lines)]


def _key(node: HistoryNode) -> _Key | None:
    position = node.position
    if position >= 0:
        return (0, node.name)
    return (1 + _HANDLERS.index(position), node.name) if position in _HANDLERS else None
