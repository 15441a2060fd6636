"""The history of an attempt: the changed fields of each event, as append-only plain data."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress, count
from operator import is_not
from typing import Any

import msgspec

from dagbook.engine.plan import running_keys
from dagbook.engine.state import NodeState, RunState

# Recorded per node, or derived from the nodes.
_NOT_RECORDED = frozenset({"steps", "handlers", "ready", "running"})
_RUN_TYPES = {field.name: field.type for field in msgspec.structs.fields(RunState) if field.name not in _NOT_RECORDED}
_NODE_TYPES = {field.name: field.type for field in msgspec.structs.fields(NodeState)}


class Change(msgspec.Struct, frozen=True):
    """New values of the changed fields of the run (``key`` is None) or of one node."""

    key: int | None
    fields: dict[str, Any]


def changes(before: RunState, after: RunState) -> tuple[Change, ...]:
    """Return the changes between two states as JSON-compatible values, in the order of the run log.

    Untouched nodes are the same objects in both states, so only the others are compared.
    """
    found: list[Change] = []
    fields = _difference(before, after, _RUN_TYPES)
    if fields:
        found.append(Change(None, fields))
    nodes = [(key, before.handlers[key], node) for key, node in after.handlers.items()]
    changed = compress(count(), map(is_not, before.steps, after.steps))
    nodes += [(key, before.steps[key], after.steps[key]) for key in changed]
    for key, old, new in nodes:
        fields = {} if old is new else _difference(old, new, _NODE_TYPES)
        if fields:
            found.append(Change(key, fields))
    return tuple(sorted(found, key=_sort_key))


def fold(state: RunState, recorded: Iterable[Change]) -> RunState:
    """Return the state after recorded changes; ``ready`` is left to ``rebuild_ready``."""
    run: dict[str, Any] = {}
    steps, handlers = list(state.steps), dict(state.handlers)
    for change in recorded:
        types = _RUN_TYPES if change.key is None else _NODE_TYPES
        values = {name: msgspec.convert(value, types[name]) for name, value in change.fields.items()}
        if change.key is None:
            run.update(values)
        elif change.key < 0:
            handlers[change.key] = msgspec.structs.replace(handlers[change.key], **values)
        else:
            steps[change.key] = msgspec.structs.replace(steps[change.key], **values)
    folded = msgspec.structs.replace(state, steps=tuple(steps), handlers=handlers, ready=(), **run)
    return msgspec.structs.replace(folded, running=running_keys(folded))


def _sort_key(change: Change) -> int:
    """Order: start of the run, finished nodes, other nodes, end of the run."""
    ended = "finished_at" in change.fields
    if change.key is None:
        return 3 if ended else 0
    return 1 if ended else 2


def _difference(before: Any, after: Any, names: Iterable[str]) -> dict[str, Any]:
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return {name: msgspec.to_builtins(new) for name, old, new in pairs if old is not new and old != new}
