"""The working copy of one transition."""

from __future__ import annotations

from bisect import bisect_left, insort
from datetime import datetime

import msgspec

from dagbook.engine.action import Action
from dagbook.engine.plan import Plan
from dagbook.engine.state import NodeState, RunState
from dagbook.engine.status import NodeStatus


class Transition:
    """The working copy behind one call of ``advance``; it is discarded after that call.

    ``run`` is the head of the state: its nodes, ``ready`` and ``running`` are only updated by ``state``.
    """

    def __init__(self, plan: Plan, state: RunState, now: datetime) -> None:
        self.plan = plan
        self.run = state
        self.now = _latest(now, state.started_at, state.stop_asked_at, state.signalled_at, state.killed_at)
        self.steps = list(state.steps)
        self.handlers = dict(state.handlers)
        self.ready = list(state.ready)
        self.running = list(state.running)
        self.actions: list[Action] = []
        self.changed = False
        self.just_started = False  # the run itself started in this transition

    def node(self, key: int) -> NodeState | None:
        if key < 0:
            return self.handlers.get(key)
        return self.steps[key] if key < len(self.steps) else None

    def running_node(self, key: int) -> NodeState | None:
        """Return the node if it is running."""
        node = self.node(key)
        return node if node is not None and node.status is NodeStatus.RUNNING else None

    def set_run(self, **fields: object) -> None:
        self.changed = True
        self.run = msgspec.structs.replace(self.run, **fields)

    def set_node(self, key: int, node: NodeState, **fields: object) -> NodeState:
        """Replace fields of a node and return it; the only place where nodes change."""
        self.changed = True
        changed = msgspec.structs.replace(node, **fields)
        if key < 0:
            self.handlers[key] = changed
        else:
            self.steps[key] = changed
        if changed.status is not node.status:
            if changed.status is NodeStatus.RUNNING:
                insort(self.running, key)
            elif node.status is NodeStatus.RUNNING:
                del self.running[bisect_left(self.running, key)]
        return changed

    def emit(self, action: Action) -> None:
        self.actions.append(action)

    def timestamp(self, node: NodeState) -> datetime:
        """Return the current time for this node: a clock set back never makes an end precede a start."""
        return _latest(self.now, node.started_at, node.executed_at, node.retried_at)

    def set_error(self, key: int | None, error: str) -> None:
        """Record an error that counts against the run."""
        self.set_run(error=error, error_key=key)

    def state(self) -> RunState:
        """Build the resulting state."""
        return msgspec.structs.replace(
            self.run,
            steps=tuple(self.steps),
            handlers=self.handlers,
            ready=tuple(self.ready),
            running=tuple(self.running),
        )


def _latest(now: datetime, *stored: datetime | None) -> datetime:
    return max(now, *(time for time in stored if time is not None)) if any(stored) else now
