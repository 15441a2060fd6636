"""The shape of a run before it begins: its graph, and the states a first try or a retry starts from."""

from __future__ import annotations

import msgspec

from app.engine import rules
from app.engine.event import ABORT, EXIT, FAILURE, INIT, SUCCESS
from app.engine.state import NodeState, Phase, RunState
from app.engine.status import NodeStatus
from app.spec.model import Dag, Step

_RUN_AGAIN = frozenset({NodeStatus.FAILED, NodeStatus.ABORTED, NodeStatus.RUNNING})


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A DAG with its graph worked out once, so that no transition has to walk all of it again."""

    dag: Dag
    handlers: dict[int, Step]  # by handler key; only those that are defined
    depends: tuple[tuple[int, ...], ...]  # per step, in the order its definition lists them
    dependents: tuple[tuple[int, ...], ...]  # per step, in file order

    @classmethod
    def of(cls, dag: Dag) -> Plan:
        """Lay out a DAG whose names and dependencies were checked when it was loaded."""
        keys = {step.name: key for key, step in enumerate(dag.steps)}
        depends = tuple(tuple(dict.fromkeys(keys[name] for name in step.depends)) for step in dag.steps)
        dependents: list[list[int]] = [[] for _ in dag.steps]
        for key, above in enumerate(depends):
            for dependency in above:
                dependents[dependency].append(key)
        return cls(
            dag=dag, handlers=_handlers(dag), depends=depends, dependents=tuple(tuple(keys) for keys in dependents)
        )

    def step(self, key: int) -> Step:
        """Return the definition behind a key that the state has."""
        return self.handlers[key] if key < 0 else self.dag.steps[key]

    def step_key(self, name: str) -> int | None:
        """Return the key of the step with this name."""
        return next((key for key, step in enumerate(self.dag.steps) if step.name == name), None)


def fresh(plan: Plan) -> RunState:
    """Return the state of a first attempt: everything is still to come."""
    return RunState(steps=(NodeState(),) * len(plan.dag.steps), handlers=_untouched(plan))


def retried(plan: Plan, previous: RunState, step: int | None = None) -> RunState:
    """Return the state a retry starts from (runtime 21.3, 21.4).

    Without ``step``, what failed or was aborted is run again together with all that lies below
    it. With ``step``, that step alone is; every other one keeps its state, whatever it is.
    A step that was set to not started by hand has nothing to keep.
    """
    again = {step} if step is not None else _below(plan, previous)
    kept = tuple(
        node if key not in again and _is_kept(node) else NodeState() for key, node in enumerate(previous.steps)
    )
    before = previous.status if step is not None else None
    return RunState(steps=kept, handlers=_untouched(plan), only=step, status_before=before)


def rebuild_ready(plan: Plan, state: RunState) -> RunState:
    """Fill in what is not stored (``ready`` and ``running``) from the nodes of a state read from rows."""
    ready = _ready(plan, state) if state.phase is Phase.STEPS and not state.cancelled else ()
    return msgspec.structs.replace(state, ready=ready, running=running_keys(state))


def running_keys(state: RunState) -> tuple[int, ...]:
    """Return the keys of all running nodes in rising order: handlers first, then steps in file order."""
    handlers = sorted(key for key, node in state.handlers.items() if node.status is NodeStatus.RUNNING)
    steps = (key for key, node in enumerate(state.steps) if node.status is NodeStatus.RUNNING)
    return (*handlers, *steps)


def _ready(plan: Plan, state: RunState) -> tuple[int, ...]:
    waiting = (key for key, node in enumerate(state.steps) if node.status is NodeStatus.NOT_STARTED)
    if state.only is not None:
        return tuple(key for key in waiting if key == state.only)
    return tuple(key for key in waiting if rules.all_satisfied(plan.dag.steps, plan.depends[key], state.steps))


def _handlers(dag: Dag) -> dict[int, Step]:
    defined = dag.handlers
    all_five = {
        INIT: defined.init,
        SUCCESS: defined.success,
        FAILURE: defined.failure,
        ABORT: defined.abort,
        EXIT: defined.exit,
    }
    return {key: step for key, step in all_five.items() if step is not None}


def _untouched(plan: Plan) -> dict[int, NodeState]:
    return {key: NodeState() for key in plan.handlers}


def _is_kept(node: NodeState) -> bool:
    return node.status.is_final


def _below(plan: Plan, previous: RunState) -> set[int]:
    """Return the steps that did not end well and everything that depends on them, however far away."""
    found = {key for key, node in enumerate(previous.steps) if node.status in _RUN_AGAIN}
    open_ends = list(found)
    while open_ends:
        new = [key for key in plan.dependents[open_ends.pop()] if key not in found]
        found.update(new)
        open_ends.extend(new)
    return found
