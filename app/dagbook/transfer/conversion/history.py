"""The history of an imported attempt, made from the times that its record has. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from dagbook.engine.event import ABORT, EXIT, FAILURE, INIT, SUCCESS, WAIT
from dagbook.engine.history import Change
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import Json

_BEFORE_STEPS, _AFTER_STEPS = (INIT,), (WAIT, SUCCESS, FAILURE, ABORT, EXIT)
_BLANK, _BLANK_RUN = NodeState(), RunState()
_NOT_RECORDED = frozenset({"steps", "handlers", "ready", "running"})


def record_history(final: RunState, kept: Mapping[int, int], opened_at: datetime) -> Iterator[tuple[datetime, Change]]:
    """Yield the changes from the start of an attempt to its final state, with times that never go back.

    Nodes in ``kept`` have their state from the beginning. Folding the changes gives the final state.
    """
    last = opened_at
    for at, key, fields in _steps(final, kept):
        last = max(last, at or last)
        yield last, Change(key, fields)


def _steps(final: RunState, kept: Mapping[int, int]) -> Iterator[tuple[datetime | None, int | None, dict[str, Json]]]:
    begun = RunState()
    if final.started_at is not None:
        begun = RunState(status=RunStatus.RUNNING, phase=Phase.STEPS, started_at=final.started_at)
        yield final.started_at, None, _difference(_BLANK_RUN, begun)
    steps = tuple(enumerate(final.steps))
    before, after = (
        tuple((key, final.handlers[key]) for key in keys if key in final.handlers)
        for keys in (_BEFORE_STEPS, _AFTER_STEPS)
    )
    changes: list[tuple[datetime | None, int, int, int, dict[str, Json]]] = []
    for rank, (key, node) in enumerate((*before, *steps, *after)):
        if key in kept or node == _BLANK:
            continue
        if node.started_at is None:
            changes.append((final.finished_at, len(changes) + rank, 1, key, _difference(_BLANK, node)))
            continue
        running = msgspec.structs.replace(
            _BLANK, status=NodeStatus.RUNNING, started_at=node.started_at, execution=min(node.execution, 1)
        )
        changes.append((node.started_at, rank, 0, key, _difference(_BLANK, running)))
        changes.append((node.finished_at or node.started_at, rank, 1, key, _difference(running, node)))
    for at, _, _, key, fields in sorted(changes, key=lambda change: change[:3]):
        yield at, key, fields
    yield final.finished_at, None, _difference(begun, final)


def _difference(before: msgspec.Struct, after: msgspec.Struct) -> dict[str, Json]:
    names = (name for name in before.__struct_fields__ if name not in _NOT_RECORDED)
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return {name: msgspec.to_builtins(new) for name, old, new in pairs if old != new}
