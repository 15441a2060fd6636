"""Run and node statuses with the API's numbers and labels, and the allowed transitions.

Runtime reference sections 2 and 3; the database's triggers hold the same tables.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, get_args

RunLabel = Literal["not_started", "running", "failed", "aborted", "succeeded", "queued", "partially_succeeded"]
NodeLabel = Literal["not_started", "running", "failed", "aborted", "succeeded", "skipped", "partially_succeeded"]
# By the values of the statuses.
_RUN_LABELS: tuple[RunLabel, ...] = get_args(RunLabel)
_NODE_LABELS: tuple[NodeLabel, ...] = get_args(NodeLabel)


class RunStatus(IntEnum):
    """Status of a run; values and labels are those of the API."""

    NOT_STARTED = 0
    RUNNING = 1
    FAILED = 2
    ABORTED = 3
    SUCCEEDED = 4
    QUEUED = 5
    PARTIALLY_SUCCEEDED = 6

    @property
    def label(self) -> RunLabel:
        return _RUN_LABELS[self]

    @property
    def is_final(self) -> bool:
        """Whether the attempt has finished."""
        return self in _FINAL_RUN


class NodeStatus(IntEnum):
    """Status of a step in one attempt; 5 is *skipped* here."""

    NOT_STARTED = 0
    RUNNING = 1
    FAILED = 2
    ABORTED = 3
    SUCCEEDED = 4
    SKIPPED = 5
    PARTIALLY_SUCCEEDED = 6

    @property
    def label(self) -> NodeLabel:
        return _NODE_LABELS[self]

    @property
    def is_final(self) -> bool:
        """Whether the node has finished."""
        return self not in (NodeStatus.NOT_STARTED, NodeStatus.RUNNING)


_FINAL_RUN = frozenset({RunStatus.FAILED, RunStatus.ABORTED, RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED})
BAD_ENDS = frozenset({RunStatus.FAILED, RunStatus.ABORTED})

# A row may always keep its status; that pair is not listed.
RUN_INSERTS = frozenset({RunStatus.NOT_STARTED, RunStatus.QUEUED})
RUN_TRANSITIONS: frozenset[tuple[RunStatus, RunStatus]] = frozenset(
    {(before, after) for before in RUN_INSERTS for after in (RunStatus.RUNNING, RunStatus.FAILED, RunStatus.ABORTED)}
    | {(RunStatus.RUNNING, after) for after in _FINAL_RUN}
)
NODE_INSERTS = frozenset({NodeStatus.NOT_STARTED})
NODE_TRANSITIONS: frozenset[tuple[NodeStatus, NodeStatus]] = frozenset(
    {
        (NodeStatus.NOT_STARTED, after)
        for after in (NodeStatus.RUNNING, NodeStatus.FAILED, NodeStatus.ABORTED, NodeStatus.SKIPPED)
    }
    | {
        (NodeStatus.RUNNING, after)
        for after in (
            NodeStatus.FAILED,
            NodeStatus.ABORTED,
            NodeStatus.SUCCEEDED,
            NodeStatus.SKIPPED,
            NodeStatus.PARTIALLY_SUCCEEDED,
        )
    }
)
