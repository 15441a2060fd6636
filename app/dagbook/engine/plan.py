"""The graph of a DAG, and the initial state of a first attempt or a retry."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dagbook.engine import rules
from dagbook.engine.event import ABORT, EXIT, FAILURE, INIT, SUCCESS, WAIT
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus
from dagbook.spec.model import HITL, Dag, Step

_RUN_AGAIN = frozenset({NodeStatus.FAILED, NodeStatus.ABORTED, NodeStatus.RUNNING})


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A DAG with its graph, computed once so that no transition has to traverse all of it."""

    dag: Dag
    handlers: dict[int, Step]  # by handler key; only those that are defined
    depends: tuple[tuple[int, ...], ...]  # per step, in the order its definition lists them
    dependents: tuple[tuple[int, ...], ...]  # per step, in file order
    approvals: frozenset[int] = frozenset()  # the steps that wait for an approval

    @classmethod
    def of(cls, dag: Dag) -> Plan:
        """Build the plan of a DAG whose names and dependencies are already validated."""
        keys = {step.name: key for key, step in enumerate(dag.steps)}
        depends = tuple(tuple(dict.fromkeys(keys[name] for name in step.depends)) for step in dag.steps)
        dependents: list[list[int]] = [[] for _ in dag.steps]
        for key, above in enumerate(depends):
            for dependency in above:
                dependents[dependency].append(key)
        return cls(
            dag=dag,
            handlers=_handlers(dag),
            depends=depends,
            dependents=tuple(tuple(keys) for keys in dependents),
            approvals=frozenset(key for key, step in enumerate(dag.steps) if step.executor.type == HITL),
        )

    def step(self, key: int) -> Step:
        """Return the definition of a step or handler."""
        return self.handlers[key] if key < 0 else self.dag.steps[key]

    def waits_for_approval(self, key: int, node: NodeState) -> bool:
        """Whether a step waits for its approval, and for nothing else."""
        is_running = node.status is NodeStatus.RUNNING and node.kill is None
        return key in self.approvals and is_running and node.executed_at is not None

    def find_open_approval(self, key: int, steps: Sequence[NodeState]) -> int | None:
        """Return an approval above a step that was not given, or None.

        One that was skipped, or whose failure is tolerated, blocks nothing: the engine has let its dependents run.
        """
        found, open_ends = set[int](), [key] if self.approvals else []
        while open_ends:
            new = set(self.depends[open_ends.pop()]) - found
            if still_open := [each for each in new & self.approvals if is_approval_open(steps[each])]:
                return min(still_open)
            found |= new
            open_ends.extend(new)
        return None

    def count_working(self, running: Sequence[int]) -> int:
        """Count the running nodes that do something: approvals take no place in ``maxActiveSteps``."""
        return len(running) if not self.approvals else sum(key not in self.approvals and key != WAIT for key in running)

    def step_key(self, name: str) -> int | None:
        return next((key for key, step in enumerate(self.dag.steps) if step.name == name), None)


def is_approval_open(node: NodeState) -> bool:
    """Whether an approval still has to be given; a success without a decision was set by hand, or imported."""
    match node.status:
        case NodeStatus.SUCCEEDED | NodeStatus.PARTIALLY_SUCCEEDED:
            return not node.decided_by
        case NodeStatus.FAILED:
            return not node.tolerated
    return node.status is not NodeStatus.SKIPPED


def find_step(dag: Dag, key: int) -> Step | None:
    """Return the definition of a step or handler, None if the DAG has none of this key."""
    if key < 0:
        return _handlers(dag).get(key)
    return dag.steps[key] if key < len(dag.steps) else None


def node_of(state: RunState, key: int) -> NodeState:
    """Return the state of a step or handler."""
    return state.handlers[key] if key < 0 else state.steps[key]


def initial_state(plan: Plan) -> RunState:
    return RunState(steps=(NodeState(),) * len(plan.dag.steps), handlers=dict.fromkeys(plan.handlers, NodeState()))


def retry_state(plan: Plan, previous: RunState, step: int | None = None) -> RunState:
    """Return the initial state of a retry (runtime 21.3, 21.4).

    Without ``step``, failed and aborted steps, and approvals that were not given, run again with everything
    downstream of them. With ``step``, only that step runs; every other one keeps its state. A step that was manually
    set to not started has no state to keep.
    """
    again = {step} if step is not None else _steps_to_rerun(plan, previous)
    kept = tuple(
        node if key not in again and node.status.is_final else NodeState() for key, node in enumerate(previous.steps)
    )
    before = previous.status if step is not None else None
    return RunState(steps=kept, handlers=dict.fromkeys(plan.handlers, NodeState()), only=step, status_before=before)


def rebuild_ready(plan: Plan, state: RunState) -> RunState:
    """Restore ``ready`` and ``running``, which are not stored, from the nodes of a loaded state."""
    ready: list[int] = []
    if state.phase is Phase.STEPS and not state.cancelled:
        waiting = [key for key, node in enumerate(state.steps) if node.status is NodeStatus.NOT_STARTED]
        if state.only is not None:
            ready = [key for key in waiting if key == state.only]
        else:
            steps = plan.dag.steps
            ready = [key for key in waiting if rules.all_satisfied(steps, plan.depends[key], state.steps)]
    return msgspec.structs.replace(state, ready=tuple(ready), running=running_keys(state))


def running_keys(state: RunState) -> tuple[int, ...]:
    """Return the keys of all running nodes in ascending order: handlers first, then steps in file order."""
    handlers = sorted(key for key, node in state.handlers.items() if node.status is NodeStatus.RUNNING)
    steps = (key for key, node in enumerate(state.steps) if node.status is NodeStatus.RUNNING)
    return (*handlers, *steps)


def _handlers(dag: Dag) -> dict[int, Step]:
    defined = dag.handlers
    all_known = {
        INIT: defined.init,
        WAIT: defined.wait,
        SUCCESS: defined.success,
        FAILURE: defined.failure,
        ABORT: defined.abort,
        EXIT: defined.exit,
    }
    return {key: step for key, step in all_known.items() if step is not None}


def _steps_to_rerun(plan: Plan, previous: RunState) -> set[int]:
    """Return the steps that did not end well, approvals that were not given, and everything downstream of them."""
    found = {
        key
        for key, node in enumerate(previous.steps)
        if node.status in _RUN_AGAIN or (key in plan.approvals and is_approval_open(node))
    }
    open_ends = list(found)
    while open_ends:
        new = [key for key in plan.dependents[open_ends.pop()] if key not in found]
        found.update(new)
        open_ends.extend(new)
    return found
